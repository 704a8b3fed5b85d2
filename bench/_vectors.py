"""Vectors to search among, the exact answer, and a race: what the benchmarks of search share."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from onesense.types import Array
from onesense.vectors import truncate_normalize

K = 10
CHUNK = 4_096
N_CLUSTERS = 500
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
SYNTHETIC = f"synthetic: {N_CLUSTERS} clusters, variance falling as 1/i (not real)"


def one_thread() -> None:
    """Start again with one thread for BLAS, which reads its number when it is loaded."""
    if not os.environ.items() >= ONE_THREAD.items():
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | ONE_THREAD)


class Synthetic:
    """Clustered unit vectors whose first components carry most, as those of a Matryoshka model do; from a seed."""

    def __init__(self, dim: int, seed: int = 0) -> None:
        self._random = np.random.default_rng(seed)
        self._scale = (1.0 / np.sqrt(1.0 + np.arange(dim))).astype(np.float32)
        self._centres = np.random.default_rng(0).standard_normal((N_CLUSTERS, dim), np.float32) * self._scale
        self._dim = dim

    def draw(self, n: int) -> Array:
        """The next n, float32 [n, d]."""
        noise = self._random.standard_normal((n, self._dim), np.float32) * self._scale
        return truncate_normalize(self._centres[self._random.integers(N_CLUSTERS, size=n)] + 0.8 * noise, self._dim)


def synthetic(n: int, dim: int) -> Array:
    """float32 [n, dim] at once."""
    source, rows = Synthetic(dim), np.empty((n, dim), np.float32)
    for place, chunk in chunks(rows):
        rows[place : place + len(chunk)] = source.draw(len(chunk))
    return rows


def real(file: Path, n: int) -> Array:
    """The first n rows of a .npy file, as unit vectors."""
    stored = np.load(file, mmap_mode="r")
    found = np.empty((min(len(stored), n), stored.shape[1]), np.float32)
    for place, chunk in chunks(stored[: len(found)]):
        found[place : place + len(chunk)] = truncate_normalize(np.asarray(chunk, np.float32), stored.shape[1])
    return found


def held_out(found: Array, n_queries: int) -> tuple[Array, Array]:
    """Rows, and queries that are not among them. The array is reused."""
    total = len(found)
    drawn = np.random.default_rng(0).choice(total, n_queries, replace=False)
    queries = found[drawn].copy()
    found[drawn] = found[np.arange(total - n_queries, total)]  # the last rows fill the gaps, so nothing is copied whole
    return found[: total - n_queries], queries


def exact(rows: Array, query: Array) -> Array:
    """The K nearest rows, best first."""
    scores = rows @ query
    near = np.argpartition(-scores, K)[:K]
    return near[np.argsort(-scores[near], kind="stable")]


def recall(rows: Array, queries: Array, best: list[Array], found: list[Array]) -> float:
    """Share of the found rows that are as near as the tenth exact one: rows with equal vectors are equally right."""
    shares = []
    for query, nearest, near in zip(queries, best, found, strict=True):
        worst = float((rows[nearest] @ query).min())
        shares.append(float((rows[near] @ query >= worst - 1e-6).sum()) / K)
    return float(np.mean(shares))


def race(
    contestants: dict[str, Callable[[Array], Array]], queries: Array
) -> tuple[dict[str, list[Array]], dict[str, list[float]], dict[str, list[float]]]:
    """Every contestant answers each query in turn, so that a busy machine slows all alike; the first is a warm-up.

    Returns:
        What each found, its CPU milliseconds, and its milliseconds by the clock.
    """
    found: dict[str, list[Array]] = {name: [] for name in contestants}
    cpu_ms: dict[str, list[float]] = {name: [] for name in contestants}
    wall_ms: dict[str, list[float]] = {name: [] for name in contestants}
    for query in (queries[0], *queries):
        for name, answer in contestants.items():
            start, used = time.perf_counter(), time.process_time()
            found[name].append(answer(query))
            cpu_ms[name].append(1_000 * (time.process_time() - used))
            wall_ms[name].append(1_000 * (time.perf_counter() - start))
    return ({n: f[1:] for n, f in each.items()} for each in (found, cpu_ms, wall_ms))  # type: ignore[return-value]


def chunks(rows: Array) -> Iterator[tuple[int, Array]]:
    """Places and views of CHUNK rows each."""
    return ((place, rows[place : place + CHUNK]) for place in range(0, len(rows), CHUNK))
