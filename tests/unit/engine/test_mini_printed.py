"""Finding and cutting out lines of print, and the bundled reader on pictures drawn here."""

from __future__ import annotations

from difflib import SequenceMatcher

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image, ImageDraw, ImageFont

from onesense.engine.backends._mini import printed
from onesense.engine.backends._mini.package import Package
from onesense.engine.backends._mini.printed import (
    PrintReader,
    Strip,
    connected,
    cut_out,
    decode,
    is_believed,
    one_script,
    scripts_of,
    strips_of,
)


@given(npst.arrays(bool, npst.array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_patches_are_those_of_a_flood_fill(cells):
    ours = connected(cells)
    expected = np.zeros(cells.shape, int)
    for n, (row, column) in enumerate(np.argwhere(cells), 1):
        waiting = [] if expected[row, column] else [(row, column)]
        while waiting:
            y, x = waiting.pop()
            inside = 0 <= y < cells.shape[0] and 0 <= x < cells.shape[1]
            if inside and cells[y, x] and not expected[y, x]:
                expected[y, x] = n
                waiting += [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]
    assert ((ours > 0) == cells).all()
    pairs = {(int(a), int(b)) for a, b in zip(ours[cells], expected[cells], strict=True)}
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
    assert set(range(1, len(pairs) + 1)) == {a for a, _ in pairs}


@given(st.floats(-0.12, 0.12), st.integers(12, 60), st.integers(120, 360))
def test_a_turned_band_gives_its_line_back(slope, high, wide):
    """A band drawn by the rule of training: half of the line's height, cell by cell how much of it is covered."""
    y, x = np.mgrid[0:320, 0:480].astype(float) + 0.5
    inside = np.abs(x - 240) <= wide / 2
    drawn = inside & (np.abs(y - 160 - slope * (x - 240)) <= high * printed.BAND / 2)
    band = drawn.reshape(80, 4, 120, 4).mean((1, 3)).astype(np.float32)
    (strip,) = strips_of(band)
    assert strip.x == pytest.approx(240, abs=4) and strip.y == pytest.approx(160, abs=2.5)
    assert strip.wide == pytest.approx(wide, abs=8) and strip.high == pytest.approx(high, rel=0.25)
    if wide > 4 * high:
        assert strip.slope == pytest.approx(slope, abs=0.03)


def test_specks_and_nothing_are_no_lines():
    band = np.zeros((20, 20), np.float32)
    assert strips_of(band) == []
    band[3, 3] = 1.0
    assert strips_of(band) == []


def test_a_strip_is_cut_out_upright_and_sampled_without_gaps():
    grey = np.zeros((200, 400), np.float32)
    y, x = np.mgrid[0:200, 0:400]
    grey[np.abs(y - 100 - 0.1 * (x - 200)) < 20] = 1.0
    cut = cut_out([grey], Strip(200, 100, 300, 60, 0.1))
    assert cut.shape[0] == printed.HEIGHT and cut.dtype == np.float32
    assert cut[10:22].min() > 0.9 and cut[0].max() < 0.6
    beyond = cut_out([grey], Strip(395, 198, 60, 40, 0.0))  # half of it lies outside the picture
    assert np.isfinite(beyond).all() and beyond.shape[1] >= 8


def test_a_high_strip_comes_from_a_smaller_picture():
    stripes = np.tile(np.array([0, 255], np.uint8), (256, 256))[..., None].repeat(3, 2)  # grey from further away
    levels = printed._levels(printed._grey(stripes))
    near, far = (cut_out(levels, Strip(256, 128, 200, high, 0.0)) for high in (30, 200))
    assert near.std() > 0.2 and far.std() < 0.01 and far.mean() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("text", "sure", "expected"),
    [("Harbour", 0.85, True), ("Harbour", 0.7, False), ("2 e", 0.9, False), ("Q1", 0.98, True), ("|", 1.0, False)],
)
def test_short_lines_must_be_surer(text, sure, expected):
    assert is_believed(text, sure) is expected


def test_repeats_and_blanks_are_dropped():
    shares = np.full((7, 4), 0.02, np.float32)
    for step, letter in enumerate((1, 1, 0, 1, 2, 0, 3)):
        shares[step, letter] = 0.94
    text, sure = decode(shares, "abc")
    assert text == "aabc" and sure == pytest.approx(0.94)
    assert decode(np.eye(4, dtype=np.float32)[[0, 0]], "abc") == ("", 0.0)


def test_a_letter_of_another_script_gives_way_to_its_double():
    letters = "sexuaиД9"
    scripts = scripts_of(letters)
    assert scripts.tolist() == [0, 1, 1, 1, 1, 1, 3, 3, 0]
    steps = [1, 2, 3, 6, 5, 8]  # sex и a 9
    shares = np.full((6, 9), 0.01, np.float32)
    shares[range(6), steps] = 0.6
    shares[3, 4] = 0.3  # or u
    assert decode(one_script(shares, scripts), letters)[0] == "sexua9"
    half = shares[[0, 1, 3]]
    assert np.array_equal(one_script(half, scripts), half)  # a third of it is Cyrillic: it may be in both


@pytest.fixture(scope="module")
def reader() -> PrintReader:
    return PrintReader(Package(), threads=1)


def page(lines: list[tuple[int, int, str, int]], size=(640, 480), turn: float = 0.0) -> np.ndarray:
    canvas = Image.new("RGB", size, "#f4f1e8")
    for x, y, text, px in lines:
        ImageDraw.Draw(canvas).text((x, y), text, "#202030", ImageFont.load_default(px))
    return np.asarray(canvas.rotate(turn, Image.Resampling.BICUBIC, fillcolor="#f4f1e8"))


def alike(read: list[str], written: list[str]) -> bool:
    """As many lines, in order, with one letter in ten wrong at most."""
    ratios = [SequenceMatcher(None, a, b).ratio() for a, b in zip(read, written, strict=False)]
    return len(read) == len(written) and min(ratios) >= 0.9


def test_lines_are_read_in_order(reader):
    read = reader(
        page([(40, 60, "Harbour office", 34), (40, 140, "Open 9:30 to 17:00", 22), (40, 400, "Room 214", 16)])
    )
    assert alike([line.text for line in read], ["Harbour office", "Open 9:30 to 17:00", "Room 214"])


def test_a_turned_sign_is_read(reader):
    read = reader(page([(60, 200, "Velkor Tismun", 44)], turn=5))
    assert alike([line.text for line in read], ["Velkor Tismun"])


def test_where_nothing_is_printed_nothing_is_read(reader):
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8)
    assert reader(noise) == []
    assert reader(np.full((300, 400, 3), 128, np.uint8)) == []
    assert reader(np.zeros((3, 900, 3), np.uint8)) == []


def test_a_strip_of_a_picture_and_a_huge_one_are_read(reader):
    assert [line.text for line in reader(page([(10, 4, "Departures", 20)], size=(300, 30)))] == ["Departures"]
    assert [line.text for line in reader(page([(200, 300, "Departures", 120)], size=(3000, 900)))] == ["Departures"]
