"""The measures of quality, each written once: recall@k, MRR, MAP, nDCG@k, accuracy, Spearman.

Rankings come as score matrices: float32 [n, m], a row a query, a column a candidate. Ties are counted against the
model (a relevant candidate ranks behind the irrelevant ones of the same score), so a model that gives everything the
same vector scores zero, not one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import InvalidInput
from ..types import Array

Relevant = Sequence[int] | Sequence[Sequence[int]] | Array
"""For each query its relevant column, or its relevant columns."""


def ranks(scores: Array, relevant: Relevant) -> list[Array]:
    """Ranks of each query's relevant candidates, 1 = first, ascending.

    Args:
        scores: float32 [n, m], higher is nearer.
        relevant: n column numbers, or n non-empty lists of column numbers.

    Returns:
        n arrays of int64, one rank per relevant candidate, all different.

    Raises:
        InvalidInput: lengths differ, a query has no relevant candidate, or a score is not a number.
    """
    if len(scores) != len(relevant) or len(scores) == 0:
        raise InvalidInput(f"{len(scores)} queries but relevant candidates for {len(relevant)}: one entry per query")
    if not np.isfinite(scores).all():
        raise InvalidInput("scores hold NaN or infinity: the vectors are broken")
    return [_ranks_of_row(row, np.atleast_1d(np.asarray(r))) for row, r in zip(scores, relevant, strict=True)]


def _ranks_of_row(row: Array, relevant: Array) -> Array:
    if relevant.size == 0:
        raise InvalidInput("a query without a relevant candidate cannot be measured: leave it out")
    is_relevant = np.zeros(len(row), bool)
    is_relevant[relevant] = True
    wanted = -np.sort(-row[is_relevant])
    others = np.sort(row[~is_relevant])
    ahead = len(others) - np.searchsorted(others, wanted, side="left")
    return ahead + np.arange(1, len(wanted) + 1)


def recall_at(scores: Array, relevant: Relevant, k: int) -> float:
    """Share of queries with a relevant candidate among the first k (hit rate; recall where each has one), 0..1."""
    return float(np.mean([r[0] <= k for r in ranks(scores, relevant)]))


def mrr(scores: Array, relevant: Relevant) -> float:
    """Mean of 1 / rank of the first relevant candidate, 0..1."""
    return float(np.mean([1.0 / r[0] for r in ranks(scores, relevant)]))


def mean_average_precision(scores: Array, relevant: Relevant) -> float:
    """Mean over queries of the mean precision at each relevant candidate, 0..1."""
    return float(np.mean([np.mean(np.arange(1, len(r) + 1) / r) for r in ranks(scores, relevant)]))


def ndcg_at(scores: Array, relevant: Relevant, k: int) -> float:
    """Discounted gain of the first k over the best possible one, binary relevance, 0..1.

    Source: Järvelin and Kekäläinen 2002, gain 1, discount log2(rank + 1).
    """
    values = []
    for r in ranks(scores, relevant):
        gain = (1.0 / np.log2(r[r <= k] + 1)).sum()
        best = (1.0 / np.log2(np.arange(2, min(k, len(r)) + 2))).sum()
        values.append(gain / best)
    return float(np.mean(values))


def accuracy(scores: Array, labels: Sequence[int] | Array) -> float:
    """Share of rows whose highest score is their label's, 0..1; a tie with another label is a miss."""
    return recall_at(scores, labels, 1)


def spearman(a: Sequence[float] | Array, b: Sequence[float] | Array) -> float:
    """Rank correlation, ties given their mean rank, -1..1.

    Args:
        a: n numbers.
        b: n numbers.

    Returns:
        The correlation; 0 where one side is constant, since it then orders nothing.

    Raises:
        InvalidInput: lengths differ or are below 2, or a value is not a number.
    """
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if x.shape != y.shape or x.ndim != 1 or len(x) < 2:
        raise InvalidInput(f"rank correlation needs two lists of one length >= 2, not {x.shape} and {y.shape}")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InvalidInput("rank correlation over NaN or infinity: the vectors or the scores are broken")
    x, y = mean_ranks(x) - (len(x) + 1) / 2, mean_ranks(y) - (len(y) + 1) / 2
    length = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / length if length else 0.0


def mean_ranks(values: Array) -> Array:
    """Ranks 1..n ascending, ties given the mean of the ranks that they span; float64 [n]."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    means: Array = (last - (counts - 1) / 2)[inverse]
    return means


def neighbours_kept(reference: Array, vectors: Array, k: int = 10) -> float:
    """Share of each row's nearest neighbours that are the same in another space.

    Args:
        reference: float32 [n, d], unit rows.
        vectors: float32 [n, e], unit rows of the same items.
        k: neighbours of a row; at most n - 1 are compared.

    Returns:
        0..1.

    Raises:
        InvalidInput: not the same number of rows, or fewer than two.
    """
    if len(reference) != len(vectors) or len(vectors) < 2:
        raise InvalidInput(f"neighbours of {len(reference)} and {len(vectors)} rows: expected as many, two at least")
    k = min(k, len(vectors) - 1)
    pairs = zip(_nearest(reference, k), _nearest(vectors, k), strict=True)
    return float(np.mean([len(np.intersect1d(a, b)) / k for a, b in pairs]))


def _nearest(vectors: Array, k: int) -> Array:
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -np.inf)
    nearest: Array = np.argsort(-scores, axis=1)[:, :k]
    return nearest
