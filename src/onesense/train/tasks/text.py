"""Text with text: pairs that mean the same, and sentences that stay where the teacher has them."""

from __future__ import annotations

import random

import torch
from torch import Tensor

from ...evals.packs import Packs
from .. import losses
from ..data import texts
from ..run import Student


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
