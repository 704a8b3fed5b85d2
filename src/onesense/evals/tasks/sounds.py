"""Sounds by name: names held out of training, and sounds that code makes."""

from __future__ import annotations

from ...types import Part
from ..encoder import Encoder
from ..metrics import mean_average_precision
from ..packs import Packs
from ..splits import is_dev_sound
from ..synth import sounds as synthetic_sounds
from ..task import EvalTask, Result, Scope, places, retrieval

PACK = "audio/sounds"


def run(encoder: Encoder, packs: Packs, scope: Scope) -> list[Result]:
    """Text to sound: R@10 and R@1 of held-out names among all sounds of the pack, then of synthetic sounds."""
    metas = list(packs.metas(PACK))
    held_out = {key for key, meta in metas if is_dev_sound(meta["label"])}
    others = [key for key, _ in metas if key not in held_out]
    kept = {*scope.pick(sorted(held_out)), *scope.pick(others)}
    samples = list(packs.samples(PACK, lambda key, _: key in kept))
    named = places([sample.meta["label"] for sample in samples])
    names = [name for name in named if is_dev_sound(name)]
    scores = encoder.embed(names) @ encoder.embed(sample.part for sample in samples).T
    return [
        *retrieval("held-out name → sound", scores, [named[name] for name in names], (10, 1)),
        *_made(encoder, scope),
    ]


def _made(encoder: Encoder, scope: Scope) -> list[Result]:
    made = synthetic_sounds(scope.seed)
    named = places([name for name, _ in made])
    scores = encoder.embed(named) @ encoder.embed(Part(sound) for _, sound in made).T
    right = list(named.values())
    title = "name → synthetic sound"
    average = Result(title, "mAP", mean_average_precision(scores, right), len(right))
    return [*retrieval(title, scores, right, (1, 3)), average]


task = EvalTask(
    name="sounds",
    measures="names of sounds find their recordings, and sounds synthesised by code",
    split="names held out by onesense.evals.splits.is_dev_sound, among all sounds of the pack; synthetic ones by seed",
    prompts=("{text}",),
    packs=(PACK,),
    run=run,
)
