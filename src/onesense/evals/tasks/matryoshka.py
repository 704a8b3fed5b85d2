"""Matryoshka: what each shorter prefix of the vectors keeps of the main scores."""

from __future__ import annotations

from importlib import import_module

import numpy as np

from ..encoder import Encoder
from ..packs import Packs
from ..task import EvalTask, Result, Scope

MAIN = ("sts", "ntrex", "tables", "glossary", "caltech101", "captions", "stories", "sounds", "speech", "narrations")
"""Tasks whose first result is measured at every size."""


def run(encoder: Encoder, packs: Packs, scope: Scope) -> list[Result]:
    """Mean over the main tasks of score(size) / score(full size), a result per size, largest first.

    Tasks without any score at full size keep no ratio and are named in `unscored`.
    """
    full = encoder.dim
    sizes = [d for d in dict.fromkeys(scope.dims) if d < full]
    tasks = [import_module(f"{__package__}.{name}").task for name in MAIN]
    scores = {dim: {t.name: t.run(encoder.at(dim), packs, scope)[0] for t in tasks} for dim in [full, *sizes]}
    scored = [name for name, result in scores[full].items() if result.value > 0]
    n = sum(scores[full][name].n for name in scored)
    results = []
    for dim in [full, *sizes]:
        kept = {name: scores[dim][name].value / scores[full][name].value for name in scored}
        detail = {
            "score": {name: result.value for name, result in scores[dim].items()},
            "kept": kept,
            "unscored": [name for name in scores[full] if name not in scored],
        }
        mean = float(np.mean(list(kept.values()))) if kept else 0.0
        results.append(Result(f"{dim} of {full}", "share kept", mean, n, None, detail))
    return results


task = EvalTask(
    name="matryoshka",
    measures=f"what prefixes of the vectors keep of the main scores of {', '.join(MAIN)}",
    split="as these tasks",
    prompts=("as these tasks",),
    packs=tuple(dict.fromkeys(pack for name in MAIN for pack in import_module(f"{__package__}.{name}").task.packs)),
    run=run,
)
