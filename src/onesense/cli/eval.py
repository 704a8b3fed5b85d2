"""`onesense eval`: a model measured on the development sets."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .verb import DEFAULT_MODEL, ExitCode, Json, Model, print_json

if TYPE_CHECKING:
    from onesense.evals.run import Step


def command(
    tasks: Annotated[list[str] | None, typer.Argument(help="Names of tasks; all by default.")] = None,
    data: Annotated[Path | None, typer.Option("--data", help="Folder of the data packs; or set ONESENSE_DATA.")] = None,
    model: Model = DEFAULT_MODEL,
    limit: Annotated[int | None, typer.Option("--limit", min=2, help="Most items of a set, for a quick look.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="For what is drawn at random.")] = 0,
    mteb: Annotated[bool, typer.Option("--mteb", help="The names are official tasks, measured by mteb.")] = False,
    overlap: Annotated[bool, typer.Option("--overlap", help="Only look for leaks: no model.")] = False,
    questions: Annotated[Path | None, typer.Option(help="`rag`: your questions, JSON Lines, with --in.")] = None,
    collections: Annotated[
        list[Path] | None, typer.Option("--in", help="`rag`: collection to ask. Repeatable.")
    ] = None,
    llm: Annotated[str | None, typer.Option("--llm", help="`rag`: the language model, as for `onesense ask`.")] = None,
    as_json: Json = False,
) -> None:
    """Measure a model on the development sets; prints a Markdown table. Exit 3 when a task could not be measured.

    `onesense eval rag` measures answers and their citations instead, on made-up meetings or on your own questions.
    """
    if tasks == ["rag"]:
        _rag(model, questions, collections or [], llm, as_json=as_json)
        return
    if overlap:
        _leaks(data, limit, as_json=as_json)
        return
    if mteb:
        _official(model, tasks or [], as_json=as_json)
        return
    from onesense.evals.run import evaluate

    from .screen import progress_bar

    with progress_bar("measuring", quiet=as_json) as bar:

        def progress(step: Step) -> None:
            bar(step.done, step.n_tasks, f"{step.task}, {step.n_embedded} embedded")

        report = evaluate(model, data, tasks or None, limit=limit, seed=seed, progress=progress)
    print(report.to_json() if as_json else report.to_markdown())
    if report.failed:
        raise typer.Exit(ExitCode.SOME_FAILED)


def _rag(model: str, questions: Path | None, collections: list[Path], llm: str | None, *, as_json: bool) -> None:
    """Recall and citations of answers."""
    from onesense.errors import InvalidInput
    from onesense.rag.evaluate import evaluate, read_questions
    from onesense.rag.library import Library

    from .screen import progress_bar

    if (questions is None) != (not collections):
        raise InvalidInput("--questions and --in belong together: your questions, and the collection that answers them")
    with tempfile.TemporaryDirectory() as folder:
        if questions is None:
            questions, collections = _meetings(Path(folder), model)
        with Library.open(collections) as library, progress_bar("asking", quiet=as_json) as progress:
            report = evaluate(library, read_questions(questions), llm=llm, progress=progress)
    if as_json:
        print_json(report.to_dict())
        return
    facts = report.to_dict()
    print(f"{facts['n']} questions, {facts['llm'] or 'no language model'}\n")
    kinds = {"all": facts["all"], **facts["by_kind"]}
    print("| measure | " + " | ".join(kinds) + " |\n|---|" + "---:|" * len(kinds))
    for name in facts["all"]:
        cells = ("–" if kinds[kind][name] is None else f"{kinds[kind][name]:.2f}" for kind in kinds)
        print(f"| {name} | " + " | ".join(cells) + " |")


def _meetings(folder: Path, model: str) -> tuple[Path, list[Path]]:
    """The made-up meetings, indexed: their questions and their collection."""
    from onesense import Collection

    from . import eval_meetings

    questions = eval_meetings.build(folder)
    at = folder / "meetings.onesense"
    with Collection.open(at, model=model) as collection:
        collection.add([folder / "meetings"])
    return questions, [at]


def _leaks(data: Path | None, limit: int | None, *, as_json: bool) -> None:
    """Development rows among the training rows of a data folder; `limit` caps the training texts that are compared."""
    from onesense.evals import near
    from onesense.evals.packs import Packs

    report = near.check(Packs(data), most=limit)
    print_json(report.to_dict()) if as_json else print("\n".join(report.lines()))


def _official(model: str, names: list[str], *, as_json: bool) -> None:
    """Main scores of official tasks."""
    from onesense.errors import InvalidInput
    from onesense.evals import mteb

    if not names:
        raise InvalidInput("name the official tasks or benchmarks: onesense eval --mteb STS17 SIB200Classification")
    scores = {found.task_name: float(found.get_score()) for found in mteb.run(model, names).task_results}
    if as_json:
        print_json({"model": model, "scores": scores})
        return
    from .screen import print_table

    print_table(("task", "main score"), [(name, f"{score:.4f}") for name, score in scores.items()])
