"""How much faster is indexing than the loop that people write, and how busy are the cores meanwhile?

    python bench/indexing.py                 # pictures of 640 x 480, all cores, the bundled model on both sides

The loop takes one picture after another: decode and embed it, add its row to a LanceDB table. Both sides run in turns
in processes of their own. Busy is the share of all cores' time that the process used; loading the model is included,
importing LanceDB is not.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from _results import record, spread
from throughput import jpeg


def main() -> None:
    options = _options()
    if options.child:
        print(json.dumps({"collection": collection, "loop": loop}[options.child](options)))
        return
    runs: dict[str, list[dict[str, float]]] = {"collection": [], "loop": []}
    with tempfile.TemporaryDirectory() as folder:
        options.folder = Path(folder)
        (options.folder / "files").mkdir()
        for i in range(options.files):
            (options.folder / "files" / f"{i:05d}.jpg").write_bytes(jpeg(i))
        for _ in range(options.rounds):
            for side, found in runs.items():
                found.append(_measure(side, options))
    middle = {
        side: {key: float(np.median([r[key] for r in found])) for key in found[0]} for side, found in runs.items()
    }
    ratio = middle["collection"]["files_per_s"] / middle["loop"]["files_per_s"]
    rates = {side: spread([run["files_per_s"] for run in found]) for side, found in runs.items()}
    measured = {"model": options.model, "files": options.files, "files_per_s": rates, "ratio": round(ratio, 2)}
    measured |= {"busy": {side: round(values["busy"], 3) for side, values in middle.items()}}
    shown = ", ".join(
        f"{n} {v['files_per_s']:.1f} files/s, cores {100 * v['busy']:.0f} % busy" for n, v in middle.items()
    )
    record("indexing pictures against a loop", f"{options.model}: {shown}: {ratio:.2f}x", measured, options.json)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--files", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="onesense-mini")
    parser.add_argument("--json", type=Path, help="write the JSON there as well")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--child", choices=["collection", "loop"], help=argparse.SUPPRESS)
    return parser.parse_args()


def _measure(side: str, options: argparse.Namespace) -> dict[str, float]:
    command = [sys.executable, __file__, "--child", side, "--folder", str(options.folder), "--model", options.model]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    if found.pop("n") != options.files:
        raise SystemExit(f"{side} indexed {found} of {options.files} files: no result")
    return found


def collection(options: argparse.Namespace) -> dict[str, float]:
    """As `onesense index` does it."""
    import lancedb  # noqa: F401  # neither side's time

    from onesense import Collection

    with tempfile.TemporaryDirectory() as folder:
        start = _now()
        with Collection.open(Path(folder) / "bench.onesense", model=options.model) as made:
            n = len(made.add([options.folder / "files"]).added)
        return _told(n, start)


def loop(options: argparse.Namespace) -> dict[str, float]:
    """As people write it."""
    import lancedb

    from onesense import Content, Embedder, Part

    with tempfile.TemporaryDirectory() as folder:
        start = _now()
        embedder, table = Embedder(options.model), None
        files = sorted((options.folder / "files").iterdir())
        for file in files:
            vector = embedder.embed(Content(Part.file(file)))[0]
            rows: list[dict[str, Any]] = [{"id": str(file), "vector": vector}]
            if table is None:
                table = lancedb.connect(folder).create_table("rows", rows)
            else:
                table.add(rows)
        embedder.close()
        return _told(len(files), start)


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _told(n: int, start: tuple[float, float]) -> dict[str, float]:
    seconds, used = (now - then for now, then in zip(_now(), start, strict=True))
    return {"n": n, "files_per_s": n / seconds, "busy": used / seconds / len(os.sched_getaffinity(0))}


if __name__ == "__main__":
    main()
