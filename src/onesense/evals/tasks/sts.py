"""STS-B dev: do cosines of sentence pairs order as people scored their similarity, in eleven languages?"""

from __future__ import annotations

from ...types import Array
from ..encoder import Encoder
from ..metrics import spearman
from ..packs import Packs
from ..task import EvalTask, Result, Scope

PACK = "text/stsb_ccbysa_train_dev.tsv.xz"
MOST_OTHER = 200  # pairs a language but English: 0.05 standard error of a rank correlation of 0.7


def pairs_by_language(packs: Packs) -> dict[str, list[dict[str, str]]]:
    """Development rows by language, English first."""
    found: dict[str, list[dict[str, str]]] = {"en": []}
    for row in packs.rows(PACK):
        if row["split"] == "dev":
            found.setdefault(row["lang"], []).append(row)
    return found


def cosines(encoder: Encoder, rows: list[dict[str, str]], task: str | None = None) -> Array:
    """Cosine of the two sentences of each row, float32 [n]."""
    vectors = encoder.embed([r["sentence1"] for r in rows] + [r["sentence2"] for r in rows], task)
    paired: Array = (vectors[: len(rows)] * vectors[len(rows) :]).sum(-1)
    return paired


def run(encoder: Encoder, packs: Packs, scope: Scope) -> list[Result]:
    """Spearman for English, then the mean of the other languages."""
    rows = pairs_by_language(packs)
    english = scope.pick(rows.pop("en"))
    results = [Result("English", "Spearman", _correlation(encoder, english), len(english), 0.0)]
    others = {lang: scope.pick(rows[lang], MOST_OTHER) for lang in scope.pick_groups(sorted(rows))}
    if others:
        by = {lang: _correlation(encoder, picked) for lang, picked in others.items()}
        n = sum(map(len, others.values()))
        mean = sum(by.values()) / len(by)
        results.append(Result(f"mean of {len(by)} other languages", "Spearman", mean, n, 0.0, {"by": by}))
    return results


def _correlation(encoder: Encoder, rows: list[dict[str, str]]) -> float:
    return spearman(cosines(encoder, rows), [float(r["score"]) for r in rows])


task = EvalTask(
    name="sts",
    measures="sentence similarity in 11 languages (STS-B dev, the freely licensed part)",
    split="rows with split == dev; at most 200 evenly spread pairs a language but English",
    prompts=("{text}",),
    packs=(PACK,),
    run=run,
)
