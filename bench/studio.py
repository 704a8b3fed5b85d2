"""How soon does the Studio show what was found? Chromium, a started server, 10,000 segments.

    python bench/studio.py                             # 10,000 notes in 200 folders, `tiny`
    python bench/studio.py --model onesense-mini       # the query through the bundled model; indexing takes minutes

Milliseconds from Enter to the paint after which the first hit is in sight, in a page that is open; from the address to
the results of a page that is not; and of the library, from the address to its counts.

Needs playwright and chromium. Prints a JSON object and appends a row to bench/RESULTS.md.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from _http import free_port, wait_for
from _results import record, spread
from playwright.sync_api import Page, sync_playwright

from onesense import Collection

WORDS = "river garden engine violin harbour winter lemon bridge letter candle forest mirror market storm silver".split()
SHOWN = """words => new Promise(done => {
  const field = document.querySelector('.query-words');
  field.value = words;
  field.dispatchEvent(new Event('input'));
  const begun = performance.now();
  const before = document.querySelector('.results .grid');
  const look = () => {
    const grid = document.querySelector('.results .grid');
    const isShown = grid && grid !== before && grid.querySelector('.tile');
    requestAnimationFrame(isShown ? () => done(performance.now() - begun) : look);
  };
  field.form.requestSubmit();
  look();
})"""


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        collection = Path(folder) / "notes.onesense"
        n_segments = fill(collection, Path(folder) / "notes", options.n, options.model)
        port = free_port()
        server = subprocess.Popen(
            [sys.executable, "-c", "from onesense.cli.main import main; main()", "serve", "--model", options.model,
             "--port", str(port), "--data-dir", folder, "--collection", str(collection)],
        )  # fmt: skip
        try:
            wait_for(port, lambda: server.poll() is None)
            measured = {"n_segments": n_segments, "model": options.model} | measure(port, options.rounds)
        finally:
            server.terminate()
            server.wait()
    typed, opened, library = (measured[key]["median"] for key in ("typed_ms", "opened_ms", "library_ms"))
    summary = f"{options.model}, {n_segments:,} segments: first hit in sight {typed:.0f} ms after Enter"
    summary += f" (p95 {measured['typed_ms']['p95']:.0f}, first query {measured['first_ms']:.0f})"
    summary += f"; a page opened with a query {opened:.0f} ms, the library {library:.0f} ms"
    record("first results in the Studio", summary, measured, options.json)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="tiny")
    parser.add_argument("-n", type=int, default=10_000, help="segments")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, help="write the JSON there as well")
    return parser.parse_args()


def fill(at: Path, folder: Path, n: int, model: str) -> int:
    """Write notes of a segment each, index them, and say how many segments there are."""
    for number in range(n):
        there = folder / f"{number % 200:03}"
        there.mkdir(parents=True, exist_ok=True)
        words = " ".join(WORDS[number // len(WORDS) ** place % len(WORDS)] for place in range(4))
        (there / f"note-{number}.txt").write_text(f"A note about {words}, number {number}.", encoding="utf-8")
    with Collection.open(at, model) as collection:
        collection.add([folder])
        return collection.count()


def measure(port: int, rounds: int) -> dict[str, Any]:
    """What a person waits for, in milliseconds."""
    at = f"http://127.0.0.1:{port}"
    with sync_playwright() as playwright:
        path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1360, "height": 860})
        page.set_default_timeout(120_000)
        page.goto(f"{at}/#/search")
        page.wait_for_selector(".grid .tile")
        queries = [f"{WORDS[n % 15]} and {WORDS[(n * 7 + 3) % 15]}, {n}" for n in range(rounds + 1)]
        typed = [float(page.evaluate(SHOWN, query)) for query in queries]
        opened = [_opened(page, f"{at}/#/search?q={n}+river", ".results-line") for n in range(rounds)]
        library = [_opened(page, f"{at}/#/library", ".kinds li") for _ in range(rounds)]
        browser.close()
    told = {"typed_ms": spread(typed[1:], 0), "first_ms": round(typed[0])}
    return told | {"opened_ms": spread(opened, 0), "library_ms": spread(library, 0)}


def _opened(page: Page, address: str, what: str) -> float:
    page.goto("about:blank")
    begun = time.perf_counter()
    page.goto(address)
    page.wait_for_selector(what)
    return 1_000 * (time.perf_counter() - begun)


if __name__ == "__main__":
    main()
