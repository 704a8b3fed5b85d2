"""`onesense train`: recipes, and the steps before and after them. Needs the extra `[train]` for all that computes."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from onesense.errors import InvalidInput, MissingExtra

from .verb import Json, print_json

if TYPE_CHECKING:
    from onesense.train.recipe import Recipe
    from onesense.train.run import Outcome, Plan

_DATA = "ONESENSE_DATA"
_SOURCES = "ONESENSE_SOURCES"


def command(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[RECIPE]", help="Recipe by name or .py file; arguments of a step.")
    ] = None,
    minutes: Annotated[float, typer.Option("--minutes", help="Wall-clock budget of the whole run.")] = 20.0,
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Stop at this step instead.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder of checkpoint and log; runs/RECIPE.")] = None,
    threads: Annotated[int, typer.Option("--threads", min=0, help="CPU threads; 0 is one a core.")] = 0,
    device: Annotated[str, typer.Option("--device", help="cpu, cuda or auto.")] = "auto",
    keep: Annotated[int, typer.Option("--keep", min=0, help="Snapshots to keep for averaging.")] = 0,
    data: Annotated[Path | None, typer.Option("--data", help="Folder of the data packs; or set ONESENSE_DATA.")] = None,
    smoke: Annotated[bool, typer.Option("--smoke", help="Two steps of a few rows: does everything fit?")] = False,
    no_overlap: Annotated[
        bool, typer.Option("--no-overlap", help="Do not look for leaks before the first step.")
    ] = False,
    pack: Annotated[Path | None, typer.Option("--pack", help="Write what the recipe reads here, in pieces.")] = None,
    from_: Annotated[Path | None, typer.Option("--from", help="Train from such a folder of pieces.")] = None,
    average: Annotated[bool, typer.Option("--average", help="Mean of the named checkpoints, or of a run's.")] = False,
    step: Annotated[str | None, typer.Option("--step", help="Run a step round training; see --list.")] = None,
    list_: Annotated[bool, typer.Option("--list", help="List recipes and steps.")] = False,
    as_json: Json = False,
) -> None:
    """Train a model by a recipe, or do one of the steps before and after."""
    given = names or []
    if data is not None:
        os.environ[_DATA] = str(data.expanduser())
    if list_:
        _list(as_json=as_json)
    elif step is not None:
        _run_step(step, given)
    elif average:
        _average(given, out, as_json=as_json)
    elif pack is not None:
        _pack(_recipe(given), pack, as_json=as_json)
    else:
        recipe, root = _start(given, from_)
        from onesense.train.run import Plan
        from onesense.train.run import smoke as reduced

        name = given[0] if given else "packed"
        target = out or Path("runs") / f"{Path(name).stem}{'-smoke' * smoke}"
        if smoke:
            recipe, steps = reduced(recipe), 2
            if out is None:
                (target / "last.pt").unlink(
                    missing_ok=True
                )  # made anew; in a folder that was named, nothing is removed
        plan = Plan(minutes, steps, device, threads, keep, root, not no_overlap)
        _train(recipe, target, plan, as_json=as_json)


def _require_torch() -> None:
    if find_spec("torch") is None:
        raise MissingExtra("training needs torch: pip install 'onesense[train]'")


def _list(*, as_json: bool) -> None:
    from onesense.train.recipe import names
    from onesense.train.steps import STEPS

    steps = {name: step.does for name, step in STEPS.items()}
    if as_json:
        print_json({"recipes": names(), "steps": steps})
        return
    from .screen import print_table

    print_table(("recipe", "what it is"), list(names().items()))
    print_table(("step", "what it does"), list(steps.items()))


def _run_step(name: str, arguments: list[str]) -> None:
    from onesense.train import steps

    if steps.find(name).needs_torch:
        _require_torch()
    steps.run(name, arguments)


def _average(files: list[str], out: Path | None, *, as_json: bool) -> None:
    if out is None:
        raise InvalidInput("--average writes a file: name it with --out mean.pt")
    _require_torch()
    from onesense.train import checkpoint

    made = checkpoint.average([Path(file).expanduser() for file in files], out)
    print_json({"checkpoint": str(made)}) if as_json else print(f"{made}: a recipe can start from it, export reads it")


def _recipe(given: list[str]) -> Recipe:
    from onesense.train.recipe import load_recipe, names, path_of

    if len(given) != 1:
        known = ", ".join(names())
        raise InvalidInput(f"{len(given)} recipes were named, expected one: {known}, or a .py file of your own")
    path_of(given[0])  # a wrong name is told even where torch is missing
    _require_torch()
    return load_recipe(given[0])


def _start(given: list[str], packed: Path | None) -> tuple[Recipe, Path]:
    """The recipe and the folder that its paths start from."""
    if packed is None:
        return _recipe(given), Path()
    _require_torch()
    from onesense.train.travel import unpack

    recipe, root = unpack(packed.expanduser())
    if given and _recipe(given) != recipe:
        raise InvalidInput(f"{packed} holds another recipe than `{given[0]}`: name none, or pack again")
    os.environ[_DATA], os.environ[_SOURCES] = str(root / "data"), str(root / "sources")
    return recipe, root


def _pack(recipe: Recipe, out: Path, *, as_json: bool) -> None:
    from onesense.train.travel import pack

    manifest = pack(recipe, out.expanduser())
    sizes = [piece["bytes"] for piece in manifest["pieces"]]
    if as_json:
        print_json({"folder": str(out), "pieces": manifest["pieces"]})
    else:
        print(f"{len(sizes)} pieces, {sum(sizes) / 1e6:.0f} MB, in {out}: `onesense train --from {out}` reads them")


def _train(recipe: Recipe, out: Path, plan: Plan, *, as_json: bool) -> None:
    from onesense.train.run import Watch, train

    from .screen import progress_bar

    with progress_bar("training", quiet=as_json) as bar:

        def progress(share: float, line: str) -> None:
            bar(int(100 * share), 100, line)

        def line(text: str) -> None:
            print(text, file=sys.stderr, flush=True)

        outcome = train(recipe, out, plan, Watch(line, progress))
    print_json(_plain(outcome)) if as_json else _tell(outcome)


def _plain(outcome: Outcome) -> dict[str, Any]:
    facts = {name: getattr(outcome, name) for name in outcome.__slots__}
    return facts | {"checkpoint": str(outcome.checkpoint)}


def _tell(outcome: Outcome) -> None:
    shown = ", ".join(f"{name} {value:.3f}" for name, value in outcome.losses.items())
    print(f"{outcome.checkpoint}: step {outcome.step}, {outcome.seconds / 60:.1f} min on {outcome.device}; {shown}")
    if outcome.is_stopped:
        print("It was stopped before its budget was used: the same command goes on from there.")
