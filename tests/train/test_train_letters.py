"""Letters: pieces of a script without any, rows that bring its words near their English."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_data import NOUNS, in_ol_chiki

from onesense.errors import InvalidInput
from onesense.evals.packs import Packs
from onesense.evals.splits import is_dev_letters
from onesense.train import letters, run
from onesense.train.data.texts import UNREAD
from onesense.train.recipe import Recipe
from onesense.train.text import TextEncoder, imported_trunk

pytestmark = pytest.mark.sources


@pytest.fixture(scope="module")
def made(tiny_root: Path) -> letters.Letters:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONESENSE_SOURCES", str(Path(".sources").resolve()))
        return letters.make(Packs(tiny_root / "data"))


@pytest.fixture
def encoder(made, tiny) -> TextEncoder:
    found = TextEncoder()
    found.add(made)
    return found


def test_pieces_are_of_the_new_script_only(made):
    assert 20 <= len(made.pieces) == len(set(made.pieces)) == len(made.rows) == len(made.counts)
    assert all(UNREAD.search(p) or p == "▁" for p in made.pieces) and made.counts.max() > 10
    assert list(made.scores) == sorted(made.scores, reverse=True)


def test_development_sentences_are_not_learnt(tiny):
    known = set("".join(TextEncoder().tokenizer.get_vocab()))
    said = {p.other for p in letters.pairs(Packs(tiny / "data"), known)}
    rows = list(Packs(tiny / "data").rows("text/sib200_train_dev.tsv.xz"))
    held = {row["english"] for row in rows if is_dev_letters(row["id"])}
    assert held and not held & said and {row["english"] for row in rows} - held <= said


def test_a_text_is_read_without_unknown_pieces_and_others_as_before(encoder):
    old = TextEncoder()
    (ids,) = encoder.tokenize([in_ol_chiki("the dog sees the cat")])
    assert 3 not in ids and max(ids) >= encoder.first_letter
    assert 3 in old.tokenize([in_ol_chiki("dog")])[0]
    assert encoder.tokenize(["The dog sees 12 cats, où?"]) == old.tokenize(["The dog sees 12 cats, où?"])


def test_closed_form_rows_find_the_english(encoder):
    """Ridge regression alone, through the imported trunk: words of the tiny script find their nouns."""
    read = encoder.encode([in_ol_chiki(f"the {n} sees") for n in NOUNS])
    english = encoder.encode([f"the {n} sees" for n in NOUNS])
    scores = (read - read.mean(0)) @ (english - english.mean(0)).T
    assert np.mean(scores.argmax(1) == np.arange(len(NOUNS))) > 0.5


def test_a_file_comes_back_as_it_was(made, tmp_path):
    made.save(tmp_path / "letters.npz")
    again = letters.Letters.load(tmp_path / "letters.npz")
    assert again.pieces == made.pieces and np.array_equal(again.rows, made.rows)


def test_the_task_without_letters_is_refused(tiny):
    with pytest.raises(InvalidInput, match="--step letters"):
        run.build(Recipe(tasks={"letters": {}}, rank=4, bf16=False))


def test_only_rows_of_letters_learn(made, tiny, tmp_path):
    made.save(tmp_path / "letters.npz")
    student, _ = run.build(Recipe(tasks={}, rank=4, bf16=False, letters=str(tmp_path / "letters.npz")))
    rows = student.text_sequence(f"cat {in_ol_chiki('dog')}")
    assert rows.requires_grad and not student.text_sequence("cat").requires_grad
    rows.sum().backward()
    touched = student.bridge.values["letters"].grad.abs().sum(1) > 0
    assert 0 < int(touched.sum()) <= 4
    assert imported_trunk().position.shape[1] == rows.shape[1]
