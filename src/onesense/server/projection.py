"""A collection as points on a plane: principal components, then a few steps that pull neighbours together."""

from __future__ import annotations

import numpy as np

from ..types import Array, as_float32

MAX_POINTS = 20_000
_COMPONENTS = 32  # of a collection; neighbours are looked for in these
_NEIGHBOURS = 8
_NEGATIVES = 4
_STEPS = 200
_RATE = 0.08
_BLOCK = 2_048  # rows whose neighbours are looked for at once: 160 MB of similarities at 20,000 points


def project(vectors: Array, seed: int = 0) -> Array:
    """Two coordinates a row, such that rows that are near stay near.

    Args:
        vectors: float32 [n, d], unit rows.
        seed: of what is drawn at random; the same rows always give the same map.

    Returns:
        float32 [n, 2] within -1..1.

    Source: principal components as the start, then attraction along nearest neighbours against repulsion from random
    rows with the gradients of UMAP (McInnes et al. 2018, arXiv:1802.03426, section 3.2, a = b = 1), all rows a step.
    """
    if len(vectors) < 3:
        return as_float32(np.linspace(-0.5, 0.5, len(vectors))[:, None] * np.ones((1, 2)))
    reduced = principal(vectors, min(_COMPONENTS, len(vectors) - 1))
    points = reduced[:, :2] / max(float(np.abs(reduced[:, :2]).max()), 1e-9) * 10
    if len(vectors) > _NEIGHBOURS:
        points = _refined(points, neighbours(reduced, _NEIGHBOURS), np.random.default_rng(seed))
    return _framed(points)


def principal(vectors: Array, k: int) -> Array:
    """The first k principal components of the rows, float32 [n, k]."""
    centred = vectors - vectors.mean(0)
    rng = np.random.default_rng(0)
    basis = rng.standard_normal((vectors.shape[1], min(k + 8, *vectors.shape))).astype(np.float32)
    for _ in range(3):  # randomised range finder, Halko et al. 2011 (arXiv:0909.4061), algorithm 4.4
        basis, _ = np.linalg.qr(centred.T @ (centred @ basis))
    _, _, axes = np.linalg.svd(centred @ basis, full_matrices=False)
    return as_float32(centred @ (basis @ axes.T[:, :k]))


def neighbours(rows: Array, k: int) -> Array:
    """The k nearest other rows of each, int64 [n, k]."""
    squared = (rows * rows).sum(1)
    found = []
    for at in range(0, len(rows), _BLOCK):
        block = rows[at : at + _BLOCK]
        distance = squared[None, :] - 2 * block @ rows.T
        distance[np.arange(len(block)), np.arange(at, at + len(block))] = np.inf
        found.append(np.argpartition(distance, k, axis=1)[:, :k])
    return np.concatenate(found)


def _refined(points: Array, near: Array, rng: np.random.Generator) -> Array:
    n, k = near.shape
    source, target = np.repeat(np.arange(n), k), near.ravel()
    for step in range(_STEPS):
        rate = _RATE * (1 - step / _STEPS)
        pull = points[target] - points[source]
        pull *= (2 / (1 + (pull * pull).sum(1)))[:, None]
        move = _summed(source, pull, n) - _summed(target, pull, n)
        for _ in range(_NEGATIVES):
            push = points - points[rng.integers(0, n, n)]
            squared = (push * push).sum(1)
            move += push * (2 / ((0.01 + squared) * (1 + squared)))[:, None]
        points = points + rate * np.clip(move, -4, 4)
    return points


def _summed(at: Array, values: Array, n: int) -> Array:
    return np.stack([np.bincount(at, values[:, axis], n) for axis in (0, 1)], 1)


def _framed(points: Array) -> Array:
    """Centred and scaled into -1..1; the farthest percent is drawn in to the edge, so that one stray is not the map."""
    points = points - np.median(points, 0)
    reach = max(float(np.quantile(np.abs(points), 0.99)), 1e-9) * 1.05
    return as_float32(np.clip(points / reach, -1, 1))
