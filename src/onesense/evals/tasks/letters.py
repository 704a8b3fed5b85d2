"""Sentences in scripts that E5 has no letters for (Ol Chiki, N'Ko, Tifinagh, Tibetan) find their English."""

from __future__ import annotations

import numpy as np

from ..encoder import Encoder
from ..metrics import ranks
from ..packs import Packs
from ..splits import is_dev_letters
from ..task import EvalTask, Result, Scope

PACK = "text/sib200_train_dev.tsv.xz"
LANGUAGES = ("bo", "dz", "nqo", "sat", "taq-Tfng", "tzm")


def run(encoder: Encoder, packs: Packs, scope: Scope) -> list[Result]:
    """R@1 among all held-out English sentences, mean of the languages."""
    rows = [row for row in packs.rows(PACK) if is_dev_letters(row["id"]) and row["lang"] in LANGUAGES]
    english = sorted({row["english"] for row in rows})
    place = {text: i for i, text in enumerate(english)}
    candidates = encoder.embed(english)
    by: dict[str, float] = {}
    n = 0
    for language in sorted({row["lang"] for row in rows}):
        picked = scope.pick([row for row in rows if row["lang"] == language])
        scores = encoder.embed([row["text"] for row in picked]) @ candidates.T
        by[language] = float(np.mean([r[0] == 1 for r in ranks(scores, [place[row["english"]] for row in picked])]))
        n += len(picked)
    mean = float(np.mean(list(by.values())))
    return [Result("xx → en, mean of languages", "R@1", mean, n, 1 / len(english), {"by": by})]


task = EvalTask(
    name="letters",
    measures="encyclopaedia sentences in scripts without pieces in the imported vocabulary find their English",
    split="sentences of SIB-200's train and dev parts whose id ends in 9; their English was seen with other languages",
    prompts=("{text}",),
    packs=(PACK,),
    run=run,
)
