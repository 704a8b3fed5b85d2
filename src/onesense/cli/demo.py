"""`onesense demo`: a sample library, indexed and searched across modalities; it fails when a query misses its item."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .verb import DEFAULT_MODEL, ExitCode, Json, Model, print_json

if TYPE_CHECKING:
    from onesense import Collection
    from onesense.types import Hit

    from .demo_queries import Query

_SHOWN = 3  # hits printed a query


def command(
    folder: Annotated[Path, typer.Option("--folder", help="Where the demo is built.")] = Path("demo-library"),
    model: Model = DEFAULT_MODEL,
    as_json: Json = False,
) -> None:
    """Build a sample library, index it, and search it across modalities; exit 4 when a query misses its item."""
    from . import demo_library
    from .demo_queries import QUERIES

    start = time.perf_counter()
    _say(f"building {folder}/library: photographs, sounds, a video, spoken memos, PDFs, notes in many languages")
    demo_library.build(folder)
    results = _run(folder, model, QUERIES, is_quiet=as_json)
    missed = [r for r in results if r["rank"] is None]
    if as_json:
        print_json({"queries": results, "missed": [r["query"] for r in missed]})
    _say(
        f"{len(results) - len(missed)} of {len(results)} queries found their item; {time.perf_counter() - start:.0f} s"
    )
    for r in missed:
        _say(f"MISSED: {r['label']}: {r['query']}: `{r['expected']}` is not among the first {r['k']}")
    if missed:
        raise typer.Exit(ExitCode.NOTHING_FOUND)
    _say(f"search it yourself: onesense search {folder / 'library.onesense'} -t 'something that ticks'")


def _run(folder: Path, model: str, queries: Sequence[Query], *, is_quiet: bool) -> list[dict[str, Any]]:
    """Index the library, ask every query, and print the hits."""
    from onesense import Collection

    with Collection.open(folder / "library.onesense", model=model) as collection:
        _index(collection, folder)
        results = []
        for query in queries:
            hits = collection.search(query.content(folder), k=max(query.k, _SHOWN), modality=query.among)
            results.append(_judge(query, hits))
            if not is_quiet:
                _print(results[-1], folder)
    return results


def _index(collection: Collection, folder: Path) -> None:
    from .screen import progress_bar

    start = time.perf_counter()
    with progress_bar("indexing") as progress:
        report = collection.add(folder / "library", prune=True, progress=progress)
    spent_s = time.perf_counter() - start
    _say(f"indexed {collection.count()} segments in {spent_s:.0f} s")
    for failure in report.failed:
        _say(f"FAILED: {failure.path}: {failure.reason}")


def _judge(query: Query, hits: Sequence[Hit]) -> dict[str, Any]:
    """Where the expected item stands among the first k hits, None when it is not there."""
    ranks = [n for n, hit in enumerate(hits[: query.k], start=1) if query.is_answered_by(hit)]
    return {
        "label": query.label,
        "query": query.spoken(),
        "among": query.among,
        "expected": query.expect,
        "k": query.k,
        "rank": ranks[0] if ranks else None,
        "hits": [hit.to_dict() for hit in hits[:_SHOWN]],
    }


def _print(result: dict[str, Any], folder: Path) -> None:
    from onesense.types import Locator

    from .screen import clip

    among = f" --modality {result['among']}" if result["among"] else ""
    print(f"\n{result['label']}\n  onesense search {folder / 'library.onesense'} {result['query']}{among}")
    for n, hit in enumerate(result["hits"], start=1):
        mark = "→" if n == result["rank"] else " "
        place = f"{Path(hit['path']).name} {Locator.from_dict(hit['locator'])}".strip()
        print(f"  {mark} {hit['score']:.3f}  {place:<34} {clip(hit['preview'], 64)}")


def _say(line: str) -> None:
    print(line, file=sys.stderr)
