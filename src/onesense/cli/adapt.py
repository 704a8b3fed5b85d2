"""`onesense adapt`: a model adapted to your own pairs or labels, measured on what it did not learn from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .verb import DEFAULT_MODEL, ExitCode, Json, Model, TaskName, print_json

if TYPE_CHECKING:
    from onesense.train.adapt import Outcome


def command(
    data: Annotated[Path, typer.Argument(help="JSONL of pairs or of labelled items, or a folder of classes.")],
    to: Annotated[Path, typer.Option("--to", help="Folder of the adapted model; nothing may be there yet.")],
    model: Model = DEFAULT_MODEL,
    task: TaskName = None,
    rank: Annotated[int, typer.Option("--rank", min=1, help="Width of what is learned.")] = 64,
    minutes: Annotated[float, typer.Option("--minutes", help="Most minutes of training.")] = 5.0,
    seed: Annotated[int, typer.Option("--seed", help="Of the split and of the batches.")] = 0,
    keep: Annotated[bool, typer.Option("--keep", help="Save it although the held-out part did not gain.")] = False,
    as_json: Json = False,
) -> None:
    """Adapt a model to your own pairs or labels and save it as a model of its own; exit 4 when that does not help."""
    from onesense.train import adapt
    from onesense.train.contrast import Settings

    from .screen import progress_bar

    settings = Settings(rank=rank, minutes=minutes, seed=seed)
    with progress_bar("adapting", quiet=as_json) as progress:
        outcome = adapt.adapt(data, to, model=model, task=task, keep=keep, settings=settings, progress=progress)
    print_json(outcome.to_dict()) if as_json else _tell(outcome)
    if outcome.model is None:
        raise typer.Exit(ExitCode.NOTHING_FOUND)


def _tell(outcome: Outcome) -> None:
    from .screen import print_table

    parts = f"{outcome.n_train} to learn from, {outcome.n_valid} to stop by, {outcome.n_held} held out"
    repeated = f"; {outcome.n_repeated} rows said the same again" if outcome.n_repeated else ""
    print(f"{outcome.base}, {'queries' if outcome.kind == 'pairs' else 'items'}: {parts}{repeated}")
    if outcome.unit == "query":
        print("Nearly all pairs share a few documents: held-out queries are new, their documents are not.")
    columns = [(table, name) for name in ("ndcg_at_10", "recall_at_1") for table in (outcome.before, outcome.after)]
    rows = [(size, *(f"{table[size][name]:.3f}" for table, name in columns)) for size in outcome.before]
    print_table(("size", "nDCG@10 before", "after", "recall@1 before", "after"), rows, title="held-out part")
    gain = f"{100 * outcome.gain:+.1f} points of nDCG@10 (standard error {100 * outcome.error:.1f})"
    print(f"{gain}, best after {outcome.steps} steps; cosine to the base model's vectors {outcome.closeness:.2f}")
    print(f"{outcome.embedding_s:.0f} s to embed, {outcome.training_s:.0f} s to train")
    if not outcome.is_better:
        print("Adapting does not help here: the gain is nothing, or could be chance. Give more or other examples.")
    if outcome.model is None:
        print("Nothing was saved; --keep saves it all the same.")
    else:
        print(f"saved; its name is {outcome.model}")
