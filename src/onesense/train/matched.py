"""What belongs together, as joined vectors of the trained model: the pairs that the head's map is fitted on.

Sentences with their translations, questions with what answers them, pictures with captions and names, sounds with
names, recordings with their words; training rows only. Text alone would choose the first dimensions for text.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from ..evals.packs import Packs
from ..types import Array
from . import centre, sources
from .concepts import unit
from .data import search, senses, speech, texts
from .run import Student

N_TEXTS = 5_000
N_SEARCH = 1_200
MOST = {"captions": 700, "stories": 900, "caltech101": 500, "sounds": 700, "speech": 600}
"""Pairs of each kind of picture, of sounds and of recordings."""

Group = tuple[Array, Array]
"""Unit joined vectors float32 [n, 384] of the two sides."""


def text_pairs(n: int = N_TEXTS) -> list[tuple[str, str]]:
    """Texts of the packs with what they mean: sentences, words, stories, questions with tables."""
    rng = random.Random(1)
    found = texts.sources(Packs(sources.data_root()), seed=5)
    total = sum(s.weight for s in found)
    pairs = [p for s in found for p in s.sample(int(n * s.weight / total), rng)]
    return [(p.text, p.other) for p in pairs]


def search_pairs(n: int = N_SEARCH) -> list[tuple[str, str]]:
    """Questions with the passages that answer them, bare."""
    return search.pairs(Packs(sources.data_root()), n, random.Random(2))


@torch.no_grad()
def text_group(student: Student, pairs: Sequence[tuple[str, str]], bridge: Mapping[str, Array]) -> Group:
    """Both sides of text pairs."""
    left, right = (centre.joined(encode(student, [p[side] for p in pairs]), bridge) for side in (0, 1))
    return unit(left), unit(right)


@torch.no_grad()
def encode(student: Student, batch: Sequence[str]) -> Array:
    """Unit vectors of texts by the trained trunk, float32 [n, 384]; letters as they were learnt."""
    sequences = [student.text_sequence(text) for text in batch]
    return unit(student.pooled(sequences).numpy())


@torch.no_grad()
def sense_groups(
    student: Student,
    pictures: tuple[senses.Sense, Mapping[str, Sequence[senses.Picture]]],
    sounds: tuple[senses.Sense, Sequence[senses.SoundClip]],
    ear: Path,
    bridge: Mapping[str, Array],
) -> list[Group]:
    """Pictures, sounds and recordings with their texts, a group a kind."""
    rng = random.Random(3)
    groups = []
    sense, packs = pictures
    for name in ("captions", "stories", "caltech101"):
        drawn = rng.sample(packs[name], min(MOST[name], len(packs[name])))
        parts = [centre.soft(student, "picture", sense, senses.picture_soft, p.features) for p in drawn]
        groups.append(_group(student, "picture", parts, [p.text(rng) for p in drawn], bridge))
    clips = rng.sample(list(sounds[1]), min(MOST["sounds"], len(sounds[1])))
    parts = [centre.soft(student, "sound", sounds[0], senses.sound_soft, c.features) for c in clips]
    groups.append(_group(student, "sound", parts, [c.label for c in clips], bridge))
    said = speech.clips(ear, kinds=("story", "real"))
    spoken = rng.sample(said, min(MOST["speech"], len(said)))
    tokens: list[centre.Part] = [(torch.from_numpy(c.tokens.astype(np.float32)), None) for c in spoken]
    groups.append(_group(student, "speech", tokens, [c.text for c in spoken], bridge))
    return groups


def _group(
    student: Student, sense: str, parts: Sequence[centre.Part], words: Sequence[str], bridge: Mapping[str, Array]
) -> Group:
    left = centre.joined_parts(student, sense, parts, bridge)
    return unit(left), unit(centre.joined(encode(student, words), bridge))
