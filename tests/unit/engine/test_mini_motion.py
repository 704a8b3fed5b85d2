"""Motion between frames: pans, tilts, zooms, things that move, and what is none of them."""

from __future__ import annotations

import numpy as np
import pytest

from onesense.engine.backends._mini.motion import MOTIONS, motions


def scene(seed: int = 0, height: int = 240, width: int = 320) -> np.ndarray:
    """A picture of smooth patches."""
    from PIL import Image

    coarse = np.random.default_rng(seed).integers(0, 255, (15, 20, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height)))


def window(picture: np.ndarray, y: int, x: int, height: int = 120, width: int = 160) -> np.ndarray:
    return picture[y : y + height, x : x + width]


def names(frames: list[np.ndarray]) -> list[str]:
    return [name for _, name in motions(frames, np.arange(len(frames), dtype=np.float32))]


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("pan right", [(60, 10 + 25 * i) for i in range(5)]),
        ("pan left", [(60, 130 - 25 * i) for i in range(5)]),
        ("tilt down", [(5 + 25 * i, 80) for i in range(5)]),
        ("tilt up", [(110 - 25 * i, 80) for i in range(5)]),
    ],
)
def test_the_camera_turns(name, places):
    assert names([window(scene(), y, x) for y, x in places]) == [name]


@pytest.mark.parametrize("name", ["zoom in", "zoom out"])
def test_the_camera_zooms(name):
    from PIL import Image

    sizes = [240, 210, 184, 160, 140]
    frames = []
    for size in sizes if name == "zoom in" else sizes[::-1]:
        cut = window(scene(3), (240 - size) // 2, (320 - size * 4 // 3) // 2, size, size * 4 // 3)
        frames.append(np.asarray(Image.fromarray(np.ascontiguousarray(cut)).resize((160, 120))))
    assert names(frames) == [name]


@pytest.mark.parametrize(
    ("name", "way"), [("move right", (0, 1)), ("move left", (0, -1)), ("move down", (1, 0)), ("move up", (-1, 0))]
)
def test_a_thing_crosses_a_still_picture(name, way):
    frames = []
    for i in range(-2, 3):
        frame = window(scene(5), 0, 0).copy()
        y, x = 45 + 20 * i * way[0], 65 + 25 * i * way[1]
        frame[y : y + 30, x : x + 30] = 250
        frames.append(frame)
    assert names(frames) == [name]


def test_two_motions_come_in_their_order_and_time():
    frames = [window(scene(), 60, 10 + 25 * i) for i in range(4)] + [
        window(scene(), 60 - 20 * i, 85) for i in (1, 2, 3)
    ]
    assert motions(frames, np.arange(7) * 0.5) == [(0.5, "pan right"), (2.0, "tilt up")]


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [scene()],
        [scene()] * 5,
        [scene(i) for i in range(6)],
        [np.full((8, 8, 3), 30 * i, np.uint8) for i in range(5)],
        [np.zeros((1, 1, 3), np.uint8)] * 3,
        [np.random.default_rng(i).integers(0, 255, (90, 120, 3), np.uint8) for i in range(4)],
    ],
    ids=["nothing", "one", "still", "cuts", "fade", "pixel", "noise"],
)
def test_no_motion_is_made_up(frames):
    assert names(frames) == []


def test_every_motion_has_words_of_its_own():
    assert len(set(MOTIONS.values())) == len(MOTIONS)
