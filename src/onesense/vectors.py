"""The numeric rules for vectors, each written once: truncate-and-normalise, cosine, int8 codes, the funnel scan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .errors import DimError, ZeroVector
from .types import Array

MIN_NORM = 1e-12
CODE_DIM = 256  # first dims that the int8 scan reads; bench/search.py: recall@10 >= 0.99 after the exact re-rank
CODE_SCALE = 127.0


def check_dim(dim: int, width: int) -> None:
    """Refuse an output size that a vector of `width` components cannot give.

    Raises:
        DimError: dim is not a whole number in 1..width.
    """
    if isinstance(dim, bool) or not isinstance(dim, (int, np.integer)) or not 1 <= dim <= width:
        raise DimError(f"dimension {dim!r} is not possible: this model gives 1 to {width} (3072, 1536, 768 are usual)")


def truncate_normalize(x: Any, dim: int) -> Any:
    """Keep the first `dim` components and rescale to unit length, in that order.

    Args:
        x: float32 [..., D], any scale; numpy or torch (callers widen bf16 and fp16).
        dim: 1 <= dim <= D. Which dims were trained is the model's record's concern.

    Returns:
        Same type, [..., dim], L2 norm 1 within 1e-6.

    Raises:
        DimError: dim is outside 1..D.
        ZeroVector: a row's norm is below 1e-12.

    Source: Kusupati et al. 2022 (arXiv:2205.13147); order as Gemini Embedding 2 documents it.
    """
    check_dim(dim, x.shape[-1])
    cut = x[..., :dim]
    norm = (cut * cut).sum(-1) ** 0.5
    if bool((norm < MIN_NORM).any()):
        raise ZeroVector("a vector of zero length cannot be normalised: the model gave no signal for this input")
    return cut / norm[..., None]


def cosine(a: Array, b: Array) -> Array:
    """Cosine of every row of a with every row of b.

    Args:
        a: float32 [n, d], any scale but zero.
        b: float32 [m, d], any scale but zero.

    Returns:
        float32 [n, m], -1..1.
    """
    dim = a.shape[-1]
    product: Array = truncate_normalize(a, dim) @ truncate_normalize(b, dim).T
    return product


def quantize(x: Array, dim: int = CODE_DIM) -> Array:
    """Int8 codes of the first `dim` components, each row scaled by its own largest component.

    The scale of a row drops out when rows are compared by cosine, so it is not kept.

    Args:
        x: float32 [n, D].
        dim: components to keep; min(dim, D) are kept.

    Returns:
        int8 [n, min(dim, D)], -127..127.
    """
    cut = np.asarray(x, np.float32)[..., :dim]
    peak = np.abs(cut).max(-1, keepdims=True)
    codes = np.rint(cut * (CODE_SCALE / np.maximum(peak, MIN_NORM)))
    return np.asarray(codes, np.int8)


def scan(codes: Array, query: Array, top: int) -> Array:
    """Rows whose int8 codes are nearest to the query's, best first.

    Args:
        codes: int8 [n, c].
        query: float32 [D]; its first c components are used.
        top: rows to return; min(top, n) come back.

    Returns:
        int64 [min(top, n)] row numbers by descending cosine of the codes, ties by row number.
    """
    return _nearest(_distances(codes, query), top)


def scan_each(codes: Array, query: Array, top: int, groups: Sequence[Array]) -> list[Array]:
    """The same within each of several groups of rows, in one scan.

    Args:
        codes: int8 [n, c].
        query: float32 [D]; its first c components are used.
        top: rows to return of each group.
        groups: int64 [m] row numbers of each group, ascending.

    Returns:
        For each group int64 [min(top, m)] row numbers, as `scan` orders them.
    """
    distance = _distances(codes, query)
    return [rows[_nearest(distance[rows], top)] for rows in groups]


def _distances(codes: Array, query: Array) -> Array:
    """float32 [n]: 1 less the cosine of each row's codes and the query's."""
    import simsimd

    code = quantize(query[None, :], codes.shape[1])
    found: Array = np.asarray(simsimd.cdist(code, np.ascontiguousarray(codes), metric="cosine"), np.float32)[0]
    return found


def _nearest(distance: Array, top: int) -> Array:
    if top >= len(distance):
        return np.argsort(distance, kind="stable")
    near = np.sort(np.argpartition(distance, top)[:top])
    found: Array = near[np.argsort(distance[near], kind="stable")]
    return found


def rerank(vectors: Array, query: Array, k: int) -> tuple[Array, Array]:
    """Exact cosine order of candidate rows.

    Args:
        vectors: float32 [n, d], unit rows.
        query: float32 [d], unit length.
        k: rows to return; min(k, n) come back.

    Returns:
        (int64 [k] row numbers, float32 [k] cosines), best first, ties by row number.
    """
    scores = vectors @ query
    order = np.argsort(-scores, kind="stable")[:k]
    return order, scores[order]
