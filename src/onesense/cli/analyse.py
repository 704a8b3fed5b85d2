"""`onesense analyse`: what is in a collection: groups, near-duplicates, what stands alone, what carries which label."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from onesense.errors import InvalidInput

from .search import parse_where, short_path
from .verb import DEFAULT_COLLECTION, ExitCode, Json, print_json

if TYPE_CHECKING:
    from onesense import Collection
    from onesense.index.analysis import Labelled

_SHOWN = 8  # rows of a group on the screen; --json and --out have all


class What(StrEnum):
    """The questions that can be asked of a collection."""

    CLUSTER = "cluster"
    DUPLICATES = "duplicates"
    OUTLIERS = "outliers"
    CLASSIFY = "classify"


def command(
    what: Annotated[What, typer.Argument(help="What to find out.")],
    collection: Annotated[Path, typer.Argument(help="The collection to look into.")] = Path(DEFAULT_COLLECTION),
    n: Annotated[int | None, typer.Option("-n", min=1, help="Clusters to make, or outliers to show.")] = None,
    threshold: Annotated[
        float | None, typer.Option("--threshold", help="Cosine from which two are duplicates, 0.95 by default.")
    ] = None,
    label: Annotated[list[str] | None, typer.Option("--label", help="A label, by its name. Repeatable.")] = None,
    example: Annotated[
        list[str] | None, typer.Option("--example", help="LABEL=FILE: an example of a label. Repeatable.")
    ] = None,
    where: Annotated[list[str] | None, typer.Option("--where", help="Only segments with KEY=VALUE.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the clusters' first centres.")] = 0,
    out: Annotated[Path | None, typer.Option("--out", help="Write all rows to FILE.csv, .jsonl or .parquet.")] = None,
    as_json: Json = False,
) -> None:
    """Group, deduplicate, find outliers or classify without training; exit 4 when nothing is found."""
    from onesense import Collection
    from onesense.index import analysis

    _refuse_unused(what, n=n, threshold=threshold, labels=[*(label or ()), *(example or ())])
    options = {"where": parse_where(where or []) or None}
    with Collection.open(collection, create=False) as opened:
        match what:
            case What.CLUSTER:
                groups = _by_label(analysis.cluster(opened, n, seed=seed, **options))
            case What.DUPLICATES:
                found = analysis.duplicates(opened, analysis.SAME if threshold is None else threshold, **options)
                groups = {group[0].label: group for group in found}
            case What.OUTLIERS:
                groups = {"outliers": analysis.outliers(opened, n or 20, **options)}
            case What.CLASSIFY:
                groups = _by_label(_classified(opened, label or [], example or [], options))
    rows = [row for group in groups.values() for row in group]
    if out is not None:
        _write(rows, out)
    if as_json:
        print_json({"collection": str(collection), "what": what.value, "rows": [row.to_dict() for row in rows]})
    else:
        _show(groups)
    if not rows:
        raise typer.Exit(ExitCode.NOTHING_FOUND)


def _refuse_unused(what: What, *, n: int | None, threshold: float | None, labels: Sequence[str]) -> None:
    """Every option is used or refused."""
    wrong = [
        name
        for name, is_given, users in (
            ("-n", n is not None, (What.CLUSTER, What.OUTLIERS)),
            ("--threshold", threshold is not None, (What.DUPLICATES,)),
            ("--label and --example", bool(labels), (What.CLASSIFY,)),
        )
        if is_given and what not in users
    ]
    if wrong:
        raise InvalidInput(f"`{what.value}` does not take {wrong[0]}: leave it out")


def _classified(
    collection: Collection, names: Sequence[str], examples: Sequence[str], options: dict[str, Any]
) -> list[Labelled]:
    from onesense.index import analysis

    labels: dict[str, list[Any]] = {name: [name] for name in names}
    for pair in examples:
        name, sign, file = pair.partition("=")
        if not (name and sign and file):
            raise InvalidInput(f"--example {pair!r} is not LABEL=FILE, such as --example cat=mine/felix.jpg")
        labels.setdefault(name, []).append(Path(file).expanduser())
    return analysis.classify(collection, labels, **options)


def _by_label(rows: Sequence[Labelled]) -> dict[str, list[Labelled]]:
    groups: dict[str, list[Labelled]] = {}
    for row in rows:
        groups.setdefault(row.label, []).append(row)
    return groups


def _write(rows: Sequence[Labelled], out: Path) -> None:
    from onesense.index import analysis

    try:
        analysis.write_table(rows, out)
    except OSError as cause:
        raise InvalidInput(f"`{out}` cannot be written: {cause.strerror or cause}") from cause


def _show(groups: dict[str, list[Labelled]]) -> None:
    from .screen import clip, print_table

    if not any(groups.values()):
        print("nothing found")
    for name, rows in groups.items():
        shown = [
            (f"{row.score:.3f}", row.modality, f"{short_path(row.path)} {row.locator}".strip(), clip(row.preview, 60))
            for row in rows[:_SHOWN]
        ]
        more = f", {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
        print_table(("score", "modality", "where", "what"), shown, title=f"{name}: {len(rows)}{more}")
