"""Is a collection of a million rows still quick, small in memory, and as cheap to add to as an empty one?

    python bench/large.py                          # 1,000,000 synthetic clustered vectors of 768 dimensions, says so
    python bench/large.py -n 100000 --dim 3072
    python bench/large.py --folder /tmp/large      # keep the collection there, and use it again

The searches run in a process of their own, so that its memory is nobody else's; so do both runs of adding files. Prints
a JSON object and appends a row to bench/RESULTS.md. Needs 8 GB of disk at 1,000,000 x 768.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from _results import record, spread
from _vectors import SYNTHETIC, K, Synthetic, one_thread

from onesense import Collection
from onesense.types import Array

CHUNK = 8_192
MODEL = "tiny"  # embedding is nearly free, so that what is measured is the collection
KINDS = ("text", "image", "audio", "video", "pdf")
WORDS = ("river", "engine", "purple", "winter", "signal", "garden", "window", "copper", "market", "silent")


def main() -> None:
    """Build, then measure in fresh processes."""
    options = _options()
    if options.child:
        print(json.dumps({"search": searches, "add": adding}[options.child](options)))
        return
    with tempfile.TemporaryDirectory() as folder:
        options.folder = options.folder or Path(folder)
        options.folder.mkdir(exist_ok=True)
        if not (options.folder / "exact.npz").exists():
            build(options)
        searched = _child(options, "search")
        added = {name: _child(options, "add", name) for name in ("empty", "large")}
    ratio = added["large"]["cpu_s"] / added["empty"]["cpu_s"]
    measured = {"n": options.n, "dim": options.dim, "vectors": SYNTHETIC, **searched, "added": added}
    record("a large collection", _summary(options, searched, added, ratio), measured, options.json)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-n", type=int, default=1_000_000, help="rows")
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--files", type=int, default=1_000, help="files that are added afterwards")
    parser.add_argument("--folder", type=Path, help="keep the collection there")
    parser.add_argument("--json", type=Path, help="write the JSON there as well")
    parser.add_argument("--child", choices=["search", "add"], help=argparse.SUPPRESS)
    parser.add_argument("--to", help=argparse.SUPPRESS)
    return parser.parse_args()


def build(options: argparse.Namespace) -> None:
    """The collection, and beside it queries with the cosine of their tenth exact neighbour."""
    source = Synthetic(options.dim)
    queries = Synthetic(options.dim, seed=1).draw(options.queries)
    best = np.full((options.queries, K), -1.0, np.float32)
    with Collection.open(options.folder / "large.onesense", model=MODEL, dim=options.dim) as collection:
        for place in range(0, options.n, CHUNK):
            rows = source.draw(min(CHUNK, options.n - place))
            payloads = [payload(place + i) for i in range(len(rows))]
            collection._store.upsert([f"{p['path']}#0" for p in payloads], rows, payloads)
            best = np.partition(np.concatenate([best, queries @ rows.T], axis=1), -K, axis=1)[:, -K:]
    np.savez(options.folder / "exact.npz", queries=queries, tenth=best.min(axis=1))


def payload(i: int) -> dict[str, Any]:
    """Of a file that was never there, as indexing writes it."""
    words = " ".join(WORDS[(i // 10**power) % 10] for power in range(6))
    return {
        "path": f"/nowhere/{i // 1000:04d}/{i:07d}.txt",
        "size": 100 + i % 10_000,
        "mtime": 1.7e9 + i,
        "hash": f"{i:032x}",
        "n_segments": 1,
        "metadata": {},
        "modality": KINDS[i % len(KINDS)],
        "locator": {"start_char": 0, "end_char": 30},
        "preview": words,
        "text": words,
        "facts": {"mime": "text/plain", "language": "en"},
    }


def _child(options: argparse.Namespace, what: str, to: str = "large") -> dict[str, Any]:
    command = [sys.executable, __file__, "--child", what, "--folder", str(options.folder), "--to", to]
    command += ["--files", str(options.files), "-n", str(options.n), "--dim", str(options.dim)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def searches(options: argparse.Namespace) -> dict[str, Any]:
    """Latency, recall and memory of the searches of one process, and what opening and the first of them cost."""
    known = np.load(options.folder / "exact.npz")
    start_s = time.perf_counter()
    with Collection.open(options.folder / "large.onesense", create=False) as collection:
        store = collection._store
        store.search(known["queries"][0], K)
        cold_s = time.perf_counter() - start_s
        ways = {
            "nearest": lambda query: store.search(query, K),
            "of each modality": lambda query: store.search_each(query, K, KINDS),
            "one modality": lambda query: store.search(query, K, {"modality": "image"}),
        }
        timed = {name: _timed(way, known["queries"]) for name, way in ways.items()}
        right = [
            sum(score >= tenth - 1e-4 for _, score, _ in store.search(query, K)) / K
            for query, tenth in zip(known["queries"], known["tenth"], strict=True)
        ]
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "cold_s": round(cold_s, 2),
        "ms": timed,
        "recall": round(float(np.mean(right)), 4),
        "peak_mb": round(peak_mb),
    }


def _timed(way: Any, queries: Array) -> dict[str, Any]:
    wall, cpu = [], []
    for query in (queries[0], *queries):
        start_s, used_s = time.perf_counter(), time.process_time()
        way(query)
        wall.append(1_000 * (time.perf_counter() - start_s))
        cpu.append(1_000 * (time.process_time() - used_s))
    return {"wall": spread(wall[1:]), "cpu": spread(cpu[1:])}


def adding(options: argparse.Namespace) -> dict[str, Any]:
    """Index text files into the large collection, or into an empty one; what was added is taken out again."""
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for i in range(options.files):
            words = " ".join(WORDS[(i // 10**power) % 10] for power in range(4))
            (Path(folder) / f"{i:04d}.txt").write_text(f"File {i}: {words}.", encoding="utf-8")
        path = options.folder / "large.onesense" if options.to == "large" else Path(folder) / "empty.onesense"
        with Collection.open(path, model=MODEL, dim=options.dim) as collection:
            collection.add([{"id": "first", "content": "A note."}])  # draws the background of scores: not each time
            start_s, used_s = time.perf_counter(), time.process_time()
            report = collection.add(folder)
            wall_s, cpu_s = time.perf_counter() - start_s, time.process_time() - used_s
            if len(report.added) != options.files:
                raise SystemExit(f"{len(report.added)} of {options.files} files were added: {report.failed[:3]}")
            collection.delete([folder, "first"])
    return {"wall_s": round(wall_s, 2), "cpu_s": round(cpu_s, 2)}


def _summary(options: argparse.Namespace, found: dict[str, Any], added: dict[str, Any], ratio: float) -> str:
    times = "; ".join(
        f"{name} p50 {ms['wall']['median']} ms, p95 {ms['wall']['p95']} ({ms['cpu']['median']} CPU ms)"
        for name, ms in found["ms"].items()
    )
    costs = f"{added['large']['cpu_s']} CPU s against {added['empty']['cpu_s']} to an empty one (x{ratio:.2f})"
    shape = f"{options.n:,} x {options.dim}, {SYNTHETIC}"
    place = f"opened and first answer {found['cold_s']} s, peak {found['peak_mb']} MB, recall@10 {found['recall']}"
    return f"{shape}: {times}; {place}; {options.files:,} text files added with {MODEL}: {costs}"


if __name__ == "__main__":
    one_thread()
    main()
