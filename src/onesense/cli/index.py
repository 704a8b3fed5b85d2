"""`onesense index`: files into a collection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .verb import DEFAULT_COLLECTION, Dim, ExitCode, Json, TaskName, print_json

if TYPE_CHECKING:
    from onesense.index.ingest import Report

_OUTCOMES = ("added", "updated", "unchanged", "removed", "failed")
_NAMED = 20  # failed files named on the screen; --json names all


def command(
    paths: Annotated[list[Path], typer.Argument(help="Files and folders; folders are read with all below them.")],
    to: Annotated[Path, typer.Option("--to", help="The collection: a folder, or a file that ends in .json.")] = Path(
        DEFAULT_COLLECTION
    ),
    prune: Annotated[bool, typer.Option("--prune", help="Forget files that are gone from these folders.")] = False,
    dim: Dim = None,
    task: TaskName = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="The collection's own by default; onesense-mini for a new one.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Index files and folders; unchanged files are skipped, and files that cannot be read are named (exit 3)."""
    from onesense import Collection

    from .screen import progress_bar

    with Collection.open(to, model=model, dim=dim, task=task) as collection:
        with progress_bar("indexing", quiet=as_json) as progress:
            report = collection.add(list(paths), prune=prune, progress=progress)
        _tell(report, to, n_segments=collection.count(), as_json=as_json)
    if report.failed:
        raise typer.Exit(ExitCode.SOME_FAILED)


def _tell(report: Report, to: Path, *, n_segments: int, as_json: bool) -> None:
    facts = report.to_dict()
    if as_json:
        print_json({"collection": str(to), "segments": n_segments} | facts)
        return
    counts = ", ".join(f"{len(facts[name])} {name}" for name in _OUTCOMES)
    print(f"{to}: {counts}; {n_segments} segment{'' if n_segments == 1 else 's'} in all")
    for failure in facts["failed"][:_NAMED]:
        print(f"  failed: {failure['path']}: {failure['reason']} [{failure['code']}]")
    if len(facts["failed"]) > _NAMED:
        print(f"  and {len(facts['failed']) - _NAMED} more; --json names all")
