from __future__ import annotations

import numpy as np

from onesense.evals import synth
from onesense.evals.draw import HEIGHT, WIDTH, page, table_page


def test_sounds_are_audible_distinct_and_the_same_again():
    made = synth.sounds(0, variants=2)
    assert len(made) == 2 * len(synth.RECIPES)
    assert len({sound.samples.tobytes() for _, sound in made}) == len(made)
    for name, sound in made:
        assert sound.samples.dtype == np.float32 and sound.duration_s == synth.DURATION_S, name
        assert 0.59 < np.abs(sound.samples).max() < 0.61 and np.sqrt((sound.samples**2).mean()) > 0.003, name
    again = synth.sounds(0, variants=2)
    assert all(np.array_equal(a.samples, b.samples) for (_, a), (_, b) in zip(made, again, strict=True))
    assert not np.array_equal(made[0][1].samples, synth.sounds(1)[0][1].samples)


def test_a_beep_has_its_pitch():
    (beep,) = [sound for name, sound in synth.sounds(0, variants=1) if name == "a machine beeping"]
    spectrum = np.abs(np.fft.rfft(beep.samples))
    assert 690 < spectrum.argmax() / synth.DURATION_S < 1310


def test_a_page_shows_and_says_its_table():
    table = {
        "title": "Rivers",
        "heading": "Africa",
        "caption": "",
        "csv": 'name,length\n"Nile, White",3700\nCongo,4700\n',
    }
    spoken, scanned = table_page(table, text_layer=True), table_page(table, text_layer=False)
    assert spoken.text == "Rivers\nAfrica\nname  length\nNile, White  3700\nCongo  4700"
    assert scanned.text == "" and np.array_equal(spoken.image.pixels, scanned.image.pixels)
    assert spoken.image.pixels.shape == (HEIGHT, WIDTH, 3) and spoken.image.pixels.dtype == np.uint8
    other = table_page(table | {"csv": "name,length\nCongo,4700\n"}, text_layer=False)
    assert not np.array_equal(other.image.pixels, scanned.image.pixels)


def test_a_wide_and_long_table_stays_on_the_page():
    drawn = page("t", "", [["cell " * 50] * 40] * 200, text_layer=True)
    assert drawn.image.pixels[-20:].min() == 255
    assert len(drawn.text.split("\n")) == 2 + 37


def test_an_empty_table_is_a_page_with_a_title():
    assert page("t", "", [], text_layer=True).text == "t\n"
