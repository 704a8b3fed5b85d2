"""Vectors in fewer bytes, as Cohere's API offers them: int8, uint8 and one bit a dimension.

Cohere does not publish its scale. Ours is one for all vectors of a size, so that codes can be compared with each other:
a unit vector of d components has a root mean square of 1/sqrt(d), and `CLIP` times that is the largest value that is
kept. (onesense-mini's largest were 33 times it; its codes have a cosine above 0.99 with their vectors.) Bits are those
of vLLM's `/v2/embed` and of sentence-transformers' `quantize_embeddings`: 1 for values >= 0, the first dimension in
the highest bit.
"""

from __future__ import annotations

import math

import numpy as np

from ..errors import DimError
from ..types import Array

CLIP = 32.0


def int8(values: Array) -> Array:
    """Codes of a unit vector, float32 [d] -> int8 [d], -127..127."""
    scale = 127.0 / min(1.0, CLIP / math.sqrt(len(values)))
    return np.clip(np.rint(values * scale), -127, 127).astype(np.int8)


def uint8(values: Array) -> Array:
    """The same codes moved up by 128, float32 [d] -> uint8 [d], 1..255."""
    return (int8(values).astype(np.int16) + 128).astype(np.uint8)


def ubinary(values: Array) -> Array:
    """One bit a dimension, float32 [d] -> uint8 [d / 8].

    Raises:
        DimError: d is not divisible by 8.
    """
    check_packable(len(values))
    return np.packbits(values >= 0)


def binary(values: Array) -> Array:
    """`ubinary` moved down by 128, float32 [d] -> int8 [d / 8]."""
    return (ubinary(values).astype(np.int16) - 128).astype(np.int8)


def check_packable(dim: int) -> None:
    """Refuse a size that does not fill its bytes.

    Raises:
        DimError: dim is not divisible by 8.
    """
    if dim % 8:
        raise DimError(
            f"binary embeddings need a dimension that is divisible by 8, and {dim} is not: ask for 512 or 1024"
        )
