"""What does the first moment cost? `import onesense`, and one query through the command line, each in a fresh process.

    python bench/cold_start.py

Prints a JSON object and appends a row to bench/RESULTS.md.
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

from _results import record, spread

HEAVY = ("torch", "onnxruntime", "lancedb", "pyarrow", "av", "PIL", "pypdfium2", "tokenizers", "numpy", "simsimd")
IMPORT = f"""
import sys, time, json
start = time.perf_counter()
import onesense
took = 1_000 * (time.perf_counter() - start)
print(json.dumps([took, [m for m in {HEAVY!r} if m in sys.modules]]))
"""
NOTES = {
    "cat.txt": "The cat sleeps on the warm stove.",
    "bike.txt": "A red bicycle leans against the wall.",
    "rain.txt": "Heavy rain is expected over the coast tonight.",
}
QUERY = "where does the animal rest?"


def main() -> None:
    options = _options()
    milliseconds, loaded = import_times(options.rounds)
    seconds, cpu = query_times(options.model, options.rounds)
    measured = {
        "import_ms": spread(milliseconds, 1),
        "heavy_modules_after_import": loaded,
        "cold_query_s": spread(seconds),
        "cold_query_cpu_s": spread(cpu),
        "model": options.model,
    }
    imports, query = measured["import_ms"]["median"], measured["cold_query_s"]["median"]
    names = ", ".join(loaded) or "no heavy module"
    summary = f"`import onesense` {imports:.0f} ms ({names}); `onesense search -t …` with {options.model} {query:.2f} s"
    summary += f" ({measured['cold_query_cpu_s']['median']:.2f} CPU s)"
    record("cold start", summary, measured, options.json)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="onesense-mini")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="write the JSON there as well")
    return parser.parse_args()


def import_times(rounds: int) -> tuple[list[float], list[str]]:
    """Milliseconds of each import, the first left out (it writes byte code), and the heavy modules it loaded."""
    found = [json.loads(_run([sys.executable, "-c", IMPORT])) for _ in range(rounds + 1)]
    return [took for took, _ in found[1:]], found[0][1]


def query_times(model: str, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds from process start to printed hits over a collection of three notes: by the clock, and of CPU."""
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder) / "notes"
        notes.mkdir()
        for name, text in NOTES.items():
            (notes / name).write_text(text, encoding="utf-8")
        cli = [str(Path(sys.executable).parent / "onesense")]
        collection = str(Path(folder) / "bench.onesense")
        _run([*cli, "index", str(notes), "--to", collection, "--model", model])
        seconds: list[float] = []
        cpu: list[float] = []
        for _ in range(rounds):
            start, used = time.perf_counter(), children_cpu_s()
            hits = _run([*cli, "search", collection, "--text", QUERY, "--json"])
            seconds.append(time.perf_counter() - start)
            cpu.append(children_cpu_s() - used)
            if "cat.txt" not in hits:
                raise SystemExit(f"the search answered without a hit: {hits[:200]}")
    return seconds, cpu


def children_cpu_s() -> float:
    """CPU seconds of all finished child processes."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:6])} … ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    return done.stdout


if __name__ == "__main__":
    main()
