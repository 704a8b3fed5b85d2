"""Video: MP4, MOV, WebM, MKV, AVI to frames at a chosen rate with their times, and the sound of the same stretch.

As with sound, a file that breaks off or has damaged packets yields the frames that can be seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from ..errors import DecodeError, EmptyInput, InvalidInput, TooLarge
from ..types import LIMITS, SAMPLE_RATE_HZ, Array, Audio, Content, Decoded, Limits, Locator, Part, Segment, Video
from . import _av, fetch
from ._windows import Reader
from .audio import clock

FPS = 1.0  # frames per second unless the part says otherwise, as Gemini Embedding 2 samples
MAX_FPS = 24.0
SHORT_SIDE = 320  # px; models read 224 to 260 of it
WINDOW_S = 8.0
REACH_S = 4.0  # a change of shot this near to the border is taken
OVERLAP_S = 1.0  # where the shot does not change, so that what happens on the border is whole in one of the two windows
SHOT = 0.15  # mean change of a sampled frame's thumbnail, 0..1; motion within a shot stays below 0.1
MIN_TAIL_S = 2.0  # a shorter rest joins the window before it


@dataclass(frozen=True, slots=True, eq=False)
class _Window:
    start_s: float
    duration_s: float
    frames: tuple[tuple[float, Array], ...]
    """Time in seconds and uint8 [H, W, 3]."""
    samples: Array
    """float32 [S]."""

    @property
    def end_s(self) -> float:
        return self.start_s + self.duration_s

    def __add__(self, after: _Window) -> _Window:
        """Both as one; what they share comes once."""
        frames = tuple(frame for frame in after.frames if frame[0] >= self.end_s)
        new = after.samples[round((self.end_s - after.start_s) * SAMPLE_RATE_HZ) :]
        samples = np.concatenate([self.samples, new])
        return _Window(self.start_s, after.end_s - self.start_s, self.frames + frames, samples)


class VideoModality:
    """Moving pictures with or without sound. Stateless, so any thread may use it.

    A file of sound only in a video's container is a sound: `reads` says so to the sniffer.
    """

    name = "video"
    mimes = frozenset({f"video/{subtype}" for subtype in _av.CONTAINERS} | {"video/mpeg", "video/x-m4v"})
    suffixes = frozenset({".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".mpg", ".mpeg", ".wmv", ".flv"})

    def sniff(self, head: bytes) -> str | None:
        """The container that the first bytes show; of Ogg files those with Theora pictures."""
        if head.startswith(b"OggS"):
            return "video/ogg" if b"theora" in head[:512] else None
        container = _av.shared_container(head)
        return f"video/{container}" if container else None

    def reads(self, source: bytes | Path) -> int:
        """All of a file with a moving picture, else nothing."""
        try:
            return 2 * _av.probe(source).has_pictures
        except DecodeError:
            return 0

    def decode(self, source: bytes | Path, part: Part, limits: Limits = LIMITS) -> Video:
        """Frames and sound of the stretch that `part` asks for.

        Without `part.fps` a stretch of more than `limits.max_frames` seconds is sampled more thinly, evenly.

        Returns:
            Video with frames uint8 [T, H, W, 3], upright, short side at most 320 px, and times_s float32 [T].

        Raises:
            EmptyInput: no frame lies in this stretch.
            DecodeError: less than half of the packets can be decoded.
            InvalidInput: fps is outside 0 < fps <= 24, or the stretch is not possible.
            TooLarge: more frames than `limits.max_frames` at the asked rate, or longer than `limits.max_seconds`.
        """
        start_s, end_s = _av.stretch(part)
        duration_s = _checked_duration(source, start_s, end_s, limits)
        frames = _sampled(source, part, limits)
        if not frames:
            raise EmptyInput(f"{fetch.label(source)} has no frame between {start_s:g} s and {end_s:g} s")
        end_s = min(end_s, start_s + limits.max_seconds)
        heard_s = limits.max_seconds if part.sound else 0.0
        samples = Reader(_av.sound(source, start_s, end_s, limits)).take(round(heard_s * SAMPLE_RATE_HZ))
        shown_s = max(frames[-1][0] - start_s, len(samples) / SAMPLE_RATE_HZ)
        return _video(_Window(start_s, max(duration_s or 0.0, shown_s), tuple(frames), samples))

    def segments(self, source: bytes | Path, limits: Limits = LIMITS) -> Iterator[Segment]:
        """Windows of about 8 s at one frame a second, cut where the shot changes, else overlapping by a second.

        A rest below 2 s joins the window before it.

        Pictures and sound are decoded once each, side by side, so memory does not grow with the length of the file.

        Raises:
            EmptyInput: the video has no frame.
            DecodeError: less than half of the packets can be decoded; windows before that have been given.
        """
        held: _Window | None = None
        for window in _windows(source, limits):
            if held is not None and window.end_s - held.end_s < MIN_TAIL_S:
                held = held + window
                continue
            if held is not None:
                yield _segment(held)
            held = window
        if held is None:
            raise EmptyInput(f"{fetch.label(source)} is a video without a frame")
        yield _segment(held)

    def preview(self, value: Decoded) -> str:
        """How long it lasts, and whether it has sound."""
        assert isinstance(value, Video)
        return f"video {clock(value.duration_s)} {'with' if value.sound else 'without'} sound"


modality = VideoModality()


def _checked_duration(source: bytes | Path, start_s: float, end_s: float, limits: Limits) -> float | None:
    """Seconds of the stretch by the file's header, None where it does not say."""
    whole_s = _av.probe(source).duration_s
    if whole_s is None:
        return None
    duration_s = min(end_s, whole_s) - start_s
    if duration_s > limits.max_seconds:
        advice = f"at most {limits.max_seconds:,.0f} s are decoded at once: give start_s and end_s, or index the file"
        raise TooLarge(f"{fetch.label(source)} has {duration_s:,.0f} s of video: {advice}")
    return max(0.0, duration_s)


def _sampled(source: bytes | Path, part: Part, limits: Limits) -> list[tuple[float, Array]]:
    """Frames at the asked rate; at the default rate every other one goes whenever there are too many."""
    fps = FPS if part.fps is None else part.fps
    if not 0.0 < fps <= MAX_FPS:
        raise InvalidInput(f"fps is {fps}: it must lie above 0 and be at most {MAX_FPS:g}")
    kept: list[tuple[float, Array]] = []
    stride, start_s = 1, _av.stretch(part)[0]
    for n, frame in enumerate(_av.frames(source, _av.stretch(part), fps, SHORT_SIDE, limits)):
        if frame[0] - start_s > limits.max_seconds:
            raise TooLarge(f"{fetch.label(source)} has more than {limits.max_seconds:,.0f} s: give start_s and end_s")
        if n % stride:
            continue
        if len(kept) == limits.max_frames:
            if part.fps is not None:
                advice = "take a lower fps or a shorter stretch"
                raise TooLarge(f"more than {limits.max_frames} frames at {fps:g} a second: {advice}")
            kept, stride = kept[::2], stride * 2
            if n % stride:
                continue
        kept.append(frame)
    return kept


def _windows(source: bytes | Path, limits: Limits) -> Iterator[_Window]:
    """Frames and sound of stretches of about 8 s. Where no new frame comes, the last one is still seen."""
    whole_s = _av.probe(source).duration_s
    pictures = _av.frames(source, (0.0, float("inf")), FPS, SHORT_SIDE, limits)
    reader = Reader(_av.sound(source, 0.0, float("inf"), limits))
    start_s, due = 0.0, next(pictures, None)
    held: list[tuple[float, Array]] = []
    samples: Array = np.zeros(0, np.float32)
    last = due
    while last is not None:
        while due is not None and due[0] < start_s + WINDOW_S + REACH_S:
            held.append(due)
            due = next(pictures, None)
        border_s, is_cut = _border(held, start_s)
        wanted = round((border_s - start_s) * SAMPLE_RATE_HZ)
        samples = np.concatenate([samples, reader.take(max(0, wanted - len(samples)))])
        heard = samples[:wanted]
        frames = [frame for frame in held if frame[0] < border_s]
        is_more = due is not None or len(frames) < len(held)
        if not frames and not len(heard):
            if not is_more:
                return
            start_s = (held[0] if held else due or last)[0] // WINDOW_S * WINDOW_S  # a gap in both
            continue
        last = frames[-1] if frames else last
        shown = tuple(frames) or ((start_s, last[1]),)
        seen_s = max(len(heard) / SAMPLE_RATE_HZ, shown[-1][0] - start_s)
        rest_s = border_s - start_s if is_more else (whole_s or 0.0) - start_s
        yield _Window(start_s, min(border_s - start_s, max(rest_s, seen_s)), shown, heard)
        step_s = border_s - start_s - (OVERLAP_S if is_more and not is_cut else 0.0)
        start_s += step_s
        held = [frame for frame in held if frame[0] >= start_s]
        samples = samples[round(step_s * SAMPLE_RATE_HZ) :]


def _border(frames: list[tuple[float, Array]], start_s: float) -> tuple[float, bool]:
    """Where to end the window that starts at `start_s`, and whether the shot changes there."""
    small = [_thumbnail(picture) for _, picture in frames]
    changes = [(float(np.abs(b - a).mean()), frames[i + 1][0]) for i, (a, b) in enumerate(pairwise(small))]
    usual = float(np.median([change for change, _ in changes])) if changes else 0.0
    sharp = [
        (change, time_s)
        for change, time_s in changes
        if change >= max(SHOT, 2 * usual) and abs(time_s - start_s - WINDOW_S) <= REACH_S
    ]
    return (max(sharp)[1], True) if sharp else (start_s + WINDOW_S, False)


def _thumbnail(picture: Array) -> Array:
    """float32 [16, 16, 3], 0..1, or smaller: enough to see that the scene is another one."""
    rows, columns = (max(1, side // 16) for side in picture.shape[:2])
    return picture[::rows, ::columns][:16, :16].astype(np.float32) / 255.0


def _video(window: _Window) -> Video:
    times_s = np.array([time_s for time_s, _ in window.frames], dtype=np.float32)
    sound = Audio(window.samples) if len(window.samples) else None
    return Video(np.stack([frame for _, frame in window.frames]), times_s, sound, window.duration_s)


def _segment(window: _Window) -> Segment:
    end_s = round(window.start_s + window.duration_s, 3)
    where, video = Locator(start_s=round(window.start_s, 3), end_s=end_s), _video(window)
    return Segment(Content(Part(video)), where, modality.name, modality.preview(video))
