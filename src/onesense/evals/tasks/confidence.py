"""Honest scores: does a confidence mean what it says, and is "no confident match" told when there is none?

Each held-out query is asked twice of a pool of rows: once with what it asks for among them, once without. The pool has
rows of all kinds, so that its background is drawn as a collection of a person would have it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...index.calibrate import NO_MATCH, SAMPLE, Calibration, chance, evidence, pairs
from ...index.neutral import QUERIES
from ...types import Array
from ..encoder import Encoder
from ..metrics import mean_ranks
from ..packs import Packs
from ..splits import is_dev_caption, is_dev_sound
from ..task import EvalTask, Result, Scope, by_group, places
from .tables import QUESTIONS, TABLES, dev_questions, dev_tables, render

PICTURES, SOUNDS, NAMED = "images/captions", "audio/sounds", "images/caltech101"
POOL = 100  # rows of the kind that is asked for; recordings of one person's library, not a benchmark's
BINS = 5
MOST = 120  # queries a kind


@dataclass(frozen=True, slots=True, eq=False)
class _Kind:
    name: str
    modality: str
    queries: Array
    """float32 [n, d]."""
    rows: Array
    """float32 [m, d]."""
    right: Sequence[Sequence[int]]
    """Rows that answer each query."""


@dataclass(frozen=True, slots=True)
class _Verdict:
    kind: str
    confidence: float
    """Of the first hit."""
    has_answer: bool
    is_right: bool
    """The first hit is an answer."""


def run(encoder: Encoder, packs: Packs, scope: Scope) -> list[Result]:
    """Precision and recall of the verdict, the area under the curve of the confidence, and its calibration error."""
    kinds = [_captions(encoder, packs, scope), _sounds(encoder, packs, scope), _names(encoder, packs, scope)]
    kinds.append(_questions(encoder, packs, scope))
    neutral = encoder.embed(QUERIES)
    rng = np.random.default_rng(scope.seed)
    found = [verdict for kind in kinds for verdict in _asked(kind, neutral, rng)]
    none = [v for v in found if v.confidence < NO_MATCH]
    wrong = [v for v in found if not v.is_right]
    absent = [v for v in found if not v.has_answer]
    title = '"no confident match"'
    return [
        Result("first hit: right from wrong", "AUC", _auc(found), len(found), None, {"by": _auc_by(found)}),
        Result(f"{title}: the first hit is wrong", "precision", _share(none, "is_right", of=False), len(none)),
        Result(f"{title}: of the wrong first hits", "recall", _low(wrong), len(wrong)),
        Result(f"{title}: there is no answer", "precision", _share(none, "has_answer", of=False), len(none)),
        Result(f"{title}: of the queries without one", "recall", _low(absent), len(absent)),
        Result("confidence of the first hit", "calibration error", _error(found), len(found), None, _bins(found)),
    ]


def _asked(kind: _Kind, neutral: Array, rng: np.random.Generator) -> list[_Verdict]:
    verdicts = []
    for query, right in zip(kind.queries, kind.right, strict=True):
        others = rng.permutation(np.setdiff1d(np.arange(len(kind.rows)), right))[: POOL - 1]
        for has_answer in (True, False):
            chosen = np.concatenate([right[:1], others]).astype(int) if has_answer else others
            first, confidence = _first(query, kind.rows[chosen], kind.modality, neutral, rng)
            verdicts.append(_Verdict(kind.name, confidence, has_answer, has_answer and first == 0))
    return verdicts


def _first(query: Array, rows: Array, modality: str, neutral: Array, rng: np.random.Generator) -> tuple[int, float]:
    """Place and confidence of the nearest row, as a collection of these rows would tell."""
    sample = {modality: rows[rng.permutation(len(rows))[:SAMPLE]]}
    known = Calibration({modality: len(rows)}, {}, pairs(sample, neutral), 0, {}, sample)
    spread = known.background(query, "text", modality)
    assert spread is not None
    scores = rows @ query
    first = int(scores.argmax())
    return first, chance(evidence((float(scores[first]) - spread.mean) / spread.std, len(rows)))


# --- kinds of queries -----------------------------------------------------------------------------------------------


def _captions(encoder: Encoder, packs: Packs, scope: Scope) -> _Kind:
    samples = scope.pick(list(packs.samples(PICTURES)), 250)
    asked = [i for i, s in enumerate(samples) if is_dev_caption(s.key)]
    asked = asked or list(range(len(samples)))[:1]
    queries = encoder.embed(samples[i].meta["captions"][0] for i in asked)
    return _Kind("caption → picture", "image", queries, encoder.embed(s.part for s in samples), [[i] for i in asked])


def _sounds(encoder: Encoder, packs: Packs, scope: Scope) -> _Kind:
    samples = scope.pick(list(packs.samples(SOUNDS)), 300)
    named = places([s.meta["label"] for s in samples])
    names = [name for name in named if is_dev_sound(name)] or list(named)[:1]
    rows = encoder.embed(s.part for s in samples)
    return _Kind("name → sound", "audio", encoder.embed(names), rows, [named[name] for name in names])


def _names(encoder: Encoder, packs: Packs, scope: Scope) -> _Kind:
    keys = [key for key, meta in packs.metas(NAMED) if meta["split"] == "test"]
    kept = set(scope.pick(keys, 250))
    samples = list(packs.samples(NAMED, lambda key, _: key in kept))
    named = places([s.meta["label"] for s in samples])
    rows = encoder.embed(s.part for s in samples)
    return _Kind("name → picture", "image", encoder.embed(named), rows, list(named.values()))


def _questions(encoder: Encoder, packs: Packs, scope: Scope) -> _Kind:
    tables = scope.pick(dev_tables(packs), 150)
    place = {table["id"]: i for i, table in enumerate(tables)}
    asked = scope.pick(dev_questions(packs, tables), MOST)
    rows = encoder.embed(map(render, tables))
    right = [[place[q["table"]]] for q in asked]
    return _Kind("question → table", "text", encoder.embed(q["question"] for q in asked), rows, right)


# --- measures -------------------------------------------------------------------------------------------------------


def _share(verdicts: Sequence[_Verdict], name: str, *, of: bool) -> float:
    return float(np.mean([getattr(v, name) is of for v in verdicts])) if verdicts else 0.0


def _low(verdicts: Sequence[_Verdict]) -> float:
    return float(np.mean([v.confidence < NO_MATCH for v in verdicts])) if verdicts else 0.0


def _auc(verdicts: Sequence[_Verdict]) -> float:
    """Chance that a right first hit has a higher confidence than a wrong one; 0.5 where there is only one sort."""
    right = np.array([v.is_right for v in verdicts])
    n, m = int(right.sum()), int((~right).sum())
    if not n or not m:
        return 0.5
    ranks = mean_ranks(np.array([v.confidence for v in verdicts]))
    return float((ranks[right].sum() - n * (n + 1) / 2) / (n * m))


def _auc_by(verdicts: Sequence[_Verdict]) -> dict[str, float]:
    return {name: _auc([v for v in verdicts if v.kind == name]) for name in dict.fromkeys(v.kind for v in verdicts)}


def _groups(verdicts: Sequence[_Verdict]) -> list[list[_Verdict]]:
    out: list[list[_Verdict]] = [[] for _ in range(BINS)]
    for v in verdicts:
        out[min(BINS - 1, int(v.confidence * BINS))].append(v)
    return out


def _error(verdicts: Sequence[_Verdict]) -> float:
    """Mean distance between what is said and what is so, in bins of confidence (Guo et al. 2017, arXiv:1706.04599)."""
    gaps = [abs(sum(v.confidence - v.is_right for v in group)) for group in _groups(verdicts)]
    return float(sum(gaps) / len(verdicts))


def _bins(verdicts: Sequence[_Verdict]) -> dict[str, object]:
    """Share of right first hits in each bin of confidence, and by kind of query."""
    right = {
        f"{i / BINS:.1f}-{(i + 1) / BINS:.1f}": float(np.mean([v.is_right for v in group]))
        for i, group in enumerate(_groups(verdicts))
        if group
    }
    names = [v.kind for v in verdicts]
    said = by_group(np.array([v.confidence for v in verdicts]), names)
    return {"right by confidence": right, "said": said, "so": by_group(np.array([v.is_right for v in verdicts]), names)}


task = EvalTask(
    name="confidence",
    measures='confidences mean what they say, and "no confident match" is told when there is none',
    split="queries held out as in captions, sounds, caltech101 and tables, with and without answers in 100 rows",
    prompts=("{text}",),
    packs=(PICTURES, SOUNDS, NAMED, TABLES, QUESTIONS),
    run=run,
)
