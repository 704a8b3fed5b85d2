"""A thousand names at once: which of ImageNet's class names is nearest to a photograph of such a class?

No ImageNet picture may be held, so the photographs are Caltech-101's test pictures of classes that ImageNet has too.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from ..encoder import Encoder
from ..metrics import ranks
from ..packs import Packs
from ..task import EvalTask, Result, Scope, with_article
from .composed import LABELS

PACK = "images/caltech101"
PROMPT = "a photo of {a text}"


def names_by_offset(packs: Packs) -> dict[str, str]:
    """WordNet offset -> name of all ImageNet classes; two classes of one first name keep their second as well."""
    rows = [(row["offset"], row["label"].split(", ")) for row in packs.rows(LABELS) if row["imagenet"]]
    count = Counter(label[0] for _, label in rows)
    return {offset: label[0] if count[label[0]] == 1 else ", ".join(label[:2]) for offset, label in rows}


def run(encoder: Encoder, packs: Packs, scope: Scope) -> list[Result]:
    """Top-1 and top-5 among all names."""
    names = names_by_offset(packs)
    place = {offset: i for i, offset in enumerate(names)}
    metas = [(k, m) for k, m in packs.metas(PACK) if m["split"] == "test" and m.get("wordnet") in place]
    picked = {key for key, _ in scope.pick(metas)}
    samples = list(packs.samples(PACK, lambda key, _: key in picked))
    bank = encoder.embed(PROMPT.replace("{a text}", with_article(name)) for name in names.values())
    scores = encoder.embed(sample.part for sample in samples) @ bank.T
    first = np.array([r[0] for r in ranks(scores, [place[s.meta["wordnet"]] for s in samples])])
    title = f"picture → one of {len(names):,} names"
    return [Result(title, f"top-{k}", float((first <= k).mean()), len(first), min(1.0, k / len(names))) for k in (1, 5)]


task = EvalTask(
    name="imagenet",
    measures="photographs among all class names of ImageNet",
    split="Caltech-101 pictures with split == test whose class is one of ImageNet's 1,000",
    prompts=(PROMPT,),
    packs=(PACK, LABELS),
    run=run,
)
