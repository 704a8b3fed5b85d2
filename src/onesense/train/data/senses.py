"""Cached features of pictures and sounds, and edited ones: a real feature pushed until a wished class wins.

Edited features cover every class of a table without a picture of it: part of a real picture's feature is kept and the
rest moves along the class's own row of the classifier. Source: measured in dev/LOG.md (class-edited features).
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...engine.backends._mini.compose import CELLS
from ...engine.backends._mini.soft import sound_shares
from ...errors import NotFound
from ...evals.splits import is_dev_caption, is_dev_sound, is_dev_story
from ...types import Array
from ..concepts import Table, unit

KEPT = 0.6  # share of the real feature that an edited one keeps
EXTRA_LOGITS = (1.0, 8.0)  # how far the wished class wins


@dataclass(frozen=True, slots=True, eq=False)
class Sense:
    """A concept table with what is needed to make tokens: standardisation of its features."""

    table: Table
    mean: Array
    """float32 [F]."""
    deviation: Array
    """float32 [F]."""

    def standardize(self, features: Array) -> Array:
        """Features at mean zero and a third of unit spread, so that the path learns slowly: float32 [..., F]."""
        scaled: Array = (features.astype(np.float32) - self.mean) / self.deviation * 0.3
        return scaled

    def edit(self, features: Array, concept: int, rng: np.random.Generator) -> Array:
        """Push one feature until a concept wins by 1 to 8 logits.

        Args:
            features: float32 [F] of a real picture or sound.
            concept: row of the table.
            rng: draws how far.

        Returns:
            float32 [F], not negative (both networks end in a ReLU).
        """
        weight = self.table.weight
        start = features * KEPT + self.mean * (1 - KEPT)
        way = weight[concept] - weight.mean(0)
        way = way / np.linalg.norm(way)
        logits = weight @ start + self.table.bias
        gap = max(0.0, float(logits.max() - logits[concept])) + rng.uniform(*EXTRA_LOGITS)
        gain = float(way @ (weight[concept] - weight.mean(0)))
        pushed: Array = np.maximum(start + 1.1 * way * gap / gain, 0.0)
        return pushed.astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One picture: features of the whole and of 3 x 3 cells, and its record."""

    features: Array
    """float16 [10, 1280], the whole first."""
    record: dict[str, Any]

    def text(self, rng: random.Random) -> str:
        """One of the texts that go with it."""
        captions = [c for c in self.record["captions"] if c.strip()]
        chosen = str(rng.choice(captions))
        if "label" in self.record and len(chosen) < 40 and rng.random() < 0.5:
            return f"a photo of {chosen}"
        return chosen[:400]


PACKS = {"caltech101": 1.0, "grocery": 0.7, "lucide": 0.7, "openstax": 1.0, "captions": 1.5, "stories": 1.0}
"""Picture packs and how often a batch comes from each."""


def pictures(folder: Path) -> dict[str, list[Picture]]:
    """Training pictures by pack; test pictures and development captions and stories are left out."""
    out: dict[str, list[Picture]] = {}
    for pack in PACKS:
        with np.load(folder / f"pictures_{pack}.npz", allow_pickle=False) as z:
            features = np.concatenate([_widened(z, "pooled")[:, None], _widened(z, "grid")], 1)
            records = [json.loads(r) for r in z["records"]]
            keys = z["keys"].tolist()
        rows = zip(keys, features, records, strict=True)
        out[pack] = [Picture(f, r) for key, f, r in rows if is_train_picture(str(key), r)]
    return out


def _widened(z: Mapping[str, Array], name: str) -> Array:
    """Features float16, from float16 or from what `quantized` made of them."""
    scale = f"{name}_scale"
    return (z[name] * z[scale][..., None]).astype(np.float16) if scale in z else z[name]


def quantized(file: Path) -> dict[str, Array]:
    """The training rows of a picture pack's cached features, in 8 bits a number.

    Returns:
        `keys`, `records`, `pooled` uint8 [n, 1280] with `pooled_scale` float32 [n], `grid` uint8 [n, 9, 1280] with
        `grid_scale` float32 [n, 9]: value = number x scale. The features end in a ReLU, so none is below 0.

    Raises:
        NotFound: there is no such file.
    """
    if not file.is_file():
        raise NotFound(f"no cached features at {file}: run `onesense train --step features`")
    with np.load(file, allow_pickle=False) as z:
        records = z["records"].tolist()
        keep = [
            i
            for i, (k, r) in enumerate(zip(z["keys"], records, strict=True))
            if is_train_picture(str(k), json.loads(r))
        ]
        out = {"keys": z["keys"][keep], "records": np.array([records[i] for i in keep])}
        for name in ("pooled", "grid"):
            values = _widened(z, name)[keep].astype(np.float32)
            scale = values.max(-1).clip(1e-6) / 255
            out[name] = np.rint(values / scale[..., None]).astype(np.uint8)
            out[f"{name}_scale"] = scale
    return out


def is_train_picture(key: str, record: Mapping[str, Any]) -> bool:
    """Whether a picture of a pack may be trained on: no test picture, no development caption or story."""
    if record["split"] != "train" and record["source"] != "grocery":
        return False
    return not is_dev_story(record["story"]) if "story" in record else not is_dev_caption(key)


@dataclass(frozen=True, slots=True, eq=False)
class SoundClip:
    """One sound: features of its 0.96 s patches and its label."""

    features: Array
    """float16 [P, 1024]."""
    label: str


def sounds(folder: Path) -> list[SoundClip]:
    """Training sounds; held-out names are left out."""
    with np.load(folder / "sounds.npz", allow_pickle=False) as z:
        embeddings, offsets = z["embeddings"], z["offsets"]
        records = [json.loads(r) for r in z["records"]]
    clips = [SoundClip(embeddings[a:b], r["label"]) for a, b, r in zip(offsets, offsets[1:], records, strict=False)]
    return [c for c in clips if not is_dev_sound(c.label)]


def picture_sense(folder: Path, packs: dict[str, list[Picture]]) -> Sense:
    """The eye's table with the spread of its features over the training pictures."""
    pooled = np.concatenate([[p.features[0] for p in pack] for pack in packs.values()]).astype(np.float32)
    return Sense(Table.load(folder / "eye_table.npz"), pooled.mean(0), pooled.std(0) + 1e-3)


def sound_sense(folder: Path, clips: Sequence[SoundClip]) -> Sense:
    """The table of sounds with the spread of its features over the training sounds."""
    features = np.concatenate([c.features for c in clips]).astype(np.float32)
    return Sense(Table.load(folder / "sound_table.npz"), features.mean(0), features.std(0) + 1e-3)


def picture_soft(sense: Sense, features: Array) -> tuple[Array, Array]:
    """Soft words float32 [L, 384] and the concept vector of the whole, unit float32 [384], for features [L, 1280]."""
    shares = sense.table.probabilities(features)
    return shares @ sense.table.soft, unit(shares[0] @ sense.table.out)


def sound_soft(sense: Sense, features: Array) -> tuple[Array, Array]:
    """Soft words float32 [P, 384] and the concept vector of the clip, unit float32 [384], for features [P, 1024]."""
    shares = sound_shares(features.astype(np.float32) @ sense.table.weight.T + sense.table.bias)
    return shares @ sense.table.soft, unit(shares.mean(0) @ sense.table.out)


def edited_picture(sense: Sense, picture: Picture, concept: int, rng: np.random.Generator) -> Array:
    """An edited picture, float32 [10, 1280]: the whole shows the concept, and at least three of its cells do."""
    real = picture.features.astype(np.float32)
    pushed = sense.edit(real[0], concept, rng) - (real[0] * KEPT + sense.mean * (1 - KEPT))
    shown = rng.permutation(np.arange(CELLS) < rng.integers(3, CELLS + 1)).astype(np.float32)
    strength = np.concatenate([[1.0], shown])[:, None]
    edited: Array = np.maximum(real * KEPT + sense.mean * (1 - KEPT) + strength * pushed, 0.0)
    return edited.astype(np.float32)
