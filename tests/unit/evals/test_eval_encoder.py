from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from onesense.errors import DimError, EmptyInput
from onesense.evals.encoder import CHUNK, Encoder, Memory, content_key
from onesense.types import Audio, Content, Image, Page, Part, Video


def test_a_content_is_embedded_once_per_task(oracle):
    encoder = Encoder(Memory(oracle))
    first = encoder.embed(["a", "b", "a"])
    assert np.array_equal(first[0], first[2]) and not np.array_equal(first[0], first[1])
    assert np.array_equal(encoder.embed([Content("b")]), first[1:2])
    assert len(oracle.calls) == 2
    encoder.embed(["a"], "search query")
    assert [task for _, task in oracle.calls] == [None, None, "search query"]
    assert encoder.memory.n_embedded == 3 and encoder.memory.texts == {"a", "b"}


def test_other_sizes_are_cuts_of_the_same_vectors(oracle):
    encoder = Encoder(Memory(oracle))
    full, cut = encoder.embed(["a"]), encoder.at(8).embed(["a"])
    assert np.allclose(cut, full[:, :8] / np.linalg.norm(full[:, :8])) and cut.dtype == np.float32
    assert len(oracle.calls) == 1
    with pytest.raises(DimError):
        encoder.at(257).embed(["a"])


def test_chunks_report_progress(oracle):
    seen: list[int] = []
    Encoder(Memory(oracle, seen.append)).embed(str(i) for i in range(CHUNK + 3))
    assert seen == [CHUNK, 3]


def test_an_empty_set_is_an_error(oracle):
    with pytest.raises(EmptyInput, match="empty"):
        Encoder(Memory(oracle)).embed([])


PIXELS = np.zeros((2, 3, 3), np.uint8)
PAGE = Page(Image(PIXELS), "x", 1)
BASE = Content(Part(b"x", "image/webp"))
OTHERS = [
    (BASE, "search query"),
    (Content(Part(b"y", "image/webp")), None),
    (Content(Part("x")), None),
    (Content(Part(b"x", "image/png")), None),
    (Content(Part(b"x", "image/webp"), title="t"), None),
    (Content(Part(b"x", "image/webp", start_s=1.0)), None),
    (Content(Part(b"x", "image/webp"), "x"), None),
    (Content("x", Part(b"x", "image/webp")), None),
    (Content("xx"), None),
    (Content("x", "x"), None),
    (Content(Part(Image(PIXELS))), None),
    (Content(Part(Image(PIXELS.reshape(3, 2, 3)))), None),
    (Content(Part(PAGE)), None),
    (Content(Part(dataclasses.replace(PAGE, text=""))), None),
    (Content(Part(Audio(np.zeros(9, np.float32)))), None),
    (Content(Part(Video(PIXELS[None], np.zeros(1, np.float32), None, 1.0))), None),
    (Content(Part(Video(PIXELS[None], np.ones(1, np.float32), None, 1.0))), None),
]


def test_every_ingredient_changes_the_key():
    keys = [content_key(content, task) for content, task in [(BASE, None), *OTHERS]]
    assert len(set(keys)) == len(keys)
    assert content_key(Content(Part(Image(PIXELS.copy()))), None) == content_key(Content(Part(Image(PIXELS))), None)


def test_a_changed_file_is_another_content(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"one")
    before = content_key(Content(Part.file(path)), None)
    path.write_bytes(b"two")
    assert content_key(Content(Part.file(path)), None) != before
