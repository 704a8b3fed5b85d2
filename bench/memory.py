"""Does the memory of indexing grow with the number of files? Peak RSS of fresh processes over 100 and 1,000 files.

    python bench/memory.py                 # texts, pictures and sounds made by code
    python bench/memory.py --files 100 1000 5000 --model tiny

Prints a JSON object and appends a row to bench/RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import wave
from pathlib import Path

import numpy as np
from _results import record

KINDS = 5  # of five files three are texts, one a picture, one a sound
N_WORDS = (
    30_000  # drawn by Zipf's law, as in a language. With new words in every file (identifiers, keys) the full-text
)
# index holds each of them once: 150 MB more for 720,000 words, bench/RESULTS.md


def main() -> None:
    options = _options()
    if options.child is not None:
        print(json.dumps(index(Path(options.child), options.model)))
        return
    peaks = {n: measure(n, options.model) for n in options.files}
    first, last = options.files[0], options.files[-1]
    growth = peaks[last]["peak_mb"] / peaks[first]["peak_mb"]
    measured = {"model": options.model, "runs": peaks, "growth": round(growth, 3)}
    shown = ", ".join(f"{n:,} files {run['peak_mb']:.0f} MB" for n, run in peaks.items())
    record("peak memory of indexing", f"{options.model}: {shown} (x{growth:.2f})", measured, options.json)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--files", type=int, nargs="+", default=[100, 1_000])
    parser.add_argument("--model", default="onesense-mini")
    parser.add_argument("--json", type=Path, help="write the JSON there as well")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


def measure(n: int, model: str) -> dict[str, float]:
    """Index n generated files in a process of its own, whose peak is then nobody else's."""
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder) / "files", n)
        command = [sys.executable, __file__, "--child", folder, "--model", model]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    if found["n_files"] != n or found["n_failed"]:
        raise SystemExit(f"{n} files, {found['n_files']} indexed and {found['n_failed']} failed: no result")
    return found


def index(folder: Path, model: str) -> dict[str, float]:
    """Index `folder/files` and tell this process's peak."""
    import time

    from onesense import Collection

    start = time.perf_counter()
    with Collection.open(folder / "bench.onesense", model=model) as collection:
        report = collection.add([folder / "files"])
    return {
        "n_files": len(report.added),
        "n_failed": len(report.failed),
        "seconds": round(time.perf_counter() - start, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


def generate(folder: Path, n: int) -> None:
    """Different files of the same size: a page of words, a 640 x 480 picture, five seconds of sound."""
    folder.mkdir()
    letters = np.random.default_rng(0)
    words = np.array(
        [bytes(letters.integers(97, 123, letters.integers(2, 10), np.uint8)).decode() for _ in range(N_WORDS)]
    )
    share = 1 / np.arange(1, N_WORDS + 1)
    for i in range(n):
        random = np.random.default_rng(i)
        if i % KINDS == 0:
            _picture(folder / f"{i}.png", random)
        elif i % KINDS == 1:
            _sound(folder / f"{i}.wav", random)
        else:
            page = random.choice(words, 300, p=share / share.sum())
            (folder / f"{i}.txt").write_text(" ".join(page), encoding="utf-8")


def _picture(path: Path, random: np.random.Generator) -> None:
    from PIL import Image

    Image.fromarray(random.integers(0, 255, (48, 64, 3), np.uint8)).resize((640, 480)).save(path)


def _sound(path: Path, random: np.random.Generator) -> None:
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        sound.writeframes((3_000 * random.standard_normal(80_000)).astype("<i2").tobytes())


if __name__ == "__main__":
    main()
