"""The ear's alignment and closed form on made-up clips: no sources, no data."""

import ctypes.util
import json

import numpy as np
import pytest

from onesense.train.ear import Speech, closed_form, cover, piece_spans
from onesense.train.speech import Clip, room


def clip(text: str, n_states: int, anchors: list[tuple[int, float]] | None = None) -> Clip:
    return Clip("a", 0, n_states, n_states / 25, text, text, "en", "words", anchors or [])


def test_letters_are_spread_evenly_where_nothing_is_known():
    spans = piece_spans(clip("abcd efgh!", 50), np.linspace(0, 1, 51), [(0, 4), (4, 9), (9, 10)])
    assert np.allclose(spans, [[0, 0.4], [0.4, 0.9], [0.9, 1.0]])


def test_anchors_and_pauses_move_the_words():
    """Second word from 1.0 s; the pause from 0.4 s to 1.0 s is no voice, so the words share the voice 1:1."""
    keep = np.ones(35, bool)
    keep[10:25] = False
    position = np.concatenate([[0], np.cumsum(keep)]) / keep.sum()
    spans = piece_spans(clip("one two", 35, [(0, 0.0), (4, 1.0)]), position, [(0, 3), (4, 7)])
    assert np.allclose(spans[0, 0], 0) and np.allclose(spans[1], [0.5, 1.0])
    assert spans[0, 1] <= 0.5


def test_cover_shares_a_piece_between_its_windows():
    assert np.allclose(cover(np.array([[0.0, 0.5], [0.5, 1.0]]), 3), [[1, 0], [0.5, 0.5], [0, 1]])


def test_closed_form_finds_a_linear_map():
    rng = np.random.default_rng(0)
    features = rng.standard_normal((3_000, 1536)).astype(np.float32)
    features[:, 5:] *= 0.0
    targets = features[:, :5] @ rng.standard_normal((5, 384)).astype(np.float32) + 1.0
    net = closed_form(features.astype(np.float16), targets).numpy()
    said = net(features[:50])
    assert np.corrcoef(said.ravel(), targets[:50].ravel())[0, 1] > 0.99
    assert np.linalg.norm(said - 1) == pytest.approx(np.linalg.norm(targets[:50] - 1), rel=0.05)


def test_speech_is_cut_into_windows_without_its_pauses(tmp_path):
    states = np.random.default_rng(0).standard_normal((60, 512)).astype(np.float16)
    loud = np.ones(60, np.float16)
    loud[20:40] = -1  # the first clip's second half, the second clip's first ten states
    records = [clip("hello", 40), clip("you", 20)]
    rows = [dict(key=k, offset=o, **{f: getattr(c, f) for f in Clip.__slots__ if f not in ("key", "offset")})
            for k, o, c in (("a", 0, records[0]), ("b", 40, records[1]))]  # fmt: skip
    states.tofile(tmp_path / "dev_states.f16")
    loud.tofile(tmp_path / "dev_loudness.f16")
    (tmp_path / "dev_states.json").write_text(json.dumps({"clips": rows}))
    speech = Speech.load(tmp_path, "dev")
    assert [len(speech.windows(i)) for i in range(2)] == [3, 2]  # 22 and 20 states of voice
    assert speech.windows(0).dtype == np.float32
    assert speech.positions[0][22] == 1.0


def test_a_room_keeps_length_and_range():
    voice = np.sin(np.arange(16_000) / 20).astype(np.float32)
    for seed in range(6):
        heard = room(voice, np.random.default_rng(seed))
        assert heard.shape == voice.shape and heard.dtype == np.float32 and 0.05 < np.abs(heard).max() < 1.6


@pytest.mark.skipif(ctypes.util.find_library("espeak-ng") is None, reason="espeak-ng is not installed")
def test_espeak_tells_when_its_words_begin():
    from onesense.errors import NotFound
    from onesense.train.espeak import Espeak

    espeak = Espeak()
    text = "the cat sat on the mat, purring softly"
    spoken = espeak.say(text, "en-us+f2")
    chars, seconds = zip(*spoken.anchors, strict=True)
    assert [text[c : c + 3] for c in chars][:3] == ["the", "cat", "sat"]
    assert list(seconds) == sorted(seconds) and list(chars) == sorted(chars)
    assert 1.5 < len(spoken.samples) / 16_000 < 5 and seconds[-1] < len(spoken.samples) / 16_000
    with pytest.raises(NotFound, match="no voice"):
        espeak.say("x", "en-xx")
