import pytest

from onesense.index import words
from onesense.types import Content, Image, Page, Part


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Été à la MER", ["ete", "a", "la", "mer"]),
        ("don't stop", ["dont", "stop"]),
        ("1,234.50 kg, 3.5 and 2024-05-01", ["1234.50", "kg", "3.5", "and", "2024", "05", "01"]),
        ("IMG_0042.jpg", ["img", "0042", "jpg"]),
        ("猫を獣医に", ["猫を", "を獣", "獣医", "医に"]),
        ("猫 cat", ["猫", "cat"]),
        ("बिल्ली सोफे पर।", ["बिल्ली", "सोफे", "पर"]),
        ("", []),
    ],
)
def test_text_is_cut_and_folded(text, expected):
    assert words.tokens(text) == expected


def test_vowel_signs_of_hindi_stay():
    assert words.tokens("की") != words.tokens("का")


def test_places_are_those_of_the_text_as_written():
    text = "Die Kätzchen, die KATZE; 東京都庁"
    assert [text[a:b] for a, b in words.places(text, {"katze", "katzchen"})] == ["Kätzchen", "KATZE"]
    assert [text[a:b] for a, b in words.places(text, {"東京", "京都"})] == ["東京都"]


def test_what_a_row_is_found_by():
    payload = {
        "path": "/media/Lisbon/IMG_7.jpg",
        "preview": "p",
        "text": "the text",
        "metadata": {"who": ["Ana", {"x": "Bo"}]},
    }
    assert words.of_payload(payload) == "lisbon img 7 the text ana bo"


def test_a_segment_says_its_texts_and_text_layers(image):
    assert words.said(Content("a", Part(Page(image, "b", 1)), title="t")) == "t\na\nb"
    assert words.said(Content(Part(image))) == ""


@pytest.fixture
def image():
    import numpy as np

    return Image(np.zeros((4, 4, 3), np.uint8))


def test_bm25_prefers_the_rare_word_and_the_short_row():
    index = words.Index(["the cat", "the dog", "the dog and the cat and the bird", "zebra the"])
    assert next(row for row, _ in index.scores(["zebra", "the"], range(4))) == 3
    assert [row for row, _ in index.scores(["cat"], range(4))] == [0, 2]
    assert index.scores(["cat"], [1, 3]) == []
