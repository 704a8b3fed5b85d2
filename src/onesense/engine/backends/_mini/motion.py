"""Motion as words: what moves between the frames of a video, put between them as pieces of text.

Frames alone are pictures in a row; a pan to the left and one to the right show the same ones. The camera's motion is
the shift or the zoom that lays one frame over the next, a thing's the way of what differs from the still rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from ....types import Array

MOTIONS = {
    "pan left": "panning left", "pan right": "panning right", "tilt up": "tilting up", "tilt down": "tilting down",
    "zoom in": "zooming in", "zoom out": "zooming out", "move left": "moving left", "move right": "moving right",
    "move up": "moving up", "move down": "moving down",
}  # fmt: skip
"""What is told apart -> the words that stand for it in the sequence. The camera pans, tilts and zooms; things move."""

SIDE = 64  # pixels that a frame is shrunk to
STILL = 0.012  # mean difference of two frames (0..1) below which nothing moved
EXPLAINED = 0.6  # share of the difference that may be left when a motion explains it
ALIKE = 0.35  # of a frame's spread: what is left when it shows the same thing; another scene leaves about all of it
MIN_SHIFT = 2.0  # pixels of SIDE
ZOOMS = (1.06, 1.1, 1.15, 1.2, 1.3, 1.4, 1.55)
DIFFERS = 0.1  # of a pixel (0..1) from the still rest
THING = (0.003, 0.35)  # share of the frame that a moving thing covers
MIN_WAY = 0.12  # of the side that it goes from the first frame to the last
STEADY = 0.75  # correlation of its place with time
MIN_FRAMES = 3


def motions(frames: Sequence[Array], times_s: Array) -> list[tuple[float, str]]:
    """What moves, and when it begins.

    Args:
        frames: uint8 [H, W, 3] each, of one size, in order.
        times_s: float [T], their seconds.

    Returns:
        Seconds and a name of `MOTIONS`, in order; one for each stretch of the same motion.
    """
    small = np.stack([_shrink(frame) for frame in frames]) if len(frames) else np.zeros((0, SIDE, SIDE), np.float32)
    camera = [_camera(a, b) for a, b in pairwise(small)]
    found = [
        (float(times_s[i + 1]), name)
        for i, name in enumerate(camera)
        if name is not None and (i == 0 or camera[i - 1] != name)
    ]
    for start, stop in _stretches([name is None for name in camera]):
        name = _thing(small[start : stop + 1])
        if name is not None:
            found.append((float(times_s[start + 1]), name))
    return sorted(found)


def _shrink(frame: Array) -> Array:
    """The green channel, means of SIDE x SIDE cells, float32 0..1; small frames are repeated up to that size."""
    green = frame[..., 1]
    rows, cols = (np.linspace(0, n, SIDE + 1).astype(int)[:-1] for n in green.shape)
    total = np.add.reduceat(np.add.reduceat(green.astype(np.float32), rows, 0), cols, 1)
    n_rows, n_cols = (np.maximum(1, np.diff([*cut, n])) for cut, n in ((rows, green.shape[0]), (cols, green.shape[1])))
    out: Array = (total / (n_rows[:, None] * n_cols) / 255.0).astype(np.float32)
    return out


def _camera(a: Array, b: Array) -> str | None:
    """The camera's motion from one frame to the next, None where none explains the difference."""
    before = float(np.abs(a - b).mean())
    if before < STILL:
        return None
    best, name = min([_shifted(a, b), *_zoomed(a, b)])
    return name if best < min(EXPLAINED * before, ALIKE * float(b.std())) else None


def _shifted(a: Array, b: Array) -> tuple[float, str]:
    """What is left of the difference after the best shift, and the pan or tilt that it stands for.

    Source: phase correlation, Kuglin and Hines 1975.
    """
    window = np.hanning(SIDE)[:, None] * np.hanning(SIDE)
    spectrum = np.fft.fft2((b - b.mean()) * window) * np.conj(np.fft.fft2((a - a.mean()) * window))
    peak = np.fft.ifft2(spectrum / (np.abs(spectrum) + 1e-9)).real.argmax()
    y, x = ((int(v) + SIDE // 2) % SIDE - SIDE // 2 for v in np.unravel_index(peak, a.shape))
    if max(abs(x), abs(y)) < MIN_SHIFT:
        return np.inf, ""
    old, new = (slice(max(0, -y), SIDE + min(0, -y)), slice(max(0, -x), SIDE + min(0, -x))), (
        slice(max(0, y), SIDE + min(0, y)), slice(max(0, x), SIDE + min(0, x))
    )  # fmt: skip
    left = float(np.abs(a[old] - b[new]).mean())
    if abs(x) >= abs(y):  # what is seen goes right when the camera turns left
        return left, "pan left" if x > 0 else "pan right"
    return left, "tilt up" if y > 0 else "tilt down"


def _zoomed(a: Array, b: Array) -> Iterator[tuple[float, str]]:
    """What is left of the difference after each zoom about the middle."""
    middle = (SIDE - 1) / 2
    for zoom in ZOOMS:
        places = np.rint(middle + (np.arange(SIDE) - middle) / zoom).astype(int)
        for one, other, name in ((a, b, "zoom in"), (b, a, "zoom out")):
            yield float(np.abs(one[np.ix_(places, places)] - other).mean()), name


def _stretches(is_free: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """First and last frame of every stretch whose transitions have no camera motion."""
    start: int | None = None
    for i, free in enumerate([*is_free, False]):
        if free and start is None:
            start = i
        if not free and start is not None:
            if i - start + 1 >= MIN_FRAMES:
                yield start, i
            start = None


def _thing(small: Array) -> str | None:
    """Which way the one thing that differs from the still rest goes through frames [T, SIDE, SIDE]."""
    differs = np.abs(small - np.median(small, 0)) > DIFFERS
    share = differs.mean((1, 2))
    is_seen = (share > THING[0]) & (share < THING[1])
    if is_seen.sum() < MIN_FRAMES:
        return None
    times = np.flatnonzero(is_seen)
    at = np.array([np.argwhere(differs[t]).mean(0) for t in times]) / SIDE  # [T, 2]: y, x
    way = at[-1] - at[0]
    axis = int(np.abs(way).argmax())
    if abs(way[axis]) < MIN_WAY or abs(np.corrcoef(times, at[:, axis])[0, 1]) < STEADY:
        return None
    names = (("move up", "move down"), ("move left", "move right"))
    return names[axis][int(way[axis] > 0)]
