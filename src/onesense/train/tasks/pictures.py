"""Pictures alone, pictures with words in one sequence, and videos of pictures."""

from __future__ import annotations

import csv
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...engine.backends._mini.motion import MOTIONS
from ...evals.packs import Packs
from ...evals.splits import is_dev_class
from ...types import Array
from .. import losses, sources
from ..concepts import with_article
from ..data import senses
from ..run import Student

CACHE = Path("runs/features")
N_TEACHER = 1000


class Eye:
    """The picture table and the cached pictures; made once, shared by the tasks of a run."""

    _made: dict[Path, Eye] = {}  # noqa: RUF012  a cache of one entry a folder

    def __init__(self, folder: Path) -> None:
        self.packs = senses.pictures(folder)
        self.sense = senses.picture_sense(folder, self.packs)
        self.pool = [p for pack in self.packs.values() for p in pack]

    @classmethod
    def of(cls, folder: Path) -> Eye:
        """The eye of a folder of cached features."""
        if folder not in cls._made:
            cls._made[folder] = cls(folder)
        return cls._made[folder]

    def tokens(self, student: Student, features: Array) -> tuple[Tensor, Tensor]:
        """Prefix and tokens [n_prefix + 10, 384] of features [10, 1280], and the concept vector [384]."""
        soft, concept = senses.picture_soft(self.sense, features)
        standard = torch.from_numpy(self.sense.standardize(features))
        tokens = student.bridge.tokens("picture", torch.from_numpy(soft), standard)
        return tokens, torch.from_numpy(concept).to(student.device)

    def edited(self, concept: int, rng: random.Random) -> Array:
        """Features [10, 1280] of a picture edited to show a concept."""
        generator = np.random.default_rng(rng.randrange(2**32))
        return senses.edited_picture(self.sense, rng.choice(self.pool), concept, generator)

    def name(self, concept: int) -> str:
        """The usual name of a concept."""
        return self.sense.table.names[concept]


class Pictures:
    """A picture meets its own text, and keeps what the table says of it."""

    def __init__(
        self,
        packs: Packs,
        student: Student,
        batch: int = 14,
        edited: int = 8,
        keep: float = 1.0,
        folder: str = str(CACHE),
    ) -> None:
        self.eye = Eye.of(Path(folder))
        self.batch, self.n_edited, self.keep = batch, edited, keep

    def loss(self, student: Student, rng: random.Random) -> Tensor:
        """One pack's pictures and some edited ones."""
        name = rng.choices(list(senses.PACKS), list(senses.PACKS.values()))[0]
        drawn = rng.sample(self.eye.packs[name], self.batch)
        features = [p.features.astype(np.float32) for p in drawn]
        words = [p.text(rng) for p in drawn]
        for concept in rng.sample(range(len(self.eye.sense.table.names)), self.n_edited):
            features.append(self.eye.edited(concept, rng))
            words.append(with_article(self.eye.name(concept)) if rng.random() < 0.5 else self.eye.name(concept))
        made = [self.eye.tokens(student, f) for f in features]
        x = student.centred([student.bridge.sequence([tokens]) for tokens, _ in made])
        concepts = torch.stack([concept for _, concept in made])
        own = student.targets(words)
        middle = torch.nn.functional.normalize(concepts + own, dim=-1)
        near = middle if name in ("caltech101", "grocery") else concepts  # a caption says more than the table knows
        return self.keep * losses.distance(x, near) + 0.5 * losses.info_nce(x, own) + 0.2 * losses.info_nce(own, x)


@dataclass(frozen=True, slots=True)
class Template:
    """How a picture and a text are put, and what the two mean together. `{a}` is in the picture, `{b}` in the text."""

    text: str
    meaning: str


TOGETHER = (
    Template("and {b}", "a photo of {a} and {b}"), Template("with {b}", "{a} with {b}"),
    Template("next to {b}", "{a} next to {b}"), Template("together with {b}", "{a} together with {b}"),
    Template("this and {b}", "{a} and {b}"), Template("the same, plus {b}", "{a}, plus {b}"),
    Template("{b} beside it", "{b} beside {a}"), Template("on {b}", "{a} on {b}"),
    Template("it is near {b}", "{a} near {b}"), Template("add {b} to this", "{a} and {b}"),
    Template("{b} too", "{a}, {b} too"), Template("like this but with {b}", "{a} with {b}"),
)  # fmt: skip
BEFORE = (
    Template("{b} and", "{b} and {a}"), Template("{b} with", "{b} with {a}"),
    Template("a photo of {b} and this:", "{b} and {a}"),
    Template("find {b} together with this", "{b} together with {a}"), Template("my favourite:", "my favourite: {a}"),
    Template("this is what I saw:", "I saw {a}"), Template("where can I buy this?", "where can I buy {a}?"),
)  # fmt: skip
ABOUT = (
    Template(", its definition", "{gloss}"), Template("what is this?", "{a}: {gloss}"),
    Template("explain this", "{gloss}"),
    Template("what general kind of thing is it?", "a kind of {kind}"), Template("what is it a kind of?", "{kind}"),
)  # fmt: skip
CHANGED = (
    Template("but made of {m}", "{a} made of {m}"), Template("in {c}", "{a} in {c}"),
    Template("the {c} one", "a {c} {a}"),
    Template("at {s}", "{a} at {s}"), Template("in the {s}", "{a} in the {s}"),
)  # fmt: skip
MATERIALS = ("wood", "glass", "paper", "gold", "stone", "plastic", "snow", "chocolate")
COLOURS = ("red", "blue", "green", "black", "white", "yellow", "pink", "brown")
SCENES = ("night", "sunset", "rain", "snow", "forest", "city", "kitchen", "desert", "garden", "beach")


class Composed:
    """A picture and words in one sequence mean what one sentence says of both.

    The texts of the parts alone are hard negatives: the sequence must not fall back on either. Classes of the
    development set are never composed.
    """

    def __init__(self, packs: Packs, student: Student, batch: int = 16, folder: str = str(CACHE)) -> None:
        self.eye = Eye.of(Path(folder))
        self.batch = batch
        names = self.eye.sense.table.names
        self.classes = [i for i in range(len(names)) if i >= N_TEACHER or not is_dev_class(i)]
        self.gloss, self.kind = _meanings(packs)

    def loss(self, student: Student, rng: random.Random) -> Tensor:
        """Sequences, their meanings, and the names of both parts as negatives."""
        sequences, meanings, alone = [], [], []
        for concept in rng.sample(self.classes, self.batch):
            other = self.eye.name(rng.choice(self.classes))
            tokens, _ = self.eye.tokens(student, self.eye.edited(concept, rng))
            text, meaning, is_before = self._compose(concept, other, rng)
            words = student.text_sequence(text)[1:-1]
            sequences.append(student.bridge.sequence([words, tokens] if is_before else [tokens, words]))
            meanings.append(meaning)
            alone += [with_article(self.eye.name(concept)), other]
        x, target = student.centred(sequences), student.targets(meanings)
        return losses.distance(x, target) + 0.5 * losses.info_nce(x, target, student.targets(alone))

    def _compose(self, concept: int, other: str, rng: random.Random) -> tuple[str, str, bool]:
        has_meaning = concept in self.gloss
        groups = (TOGETHER, BEFORE, CHANGED, ABOUT) if has_meaning else (TOGETHER, BEFORE, CHANGED)
        group = rng.choices(groups, (0.45, 0.2, 0.1, 0.25)[: len(groups)])[0]
        template = rng.choice(group)
        article = with_article(other).removeprefix("a photo of ")
        words = {
            "a": with_article(self.eye.name(concept)).removeprefix("a photo of "),
            "b": article if rng.random() < 0.7 else other,
            "gloss": self.gloss.get(concept, ""), "kind": self.kind.get(concept, ""),
            "m": rng.choice(MATERIALS), "c": rng.choice(COLOURS), "s": rng.choice(SCENES),
        }  # fmt: skip
        is_before = group is BEFORE or (group in (TOGETHER, CHANGED) and rng.random() < 0.15)
        return template.text.format(**words), template.meaning.format(**words), is_before


def _meanings(packs: Packs) -> tuple[dict[int, str], dict[int, str]]:
    """Definition and kind of the teacher's 1000 classes by index."""
    synsets = {r["id"]: r for r in packs.records("text/oewn.jsonl.xz") if r["pos"] == "n"}
    gloss, kind = {}, {}
    with (sources.data_root() / "teachers/imagenet_labels.tsv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE):
            synset = synsets.get(row["offset"])
            if synset and row["imagenet"]:
                index = int(row["imagenet"])
                gloss[index] = str(synset["definition"][0])
                parents = [synsets[h]["lemmas"][0] for h in synset["hypernyms"] if h in synsets]
                kind[index] = str(parents[0]) if parents else str(synset["lemmas"][0])
    return gloss, kind


MEANT = {
    "pan left": ("the camera pans left", "a pan to the left", "the camera turns to the left"),
    "pan right": ("the camera pans right", "a pan to the right", "the camera turns to the right"),
    "tilt up": ("the camera tilts up", "a tilt upwards", "the camera looks up"),
    "tilt down": ("the camera tilts down", "a tilt downwards", "the camera looks down"),
    "zoom in": ("the camera zooms in", "a zoom in", "it gets closer"),
    "zoom out": ("the camera zooms out", "a zoom out", "it gets further away"),
    "move left": ("it moves to the left", "moving from right to left", "it goes left"),
    "move right": ("it moves to the right", "moving from left to right", "it goes right"),
    "move up": ("it moves up", "it rises", "going up"),
    "move down": ("it moves down", "it falls", "going down"),
}
"""What motions are called in training; the development set has other words."""
AGAINST = {"left": "right", "right": "left", "up": "down", "down": "up", "in": "out", "out": "in"}


def opposite(motion: str) -> str:
    """The motion the other way, e.g. `pan right` of `pan left`."""
    kind, _, way = motion.partition(" ")
    return f"{kind} {AGAINST[way]}"


class Videos:
    """Frames in the order of time mean what happens in that order; a page's picture leaves its text as it was."""

    def __init__(
        self, packs: Packs, student: Student, batch: int = 6, moving: float = 0.5, folder: str = str(CACHE)
    ) -> None:
        self.eye = Eye.of(Path(folder))
        self.batch, self.moving = batch, moving
        from ..data import texts

        self.sentences = texts.sentences(packs, 20_000, seed=3)

    def loss(self, student: Student, rng: random.Random) -> Tensor:
        """Videos of one or two edited scenes, and pages with text."""
        sequences, meanings, against = [], [], []
        for _ in range(self.batch):
            first, second = rng.sample(range(len(self.eye.sense.table.names)), 2)
            frames = [first] * rng.randint(1, 4) + [second] * rng.choice([0, 2, 3])
            pieces = [self._frame(student, concept, rng) for concept in frames]
            one, two = self.eye.name(first), self.eye.name(second)
            meaning = f"a video of {one}, then {two}" if second in frames else f"a video of {one}"
            if rng.random() < self.moving:
                motion = rng.choice(list(MEANT))
                at = rng.randint(1, len(pieces))
                pieces[at:at] = [student.text_sequence(MOTIONS[motion])[1:-1]] * rng.choice([1, 1, 2])
                i = rng.randrange(len(MEANT[motion]))
                against.append(f"{meaning}, {MEANT[opposite(motion)][i]}")
                meaning = f"{meaning}, {MEANT[motion][i]}"
            sequences.append(student.bridge.sequence([student.bridge.values["video_prefix"], *pieces]))
            meanings.append(meaning)
        for _ in range(self.batch):
            text = rng.choice(self.sentences)
            picture = self._token(student, rng.choice(self.eye.pool).features.astype(np.float32))
            sequences.append(student.bridge.sequence([picture, student.text_sequence(text)[1:-1]]))
            meanings.append(text)
        x, target = student.centred(sequences), student.targets(meanings)
        extra = student.targets(against) if against else None
        apart = losses.info_nce(x[: self.batch], target[: self.batch], extra, same=0.995)
        return losses.distance(x, target) + 0.3 * apart

    def _frame(self, student: Student, concept: int, rng: random.Random) -> Tensor:
        return self._token(student, self.eye.edited(concept, rng))

    def _token(self, student: Student, features: Array) -> Tensor:
        """The soft word of the whole, without prefix: [1, 384]."""
        tokens, _ = self.eye.tokens(student, features[:1])
        return tokens[len(student.bridge.values["picture_prefix"]) :]
