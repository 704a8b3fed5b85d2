"""`onesense eval`: a model measured on the development sets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .verb import DEFAULT_MODEL, ExitCode, Json, Model

if TYPE_CHECKING:
    from onesense.evals.run import Step


def command(
    tasks: Annotated[list[str] | None, typer.Argument(help="Names of tasks; all by default.")] = None,
    data: Annotated[Path | None, typer.Option("--data", help="Folder of the data packs; or set ONESENSE_DATA.")] = None,
    model: Model = DEFAULT_MODEL,
    limit: Annotated[int | None, typer.Option("--limit", min=2, help="Most items of a set, for a quick look.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="For what is drawn at random.")] = 0,
    as_json: Json = False,
) -> None:
    """Measure a model on the development sets; prints a Markdown table. Exit 3 when a task could not be measured."""
    from onesense.evals.run import evaluate

    from .screen import progress_bar

    with progress_bar("measuring", quiet=as_json) as bar:

        def progress(step: Step) -> None:
            bar(step.done, step.n_tasks, f"{step.task}, {step.n_embedded} embedded")

        report = evaluate(model, data, tasks or None, limit=limit, seed=seed, progress=progress)
    print(report.to_json() if as_json else report.to_markdown())
    if report.failed:
        raise typer.Exit(ExitCode.SOME_FAILED)
