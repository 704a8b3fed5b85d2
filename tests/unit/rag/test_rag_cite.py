from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onesense.rag.cite import Citer, uncited, without_marks


def fed(pieces: list[str], n: int) -> tuple[str, Citer]:
    citer = Citer(range(n))
    return "".join([*(citer.feed(piece) for piece in pieces), citer.end()]), citer


@given(st.lists(st.integers(0, 40), max_size=3))
def test_the_text_is_the_same_however_it_comes_in_pieces(cuts: list[int]) -> None:
    text = "A [1], b [2, 3] and c [7]. Not a mark: [x], [ , [12"
    marks = [0, *sorted(cuts), len(text)]
    pieces = [text[a:b] for a, b in pairwise(marks)]
    shown, citer = fed(pieces, 3)
    assert shown == "A [1], b [2][3] and c. Not a mark: [x], [ , [12"
    assert (citer.cited, citer.dropped) == ([1, 2, 3], [7])


def test_no_delta_ever_shows_half_a_mark() -> None:
    citer = Citer(range(2))
    shown = [citer.feed(piece) for piece in ["It is so ", "[", "1", "]", ", and [2", ";9] too"]]
    assert all(piece.count("[") == piece.count("]") for piece in shown)
    assert "".join(shown) == "It is so [1], and [2] too"


def test_signs_that_a_terminal_obeys_are_left_out() -> None:
    assert fed(["a\x1b[31mb\x00\x07\n"], 0)[0] == "a[31mb\n"


@pytest.mark.parametrize("text", ["[" * 10_000, "[1" * 10_000, "[1,2,3" + ",4" * 5_000])
def test_endless_brackets_are_not_held_back_for_ever(text: str) -> None:
    assert fed([text], 2)[0] == text


def test_sentences_without_a_source_are_counted() -> None:
    assert uncited("It is red [1]. It is big. It is old.[2]") == (1, 3)
    assert uncited("One [1]\nTwo [2]\n") == (0, 2)
    assert uncited("") == (0, 0)


def test_marks_of_an_earlier_answer_are_taken_out() -> None:
    assert without_marks("It is red [1], and old [2][3].") == "It is red, and old."
