"""The part of the vector that is each modality's own: exact words, the look of a picture, the sound of a sound.

Dimensions 384.. of the 3072 are detail; the shared space is before them. Their places are dealt out in turn, so that a
shorter prefix keeps a fair part of each: of every four, two hold a sketch of the words, one the picture's own features,
one the sound's. Detail of different modalities never overlaps, so ranking across modalities is untouched; within one
it tells names, numbers and near-duplicates apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from ....types import Array

SHARED, FULL = 384, 3072
DETAIL = FULL - SHARED
PLACES = {
    "text": np.flatnonzero(np.arange(DETAIL) % 4 < 2),
    "picture": np.flatnonzero(np.arange(DETAIL) % 4 == 2),
    "sound": np.flatnonzero(np.arange(DETAIL) % 4 == 3),
}
HASHES = 8  # places a word writes to: a sparse random projection (Achlioptas 2003; Charikar et al. 2002)


def lexical(ids: Sequence[int] | Array, weights: Array) -> Array:
    """A sketch of which pieces a text holds, whatever they mean.

    Args:
        ids: piece ids, without specials.
        weights: float16 [V], log inverse frequency of each piece.

    Returns:
        float32 [1344], unit length, or zeros without pieces.
    """
    size = len(PLACES["text"])
    unique, counts = np.unique(np.asarray(ids, np.uint64), return_counts=True)
    if not len(unique):
        return np.zeros(size, np.float32)
    strength = weights[unique.astype(np.int64)].astype(np.float32) * (1 + np.log(counts.astype(np.float32)))
    keys = _mix(unique[:, None] * np.uint64(HASHES) + np.arange(HASHES, dtype=np.uint64)[None])  # [n, HASHES]
    signs = np.where(keys >> np.uint64(63), np.float32(1), np.float32(-1))
    return _summed((keys % np.uint64(size)).astype(np.int64), signs * strength[:, None], size)


def _summed(at: Array, values: Array, size: int) -> Array:
    """Values added up at their places, unit length, or zeros: float32 [size]."""
    out: Array = np.bincount(at.ravel(), values.ravel(), size).astype(np.float32)
    norm = float(np.linalg.norm(out))
    return out / norm if norm > 0 else out


def _mix(x: Array) -> Array:
    """The finaliser of splitmix64 (Steele et al. 2014): the same on every machine."""
    x = (x + np.uint64(0x9E3779B97F4A7C15)) & np.uint64(0xFFFFFFFFFFFFFFFF)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Array = x ^ (x >> np.uint64(31))
    return mixed


def features(kind: str, x: Array) -> Array:
    """The features of one picture or sound, folded onto the places of its kind with signs.

    Args:
        kind: `picture` or `sound`.
        x: float32 [F] standardised features, F may exceed the places: they wrap round with alternating signs.

    Returns:
        float32 [672], unit length, or zeros for zeros.
    """
    at, signs = _fold(len(x), len(PLACES[kind]))
    return _summed(at, x * signs, len(PLACES[kind]))


@cache
def _fold(n: int, size: int) -> tuple[Array, Array]:
    """Where each of n features goes, int64 [n], and with which sign, float32 [n]."""
    keys = _mix(np.arange(n, dtype=np.uint64))
    signs = np.where(keys >> np.uint64(63), np.float32(1), np.float32(-1))
    return (keys % np.uint64(size)).astype(np.int64), signs


def place(parts: dict[str, Array]) -> Array:
    """Lay the details of the modalities that a content has into one row.

    Args:
        parts: `text`, `picture`, `sound` -> unit vector on its places.

    Returns:
        float32 [2688], unit length where there is any detail.
    """
    row = np.zeros(DETAIL, np.float32)
    for kind, value in parts.items():
        row[PLACES[kind]] = value
    norm = float(np.linalg.norm(row))
    return row / norm if norm > 0 else row
