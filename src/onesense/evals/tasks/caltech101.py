"""Caltech-101: is a picture nearest to the name of what it shows, among all names?"""

from __future__ import annotations

import numpy as np

from ...types import Array
from ...vectors import truncate_normalize
from ..encoder import Encoder
from ..metrics import accuracy, ranks
from ..packs import Packs
from ..task import EvalTask, Result, Scope, by_group, with_article

PACK = "images/caltech101"
PROMPTS = ("{text}", "a photo of {a text}", "a picture of {a text}")


def fill(prompt: str, name: str) -> str:
    """A prompt with a class name in it, with or without its article."""
    return prompt.replace("{a text}", with_article(name)).replace("{text}", name)


def run(encoder: Encoder, packs: Packs, scope: Scope) -> list[Result]:
    """Top-1 with the mean of the prompts, the mean over classes, then each prompt alone."""
    metas = [(key, meta) for key, meta in packs.metas(PACK) if meta["split"] == "test"]
    picked = {key for key, _ in scope.pick(metas)}
    names = sorted({meta["label"] for _, meta in metas})
    samples = list(packs.samples(PACK, lambda key, _: key in picked))
    labels = [names.index(sample.meta["label"]) for sample in samples]
    pictures = encoder.embed(sample.part for sample in samples)
    banks = {prompt: encoder.embed(fill(prompt, name) for name in names) for prompt in PROMPTS}
    mean = truncate_normalize(np.mean(list(banks.values()), axis=0), encoder.dim)
    name, n, chance = f"picture → one of {len(names)} names", len(labels), 1 / len(names)
    by = _by_class(pictures @ mean.T, labels, names)
    return [
        Result(f"{name}, mean of prompts", "top-1", accuracy(pictures @ mean.T, labels), n, chance, {"by": by}),
        Result(f"{name}, mean over names", "top-1", float(np.mean(list(by.values()))), n, chance),
        *(
            Result(f"{name}, `{prompt}`", "top-1", accuracy(pictures @ bank.T, labels), n, chance)
            for prompt, bank in banks.items()
        ),
    ]


def _by_class(scores: Array, labels: list[int], names: list[str]) -> dict[str, float]:
    hit = np.array([r[0] == 1 for r in ranks(scores, labels)])
    return by_group(hit, [names[i] for i in labels])


task = EvalTask(
    name="caltech101",
    measures="photographs are classified by the nearest of the class names (Caltech-101)",
    split="pictures with split == test",
    prompts=PROMPTS,
    packs=(PACK,),
    run=run,
)
