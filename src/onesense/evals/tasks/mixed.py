"""One ranking over everything: does a text find its picture, sound, recording or translation among all of them?

Within one modality a constant gap between modalities does not show; in a person's library it decides what is seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...types import Array, Part
from ..encoder import Encoder
from ..metrics import ranks
from ..packs import Packs
from ..splits import is_dev_caption, is_dev_ntrex, is_dev_sound, is_dev_story
from ..task import EvalTask, Result, Scope, places

PICTURES, SOUNDS, SPEECH, TEXTS = "images/captions", "audio/sounds", "audio/stories_speech", "text/ntrex_1-1600.tsv.xz"
OTHER_SOUNDS = 150  # sounds of other names in the pool, about as many as there are pictures and recordings
VARIANT = "deu"  # NTREX name of the sentences whose English translation is to be found


@dataclass(frozen=True, slots=True)
class _Kind:
    """One modality of the pool, with the texts that ask for some of it."""

    name: str
    items: Sequence[Part | str]
    queries: Sequence[str]
    right: Sequence[Sequence[int]]
    """Places of what each query asks for, among `items`."""


def run(encoder: Encoder, packs: Packs, scope: Scope) -> list[Result]:
    """R@10 in the mixed pool, the mean of the kinds first; beside each kind what it would be among its own."""
    kinds = [_pictures(packs, scope), _sounds(packs, scope), _speech(packs, scope), _texts(packs, scope)]
    vectors = [encoder.embed(kind.items) for kind in kinds]
    pool = np.concatenate(vectors)
    starts = np.cumsum([0, *map(len, vectors)])
    results = []
    for kind, own, start in zip(kinds, vectors, starts, strict=False):
        asked = encoder.embed(kind.queries)
        mixed = _recall(asked @ pool.T, [[int(start) + i for i in r] for r in kind.right])
        detail = {"candidates": len(pool), "among its own kind": _recall(asked @ own.T, kind.right)}
        results.append(Result(f"text → {kind.name}, among all", "R@10", mixed, len(asked), 10 / len(pool), detail))
    mean = float(np.mean([r.value for r in results]))
    return [Result("text → anything, mean of kinds", "R@10", mean, sum(r.n for r in results), 10 / len(pool)), *results]


def _recall(scores: Array, right: Sequence[Sequence[int]]) -> float:
    return float(np.mean([r[0] <= 10 for r in ranks(scores, right)]))


def _pictures(packs: Packs, scope: Scope) -> _Kind:
    samples = scope.pick(list(packs.samples(PICTURES, lambda key, _: is_dev_caption(key))))
    return _Kind("picture", [s.part for s in samples], [s.meta["captions"][0] for s in samples], _each(len(samples)))


def _sounds(packs: Packs, scope: Scope) -> _Kind:
    metas = list(packs.metas(SOUNDS))
    held_out = scope.pick([key for key, meta in metas if is_dev_sound(meta["label"])])
    others = scope.pick([key for key, meta in metas if not is_dev_sound(meta["label"])], OTHER_SOUNDS)
    kept = {*held_out, *others}
    samples = list(packs.samples(SOUNDS, lambda key, _: key in kept))
    named = places([s.meta["label"] for s in samples])
    names = [name for name in named if is_dev_sound(name)]
    return _Kind("sound", [s.part for s in samples], names, [named[name] for name in names])


def _speech(packs: Packs, scope: Scope) -> _Kind:
    samples = scope.pick(list(packs.samples(SPEECH, lambda _, meta: is_dev_story(meta["story"]))))
    said = places([s.meta["text"] for s in samples])
    return _Kind("speech", [s.part for s in samples], list(said), list(said.values()))


def _texts(packs: Packs, scope: Scope) -> _Kind:
    rows = [r for r in packs.rows(TEXTS) if r["variant"] == VARIANT and is_dev_ntrex(int(r["line"]))]
    rows = scope.pick(rows)
    return _Kind("text", [r["english"] for r in rows], [r["text"] for r in rows], _each(len(rows)))


def _each(n: int) -> list[list[int]]:
    return [[i] for i in range(n)]


task = EvalTask(
    name="mixed",
    measures="one ranking over pictures, sounds, recordings and texts is fair to all of them",
    split="those of captions, sounds (among 150 others) and narrations, and NTREX lines 1501-1600 (deu)",
    prompts=("{text}",),
    packs=(PICTURES, SOUNDS, SPEECH, TEXTS),
    run=run,
)
