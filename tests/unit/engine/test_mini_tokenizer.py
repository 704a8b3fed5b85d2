"""The growing tokeniser segments as the whole one does."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onesense.engine.backends._mini import tokenizer
from onesense.engine.backends._mini.package import Package
from onesense.engine.backends._mini.tokenizer import Tokenizer, pack

TEXTS = [
    "where does the animal rest?",
    "  two  spaces, \t a tab\n and a line ",
    "Où est la bibliothèque ?", "我们的猫在睡觉", "นี่คือแมวของฉัน", "الرحمن الرحيم", "ﬁ ½ ① Ⅷ ｆｕｌｌ",
    "😀👩‍👩‍👧 \ue000 \U000f0000", "▁already▁marked", "<s> hi </s>there<unk> <pad>x<mask>", "", "   ", "A" * 200,
]  # fmt: skip


@pytest.fixture(scope="module")
def stored():
    return Package().arrays("tokenizer.npz")


@pytest.fixture(scope="module")
def whole(stored):
    made = Tokenizer(stored)
    made.encode("x" * (tokenizer.WHOLE_AFTER_CHARS + 1))
    assert made._whole is not None
    return made


@pytest.mark.parametrize("text", TEXTS)
def test_a_few_pieces_segment_as_all_of_them(stored, whole, text):
    few = Tokenizer(stored)
    assert few.encode(text) == whole.encode(text)
    assert few._whole is None


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=40))
def test_any_short_text_is_segmented_the_same(few, whole, text):
    few._read_chars = 0
    assert few.encode(text) == whole.encode(text)


@pytest.fixture(scope="module")
def few(stored):
    return Tokenizer(stored)


def test_the_whole_segmenter_is_built_after_so_many_characters(stored):
    growing = Tokenizer(stored)
    first = growing.encode("a cat " * 10)
    assert growing._whole is None
    growing.encode("b" * tokenizer.WHOLE_AFTER_CHARS)
    assert growing._whole is not None and growing.encode("a cat " * 10) == first


def test_pack_keeps_pieces_scores_and_settings():
    settings_ = {
        "version": "1.0", "added_tokens": [], "normalizer": None, "post_processor": None, "decoder": None,
        "truncation": None, "padding": None,
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "add_prefix_space": True},
        "model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["▁a", -1.25], ["é", -1.3], ["b", -7.5]]},
    }  # fmt: skip
    packed = pack(settings_)
    assert packed["pieces"].tobytes().decode() == "<unk>\n▁a\né\nb"
    scores = np.cumsum(packed["score_steps"], dtype=np.int32).view(np.float32)
    assert scores.tolist() == [0.0, -1.25, np.float32(-1.3), -7.5]
    assert "vocab" not in json.loads(packed["settings"].tobytes())["model"]
