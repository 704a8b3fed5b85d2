"""How unit vectors lie on disk: whole, in half precision, as one byte or as one bit a component."""

from __future__ import annotations

from typing import Any

import numpy as np

from onesense.errors import InvalidInput
from onesense.types import Array
from onesense.vectors import quantize, truncate_normalize

DTYPES = ("float32", "float16", "int8", "binary")
"""Bytes a component: 4, 2, 1, 1/8. What each loses is measured in bench/RESULTS.md."""


def check(dtype: str) -> str:
    """The name itself.

    Raises:
        InvalidInput: no such dtype.
    """
    if dtype not in DTYPES:
        raise InvalidInput(f"vectors are stored as {', '.join(DTYPES)}, not as {dtype!r}")
    return dtype


def width(dim: int, dtype: str) -> int:
    """Elements that a stored vector has."""
    return (dim + 7) // 8 if dtype == "binary" else dim


def arrow_type(dtype: str) -> Any:
    """Type of one stored element."""
    import pyarrow as pa

    return {"float32": pa.float32(), "float16": pa.float16(), "int8": pa.int8(), "binary": pa.uint8()}[dtype]


def encode(rows: Array, dtype: str) -> Array:
    """Unit rows float32 [n, d] as they are stored, [n, width]; what is encoded twice stays as it was."""
    if dtype == "float32":
        return np.ascontiguousarray(rows)
    if dtype == "float16":
        return rows.astype(np.float16)
    return quantize(rows, rows.shape[1]) if dtype == "int8" else np.packbits(rows > 0, axis=1)


def decode(stored: Array, dtype: str, dim: int) -> Array:
    """The inverse of `encode`, as far as it goes: unit rows float32 [n, dim]."""
    if not len(stored):
        return np.zeros((0, dim), np.float32)
    if dtype == "float32":
        return stored
    if dtype == "binary":
        signs = np.unpackbits(stored, axis=1)[:, :dim]
        return np.asarray((2.0 * signs - 1.0) / np.sqrt(dim), np.float32)
    found: Array = truncate_normalize(stored.astype(np.float32), dim)
    return found
