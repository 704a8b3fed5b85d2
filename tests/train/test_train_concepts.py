"""Concept tables on a made-up text space: no sources, no data."""

import numpy as np
import pytest

from onesense.errors import CorruptData
from onesense.train import sound_things
from onesense.train.concepts import (
    Concept,
    Nouns,
    Table,
    Weights,
    Wording,
    bank_mean,
    centre,
    concept_vectors,
    picture_texts,
    sound_texts,
    unit,
    with_article,
)
from onesense.train.tables import Words

WIDTH = 16


class Letters:
    """A text encoder: every word has its own direction, all lean the same way, as E5's do."""

    def __init__(self):
        self.calls = 0

    def _word(self, word):
        return np.random.default_rng(sum(map(ord, word))).normal(size=WIDTH)

    def encode(self, texts):
        self.calls += 1
        lean = np.full(WIDTH, 3.0)
        return unit(np.stack([lean + sum(self._word(w) for w in t.replace(",", "").split()) for t in texts]))

    def tokenize(self, texts):
        return [[ord(c) for c in t] for t in texts]

    def words(self, ids):
        return np.array(ids, np.float32)[:, None] * np.ones(WIDTH, np.float32)


@pytest.fixture
def wording():
    encoder = Letters()
    return Wording(encoder, bank_mean(encoder, ["cat", "dog", "house", "the sea", "a car"]))


def test_articles():
    assert with_article("owl") == "a photo of an owl"
    assert with_article("Leopard") == "a photo of a Leopard"


def test_centring_takes_the_common_lean_away(wording):
    vectors = wording.encoder.encode(["cat", "sea"])
    raw = float(vectors[0] @ vectors[1])
    centred = centre(vectors, wording.mean)
    assert raw > 0.4
    assert float(centred[0] @ centred[1]) < raw - 0.3
    np.testing.assert_allclose(np.linalg.norm(centred, axis=1), 1, atol=1e-6)


def test_every_text_is_encoded_once(wording):
    wording(["a", "b"])
    calls = wording.encoder.calls
    wording(["b", "a", "a"])
    assert wording.encoder.calls == calls


@pytest.mark.parametrize(
    ("kind", "word"), [("hypernyms", "a photo of a pet"), ("shared", "bark"), ("translations", "Hund")]
)
def test_each_kind_of_word_pulls_the_vector_towards_itself(wording, kind, word):
    concept = Concept(("dog", "hound"), ("pet",), ("bark",), ("Hund",))
    near = []
    for weight in (0.0, 0.5, 2.0):
        none = {"hypernyms": 0.0, "shared": 0.0, "translations": 0.0}
        row = concept_vectors([concept], [picture_texts(concept)], wording, Weights(**{**none, kind: weight}))
        assert row.shape == (1, WIDTH)
        near.append(float(row[0] @ wording([word])[0]))
    assert near[0] < near[1] < near[2]


def test_texts_of_pictures_and_sounds():
    concept = Concept(("Dog bark", "woof", "bow", "wow"))
    assert picture_texts(concept) == ("a photo of a Dog bark", "Dog bark, woof, bow")
    assert sound_texts(concept) == ("the sound of dog bark", "dog bark", "dog bark noise")


def test_hypernyms_leave_out_what_is_too_wide():
    nouns = Nouns(
        [
            {"id": "1-n", "pos": "n", "lemmas": ["beagle"], "hypernyms": ["2-n", "3-n", "4-n"]},
            {"id": "2-n", "pos": "n", "lemmas": ["hound"], "hypernyms": ["3-n", "4-n"]},
            {"id": "3-n", "pos": "n", "lemmas": ["dog", "hound dog"], "hypernyms": ["4-n"]},
            {"id": "4-n", "pos": "n", "lemmas": ["entity"], "hypernyms": []},
            {"id": "5-v", "pos": "v", "lemmas": ["bark"], "hypernyms": ["4-n"]},
        ]
    )
    assert nouns.hypernyms("1-n") == ("hound", "dog")
    assert nouns.hypernyms("1-n", depth=1) == ("hound",)
    assert nouns.hypernyms(None) == nouns.hypernyms("5-v") == ()


def test_a_picture_shares_the_things_that_sound():
    nouns = Nouns(
        [
            {"id": "1-n", "pos": "n", "lemmas": ["beagle"], "hypernyms": ["2-n"]},
            {"id": "2-n", "pos": "n", "lemmas": ["dog"], "hypernyms": []},
        ]
    )
    words = Words(nouns, frozenset({"dog", "cat"}), {"1-n": ("Bracke",)})
    found = words.concept(["beagle"], "1-n", ["pet"])
    assert found == Concept(("beagle",), ("pet", "dog"), ("dog",), ("Bracke",))
    assert words.concept(["stone"], None) == Concept(("stone",))


def test_sound_things_are_read_both_ways():
    made_by = sound_things.things()
    assert made_by["Bleat"] == ("goat", "sheep")
    assert made_by["Bark"] == ("dog",)
    assert "Speech" in sound_things.SPEECH


def _table():
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=shape).astype(np.float32) for shape in ((3, 5), (3,), (3, WIDTH), (3, WIDTH), (WIDTH,))]
    return Table(rows[0], rows[1], unit(rows[2]), rows[3], ("a", "b", "ü"), rows[4], 0.8)


def test_a_table_survives_the_file(tmp_path):
    table = _table()
    table.save(tmp_path / "t.npz")
    read = Table.load(tmp_path / "t.npz")
    features = np.random.default_rng(1).normal(size=(4, 5)).astype(np.float16)
    np.testing.assert_allclose(read.vectors(features), table.vectors(features), atol=1e-6)
    assert read.names == table.names
    assert read.temperature == pytest.approx(0.8)
    np.testing.assert_allclose(read.probabilities(features).sum(1), 1, atol=1e-5)


def test_a_foreign_file_is_refused(tmp_path):
    np.savez(tmp_path / "t.npz", W=np.zeros(3))
    with pytest.raises(CorruptData, match="not a concept table"):
        Table.load(tmp_path / "t.npz")
