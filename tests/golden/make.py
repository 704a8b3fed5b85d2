"""Write the golden vectors of the bundled model: `make golden`. Prints the cosine of old and new; review the diff."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from onesense import Content, Embedder, Part
from onesense.types import Audio, Image, Page, Video

FILE = Path(__file__).parent / "onesense_mini.npz"


def inputs() -> dict[str, Content]:
    """Inputs made by code, one or more a modality; the same on every machine."""
    t = np.arange(2 * 16_000) / 16_000
    tone = (0.3 * np.sin(2 * np.pi * 440 * t) * (np.sin(2 * np.pi * 3 * t) > 0)).astype(np.float32)
    y, x = np.mgrid[0:96, 0:128]
    stripes = np.stack([x * 2, y * 2, (x // 16 + y // 16) % 2 * 200], -1).astype(np.uint8)
    frames = np.stack([stripes, stripes[:, ::-1]])
    video = Video(frames, np.array([0.0, 1.0], np.float32), Audio(tone), 2.0)
    return {
        "english": Content("a red bicycle leans on the wall"),
        "japanese": Content("赤い自転車が壁に立てかけてある"),
        "long": Content("The harvest was late and small. " * 120),
        "picture": Content(Part(Image(stripes))),
        "sound": Content(Part(Audio(tone))),
        "video": Content(Part(video)),
        "page": Content(Part(Page(Image(stripes), "Revenue by quarter", 1))),
        "mixed": Content("my wallpaper, ", Part(Image(stripes)), " and its colour"),
    }


def embed() -> dict[str, np.ndarray]:
    """Name -> float32 [3072]."""
    made = inputs()
    return dict(zip(made, Embedder("onesense-mini").embed(list(made.values())), strict=True))


def main() -> None:
    """Compare with what is there, then replace it."""
    new = embed()
    if FILE.is_file():
        with np.load(FILE) as old:
            for name, vector in new.items():
                found = f"{float(old[name].astype(np.float32) @ vector):.6f}" if name in old.files else "new"
                sys.stdout.write(f"{name:10} {found}\n")
    np.savez(FILE, **{name: vector.astype(np.float16) for name, vector in new.items()})


if __name__ == "__main__":
    main()
