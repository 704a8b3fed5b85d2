import dataclasses

import pytest

from onesense.errors import InvalidInput
from onesense.rag import extract
from onesense.rag.library import Library
from onesense.rag.retrieve import Wanted, diverse, media_tokens, quote, retrieve, seated, within
from onesense.rag.types import Passage
from onesense.types import Hit, Locator

TEXT = "Heading\n\nThe first sentence is about trains and is long enough. The shed costs money. Nothing else is said."


def passage(n: int, text: str = "", modality: str = "text", place: Locator = Locator(), sure: float = 0.5) -> Passage:  # noqa: B008
    return Passage(n, "test", Hit(f"p#{n}", "p", place, modality, 0.5, sure, ""), text)


def test_what_does_not_fit_is_left_out_and_the_last_is_cut() -> None:
    kept = within([passage(1, "x" * 400), passage(2, "y" * 400), passage(3, "z")], 150)
    assert [len(p.text) for p in kept] == [400, 200]


def test_media_cost_tokens_only_where_they_are_taken() -> None:
    clip = passage(1, modality="video", place=Locator(start_s=0.0, end_s=10.0))
    assert media_tokens(clip, frozenset()) == 0
    assert media_tokens(clip, frozenset({"video"})) == 3_000
    assert media_tokens(passage(1, modality="pdf"), frozenset({"image"})) == 1_000
    assert len(within([clip, clip, clip], 7_000, frozenset({"video"}))) == 2
    assert len(within([clip, clip, clip], 5_000, frozenset({"video"}))) == 1
    assert len(within([clip, clip, clip], 5_000)) == 3


def test_a_three_hour_recording_is_a_stretch_and_not_all_of_it(library: Library) -> None:
    whole = passage(1, modality="audio", place=Locator(start_s=0.0, end_s=3 * 3600.0))
    assert len(within([passage(2, "a"), whole], 6_000, frozenset({"audio"}))) == 1


def test_the_nearest_sentence_is_quoted(library: Library) -> None:
    said = quote(library, passage(1, TEXT), "What does the shed cost?").quote
    assert said.startswith("The shed costs money.")


def test_a_copy_of_what_is_taken_comes_last(library: Library) -> None:
    found = library.search("sourdough bread", 4, modality=["text"])[0]
    sure = (0.61, 0.6, *(0.6 for _ in found[1:]))
    copies = zip((found[0], *found), sure, strict=True)
    same = [dataclasses.replace(p, hit=dataclasses.replace(p.hit, confidence=c)) for p, c in copies]
    chosen = diverse(library, same, len(same))
    assert chosen[0].hit.id == found[0].hit.id
    assert chosen[-1].hit.id == found[0].hit.id


def test_unlikely_passages_are_left_out(library: Library) -> None:
    found = library.search("sourdough bread", 3, modality=["text"])[0]
    sure = (0.9, 0.5, 0.05)
    rated = [
        dataclasses.replace(p, hit=dataclasses.replace(p.hit, confidence=c)) for p, c in zip(found, sure, strict=True)
    ]
    assert [p.hit.confidence for p in diverse(library, rated, 3)] == [0.9, 0.5]


def found(n: int, sure: float, *held: str, modality: str = "text") -> Passage:
    hit = Hit(f"p#{n}", f"p{n}", Locator(), modality, 0.5, sure, "", words=held)
    return Passage(n, "test", hit, "text")


def test_what_only_meaning_finds_is_not_crowded_out() -> None:
    worded = [found(n, 0.99, "kostet", "schuppen") for n in range(8)]
    foreign, photo = found(20, 0.8), found(21, 0.4, modality="image")
    assert [p.number for p in seated([*worded, foreign, photo], 5)] == [0, 1, 2, 20, 21]
    assert [p.number for p in seated([*worded, foreign], 1)] == [0]
    assert [p.number for p in seated(worded, 5)] == [0, 1, 2, 3, 4]


def test_what_is_unlikely_takes_nobody_s_seat() -> None:
    worded = [found(n, 0.99, "kostet") for n in range(4)]
    assert [p.number for p in seated([*worded, found(20, 0.2), found(21, 0.9, "in")], 3)] == [0, 1, 21]


def test_an_answer_to_a_german_question_keeps_the_english_note() -> None:
    german = [found(n, 0.99, "kostet") for n in range(1, 8)]
    said = extract.lines([*german, found(9, 0.6), found(10, 0.5, modality="image")])
    assert [line.rsplit("[")[-1].strip("]\n") for line in said] == ["1", "2", "3", "9", "10"]


def test_passages_are_numbered_from_one(library: Library) -> None:
    found = retrieve(library, "garden shed budget", Wanted(k=3))
    assert [p.number for p in found.passages] == list(range(1, len(found.passages) + 1))
    assert found.passages[0].quote


@pytest.mark.parametrize("wrong", [{"k": 0}, {"budget_tokens": 0}])
def test_wrong_wishes_are_told(wrong: dict) -> None:
    with pytest.raises(InvalidInput):
        Wanted(**wrong)
