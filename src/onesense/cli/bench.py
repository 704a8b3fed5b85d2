"""`onesense bench`: which model, and which runtime, is how fast on this machine?"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .verb import DEFAULT_MODEL, Json, print_json

if TYPE_CHECKING:
    from onesense.evals.speed import Speed
    from onesense.types import Content


def command(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Your own files and folders; made-up inputs if none.")
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help="A model, or MODEL@RUNTIME such as onesense-mini@openvino. Repeatable."),
    ] = None,
    n: Annotated[int, typer.Option("-n", min=2, help="Texts of a round; of files, the most of a kind.")] = 64,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds that are counted.")] = 5,
    as_json: Json = False,
) -> None:
    """Race models over the same inputs: inputs and tokens a second, milliseconds of one, neighbours kept."""
    from onesense.evals.report import machine
    from onesense.evals.speed import race, samples

    from .screen import print_table, progress_bar

    inputs = _files(paths, n) if paths else samples(n)
    with progress_bar("measuring", quiet=as_json) as bar:
        found = race(models or [DEFAULT_MODEL], inputs, rounds=rounds, progress=bar)
    if as_json:
        print_json({"machine": machine(), "rounds": rounds, "results": [speed.to_dict() for speed in found]})
        return
    print(f"{machine()}; medians of {rounds} rounds, in turns")
    columns = ("kind", "model", "a second", "tokens a second", "one: p50 ms", "p99 ms", "neighbours kept")
    print_table(columns, [_row(speed) for speed in found])


def _row(speed: Speed) -> tuple[str, ...]:
    if speed.reason:
        return speed.kind, speed.model, speed.reason, "", "", "", ""
    told = speed.to_dict()
    kept = "" if speed.kept is None else f"{100 * speed.kept:.1f} %"
    numbers = (told["median_per_s"], speed.tokens_per_s, told["p50_ms"], told["p99_ms"])
    return speed.kind, speed.model, *(f"{number:,.1f}" for number in numbers), kept


def _files(paths: list[Path], n: int) -> dict[str, list[Content]]:
    """The first stretch of up to `n` readable files of each kind.

    Raises:
        NotFound: a path does not exist.
        InvalidInput: nothing at or below them can be read.
    """
    from onesense import media
    from onesense.errors import InvalidInput, NotFound, OnesenseError
    from onesense.index.sources import Failure, as_roots, find_files

    kinds: dict[str, list[Content]] = defaultdict(list)
    for root in as_roots(paths):
        if not Path(root).exists():
            raise NotFound(f"there is no file or folder `{root}`")
        for file in find_files(root, ()):
            try:
                first = None if isinstance(file, Failure) else next(media.segments(file.path), None)
            except (OnesenseError, OSError):
                continue  # what cannot be read is told by `onesense index --dry-run`
            if first is not None and len(kinds[first.modality]) < n:
                kinds[first.modality].append(first.content)
    if not any(kinds.values()):
        raise InvalidInput("none of these files can be read: `onesense index --dry-run` says why")
    return dict(kinds)
