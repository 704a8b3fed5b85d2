"""Text with text: pairs that mean the same, and sentences that stay where the teacher has them."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ...errors import InvalidInput
from ...evals.packs import Packs
from ...evals.splits import is_dev_story
from ...types import Array
from .. import letters, losses
from ..data import search, texts
from ..run import Student

WORDS_SHARE = 0.35  # of the batches of letters
WORD_CHARS = 30  # shorter English is a word or a name


class Parallel:
    """Two texts that mean the same meet; the English one stays where the teacher has it.

    The other's target is the middle of the teacher's two vectors, so that what the teacher knows of the language is
    kept, and a contrast over the batch pulls it to its own English and off the others'.
    """

    def __init__(
        self, packs: Packs, student: Student, batch: int = 24, keep: float = 2.0, contrast: float = 0.3
    ) -> None:
        self.sources = texts.sources(packs)
        self.batch, self.keep, self.contrast = batch, keep, contrast

    def loss(self, student: Student, rng: random.Random) -> Tensor:
        """One source, `batch` pairs."""
        source = rng.choices(self.sources, [s.weight for s in self.sources])[0]
        pairs = source.sample(self.batch, rng)
        left, right = [p.text for p in pairs], [p.other for p in pairs]
        vectors = student.texts(left + right)
        x, y = vectors[: len(left)], vectors[len(left) :]
        own, other = student.targets(left), student.targets(right)
        middle = torch.nn.functional.normalize(own + other, dim=-1)
        pull = losses.distance(x, middle) + self.keep * losses.distance(y, other)
        apart = losses.info_nce(x, other) + losses.info_nce(y, other) + losses.info_nce(x, y)
        return pull + self.contrast * apart


class Retain:
    """English sentences keep their vectors, bare and with E5's own prefixes."""

    def __init__(self, packs: Packs, student: Student, batch: int = 12, weight: float = 3.0) -> None:
        self.sentences = texts.sentences(packs)
        self.batch, self.weight = batch, weight

    def loss(self, student: Student, rng: random.Random) -> Tensor:
        """Distance between the student's and the teacher's vectors of the same texts."""
        prefixes = rng.choices(["", "query: ", "passage: "], [0.6, 0.2, 0.2], k=self.batch)
        batch = [p + rng.choice(self.sentences) for p in prefixes]
        return self.weight * losses.distance(student.texts(batch), student.targets(batch))


class Search:
    """A query finds its passage among passages that are easily confused with it.

    Both keep near the teacher's vectors: what it knows of languages and subjects that the pairs lack is not to be lost.
    Queries come with E5's own prefixes half of the time, as they do at run time.
    """

    def __init__(
        self, packs: Packs, student: Student, batch: int = 12, keep: float = 1.0, prefixed: float = 0.4
    ) -> None:
        def embed(passages: Sequence[str]) -> Array:
            ids = student.teacher.tokenize([p[:300] for p in passages])
            return np.stack([student.teacher.words(i or [3]).mean(0) for i in ids])

        self.sources = search.sources(packs, embed)
        self.batch, self.keep, self.prefixed = batch, keep, prefixed

    def loss(self, student: Student, rng: random.Random) -> Tensor:
        """One source, `batch` pairs, half of them neighbours."""
        name = rng.choices(list(search.WEIGHTS), list(search.WEIGHTS.values()))[0]
        pairs = self.sources[name].sample(self.batch, rng)
        before = ("query: ", "passage: ") if rng.random() < self.prefixed else ("", "")
        queries, passages = [before[0] + q for q, _ in pairs], [before[1] + p for _, p in pairs]
        vectors = student.texts([*queries, *passages])
        x, y = vectors[: len(queries)], vectors[len(queries) :]
        stay = losses.distance(x, student.targets(queries)) + losses.distance(y, student.targets(passages))
        return self.keep * stay + 0.5 * losses.info_nce(x, y) + 0.25 * losses.info_nce(y, x)


class Order:
    """Cosines between texts of every kind stay as the teacher has them: relational distillation.

    A vector that keeps near its teacher's may still change places with its neighbours, and an order over several genres
    sees that at once. So half of a batch are neighbours of the other half.

    Source: Park et al. 2019 (arXiv:1904.05068), eq. 5, on centred cosines.
    """

    def __init__(self, packs: Packs, student: Student, batch: int = 16, weight: float = 20.0) -> None:
        rng = random.Random(11)
        kinds = [texts.sentences(packs, 6_000, seed=9), _scored(packs), _asked(packs), _told(packs)]
        self.texts = [t for kind in kinds for t in rng.sample(kind, min(6_000, len(kind)))]
        ids = student.teacher.tokenize([t[:300] for t in self.texts])
        vectors = np.stack([student.teacher.words(i or [3]).mean(0) for i in ids])
        vectors -= vectors.mean(0)
        self.vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-6)).astype(np.float32)
        self.batch, self.weight = batch, weight

    def loss(self, student: Student, rng: random.Random) -> Tensor:
        """Squared differences of all cosines of a batch, and the distance to the teacher."""
        seeds = rng.sample(range(len(self.texts)), self.batch // 2)
        near = [int(rng.choice(np.argpartition(-(self.vectors @ self.vectors[i]), 6)[:6])) for i in seeds]
        batch = [self.texts[i] for i in dict.fromkeys([*seeds, *near])]
        x, target = student.texts(batch), student.targets(batch)
        return self.weight * ((x @ x.T - target @ target.T) ** 2).mean() + 2 * losses.distance(x, target)


def _scored(packs: Packs) -> list[str]:
    """English sentences of STS-B's train split."""
    rows = [r for r in packs.rows(Similarity.PACK) if r["split"] == "train" and r["lang"] == "en"]
    return sorted({row[side] for row in rows for side in ("sentence1", "sentence2")})


def _asked(packs: Packs) -> list[str]:
    """Docstrings and definitions: the language of forums and manuals."""
    code = [str(r["docstring"])[:300] for r in packs.records("text/python_docstring_code.jsonl.xz")]
    return code + [str(r["definition"][0]) for r in packs.records("text/oewn.jsonl.xz") if r["definition"]]


def _told(packs: Packs) -> list[str]:
    """News and stories in English."""
    news = {r["english"] for r in packs.rows("text/ntrex_1-1600.tsv.xz") if int(r["line"]) <= texts.NTREX_TRAIN_LINES}
    pages = {r["english"] for r in packs.rows("text/stories.tsv.xz") if not is_dev_story(r["story"])}
    return sorted(news | pages)


class Letters:
    """Texts in scripts that the teacher cannot read meet their English; rows and trunk learn together."""

    def __init__(self, packs: Packs, student: Student, batch: int = 16) -> None:
        if student.teacher.letters is None:
            raise InvalidInput(
                "the task `letters` needs `letters` in the recipe: a file of `onesense train --step letters`"
            )
        found = letters.pairs(packs, set("".join(student.teacher.imported.get_vocab())))
        self.words = [p for p in found if len(p.other) < WORD_CHARS]
        self.sentences = [p for p in found if len(p.other) >= WORD_CHARS]
        self.batch = batch

    def loss(self, student: Student, rng: random.Random) -> Tensor:
        """Words and sentences by turns."""
        kind = self.words if rng.random() < WORDS_SHARE else self.sentences
        pairs = rng.sample(kind, min(self.batch, len(kind)))
        x = student.texts([p.text for p in pairs])
        target = student.targets([p.other[: texts.MAX_CHARS] for p in pairs])
        return losses.distance(x, target) + 0.3 * losses.info_nce(x, target) + 0.15 * losses.info_nce(target, x)


class Similarity:
    """Cosines of sentence pairs come in the order of people's scores (the train split of STS-B, 11 languages)."""

    PACK = "text/stsb_ccbysa_train_dev.tsv.xz"

    def __init__(self, packs: Packs, student: Student, batch: int = 16, weight: float = 0.1) -> None:
        self.rows: dict[str, list[tuple[str, str, float]]] = defaultdict(list)
        for row in packs.rows(self.PACK):
            if row["split"] == "train":
                self.rows[row["lang"]].append((row["sentence1"], row["sentence2"], float(row["score"])))
        self.batch, self.weight = batch, weight

    def loss(self, student: Student, rng: random.Random) -> Tensor:
        """One language, English half of the time."""
        language = "en" if rng.random() < 0.5 else rng.choice(list(self.rows))
        left, right, scores = zip(*rng.sample(self.rows[language], self.batch), strict=True)
        vectors = student.texts([*left, *right])
        cosines = (vectors[: self.batch] * vectors[self.batch :]).sum(-1)
        return self.weight * losses.ordered(cosines, torch.tensor(scores, device=student.device))
