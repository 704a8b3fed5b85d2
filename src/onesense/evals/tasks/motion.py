"""Motion: the same picture panned, tilted, zoomed, or crossed by a thing; do words find the right one of the ten?

Clips are made from held pictures by moving a window over them, so that all ten show the same things and only order and
motion tell them apart. The wordings are not those of training.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...media import image
from ...types import Array, Part, Video
from ..encoder import Encoder
from ..metrics import ranks
from ..packs import Packs
from ..task import EvalTask, Result, Scope

PACK = "images/caltech101"
MOST = 30  # pictures
N_FRAMES = 5
SHOWN = 0.6  # of the picture's sides is in the window
STEP = 0.09  # of the picture's sides from one frame to the next
HEIGHT, WIDTH = 144, 192
THING = 40  # pixels of a side
WORDINGS = {
    "pan left": "the view swings to the left", "pan right": "the view swings to the right",
    "tilt up": "the view climbs higher", "tilt down": "the view sinks lower",
    "zoom in": "closer and closer", "zoom out": "farther and farther away",
    "move left": "something crosses the picture towards the left",
    "move right": "something crosses the picture towards the right",
    "move up": "something climbs towards the top", "move down": "something drops towards the bottom",
}  # fmt: skip
AGAINST = {"left": "right", "right": "left", "up": "down", "down": "up", "in": "out", "out": "in"}


def clip(pixels: Array, thing: Array, motion: str) -> Part:
    """A silent clip of five frames, one a second.

    Args:
        pixels: uint8 [H, W, 3] of the picture.
        thing: uint8 [h, w, 3] of another picture, which crosses it in the four `move` motions.
        motion: a key of `WORDINGS`.
    """
    frames = np.stack(list(_frames(pixels, thing, motion)))
    return Part(Video(frames, np.arange(N_FRAMES, dtype=np.float32), None, float(N_FRAMES)))


def _frames(pixels: Array, thing: Array, motion: str) -> Iterator[Array]:
    kind, _, way = motion.partition(" ")
    far, middle = N_FRAMES - 1, (1 - SHOWN) / 2
    for i in range(N_FRAMES):
        t = i if way in ("right", "down", "in") else far - i
        if kind == "move":
            still = _window(pixels, 0, 0, 1)
            low, high = np.array([0, 0]), np.array([HEIGHT - THING, WIDTH - THING])
            y, x = ((low + high) // 2).tolist()
            y, x = (y, t * (WIDTH - THING) // far) if way in ("left", "right") else (t * (HEIGHT - THING) // far, x)
            still[y : y + THING, x : x + THING] = _scaled(thing, THING, THING)
            yield still
        elif kind == "zoom":
            size = 0.88**t
            yield _window(pixels, (1 - size) / 2, (1 - size) / 2, size)
        elif kind == "pan":
            yield _window(pixels, middle, t * STEP, SHOWN)
        else:
            yield _window(pixels, t * STEP, middle, SHOWN)


def _window(pixels: Array, top: float, left: float, size: float) -> Array:
    height, width = pixels.shape[:2]
    y, x = round(top * height), round(left * width)
    return _scaled(pixels[y : y + round(size * height), x : x + round(size * width)], HEIGHT, WIDTH)


def _scaled(pixels: Array, height: int, width: int) -> Array:
    from PIL import Image

    out: Array = np.array(Image.fromarray(np.ascontiguousarray(pixels)).resize((width, height)))
    return out


def run(encoder: Encoder, packs: Packs, scope: Scope) -> list[Result]:
    """R@1 among the ten clips of a picture, and how often a motion is above its opposite."""
    tests = [key for key, meta in packs.metas(PACK) if meta["split"] == "test"]
    picked = set(scope.pick(tests, MOST))
    samples = list(packs.samples(PACK, lambda key, _: key in picked))
    shown = [image.modality.decode(sample.media, sample.part).pixels for sample in samples]
    names = list(WORDINGS)
    found: list[int] = []
    above: list[bool] = []
    for i, sample in enumerate(samples):
        clips = encoder.embed(clip(shown[i], shown[i - 1], motion) for motion in names)
        scores = encoder.embed(f"{sample.meta['label']}, {WORDINGS[motion]}" for motion in names) @ clips.T
        found += [r[0] for r in ranks(scores, list(range(len(names))))]
        opposite = [names.index(f"{n.split()[0]} {AGAINST[n.split()[1]]}") for n in names]
        above += [bool(scores[j, j] > scores[j, other]) for j, other in enumerate(opposite)]
    by = {n: float(np.mean([r == 1 for r in found[j :: len(names)]])) for j, n in enumerate(names)}
    first = float(np.mean([r == 1 for r in found]))
    return [
        Result("wording → clip, same picture", "R@1", first, len(found), 1 / len(names), {"by": by}),
        Result("a motion above its opposite", "share", float(np.mean(above)), len(above), 0.5),
    ]


task = EvalTask(
    name="motion",
    measures="words of motion find the right one of ten clips of the same picture",
    split="clips made from 30 Caltech-101 test pictures; a window moves over the picture, or a thing crosses it",
    prompts=tuple(f"{{label}}, {wording}" for wording in WORDINGS.values()),
    packs=(PACK,),
    run=run,
)
