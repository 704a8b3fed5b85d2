"""Pairs of one's own: a query meets its document among the other documents of the batch and named hard negatives."""

from __future__ import annotations

import random
from pathlib import Path

import torch
from torch import Tensor

from ...errors import InvalidInput, OnesenseError
from ...evals.packs import Packs
from .. import losses
from ..data import own
from ..run import Student

Pieces = tuple[str | own.Perceived, ...]


class Pairs:
    """Rows of `onesense.train.data.own`; see there for their form.

    Args:
        packs: not read.
        student: gives the device and the sequences.
        data: JSONL file, tar shard, or folder of them.
        batch: rows a step.
        keep: weight of the distance between sides that are text alone and the teacher's vectors of them.
        skip: bad rows that are left out before it is an error.
        cache: folder of what was perceived of pictures and sounds.
    """

    def __init__(
        self, packs: Packs | None, student: Student, data: str, batch: int = 12, keep: float = 0.5, skip: int = 10,
        cache: str = "runs/own",
    ) -> None:  # fmt: skip
        senses, faults = own.Senses(Path(cache)), own.Faults(skip)
        self.rows: list[tuple[Pieces, Pieces, tuple[Pieces, ...]]] = []
        for row in own.read(Path(data), faults):
            try:
                query, document, *others = (_pieces(s, senses) for s in (row.query, row.document, *row.negatives))
                self.rows.append((query, document, tuple(others)))
            except OnesenseError as reason:
                faults.add(row.where, reason)
        if senses.cache.is_dir():
            senses.save()
        if len(self.rows) < 2:
            raise InvalidInput(f"{data} has {len(self.rows)} usable rows: two at least are needed to tell apart")
        self.batch, self.keep = min(batch, len(self.rows)), keep

    def loss(self, student: Student, rng: random.Random) -> Tensor:
        """`batch` rows with one hard negative of each that has some."""
        drawn = rng.sample(self.rows, self.batch)
        hard = [rng.choice(negatives) for _, _, negatives in drawn if negatives]
        sides = [query for query, _, _ in drawn] + [document for _, document, _ in drawn]
        vectors = student.centred([_sequence(student, side) for side in [*sides, *hard]])
        x, y, extra = vectors[: self.batch], vectors[self.batch : 2 * self.batch], vectors[2 * self.batch :]
        loss = losses.info_nce(x, y, extra if hard else None) + 0.5 * losses.info_nce(y, x)
        bare = [i for i, side in enumerate(sides) if all(isinstance(piece, str) for piece in side)]
        if bare and self.keep:
            targets = student.targets(["".join(map(str, sides[i])) for i in bare])
            loss = loss + self.keep * losses.distance(vectors[bare], targets)
        return loss


def _pieces(side: own.Side, senses: own.Senses) -> Pieces:
    found: list[str | own.Perceived] = []
    for part, name in zip(side.parts, side.names, strict=True):
        found.append(part.value if isinstance(part.value, str) else senses.perceive(part, name))
    return tuple(found)


def _sequence(student: Student, pieces: Pieces) -> Tensor:
    """Raw tokens of one side, as the bundled model lines them up at run time."""
    spans = []
    for piece in pieces:
        if isinstance(piece, str):
            spans.append(student.text_sequence(piece)[1:-1])
            continue
        if len(piece.speech):
            spans.append(torch.from_numpy(piece.speech).float())
        if len(piece.soft):
            words, features = (torch.from_numpy(x).float() for x in (piece.soft, piece.features))
            spans.append(student.bridge.tokens(piece.sense, words, features))
    return student.bridge.sequence([span[:500] for span in spans])[:512]
