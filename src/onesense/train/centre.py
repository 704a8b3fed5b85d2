"""What sets pictures, sounds and speech apart from text, whatever they show or say: measured on training examples.

A part of it is taken away at run time (`compose.joined`), so that one ranking over all modalities is fair.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..engine.backends._mini import compose
from ..types import Array
from .concepts import unit
from .data import senses, speech
from .run import Student

PHOTOGRAPHS = ("caltech101", "captions", "stories")
"""Packs that the centre of pictures is taken from."""
N_EXAMPLES = 400  # pictures, sounds and recordings that a centre is the mean of

Part = tuple[Tensor, Array | None]
"""Tokens [L, 384] and the unit concept vector [384], None without."""


def joined(
    pooled: Array, bridge: Mapping[str, Array], concepts: Array | None = None, sense: str | None = None
) -> Array:
    """Joined vectors of contents of one part, float32 [n, 384]; `sense` is what brought it, None for text."""
    nothing = np.zeros((len(pooled), pooled.shape[1]), np.float32)
    share = np.full((len(pooled), 1), concepts is not None, np.float32)
    brought = np.tile(np.array([name == sense for name in compose.SENSES], np.float32), (len(pooled), 1))
    out: Array = compose.joined(pooled, nothing if concepts is None else concepts, share, brought, bridge)
    return out.astype(np.float32)


@torch.no_grad()
def joined_parts(student: Student, sense: str, parts: Sequence[Part], bridge: Mapping[str, Array]) -> Array:
    """Joined vectors of pictures, sounds or recordings, each alone in its content, float32 [n, 384]."""
    pooled = student.pooled([student.bridge.sequence([tokens]) for tokens, _ in parts]).numpy()
    concepts = [c for _, c in parts if c is not None]
    return joined(pooled, bridge, np.stack(concepts) if concepts else None, sense)


def examples(
    student: Student,
    pictures: tuple[senses.Sense, Mapping[str, Sequence[senses.Picture]]],
    sounds: tuple[senses.Sense, Sequence[senses.SoundClip]],
    ear: Path,
    seed: int = 2,
) -> dict[str, list[Part]]:
    """Training pictures, sounds and recordings of people as the trunk reads them, by the names of `compose.SENSES`."""
    rng = random.Random(seed)
    sense, packs = pictures
    shown = [p.features for name in PHOTOGRAPHS for p in packs[name]]
    said = [c.tokens for c in speech.clips(ear, kinds=("story", "real"))]
    return {
        "picture": [soft(student, "picture", sense, senses.picture_soft, f) for f in _draw(shown, rng)],
        "sound": [
            soft(student, "sound", sounds[0], senses.sound_soft, f) for f in _draw([c.features for c in sounds[1]], rng)
        ],
        "speech": [(torch.from_numpy(t.astype(np.float32)), None) for t in _draw(said, rng)],
    }


def _draw(items: Sequence[Array], rng: random.Random) -> list[Array]:
    return [items[i] for i in rng.sample(range(len(items)), min(N_EXAMPLES, len(items)))]


def soft(
    student: Student,
    name: str,
    sense: senses.Sense,
    perceive: Callable[[senses.Sense, Array], tuple[Array, Array]],
    features: Array,
) -> Part:
    """Tokens and concept vector of the cached features of one picture or sound."""
    x = features.astype(np.float32)
    words, concept = perceive(sense, x)
    tokens = student.bridge.tokens(name, torch.from_numpy(words), torch.from_numpy(sense.standardize(x)))
    return tokens, concept


@torch.no_grad()
def gaps(student: Student, parts: Mapping[str, Sequence[Part]], of_text: Array, bridge: Mapping[str, Array]) -> Array:
    """What sets each sense apart from text, at the length of its joined vectors.

    Args:
        student: the trained model.
        parts: of `examples`.
        of_text: float32 [384], mean of the unit joined vectors of texts.
        bridge: `head.mean` and `head.skip`; `head.centring` 0.

    Returns:
        float32 [3, 384], a row each of `compose.SENSES`.
    """
    rows = []
    for sense in compose.SENSES:
        vectors = joined_parts(student, sense, parts[sense], bridge)
        rows.append(np.linalg.norm(vectors, axis=1).mean() * (unit(vectors).mean(0) - of_text))
    return np.stack(rows).astype(np.float32)
