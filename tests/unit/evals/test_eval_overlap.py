from __future__ import annotations

import pytest
from planted import jsonl, tar, tsv

from onesense.evals import overlap
from onesense.evals.packs import Packs, write_pack


@pytest.fixture
def leaky(tmp_path) -> Packs:
    row = {"lang": "de", "variant": "deu"}
    write_pack(
        tmp_path,
        {
            "text/ntrex_1-1600.tsv.xz": tsv(
                row | {"line": 1500, "text": "ein Satz zum Lernen", "english": "a sentence to learn"},
                row | {"line": 1501, "text": "nur zum Messen da", "english": "only there to measure"},
            ),
            "text/oewn.jsonl.xz": jsonl({"lemmas": ["dog"], "definition": "x", "examples": ["It barked all night."]}),
            "text/gatitos.tsv.xz": tsv({"lang": "de", "text": "a word list entry", "english": "x"}),
            "audio/sounds-000.tar": tar({"a": (b"", {"label": "thing", "captions": ["a dog far away"]})}, "ogg"),
        },
    )
    return Packs(tmp_path)


def test_texts_of_training_rows_are_counted_whatever_their_case(leaky):
    wanted = {
        "one": {"A sentence  to LEARN.", "It barked all night", "a dog far away", "nobody ever said this"},
        "two": {"only there to measure", "nur zum Messen da", "a word list entry"},
        "three": {"dog", "x"},
    }
    assert overlap.count(wanted, leaky) == {"one": (3, 4), "two": (0, 3), "three": (0, 0)}


def test_every_named_rule_reads_real_rows(packs):
    texts = set(overlap.training_texts(packs))
    assert "en words thing10" in texts and "en words thing11" not in texts  # lines 1500 and 1501
    assert not any(text.startswith(("ar thing", "page thing", "means thing")) for text in texts)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("  Ａ　B\n c ", "a b c"), ("„Straße!“", "„strasse"), ("What?", "what")],
)
def test_normal_form(text, expected):
    assert overlap.normal(text) == expected


def test_a_long_text_without_spaces_counts():
    assert overlap.count({"a": {"这是一个没有空格的句子啊啊"}}, _empty()) == {"a": (0, 1)}


class _empty:
    def names(self) -> list[str]:
        return []
