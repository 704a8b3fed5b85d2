"""The steps round a training run, in their order: name -> module with a `main`, and what it does. Imports none."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

from ..errors import NotFound


@dataclass(frozen=True, slots=True)
class Step:
    """One step; `python -m MODULE` runs it too."""

    module: str
    does: str
    needs_torch: bool = True


STEPS = {
    "data": Step(
        "onesense.train.data.folder", "check a data folder, tell what is missing: [FOLDER]", needs_torch=False
    ),
    "sources": Step("onesense.train.sources", "fetch and check the starting networks", needs_torch=False),
    "features": Step("onesense.train.features", "what eye and ear for sounds perceive in the packs: OUT [PACK...]"),
    "tables": Step("onesense.train.tables", "concept tables of pictures and sounds: FEATURES [OUT]"),
    "vocabulary": Step("onesense.train.vocabulary", "count which word pieces the packs use: OUT"),
    "letters": Step("onesense.train.letters", "pieces and rows for scripts that the imported model lacks: OUT"),
    "speech": Step("onesense.train.speech", "speech heard by the imported ear: OUT {train,dev} [--minutes N]"),
    "ear": Step("onesense.train.ear", "fit, tune or measure the ear's adapter: FOLDER {fit,windows,tune,eval}"),
    "reader": Step("onesense.train.reader", "the two networks that read print: FOLDER {lines,finder} [--minutes N]"),
    "export": Step("onesense.train.export", "a checkpoint to a model folder: CHECKPOINT --features F --ear E ..."),
    "choose": Step("onesense.train.choose", "measure the head's two constants: FOLDER --data DATA"),
    "baseline": Step("onesense.train.baseline", "measure the imported text model: TASK... --data DATA"),
}


def find(name: str) -> Step:
    """The step of this name.

    Raises:
        NotFound: there is none; the message names them.
    """
    if name not in STEPS:
        raise NotFound(f"no step is called `{name}`: there are {', '.join(STEPS)}")
    return STEPS[name]


def run(name: str, arguments: Sequence[str]) -> None:
    """Run a step with a command line of its own, as `python -m` would."""
    step = find(name)
    main = import_module(step.module).main
    before = sys.argv
    sys.argv = [f"onesense train --step {name}", *arguments]
    try:
        main()
    finally:
        sys.argv = before
