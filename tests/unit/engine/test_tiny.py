"""The tiny model: real, deterministic, of every sense."""

from __future__ import annotations

import numpy as np
import pytest

from onesense.engine.backends import tiny
from onesense.engine.backends.tiny import Backend
from onesense.errors import BackendError, EmptyInput
from onesense.types import Audio, Batch, Content, Image, Page, Part, Video
from onesense.vectors import cosine

MODEL = Backend()


def _embed(*parts: object) -> np.ndarray:
    contents = [p if isinstance(p, Content) else Content(Part(p)) for p in parts]  # type: ignore[arg-type]
    return MODEL.embed(Batch(tuple(MODEL.prepare(c) for c in contents)))


def test_two_models_are_the_same_model() -> None:
    features = MODEL.prepare(Content("a cat"))
    assert np.array_equal(Backend().embed(Batch((features,))), MODEL.embed(Batch((features,))))


def test_shared_words_bring_texts_together() -> None:
    rows = _embed("a cat purring", "the cat is purring", "stock markets fell sharply")
    near = cosine(rows, rows)
    assert near[0, 1] > near[0, 2] + 0.05


def test_order_case_and_every_letter_count() -> None:
    rows = _embed("dog bites man", "man bites dog", "Dog bites man", "dog bites men")
    assert cosine(rows, rows)[~np.eye(4, dtype=bool)].max() < 0.9999


def test_what_lies_behind_the_limit_is_not_read() -> None:
    words = "w " * tiny.MAX_TOKENS
    assert np.allclose(*_embed(words + "one", words + "other"))
    assert MODEL.prepare(Content("w " * 511 + "w")).truncated is False


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 500), (31, 33), (33, 31), (2000, 3)])
def test_a_picture_of_any_size_is_averaged_to_the_grid(height: int, width: int) -> None:
    pixels = np.full((height, width, 3), 255, np.uint8)
    assert np.allclose(tiny._shrink(pixels, 32), 255)
    assert MODEL.prepare(Content(Part(Image(pixels)))).n_tokens == 16


def test_averaging_is_the_mean_of_each_cell() -> None:
    pixels = np.random.RandomState(0).randint(0, 256, (64, 96, 3)).astype(np.uint8)
    expected = pixels.reshape(32, 2, 32, 3, 3).mean((1, 3))
    assert np.allclose(tiny._shrink(pixels, 32), expected, atol=1e-3)


def test_a_sound_has_two_tokens_a_second_and_silence_is_heard() -> None:
    assert MODEL.prepare(Content(Part(Audio(np.zeros(16_000 * 3, np.float32))))).n_tokens == 6
    assert MODEL.prepare(Content(Part(Audio(np.zeros(1, np.float32))))).n_tokens == 1
    assert MODEL.prepare(Content(Part(Audio(np.zeros(16_000 * 400, np.float32))))).truncated


def test_a_film_differs_by_order_time_and_sound() -> None:
    frames = np.random.RandomState(0).randint(0, 256, (3, 8, 8, 3)).astype(np.uint8)
    times = np.arange(3, dtype=np.float32)
    sound = Audio(np.sin(np.arange(16_000)).astype(np.float32))
    films = [
        Video(frames, times, None, 3),
        Video(frames[::-1], times, None, 3),
        Video(frames, times * 2, None, 6),
        Video(frames, times, sound, 3),
    ]
    rows = _embed(*films)
    assert cosine(rows, rows)[~np.eye(4, dtype=bool)].max() < 0.99999
    assert MODEL.prepare(Content(Part(films[3]))).usage == {"video": 3 * 4 + 2}


def test_a_page_is_picture_and_text() -> None:
    page = Page(Image(np.zeros((9, 9, 3), np.uint8)), "three words here", 1)
    assert MODEL.prepare(Content(Part(page))).usage == {"pdf": 16 + 3}


def test_a_mixed_content_is_cut_in_its_last_part() -> None:
    picture = Part(Image(np.zeros((9, 9, 3), np.uint8)))
    features = MODEL.prepare(Content("w " * 500, picture, picture))
    assert (features.usage, features.truncated) == ({"text": 500, "image": 12}, True)


@pytest.mark.parametrize("value", [" ", Audio(np.zeros(0, np.float32)), Image(np.zeros((0, 4, 3), np.uint8))])
def test_nothing_is_refused(value: object) -> None:
    with pytest.raises(EmptyInput):
        MODEL.prepare(Content(Part(value)))  # type: ignore[arg-type]


def test_a_closed_model_says_so() -> None:
    model = Backend()
    features = model.prepare(Content("a"))
    model.close()
    model.close()
    with pytest.raises(BackendError, match="closed"):
        model.embed(Batch((features,)))
