"""Speech meets its words: the ear's tokens through the trunk against the teacher's vector of the transcript."""

from __future__ import annotations

import random

import torch
from torch import Tensor

from ...evals.packs import Packs
from .. import losses
from ..data.speech import SpeechClip, clips
from ..run import Student


class Speech:
    """Clips of one kind (words, sentences, story pages) against their transcripts and, half as much, their English."""

    def __init__(
        self, packs: Packs, student: Student, batch: int = 20, folder: str = "runs/ear", max_tokens: int = 48
    ) -> None:
        self.clips = [c for c in clips(folder) if len(c.tokens) <= max_tokens]
        self.batch = batch

    def loss(self, student: Student, rng: random.Random) -> Tensor:
        """InfoNCE and distance, own text and English."""
        drawn: list[SpeechClip] = rng.sample(self.clips, self.batch)
        x = student.centred([student.bridge.sequence([torch.from_numpy(c.tokens.astype("float32"))]) for c in drawn])
        own, english = student.targets([c.text for c in drawn]), student.targets([c.english for c in drawn])
        near = losses.distance(x, torch.nn.functional.normalize(own + english, dim=-1))
        return near + 0.4 * losses.info_nce(x, own) + 0.2 * losses.info_nce(x, english)
