"""What the eye and the ear for sounds see in the training packs, computed once and kept.

    python -m onesense.train.features OUT [caltech101 grocery ... sounds]

writes `pictures_{pack}.npz` (`keys`, `pooled` float16 [n, 1280], `grid` float16 [n, 9, 1280], `records` JSON) and
`sounds.npz` (`keys`, `embeddings` float16 [P, 1024], `offsets` int64 [n + 1], `records`) below OUT.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from ..engine.backends._mini.graph import Graph
from ..engine.backends._mini.logmel import YAMNET_PATCH, yamnet_logmel
from ..engine.backends._mini.picture import prepare
from ..evals.packs import Packs, Sample
from ..types import Array
from . import sources
from .graphs import traced
from .importers import efficientnet, yamnet
from .model.eye import LITE0, Eye, grid_cells
from .model.sound import Sound

PICTURES = ("caltech101", "grocery", "lucide", "openstax", "captions", "stories")
SOUNDS = "sounds"
SOUND_HOP = YAMNET_PATCH  # frames: patches side by side, one soft word per 0.96 s
_BATCH = 16


class EyeWithCells(torch.nn.Module):
    """The eye's pooled features and those of its 3 x 3 cells."""

    def __init__(self, eye: Eye) -> None:
        super().__init__()
        self.eye = eye

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Pixels uint8 [B, 3, R, R] to pooled float32 [B, 1280] and grid [B, 9, 1280]."""
        cells, pooled = self.eye(pixels)
        return pooled, grid_cells(cells)


class EyeWithTable(EyeWithCells):
    """The eye's features of the whole and its cells, and what the rows of a table say to each.

    Args:
        eye: the stem.
        weight: float32 [K, 1280], a row a concept.
        bias: float32 [K].
    """

    def __init__(self, eye: Eye, weight: Array, bias: Array) -> None:
        super().__init__(eye)
        self.rows = torch.nn.Parameter(torch.from_numpy(np.ascontiguousarray(weight.T)))
        self.bias = torch.nn.Parameter(torch.from_numpy(bias))

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Pixels uint8 [B, 3, R, R] to features float32 [B, 10, 1280] and logits [B, 10, K]."""
        pooled, grid = super().forward(pixels)
        features = torch.cat([pooled[:, None], grid], 1)
        return features, features @ self.rows + self.bias


def eye_graph(eye: Eye, file: Path) -> Graph:
    """The eye for ONNX Runtime, three times as fast as torch on one core: `pixels` to `pooled` and `grid`."""
    example = torch.zeros(1, 3, eye.resolution, eye.resolution, dtype=torch.uint8)
    names = {name: {0: "B"} for name in ("pixels", "pooled", "grid")}
    weights = traced(EyeWithCells(eye), (example,), file, names, ["pooled", "grid"])
    return Graph(file, weights, threads=1)


def look(graph: Graph, pictures: Iterable[Array]) -> tuple[Array, Array]:
    """Features of pictures.

    Args:
        graph: of `eye_graph`.
        pictures: uint8 [H, W, 3] each.

    Returns:
        Pooled features float16 [n, 1280] and those of 3 x 3 cells, float16 [n, 9, 1280].
    """
    pooled, grids = [], []
    squares = map(prepare, pictures)
    while batch := list(islice(squares, _BATCH)):
        mean, grid = graph.run(pixels=np.stack(batch))
        pooled.append(mean.astype(np.float16))
        grids.append(grid.astype(np.float16))
    return np.concatenate(pooled), np.concatenate(grids)


def patches(samples: Array, hop: int = SOUND_HOP) -> Array:
    """Log-mel patches of a sound, float32 [P, 96, 64], P >= 1.

    A last patch that the sound does not fill is moved back until it does, so nothing is lost and no silence added.

    Args:
        samples: float32 [S] mono 16 kHz.
        hop: frames of 10 ms from patch to patch.
    """
    frames = yamnet_logmel(samples)
    last = len(frames) - YAMNET_PATCH
    starts = [*range(0, last, hop), last]
    return np.stack([frames[start : start + YAMNET_PATCH] for start in starts])


def listen(sound: Sound, clips: Iterable[Array]) -> tuple[Array, Array]:
    """Embeddings of sounds.

    Args:
        sound: the network.
        clips: float32 [S] mono 16 kHz each.

    Returns:
        Embeddings float16 [P, 1024] of all patches, and int64 [n + 1]: clip i has rows offsets[i]:offsets[i + 1].
    """
    found = []
    with torch.inference_mode():
        for clip in clips:
            found.append(sound(torch.from_numpy(patches(clip)))[0].half().numpy())
    return np.concatenate(found), np.cumsum([0, *map(len, found)])


def decode_picture(sample: Sample) -> Array:
    """Pixels of a sample, uint8 [H, W, 3]."""
    from ..media import image

    return image.modality.decode(sample.media, sample.part).pixels


def decode_sound(sample: Sample) -> Array:
    """Samples of a sound, float32 [S]."""
    from ..media import audio

    return audio.modality.decode(sample.media, sample.part).samples


def _kept(samples: Iterable[Sample], keys: list[str], records: list[str]) -> Iterator[Sample]:
    for sample in samples:
        keys.append(sample.key)
        records.append(json.dumps(dict(sample.meta), ensure_ascii=False))
        yield sample


def write_pictures(packs: Packs, pack: str, eye: Graph, folder: Path) -> None:
    """Write the features of one picture pack."""
    keys: list[str] = []
    records: list[str] = []
    samples = _kept(packs.samples(f"images/{pack}"), keys, records)
    pooled, grid = look(eye, map(decode_picture, samples))
    np.savez(folder / f"pictures_{pack}.npz", keys=keys, records=records, pooled=pooled, grid=grid)


def write_sounds(packs: Packs, sound: Sound, folder: Path) -> None:
    """Write the features of the sound pack."""
    keys: list[str] = []
    records: list[str] = []
    samples = _kept(packs.samples(f"audio/{SOUNDS}"), keys, records)
    embeddings, offsets = listen(sound, map(decode_sound, samples))
    np.savez(folder / f"{SOUNDS}.npz", keys=keys, records=records, embeddings=embeddings, offsets=offsets)


def main() -> None:
    """Write the features of the packs that were named, of all without names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("packs", nargs="*", default=[*PICTURES, SOUNDS])
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    packs = Packs(sources.data_root())
    eye = eye_graph(efficientnet.load(sources.path(LITE0.name), LITE0).eye, given.out / "eye.onnx")
    for pack in given.packs:
        if pack == SOUNDS:
            write_sounds(packs, yamnet.load(sources.path("yamnet")), given.out)
        else:
            write_pictures(packs, pack, eye, given.out)


if __name__ == "__main__":
    main()
