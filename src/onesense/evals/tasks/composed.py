"""Composed queries: does a picture of A with the words "and a B" find "A and B", as one content?

The rival is late fusion: the picture's vector and the text's vector, averaged. It may choose the weight and the
wording of its text on the measured queries themselves, so the comparison favours it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...types import Array, Content
from ..encoder import Encoder
from ..metrics import accuracy
from ..packs import Packs, Sample
from ..splits import is_dev_class
from ..task import EvalTask, Result, Scope, with_article

PACK = "images/caltech101"
LABELS = "teachers/imagenet_labels.tsv"
MOST = 300  # pictures
SECONDS = 40  # names that the words add
TEMPLATE = ("and {b}", "a photo of {a} and {b}")
FREE_WORDINGS = (
    ("accompanied by {b}", "{a} beside {b}"),
    ("the same thing, but {b} is there too", "a picture that shows both {a} and {b}"),
    ("+ {b} in the background", "{a} in front of {b}"),
    ("what it looks like next to {b}", "{b} right next to {a}"),
)
"""Text of the query and of the right answer; training must not use these."""
RIVAL_TEXTS = ("{query}", "{b}", "a photo of {b}")
WEIGHTS = tuple(np.linspace(0, 1, 21).round(2).tolist())


@dataclass(frozen=True, slots=True)
class Composition:
    """A picture of one class and the name of another."""

    sample: Sample
    a: str
    b: str


@dataclass(frozen=True, slots=True)
class Material:
    """What is composed: pictures with the name of the other thing, and the names that there are."""

    made: list[Composition]
    firsts: list[str]
    seconds: list[str]


def held_out_names(packs: Packs) -> dict[str, str]:
    """WordNet offset -> first name of the ImageNet classes that are left out of composed training."""
    rows = (row for row in packs.rows(LABELS) if row["imagenet"])
    return {row["offset"]: row["label"].split(",")[0] for row in rows if is_dev_class(int(row["imagenet"]))}


def material(packs: Packs, scope: Scope) -> Material:
    """Test pictures of held-out classes, each with a seeded other held-out name."""
    held_out = held_out_names(packs)
    metas = [(k, m) for k, m in packs.metas(PACK) if m["split"] == "test" and m.get("wordnet") in held_out]
    picked = {key for key, _ in scope.pick(metas, MOST)}
    random = np.random.default_rng(scope.seed)
    firsts = sorted({meta["label"] for _, meta in metas})
    shown = {meta["wordnet"] for _, meta in metas}
    others = sorted({name for offset, name in held_out.items() if offset not in shown} - set(firsts))
    seconds = sorted(random.permutation(others)[:SECONDS].tolist())
    samples = packs.samples(PACK, lambda key, _: key in picked)
    made = [Composition(s, s.meta["label"], seconds[random.integers(len(seconds))]) for s in samples]
    return Material(made, firsts, seconds)


def run(encoder: Encoder, packs: Packs, scope: Scope) -> list[Result]:
    """R@1 of one sequence, of the best averaging, and the points between them: free wordings, then the template."""
    found = material(packs, scope)
    wordings = [FREE_WORDINGS[i % len(FREE_WORDINGS)] for i in range(len(found.made))]
    free = _compare("free wordings", encoder, found, wordings)
    return free + _compare("template", encoder, found, [TEMPLATE] * len(found.made))


def _compare(title: str, encoder: Encoder, found: Material, wordings: list[tuple[str, str]]) -> list[Result]:
    made = found.made
    pictures = encoder.embed(c.sample.part for c in made)
    targets = dict.fromkeys(target for _, target in wordings)
    queries = [_fill(query, c.a, c.b) for (query, _), c in zip(wordings, made, strict=True)]
    composed = encoder.embed(Content(c.sample.part, text) for c, text in zip(made, queries, strict=True))
    bank = {target: _Bank(encoder, target, found) for target in targets}
    own = [bank[target] for _, target in wordings]
    right = [b.place[c.a, c.b] for b, c in zip(own, made, strict=True)]
    one_sequence = accuracy(_scores(composed, own), right)
    best, weight, text = _best_average(encoder, pictures, queries, found, own)
    n, chance = len(made), float(np.mean([1 / b.size for b in own]))
    detail = {"weight of the text": weight, "text": text}
    return [
        Result(f"{title}: one sequence − best averaging", "R@1 points", 100 * (one_sequence - best), n, 0.0),
        Result(f"{title}: one sequence", "R@1", one_sequence, n, chance),
        Result(f"{title}: best averaging", "R@1", best, n, chance, detail),
    ]


class _Bank:
    """Candidates of one wording: every pictured name with every added one, and every single name."""

    def __init__(self, encoder: Encoder, target: str, found: Material) -> None:
        pairs = [(a, b) for a in found.firsts for b in found.seconds]
        singles = [f"a photo of {with_article(name)}" for name in (*found.firsts, *found.seconds)]
        self.size = len(pairs) + len(singles)
        self.vectors = encoder.embed([*(_fill(target, a, b) for a, b in pairs), *singles])
        self.place = {pair: i for i, pair in enumerate(pairs)}


def _scores(vectors: Array, own: list[_Bank]) -> Array:
    """Cosine of each query with the candidates of its own wording, float32 [n, size]: all banks are of one size."""
    return np.stack([bank.vectors @ vector for vector, bank in zip(vectors, own, strict=True)])


def _best_average(
    encoder: Encoder, pictures: Array, queries: list[str], found: Material, own: list[_Bank]
) -> tuple[float, float, str]:
    """R@1, weight of the text and wording of the best average, chosen on the measured queries themselves.

    The cosine with an average orders candidates as the average of the two cosines does.
    """
    right = [b.place[c.a, c.b] for b, c in zip(own, found.made, strict=True)]
    seen = _scores(pictures, own)
    tried = []
    for form in RIVAL_TEXTS:
        asked = zip(queries, found.made, strict=True)
        said = _scores(encoder.embed(_fill(form.replace("{query}", query), c.a, c.b) for query, c in asked), own)
        tried += [(accuracy((1 - w) * seen + w * said, right), w, form) for w in WEIGHTS]
    return max(tried)


def _fill(wording: str, a: str, b: str) -> str:
    return wording.replace("{a}", with_article(a)).replace("{b}", with_article(b))


task = EvalTask(
    name="composed",
    measures="a picture and words in one content find what both say, against averaging two vectors",
    split="Caltech-101 test pictures of ImageNet classes with index divisible by 5 (at most 300), 40 other such names",
    prompts=tuple(f"{query} → {target}" for query, target in (TEMPLATE, *FREE_WORDINGS)),
    packs=(PACK, LABELS),
    run=run,
)
