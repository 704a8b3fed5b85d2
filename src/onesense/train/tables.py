"""The concept tables of pictures and sounds, built from the training packs.

    python -m onesense.train.tables FEATURES [OUT]

reads what `onesense.train.features` wrote below FEATURES and writes below OUT (FEATURES if left out) `eye_table.npz`
(shipped), `eye_table_nocaltech.npz` (the same without a single Caltech label, for evaluation) and `sound_table.npz`.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..evals.packs import Packs
from ..types import Array
from . import sources
from .concepts import (
    TEMPERATURE,
    Concept,
    Nouns,
    Table,
    Weights,
    Wording,
    bank_mean,
    concept_vectors,
    picture_texts,
    sound_texts,
)
from .importers import efficientnet, yamnet
from .model.eye import LITE0
from .rows import Labelled, fit_rows
from .sound_things import SPEECH, things
from .text import TextEncoder

PICTURE_WEIGHTS = Weights(hypernyms=0.6, shared=0.5, translations=0.3)  # dev/LOG.md
SOUND_WEIGHTS = Weights(shared=0.5)
NEAR = 0.75  # cosine (centred) above which a teacher class is neither right nor wrong for a new label
TRANSLATED = ("de", "fr", "es", "ru", "zh", "ja", "pt", "it", "pl", "ar", "ko", "tr")
"""Languages whose names join the English ones: the best filled of the wordnets, several scripts."""
LABELLED_PACKS = ("caltech101", "grocery")


@dataclass(frozen=True, slots=True)
class Words:
    """Where concepts get their words from."""

    nouns: Nouns
    things: frozenset[str]
    """Things that the sound table knows."""
    translations: Mapping[str, tuple[str, ...]]
    """WordNet 3.0 offset -> one name in each of `TRANSLATED` that has one."""

    def concept(self, names: Sequence[str], offset: str | None, kinds: Sequence[str] = ()) -> Concept:
        """A picture's concept.

        Args:
            names: English, the usual one first.
            offset: WordNet 3.0, where known.
            kinds: what the pack itself says it is a kind of; stands before WordNet's hypernyms.
        """
        above = (*kinds, *self.nouns.hypernyms(offset))
        everything = {word.lower() for word in (*names, *self.nouns.hypernyms(offset, depth=99))}
        shared = tuple(sorted(everything & self.things))
        return Concept(tuple(names), above, shared, self.translations.get(offset or "", ()))


def imagenet_concepts(labels: Path, words: Words) -> list[Concept]:
    """The 1000 classes of the eye's teacher, in its order, from `teachers/imagenet_labels.tsv`."""
    with labels.open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE) if row["imagenet"]]
    rows.sort(key=lambda row: int(row["imagenet"]))
    return [words.concept([name.strip() for name in row["label"].split(",")], row["offset"]) for row in rows]


def sound_concepts(class_map: Path) -> list[Concept]:
    """The 521 classes of AudioSet, in YAMNet's order, from `teachers/yamnet_class_map.csv`."""
    made_by = things()
    with class_map.open(encoding="utf-8", newline="") as stream:
        names = [row["display_name"] for row in csv.DictReader(stream)]
    return [Concept((name, *name.split(", ")), shared=made_by.get(name, ())) for name in names]


def speech_rows(class_map: Path) -> list[int]:
    """Rows of the sound table that mean somebody speaks."""
    return [row for row, concept in enumerate(sound_concepts(class_map)) if concept.names[0] in SPEECH]


@dataclass(frozen=True, slots=True, eq=False)
class Cached:
    """Features of one picture pack."""

    records: list[dict[str, Any]]
    pooled: Array
    """float32 [n, 1280]."""

    @classmethod
    def load(cls, folder: Path, pack: str) -> Cached:
        """Read `pictures_{pack}.npz`."""
        with np.load(folder / f"pictures_{pack}.npz", allow_pickle=False) as z:
            return cls([json.loads(record) for record in z["records"]], z["pooled"].astype(np.float32))


def labelled_concepts(packs: Sequence[Cached], words: Words) -> tuple[list[Concept], Array, Array]:
    """Concepts of the packs' training labels, with features float32 [n, 1280] and labels int64 [n]."""
    concepts: dict[str, Concept] = {}
    features, labels = [], []
    for pack in packs:
        for record, feature in zip(pack.records, pack.pooled, strict=True):
            if record["split"] == "test":
                continue
            name = str(record["label"])
            if name not in concepts:
                kinds = [str(record["coarse"]).replace("-", " ")] if "coarse" in record else []
                concepts[name] = words.concept([name], record.get("wordnet"), kinds)
            features.append(feature)
            labels.append(list(concepts).index(name))
    return list(concepts.values()), np.stack(features), np.array(labels)


def picture_table(folder: Path, packs: Sequence[str], words: Words, wording: Wording) -> Table:
    """The eye's table with rows for the labels of these packs."""
    imported = efficientnet.load(sources.path(LITE0.name), LITE0)
    teacher = imagenet_concepts(sources.data_root() / "teachers/imagenet_labels.tsv", words)
    weight, bias, concepts = imported.weight, imported.bias, teacher
    if packs:
        new, features, labels = labelled_concepts([Cached.load(folder, pack) for pack in packs], words)
        near = _own(new, wording) @ _own(teacher, wording).T > NEAR
        more_weight, more_bias = fit_rows((weight, bias), Labelled(features, labels, near))
        weight, bias = np.concatenate([weight, more_weight]), np.concatenate([bias, more_bias])
        concepts = [*teacher, *new]
    out = concept_vectors(concepts, [picture_texts(c) for c in concepts], wording, PICTURE_WEIGHTS)
    return _table(weight, bias, out, concepts, wording, TEMPERATURE)


def _own(concepts: Sequence[Concept], wording: Wording) -> Array:
    return concept_vectors(concepts, [picture_texts(c) for c in concepts], wording, Weights(hypernyms=0.0))


def sound_table(words_file: Path, wording: Wording) -> Table:
    """YAMNet's table; its rule is not softmax, see `_mini.soft.sound_shares`."""
    network = yamnet.load(sources.path("yamnet")).classifier
    concepts = sound_concepts(words_file)
    out = concept_vectors(concepts, [sound_texts(c) for c in concepts], wording, SOUND_WEIGHTS)
    return _table(network.weight.numpy(), network.bias.numpy(), out, concepts, wording, 1.0)


def _table(
    weight: Array, bias: Array, out: Array, concepts: Sequence[Concept], wording: Wording, temperature: float
) -> Table:
    names = [c.names[0] for c in concepts]
    soft = np.stack([wording.soft(name) for name in names])
    return Table(weight, bias, out, soft, tuple(names), wording.mean, temperature)


def prepare_words(packs: Packs) -> Words:
    """WordNet's nouns, their names in other languages and the things that sound."""
    nouns = Nouns(packs.records("text/oewn.jsonl.xz"))
    first: dict[str, dict[str, str]] = {}
    for row in packs.rows("text/omw_lemmas.tsv.xz"):
        if row["lang"] in TRANSLATED and row["offset"].endswith("-n"):
            first.setdefault(row["offset"], {}).setdefault(row["lang"], row["lemma"])
    translations = {offset: tuple(by_language.values()) for offset, by_language in first.items()}
    return Words(nouns, frozenset(thing for made_by in things().values() for thing in made_by), translations)


def prepare_wording(labels: Path, words: Words) -> Wording:
    """The encoder, and the mean of the texts that the ImageNet classes are called by."""
    encoder = TextEncoder()
    concepts = imagenet_concepts(labels, words)
    return Wording(encoder, bank_mean(encoder, [text for concept in concepts for text in picture_texts(concept)]))


def main() -> None:
    """Write the three tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path, nargs="?")
    given = parser.parse_args()
    folder, out = given.folder, given.out or given.folder
    out.mkdir(parents=True, exist_ok=True)
    words = prepare_words(Packs(sources.data_root()))
    teachers = sources.data_root() / "teachers"
    wording = prepare_wording(teachers / "imagenet_labels.tsv", words)
    picture_table(folder, LABELLED_PACKS, words, wording).save(out / "eye_table.npz")
    unlabelled = [pack for pack in LABELLED_PACKS if pack != "caltech101"]
    picture_table(folder, unlabelled, words, wording).save(out / "eye_table_nocaltech.npz")
    sound_table(teachers / "yamnet_class_map.csv", wording).save(out / "sound_table.npz")


if __name__ == "__main__":
    main()
