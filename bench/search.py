"""Is the funnel as good as an exact scan, and how much cheaper? One thread, CPU milliseconds, both in one run.

    python bench/search.py                                  # 100,000 synthetic clustered vectors, says so
    python bench/search.py --vectors embeddings.npy         # float32 [n, d] of a real model; 100 rows become queries
    python bench/search.py --store                          # also through a LanceDB collection on disk
    python bench/search.py --embed FILE.npy                # write embeddings of short real texts by the bundled model

Prints a JSON object and appends a row to bench/RESULTS.md. Needs about 3 GB of memory at 100,000 x 3072.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from _results import record

from onesense.types import Array, StoreSpec
from onesense.vectors import quantize, rerank, scan, truncate_normalize

K = 10
CHUNK = 4_096
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def main() -> None:
    """Measure and print."""
    options = _options()
    if options.embed:
        embed_texts(options.embed, options.data, options.n + options.queries)
        return
    start = time.perf_counter()
    rows, queries, source = _vectors(options)
    codes = np.concatenate([quantize(chunk) for _, chunk in _chunks(rows)])
    candidates = options.candidates

    def funnel(query: Array) -> Array:
        near = np.sort(scan(codes, query, candidates))
        return near[rerank(rows[near], query, K)[0]]

    contestants: dict[str, Callable[[Array], Array]] = {
        "exact": lambda query: _exact(rows, query),
        "funnel": funnel,
    }
    with tempfile.TemporaryDirectory() as folder:
        if options.store:
            contestants["lance"] = _lance(rows, Path(folder) / "bench.onesense", candidates)
        found, cpu_ms = _race(contestants, queries)
    result = {
        "vectors": source,
        "n": len(rows),
        "dim": rows.shape[1],
        "queries": len(queries),
        "candidates": candidates,
        "cpu_ms_median": {name: round(float(np.median(ms)), 3) for name, ms in cpu_ms.items()},
        "cpu_ms_p95": {name: round(float(np.percentile(ms, 95)), 3) for name, ms in cpu_ms.items()},
        "times_cheaper": {n: round(float(np.median(cpu_ms["exact"]) / np.median(cpu_ms[n])), 1) for n in cpu_ms},
        "recall_at_10": {name: round(_recall(rows, queries, found["exact"], found[name]), 4) for name in found},
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "seconds": round(time.perf_counter() - start, 1),
    }
    record("the funnel against an exact scan", _summary(result), result, options.json)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--vectors", type=Path, help="float32 [n, d] in a .npy file; rows need not be of unit length")
    parser.add_argument("--embed", type=Path, help="write vectors of real texts there and stop")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the data packs")
    parser.add_argument("-n", type=int, default=100_000, help="rows at most")
    parser.add_argument("--dim", type=int, default=3072, help="of synthetic vectors")
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--candidates", type=int, default=400, help="rows that are re-ranked exactly")
    parser.add_argument("--store", action="store_true", help="also measure a LanceDB collection")
    parser.add_argument("--json", type=Path, help="write the JSON there as well")
    return parser.parse_args()


def _vectors(options: argparse.Namespace) -> tuple[Array, Array, str]:
    """Unit rows float32 [n, d], held-out queries float32 [q, d], and where they come from."""
    if options.vectors is None:
        total = options.n + options.queries
        found, source = _synthetic(total, options.dim), "synthetic: 500 clusters, variance falling as 1/i (not real)"
    else:
        stored = np.load(options.vectors, mmap_mode="r")
        total = min(len(stored), options.n + options.queries)
        found = np.empty((total, stored.shape[1]), np.float32)
        for place, chunk in _chunks(stored[:total]):
            found[place : place + len(chunk)] = truncate_normalize(np.asarray(chunk, np.float32), stored.shape[1])
        source = f"real: {options.vectors.name}"
    held_out = np.random.default_rng(0).choice(total, options.queries, replace=False)
    queries = found[held_out].copy()
    last = np.arange(total - options.queries, total)
    found[held_out] = found[last]  # the last rows fill the gaps, so that nothing is copied whole
    return found[: total - options.queries], queries, source


def embed_texts(file: Path, data: Path, n: int) -> None:
    """Embed n different short texts in 170 languages (words, phrases, captions) with onesense-mini at full size."""
    from onesense import Embedder
    from onesense.evals.packs import Packs

    packs = Packs(data)
    names = ("text/gatitos.tsv.xz", "text/id_tagging.tsv.xz", "text/everyday_phrases.tsv.xz")
    texts = list(dict.fromkeys(row["text"] for name in names for row in packs.rows(name)))
    drawn = np.random.default_rng(0).permutation(len(texts))[:n]
    embedder = Embedder("onesense-mini")
    out = np.lib.format.open_memmap(file, "w+", np.float32, (len(drawn), embedder.info.dim))
    for place in range(0, len(drawn), CHUNK):
        out[place : place + CHUNK] = embedder.embed([texts[i] for i in drawn[place : place + CHUNK]])


def _synthetic(n: int, dim: int) -> Array:
    """Clustered unit vectors whose first components carry most, as those of a Matryoshka model do."""
    random = np.random.default_rng(0)
    scale = (1.0 / np.sqrt(1.0 + np.arange(dim))).astype(np.float32)
    centres = random.standard_normal((500, dim), np.float32) * scale
    rows = np.empty((n, dim), np.float32)
    for place, chunk in _chunks(rows):
        noise = random.standard_normal(chunk.shape, np.float32) * scale
        mixed = centres[random.integers(500, size=len(chunk))] + 0.8 * noise
        rows[place : place + len(chunk)] = truncate_normalize(mixed, dim)
    return rows


def _exact(rows: Array, query: Array) -> Array:
    scores = rows @ query
    near = np.argpartition(-scores, K)[:K]
    return near[np.argsort(-scores[near], kind="stable")]


def _lance(rows: Array, path: Path, candidates: int) -> Callable[[Array], Array]:
    from onesense.index.stores import lance

    lance.CANDIDATES = candidates
    store = lance.Store.open(path, StoreSpec(rows.shape[1], "bench", "bench", "1"))
    for place, chunk in _chunks(rows):
        store.upsert([f"{place + i:08d}" for i in range(len(chunk))], chunk, [{}] * len(chunk))
    store.close()  # merges what the writes left, as a collection does when it is closed
    return lambda query: np.array([int(id_) for id_, _, _ in store.search(query, K)])


def _race(
    contestants: dict[str, Callable[[Array], Array]], queries: Array
) -> tuple[dict[str, list[Array]], dict[str, list[float]]]:
    """Every contestant answers each query in turn, so that a busy machine slows all alike; the first is a warm-up."""
    found: dict[str, list[Array]] = {name: [] for name in contestants}
    cpu_ms: dict[str, list[float]] = {name: [] for name in contestants}
    for query in (queries[0], *queries):
        for name, answer in contestants.items():
            start = time.process_time()
            found[name].append(answer(query))
            cpu_ms[name].append(1_000 * (time.process_time() - start))
    return {n: f[1:] for n, f in found.items()}, {n: ms[1:] for n, ms in cpu_ms.items()}


def _recall(rows: Array, queries: Array, exact: list[Array], found: list[Array]) -> float:
    """Share of the found rows that are as near as the tenth exact one: rows with equal vectors are equally right."""
    shares = []
    for query, best, near in zip(queries, exact, found, strict=True):
        worst = float((rows[best] @ query).min())
        shares.append(float((rows[near] @ query >= worst - 1e-6).mean()))
    return float(np.mean(shares))


def _summary(result: dict[str, Any]) -> str:
    parts = [
        f"{name} {ms} ms (x{result['times_cheaper'][name]}, recall@10 {result['recall_at_10'][name]})"
        for name, ms in result["cpu_ms_median"].items()
    ]
    shape = f"{result['n']:,} x {result['dim']}, {result['vectors']}"
    return f"{shape}, 1 thread: {'; '.join(parts)}"


def _chunks(rows: Array) -> Iterator[tuple[int, Array]]:
    return ((place, rows[place : place + CHUNK]) for place in range(0, len(rows), CHUNK))


if __name__ == "__main__":
    if not os.environ.items() >= ONE_THREAD.items():  # BLAS reads them when it is loaded, so start again with them
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | ONE_THREAD)
    main()
