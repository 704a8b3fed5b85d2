"""`onesense index`: files into a collection."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onesense.errors import InvalidInput

from .verb import DEFAULT_COLLECTION, Dim, ExitCode, Json, TaskName, print_json

if TYPE_CHECKING:
    from onesense.index.collection import Collection
    from onesense.index.ingest import Report
    from onesense.index.plan import Plan
    from onesense.types import Price

_OUTCOMES = ("added", "updated", "moved", "unchanged", "removed", "failed")
_NAMED = 20  # failed files named on the screen; --json names all


def command(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Files and folders; folders are read with all below them.")
    ] = None,
    to: Annotated[Path, typer.Option("--to", help="The collection: a folder, or a file that ends in .json.")] = Path(
        DEFAULT_COLLECTION
    ),
    prune: Annotated[bool, typer.Option("--prune", help="Forget files that are gone from these folders.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count and estimate; write nothing.")] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try again what failed before.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Then follow changes of the folders until Ctrl-C.")] = False,
    dim: Dim = None,
    dtype: Annotated[
        str | None, typer.Option("--dtype", help="How vectors are kept: float32, float16, int8 or binary.")
    ] = None,
    task: TaskName = None,
    price: Annotated[
        str | None,
        typer.Option(
            envvar="ONESENSE_PRICE",
            metavar="MODALITY=USD,...",
            help="With --dry-run: what a service takes for a million tokens, such as text=0.2,image=0.45.",
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="The collection's own by default; onesense-mini for a new one.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Index files and folders; unchanged files are skipped, and files that cannot be read are named (exit 3)."""
    if bool(paths) == retry_failed or (watch and (dry_run or retry_failed)) or (dry_run and retry_failed):
        raise InvalidInput("give files or folders, with --dry-run or --watch if you like; or --retry-failed alone")
    from onesense import Collection

    if dry_run:
        given = _price(price) if price else None
        plan = _plan(to, list(paths or []), model, dim, task)
        plan.price = given or plan.price
        _tell_plan(plan, to, as_json=as_json)
        return
    with Collection.open(to, model=model, dim=dim, task=task, dtype=dtype) as collection:
        from onesense.index import registry

        registry.register(to)
        if watch:
            _follow(collection, list(paths or []), lambda r: _tell(r, to, collection.count(), as_json=as_json))
            return
        report = _run(collection, list(paths or []), prune=prune, retry_failed=retry_failed, quiet=as_json)
        _tell(report, to, collection.count(), as_json=as_json)
    if report.failed:
        raise typer.Exit(ExitCode.SOME_FAILED)


def _run(collection: Collection, paths: list[Path], *, prune: bool, retry_failed: bool, quiet: bool) -> Report:
    from .screen import progress_bar

    with progress_bar("indexing", quiet=quiet) as progress:
        if retry_failed:
            return collection.retry_failed(progress=progress)
        return collection.add(paths, prune=prune, progress=progress)


def _follow(collection: Collection, paths: list[Path], on_report: Callable[[Report], None]) -> None:
    try:
        collection.watch(paths, on_report)
    except KeyboardInterrupt:
        return


def _plan(to: Path, paths: list[Path], model: str | None, dim: int | None, task: str | None) -> Plan:
    """Of an existing collection, or of one that is made elsewhere for the moment: a dry run leaves nothing behind."""
    import tempfile

    from onesense import Collection

    if to.expanduser().exists():
        with Collection.open(to, model=model, dim=dim, task=task, create=False) as collection:
            return collection.plan(paths)
    with tempfile.TemporaryDirectory() as folder:
        with Collection.open(Path(folder) / "dry.json", model=model, dim=dim, task=task) as collection:
            return collection.plan(paths)


def _price(text: str) -> Price:
    """`text=0.2,image=0.45` as prices of a million tokens.

    Raises:
        InvalidInput: it is of another form.
    """
    from onesense.types import Price

    found = {}
    for item in text.split(","):
        name, _, usd = item.partition("=")
        try:
            found[name.strip()] = float(usd)
        except ValueError:
            found[name.strip()] = -1.0
        if not (name.strip() and 0 <= found[name.strip()] < math.inf):
            raise InvalidInput(f"a price is MODALITY=USD for a million tokens, such as text=0.2, not {item!r}")
    return Price(found, "", "--price")


def _tell_plan(plan: Plan, to: Path, *, as_json: bool) -> None:
    from .screen import print_table

    if as_json:
        print_json({"collection": str(to)} | plan.to_dict())
        return
    print(f"{to}: {plan.n_new} new, {plan.n_changed} changed, {plan.n_unchanged} unchanged; nothing was written")
    rows = [
        (name, tally.n_files, f"{tally.n_bytes / 1e6:.1f} MB", f"{tally.media_s:.0f} s", _seconds(tally.estimated_s))
        for name, tally in sorted(plan.by_modality.items())
    ]
    if rows:
        print_table(("modality", "files", "size", "sound and video", "estimated time"), rows)
    if rows and not plan.is_remote:
        print(f"all together about {_seconds(plan.estimated_s)} on this machine as busy as it is now")
    if plan.is_remote:
        _tell_cost(plan)
    for failure in plan.failed[:_NAMED]:
        print(f"  cannot be indexed: {failure.path}: {failure.reason} [{failure.code}]")


def _tell_cost(plan: Plan) -> None:
    """What would leave this machine, and for how much."""
    tokens = ", ".join(f"{n:,} of {name}" for name, n in sorted(plan.tokens.items())) or "none"
    n_segments = sum(tally.n_segments for tally in plan.by_modality.values())
    print(f"about {n_segments:,} segments would be sent to the model's service; tokens: {tokens}")
    if plan.usd is None or plan.price is None:
        unknown = sorted(set(plan.tokens) - set(plan.price.usd_per_million if plan.price else ()))
        example = ",".join(f"{name}=0.20" for name in unknown)
        print(f"no price is known here for {', '.join(unknown)}: --price {example} gives US dollars a million tokens")
        return
    said = f"prices of {plan.price.as_of}, {plan.price.source}" if plan.price.as_of else "the prices given"
    print(f"about ${plan.usd:,.2f} by {said}" if plan.usd >= 0.005 else f"less than one cent by {said}")


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    return (
        f"{seconds:.1f} s"
        if seconds < 60
        else f"{seconds / 60:.0f} min"
        if seconds < 7_200
        else f"{seconds / 3_600:.1f} h"
    )


def _tell(report: Report, to: Path, n_segments: int, *, as_json: bool) -> None:
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
