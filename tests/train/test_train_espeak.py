"""A text that ends the synthesiser's process is left out; the next one is spoken."""

import ctypes.util
import os

import pytest

from onesense.train import espeak
from onesense.train.espeak import Speaker

pytestmark = pytest.mark.skipif(ctypes.util.find_library("espeak-ng") is None, reason="espeak-ng is not installed")


def test_words_have_times():
    spoken = Speaker().say("one two three", "en-us", words_per_min=160)
    assert spoken is not None and len(spoken.samples) > 8_000
    assert [char for char, _ in spoken.anchors] == [0, 4, 8]


def test_a_crash_costs_one_text():
    speaker = Speaker()
    assert speaker._process.submit(os.getpid).result() != os.getpid()
    with pytest.raises(espeak.BrokenProcessPool):
        speaker._process.submit(os.abort).result()
    assert speaker.say("gone with the process", "en-us") is None
    assert speaker.say("spoken again", "en-us") is not None
