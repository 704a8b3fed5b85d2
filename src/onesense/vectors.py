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
GATHERED_SHARE = 0.1  # of the rows; below it, copying their codes is cheaper than scanning all
SAMPLE_STEP, SAMPLE_SPARE = 64, 16  # one row in so many is looked at, and so many more than needed are let through


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


def code_weights(codes: Array) -> Array:
    """What makes products of codes comparable: float32 [n], 1 / length of each row of integers [n, c], 0 of zeros."""
    lengths = np.sqrt(np.einsum("nc,nc->n", codes, codes, dtype=np.float32))
    weights: Array = np.divide(1.0, lengths, out=np.zeros(len(codes), np.float32), where=lengths > 0)
    return weights


def scan(codes: Array, query: Array, top: int) -> Array:
    """Rows whose int8 codes are nearest to the query's, best first.

    Args:
        codes: int8 [n, c].
        query: float32 [D]; its first c components are used.
        top: rows to return; min(top, n) come back.

    Returns:
        int64 [min(top, n)] row numbers by descending cosine of the codes, ties by row number.
    """
    return _nearest(_closeness(codes, code_weights(codes), query), top)


def scan_each(
    codes: Array, query: Array, top: int, groups: Sequence[Array], weights: Array | None = None
) -> list[Array]:
    """The same within each of several groups of rows, in one scan.

    Args:
        codes: int8 [n, c].
        query: float32 [D]; its first c components are used.
        top: rows to return of each group.
        groups: int64 [m] row numbers of each group, ascending.
        weights: float32 [n] of `code_weights`, where they are kept.

    Returns:
        For each group int64 [min(top, m)] row numbers, as `scan` orders them.
    """
    weights = code_weights(codes) if weights is None else weights
    if sum(map(len, groups)) < GATHERED_SHARE * len(codes):
        return [rows[_nearest(_closeness(codes[rows], weights[rows], query), top)] for rows in groups]
    close = _closeness(codes, weights, query)
    return [rows[_nearest(close if len(rows) == len(close) else close[rows], top)] for rows in groups]


def _closeness(codes: Array, weights: Array, query: Array) -> Array:
    """float32 [n]: the cosine of each row's codes and the query's, but for the length of the query's."""
    import simsimd

    code = quantize(query[None, :], codes.shape[1])
    products = simsimd.cdist(code, np.ascontiguousarray(codes), metric="dot", out_dtype="float32")
    found: Array = np.asarray(products)[0] * weights
    return found


def _nearest(close: Array, top: int) -> Array:
    if top >= len(close):
        return np.argsort(-close, kind="stable")
    rows = _above_floor(close, top)
    near = rows[np.sort(np.argpartition(-close[rows], top - 1)[:top])]
    found: Array = near[np.argsort(-close[near], kind="stable")]
    return found


def _above_floor(close: Array, top: int) -> Array:
    """Ascending row numbers, the `top` closest among them and few others: a sample says what is close (8x quicker)."""
    sample = close[::SAMPLE_STEP]
    kept = 2 * top // SAMPLE_STEP + SAMPLE_SPARE
    if kept < len(sample) // 2:
        rows: Array = np.flatnonzero(close >= np.partition(sample, -kept)[-kept])
        if len(rows) >= top:
            return rows
    return np.arange(len(close))


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
