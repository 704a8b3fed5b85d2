"""How fast and how right is a search, beside an exact scan and beside others? One thread, all in one run.

    python bench/search.py                                  # 100,000 synthetic clustered vectors, says so
    python bench/search.py --vectors embeddings.npy         # float32 [n, d] of a real model; 100 rows become queries
    python bench/search.py --store                          # also a collection, and LanceDB's own search of its table
    python bench/search.py --store --rivals                 # also Chroma and sqlite-vec, where they are installed
    python bench/search.py --embed FILE.npy                 # write embeddings of short real texts by the bundled model

Prints a JSON object and appends a row to bench/RESULTS.md. Needs about 3 GB of memory at 100,000 x 3072.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _results import record
from _vectors import CHUNK, SYNTHETIC, K, chunks, exact, held_out, one_thread, race, real, recall, synthetic

from onesense.types import Array, StoreSpec
from onesense.vectors import code_weights, quantize, rerank, scan_each

Answer = Callable[[Array], Array]
"""Query -> numbers of the rows that were found."""


def main() -> None:
    """Measure and print."""
    options = _options()
    if options.embed:
        embed_texts(options.embed, options.data, options.n + options.queries)
        return
    start = time.perf_counter()
    wanted = options.n + options.queries
    found = synthetic(wanted, options.dim) if options.vectors is None else real(options.vectors, wanted)
    rows, queries = held_out(found, options.queries)
    with tempfile.TemporaryDirectory() as folder:
        contestants = {"exact": lambda query: exact(rows, query), "funnel": funnel(rows, options.candidates)}
        if options.store:
            contestants |= collection(rows, Path(folder) / "bench.onesense", options.candidates)
        if options.rivals:
            contestants |= chroma(rows, Path(folder)) | sqlite_vec(rows, Path(folder) / "bench.sqlite")
        answers, cpu_ms, wall_ms = race(contestants, queries)
    result = {
        "vectors": SYNTHETIC if options.vectors is None else f"real: {options.vectors.name}",
        "n": len(rows),
        "dim": rows.shape[1],
        "queries": len(queries),
        "candidates": options.candidates,
        "cpu_ms_median": {name: round(float(np.median(ms)), 3) for name, ms in cpu_ms.items()},
        "cpu_ms_p95": {name: round(float(np.percentile(ms, 95)), 3) for name, ms in cpu_ms.items()},
        "wall_ms_median": {name: round(float(np.median(ms)), 3) for name, ms in wall_ms.items()},
        "times_cheaper": {n: round(float(np.median(cpu_ms["exact"]) / np.median(cpu_ms[n])), 1) for n in cpu_ms},
        "recall_at_10": {n: round(recall(rows, queries, answers["exact"], answers[n]), 4) for n in answers},
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "seconds": round(time.perf_counter() - start, 1),
    }
    record(
        "search against an exact scan" + (" and rivals" if options.rivals else ""),
        _summary(result),
        result,
        options.json,
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--vectors", type=Path, help="float32 [n, d] in a .npy file; rows need not be of unit length")
    parser.add_argument("--embed", type=Path, help="write vectors of real texts there and stop")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the data packs")
    parser.add_argument("-n", type=int, default=100_000, help="rows at most")
    parser.add_argument("--dim", type=int, default=3072, help="of synthetic vectors")
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--candidates", type=int, default=400, help="rows that are re-ranked")
    parser.add_argument("--store", action="store_true", help="also measure a collection, and LanceDB's own search")
    parser.add_argument("--rivals", action="store_true", help="also measure Chroma and sqlite-vec, if installed")
    parser.add_argument("--json", type=Path, help="write the JSON there as well")
    return parser.parse_args()


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


# --- contestants ------------------------------------------------------------------------------------------------------


def funnel(rows: Array, candidates: int) -> Answer:
    """The arithmetic alone, all in memory."""
    codes = np.concatenate([quantize(chunk) for _, chunk in chunks(rows)])
    weights, everything = code_weights(codes), np.arange(len(codes))

    def answer(query: Array) -> Array:
        near = np.sort(scan_each(codes, query, candidates, [everything], weights)[0])
        return near[rerank(rows[near], query, K)[0]]

    return answer


def collection(rows: Array, path: Path, candidates: int) -> dict[str, Answer]:
    """A collection on the disk, and what LanceDB itself finds in its table: exactly, and by its index."""
    from onesense.index.stores import _snapshot, lance

    _snapshot.CANDIDATES = candidates
    store = lance.Store.open(path, StoreSpec(rows.shape[1], "bench", "bench", "1"))
    for place, chunk in chunks(rows):
        store.upsert(
            [f"{place + i:08d}" for i in range(len(chunk))], chunk, [{"n": place + i} for i in range(len(chunk))]
        )
    store.close()  # merges what the writes left, as a collection does when it is closed
    table = store._table
    table.checkout_latest()

    def own(query: Array) -> Array:
        found = table.search(query, vector_column_name="vector").distance_type("cosine").limit(K)
        return np.array([int(id_) for id_ in found.select(["id", "payload"]).to_arrow()["id"].to_pylist()])

    return {"collection": lambda query: np.array([int(id_) for id_, _, _ in store.search(query, K)]), "LanceDB": own}


def chroma(rows: Array, folder: Path) -> dict[str, Answer]:
    """Chroma with its defaults (HNSW) but for cosines."""
    try:
        import chromadb
    except ImportError:
        print("chromadb is not installed: left out")
        return {}
    client = chromadb.PersistentClient(str(folder / "chroma"), chromadb.Settings(anonymized_telemetry=False))
    held = client.create_collection("bench", metadata={"hnsw:space": "cosine"})
    for place, chunk in chunks(rows):
        numbers = range(place, place + len(chunk))
        held.add([f"{i:08d}" for i in numbers], embeddings=chunk, metadatas=[{"n": i} for i in numbers])

    def answer(query: Array) -> Array:
        found = held.query(query_embeddings=query[None], n_results=K, include=["metadatas", "distances"])
        return np.array([int(id_) for id_ in found["ids"][0]])

    return {"Chroma": answer}


def sqlite_vec(rows: Array, file: Path) -> dict[str, Answer]:
    """sqlite-vec's vec0 table, which compares all rows."""
    try:
        import sqlite_vec as extension
    except ImportError:
        print("sqlite-vec is not installed: left out")
        return {}
    try:
        import pysqlite3 as sqlite3  # where Python's own was built without extensions
    except ImportError:
        import sqlite3
    database = sqlite3.connect(file)
    if not hasattr(database, "enable_load_extension"):
        print("this Python's sqlite3 loads no extensions, install pysqlite3-binary: sqlite-vec is left out")
        return {}
    database.enable_load_extension(True)
    extension.load(database)
    width = rows.shape[1]
    database.execute(
        f"CREATE VIRTUAL TABLE held USING vec0(vector float[{width}] distance_metric=cosine, +payload text)"
    )
    with database:
        for place, chunk in chunks(rows):
            values = [(place + i, row.tobytes(), "{}") for i, row in enumerate(chunk)]
            database.executemany("INSERT INTO held(rowid, vector, payload) VALUES (?, ?, ?)", values)

    def answer(query: Array) -> Array:
        asked = "SELECT rowid, distance, payload FROM held WHERE vector MATCH ? ORDER BY distance LIMIT ?"
        return np.array([row[0] for row in database.execute(asked, (query.tobytes(), K))])

    return {"sqlite-vec": answer}


def _summary(result: dict[str, Any]) -> str:
    parts = [
        f"{name} {ms} ms (x{result['times_cheaper'][name]}, recall@10 {result['recall_at_10'][name]})"
        for name, ms in result["cpu_ms_median"].items()
    ]
    shape = f"{result['n']:,} x {result['dim']}, {result['vectors']}"
    return f"{shape}, CPU ms of 1 thread: {'; '.join(parts)}"


if __name__ == "__main__":
    one_thread()
    main()
