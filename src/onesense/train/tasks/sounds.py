"""Sounds alone and sounds with words or pictures in one sequence."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...evals.packs import Packs
from ...types import Array
from .. import losses
from ..concepts import with_article
from ..data import senses
from ..run import Student
from .pictures import CACHE, Eye


class Sounds:
    """A sound meets its name; a sound beside words or a picture means both."""

    def __init__(
        self, packs: Packs, student: Student, batch: int = 12, edited: int = 8, mixed: int = 6, folder: str = str(CACHE)
    ) -> None:
        self.clips = senses.sounds(Path(folder))
        self.sense = senses.sound_sense(Path(folder), self.clips)
        self.eye = Eye.of(Path(folder))
        self.batch, self.n_edited, self.mixed = batch, edited, mixed

    def loss(self, student: Student, rng: random.Random) -> Tensor:
        """Real clips, edited ones, and mixed sequences."""
        pieces, words, concepts = self._alone(student, rng)
        x = student.centred([student.bridge.sequence([p]) for p in pieces])
        own = student.targets(words)
        loss = losses.distance(x, concepts) + 0.5 * losses.info_nce(x, own)
        sequences, meanings = self._mixed(student, rng, pieces, words)
        y, target = student.centred(sequences), student.targets(meanings)
        return loss + 0.5 * losses.distance(y, target) + 0.2 * losses.info_nce(y, target, own)

    def _alone(self, student: Student, rng: random.Random) -> tuple[list[Tensor], list[str], Tensor]:
        drawn = rng.sample(self.clips, self.batch)
        features = [c.features.astype(np.float32)[:12] for c in drawn]
        words = [c.label for c in drawn]
        for concept in rng.sample(range(len(self.sense.table.names)), self.n_edited):
            features.append(self._edited(concept, rng))
            words.append(self.sense.table.names[concept])
        words = [f"the sound of {w}" if rng.random() < 0.4 else w for w in words]
        made = [self._tokens(student, f) for f in features]
        return [tokens for tokens, _ in made], words, torch.stack([concept for _, concept in made])

    def _tokens(self, student: Student, features: Array) -> tuple[Tensor, Tensor]:
        soft, concept = senses.sound_soft(self.sense, features)
        standard = torch.from_numpy(self.sense.standardize(features))
        tokens = student.bridge.tokens("sound", torch.from_numpy(soft), standard)
        return tokens, torch.from_numpy(concept).to(student.device)

    def _edited(self, concept: int, rng: random.Random) -> Array:
        generator = np.random.default_rng(rng.randrange(2**32))
        clip = rng.choice(self.clips).features.astype(np.float32)[:5]
        return np.stack([self.sense.edit(patch, concept, generator) for patch in clip])

    def _mixed(
        self, student: Student, rng: random.Random, pieces: list[Tensor], words: list[str]
    ) -> tuple[list[Tensor], list[str]]:
        sequences, meanings = [], []
        for at in rng.sample(range(len(pieces)), self.mixed):
            concept = rng.randrange(len(self.eye.sense.table.names))
            name = with_article(self.eye.name(concept)).removeprefix("a photo of ")
            said = words[at].removeprefix("the sound of ")
            if rng.random() < 0.5:
                picture, _ = self.eye.tokens(student, self.eye.edited(concept, rng))
                parts, meaning = [picture, pieces[at]], f"{name} and the sound of {said}"
            else:
                parts, meaning = (
                    [pieces[at], student.text_sequence(f"and {name}")[1:-1]],
                    f"the sound of {said} and {name}",
                )
            sequences.append(student.bridge.sequence(parts))
            meanings.append(meaning)
        return sequences, meanings
