"""NTREX lines 1501-1600: does a news sentence in 120+ languages find its English original among the hundred?"""

from __future__ import annotations

import numpy as np

from ..encoder import Encoder
from ..metrics import ranks
from ..packs import Packs
from ..splits import is_dev_ntrex
from ..task import EvalTask, Result, Scope, unique_index

PACK = "text/ntrex_1-1600.tsv.xz"


def rows_by_variant(packs: Packs) -> dict[str, list[dict[str, str]]]:
    """Development rows by language variant, sorted by its code."""
    found: dict[str, list[dict[str, str]]] = {}
    for row in packs.rows(PACK):
        if is_dev_ntrex(int(row["line"])):
            found.setdefault(row["variant"], []).append(row)
    return dict(sorted(found.items()))


def run(encoder: Encoder, packs: Packs, scope: Scope) -> list[Result]:
    """R@1 of each variant over all English lines: mean, and the number of variants at 50 % or more."""
    rows = rows_by_variant(packs)
    english, _ = unique_index([row["english"] for variant in rows.values() for row in variant])
    place = {text: i for i, text in enumerate(english)}
    candidates = encoder.embed(english)
    by: dict[str, float] = {}
    n = 0
    for variant in scope.pick_groups(list(rows)):
        picked = scope.pick(rows[variant])
        scores = encoder.embed([row["text"] for row in picked]) @ candidates.T
        by[variant] = float(np.mean([r[0] == 1 for r in ranks(scores, [place[row["english"]] for row in picked])]))
        n += len(picked)
    values = np.array(list(by.values()))
    detail = {"candidates": len(english), "variants": len(by), "by": by}
    return [
        Result("xx → en, mean of variants", "R@1", float(values.mean()), n, 1 / len(english), detail),
        Result("variants of 50 % or more", "count", float((values >= 0.5).sum()), len(by)),
    ]


task = EvalTask(
    name="ntrex",
    measures="news sentences of 120+ language variants find their English original, 100-way",
    split="lines 1501-1600 of NTREX",
    prompts=("{text}",),
    packs=(PACK,),
    run=run,
)
