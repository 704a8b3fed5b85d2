"""Looking after collections: `onesense collections verify repair compact export import reembed`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from onesense.errors import NotFound

from .verb import DEFAULT_COLLECTION, Dim, ExitCode, Json, Model, print_json

At = Annotated[Path, typer.Argument(help="The collection.")]
_HERE = Path(DEFAULT_COLLECTION)
_NAMED = 20


def collections(
    forget: Annotated[
        Path | None, typer.Option("--forget", help="Take this collection off the list; its files stay.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the collections that were indexed into, the last used first."""
    from onesense.index import registry

    if forget is not None and not registry.forget(forget):
        raise NotFound(f"`{forget}` is not on the list")
    found = registry.entries()
    if as_json:
        rows = [{"path": e.path, "indexed_s": e.indexed_s, "is_there": e.is_there} for e in found]
        print_json({"collections": rows})
        return
    for entry in found:
        gone = "" if entry.is_there else "  (gone)"
        print(f"{datetime.fromtimestamp(entry.indexed_s):%Y-%m-%d %H:%M}  {entry.path}{gone}")
    if not found:
        print("no collection yet: onesense index FOLDER")


def verify(collection: At = _HERE, as_json: Json = False) -> None:
    """Read every row, check every vector, look at every file; exit 3 when something is wrong."""
    from onesense import Collection

    with Collection.open(collection, create=False) as opened:
        found = opened.verify()
    if as_json:
        print_json({"collection": str(collection)} | found.to_dict())
    else:
        state = "sound" if found.is_sound else "damaged: see `onesense repair`"
        print(f"{collection}: {found.n_rows} segments of {found.n_files} files and records, {state}")
        print(f"  {len(found.missing)} files gone, {len(found.changed)} changed since they were indexed")
        wrong = [*found.bad_rows.items(), *((path, "lacks segments") for path in found.partial)]
        for name, reason in wrong[:_NAMED]:
            print(f"  {name}: {reason}")
        if found.unreadable:
            print(f"  {found.unreadable}")
    if not found.is_sound:
        raise typer.Exit(ExitCode.SOME_FAILED)


def repair(collection: At = _HERE, as_json: Json = False) -> None:
    """Delete rows that cannot be used, and index their files again."""
    from onesense import Collection

    with Collection.open(collection, create=False) as opened:
        found, report = opened.repair()
    if as_json:
        print_json({"found": found.to_dict(), "report": report.to_dict()})
    else:
        n = len(found.bad_rows) + len(found.partial)
        print(f"{collection}: {n} faults; {len(report.added)} files indexed again, {len(report.failed)} failed")
    if report.failed:
        raise typer.Exit(ExitCode.SOME_FAILED)


def compact(collection: At = _HERE) -> None:
    """Merge what many small writes left, and drop old versions."""
    from onesense import Collection

    with Collection.open(collection, create=False) as opened:
        opened.compact()
    print(f"{collection}: compacted")


def export(
    collection: At = _HERE,
    to: Annotated[Path, typer.Option("--to", help="File: .json, .jsonl, .npy or .parquet.")] = Path("collection.jsonl"),
) -> None:
    """Write vectors, payloads and the spec to one file of an open format."""
    from onesense import Collection

    with Collection.open(collection, create=False) as opened:
        n_rows = opened.export(to)
    print(f"{to}: {n_rows} segments")


def load(
    file: Annotated[Path, typer.Argument(help="What `export` wrote, or JSON with `values` of another model.")],
    to: Annotated[Path, typer.Option("--to", help="The new collection.")] = _HERE,
    made_by: Annotated[
        str | None, typer.Option("--made-by", help="Model that made foreign vectors; Gemini's by default.")
    ] = None,
) -> None:
    """Make a collection of an exported file, or of vectors that another model made."""
    from onesense.index import portable, registry

    n_rows = portable.load(file, to, made_by)
    registry.register(to)
    print(f"{to}: {n_rows} segments")


def reembed(
    model: Model,
    collection: At = _HERE,
    dim: Dim = None,
    accept_losses: Annotated[
        bool, typer.Option("--accept-losses", help="Switch although some files are gone or failed.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Embed a collection's files with another model beside it, and switch when that is done."""
    from onesense.index import reembed as work

    from .screen import progress_bar

    with progress_bar("embedding", quiet=as_json) as progress:
        change = work.reembed(collection, model, dim=dim, accept_losses=accept_losses, progress=progress)
    faults = [*change.lost, *change.report.failed]
    if as_json:
        facts = {"is_switched": change.is_switched, "kept_as": str(change.kept_as)}
        print_json(facts | {"lost": [f.path for f in change.lost], "report": change.report.to_dict()})
    elif change.is_switched:
        print(f"{collection} holds vectors of `{model}` now; the old ones lie in {change.kept_as}, for you to delete")
    else:
        print(f"not switched, {len(faults)} losses; the new collection grows in {change.kept_as}:")
        for fault in faults[:_NAMED]:
            print(f"  {fault.path}: {fault.reason}")
        print("run it again when they are back, or with --accept-losses")
    if faults:
        raise typer.Exit(ExitCode.SOME_FAILED)
