"""How weights are stored in the package, see `engine/backends/_mini/graph.py` for how they are widened again."""

from __future__ import annotations

import numpy as np

from ..types import Array

SMALL = 4096  # values; smaller arrays stay float16 or float32


def compact(weights: dict[str, Array]) -> dict[str, Array]:
    """Stored form of float32 weights: int8 with a scale per output channel, float16 where that saves little.

    Integers, of a graph that computes in 8 bits, are stored as they are.

    The channel is the first axis of a convolution and of what torch calls a weight, the last one of a traced, turned
    matrix; the axis that loses less is taken.
    """
    out: dict[str, Array] = {}
    for name, value in weights.items():
        if value.dtype.kind in "iu":
            out[name] = value
            continue
        if value.ndim < 2 or value.size <= SMALL:
            out[name] = value.astype(np.float32)
            continue
        codes, scale = min((_int8(value, axis) for axis in (0, value.ndim - 1)), key=lambda c: _error(value, *c))
        out[f"{name}.int8"], out[f"{name}.scale"] = codes, scale.astype(np.float16)
    return out


def _int8(value: Array, axis: int) -> tuple[Array, Array]:
    others = tuple(i for i in range(value.ndim) if i != axis)
    scale = np.maximum(np.abs(value).max(others, keepdims=True) / 127, 1e-7).astype(np.float16).astype(np.float32)
    scale = np.maximum(scale, np.float32(6e-8))
    return np.clip(np.rint(value / scale), -127, 127).astype(np.int8), scale


def _error(value: Array, codes: Array, scale: Array) -> float:
    return float(((codes * scale - value) ** 2).sum())


def half(arrays: dict[str, Array]) -> dict[str, Array]:
    """Float arrays as float16."""
    return {k: v.astype(np.float16) if v.dtype.kind == "f" else v for k, v in arrays.items()}
