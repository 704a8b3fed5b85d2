"""The networks that read print: what is drawn for them, that they learn, and that the package holds them truly."""

import random

import numpy as np
import pytest
import torch
from PIL import ImageFont

from onesense.engine.backends._mini.graph import Graph, widen
from onesense.engine.backends._mini.printed import strips_of
from onesense.errors import NotFound
from onesense.train import reader
from onesense.train.data import print as drawn
from onesense.train.model.reader import STEP, Finder, LineReader


class Spoken:
    """Draws from a few words."""

    def draw(self, rng):
        return rng.choice(["Harbour", "9:30", "Straße 7", "no entry"])


@pytest.fixture
def face(monkeypatch):
    """Pillow's own font, so that no font of the machine is needed."""
    monkeypatch.setattr(drawn, "_font", lambda _, size: ImageFont.load_default(size))
    return drawn.Face("own", drawn.letters_of(ImageFont.load_default(16)))


def test_a_font_has_the_letters_that_it_draws():
    has = drawn.letters_of(ImageFont.load_default(16))
    assert has >= set("abcXYZ019,. ") and "Ж" not in has


def test_no_fonts_is_said(tmp_path):
    with pytest.raises(NotFound, match="no fonts to draw with"):
        drawn.faces(tmp_path)


@pytest.mark.parametrize("seed", range(8))
def test_a_line_is_print_of_one_height_that_fits_its_steps(face, seed):
    pixels = drawn.line("Harbour office", face, random.Random(seed))
    assert pixels.dtype == np.uint8 and pixels.shape[0] == drawn.HEIGHT
    assert pixels.shape[1] / STEP > len("Harbour office") and np.ptp(pixels) > 40


@pytest.mark.parametrize("seed", range(6))
def test_bands_lie_where_the_lines_are(face, seed):
    """What the finder is taught, read as what it would answer, gives lines of the sizes that were drawn."""
    rng = random.Random(seed)
    page = drawn.page(256, Spoken(), [face], [np.full((300, 300), 90, np.uint8)], rng)
    assert (
        page.pixels.shape == (256, 256) and page.mask.shape == (64, 64) and 0 <= page.mask.min() <= page.mask.max() <= 1
    )
    for strip in strips_of(page.mask):
        assert 5 <= strip.high <= 90 and abs(strip.slope) < 0.3
        x0, y0, x1, y1 = (round(v) for v in strip.box)
        assert np.ptp(page.pixels[max(0, y0) : y1, max(0, x0) : x1]) > 25


def test_both_networks_learn(face):
    torch.manual_seed(0)
    rng = random.Random(0)
    batch = reader._together([(drawn.line(text, face, rng), text) for text in ("Harbour", "9:30", "no entry") * 2])
    pages = [drawn.page(128, Spoken(), [face], [np.full((200, 200), 90, np.uint8)], rng) for _ in range(3)]
    cases = ((LineReader(len(drawn.ALPHABET)), reader.lines_loss, batch), (Finder(), reader.pages_loss, pages))
    for model, loss_of, batch in cases:
        optimizer = torch.optim.Adam(model.parameters(), 3e-3)
        losses = []
        for _ in range(12):
            optimizer.zero_grad()
            loss = loss_of(model, batch)
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        assert losses[-1] < 0.7 * losses[0]


def test_letters_that_differ_are_counted():
    assert reader.edit_distance("kitten", "sitting") == 3
    assert reader.edit_distance("", "abc") == 3 and reader.edit_distance("abc", "abc") == 0


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_is_written_computes_what_was_trained(tmp_path):
    for kind in ("lines", "finder"):
        reader._Run.open(kind, tmp_path).save()
    reader.write(tmp_path, tmp_path)
    with np.load(tmp_path / "reader.npz") as stored:
        letters, arrays = stored["letters"], {k: stored[k] for k in stored.files if k != "letters"}
    assert "".join(map(chr, letters)) == drawn.ALPHABET
    lines = np.random.default_rng(0).random((2, 32, 100), np.float32)
    found = Graph(tmp_path / "reader.onnx", widen(arrays), 1).run(lines=lines)[0]
    with torch.inference_mode():
        wanted = reader._trained("lines", tmp_path).eval()(torch.from_numpy(lines)).numpy()
    assert found.shape == (2, 25, len(drawn.ALPHABET) + 1)
    assert np.abs(np.exp(found) - np.exp(wanted)).max() < 0.02


def test_a_run_goes_on_where_it_was_stopped(tmp_path):
    run = reader._Run.open("finder", tmp_path)
    run.step(run.model(torch.rand(1, 32, 32)).sum(), 1e-3)
    run.spent_s = 7.0
    run.save()
    again = reader._Run.open("finder", tmp_path)
    assert again.n == 1 and again.spent_s == 7.0
    for ours, theirs in zip(again.model.parameters(), run.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)
