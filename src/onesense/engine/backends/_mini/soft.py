"""From logits to shares of concepts: the two rules that make soft words."""

from __future__ import annotations

import numpy as np

from ....types import Array

SOUND_TOP = 20  # classes that speak for a sound; the long tail of 500 small probabilities drowns them


def picture_shares(logits: Array, temperature: float) -> Array:
    """Softmax, float32 [n, K], for float32 [n, K] logits of classes that exclude each other."""
    power = np.exp((logits - logits.max(-1, keepdims=True)) / temperature)
    shares: Array = power / power.sum(-1, keepdims=True)
    return shares


def sound_shares(logits: Array, left_out: Array | None = None) -> Array:
    """How much each class of sound speaks: the rule that stands where a picture has its softmax.

    AudioSet's classes are not exclusive, so they are sigmoids; the square root lets quiet ones be heard.

    Args:
        logits: float32 [n, K] of YAMNet.
        left_out: int64 rows that do not count (speech, where the ear hears what is said), None for none.

    Returns:
        float32 [n, K], the twenty largest `sqrt(sigmoid)` of each row scaled to sum 1, the rest 0.
    """
    strength = np.sqrt(sigmoid(logits))
    if left_out is not None:
        strength[:, left_out] = 0.0
    floor = np.partition(strength, -SOUND_TOP, axis=-1)[:, -SOUND_TOP, None]
    kept = np.where(strength >= floor, strength, 0.0)
    shares: Array = kept / kept.sum(-1, keepdims=True)
    return shares


def sigmoid(logits: Array) -> Array:
    """Float32 of the same shape, 0..1."""
    out: Array = 1.0 / (1.0 + np.exp(-np.clip(logits, -80, 80).astype(np.float32)))  # exp(88) leaves float32
    return out
