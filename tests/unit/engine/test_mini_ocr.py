"""OCR itself; runs where the extra `[ocr]` is installed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image as pil
from PIL import ImageDraw, ImageFont

from onesense import Embedder
from onesense.engine.backends._mini import ocr
from onesense.errors import MissingExtra
from onesense.types import Content, Image, Page, Part

pytest.importorskip("rapidocr", reason="needs the extra [ocr]")


@pytest.fixture(scope="module")
def reader() -> ocr.Ocr:
    return ocr.Ocr()


def _sign(*lines: str, size: int = 40) -> np.ndarray:
    canvas = pil.new("RGB", (640, 80 + 70 * len(lines)), "#204060")
    for i, line in enumerate(lines):
        ImageDraw.Draw(canvas).text((30, 40 + 70 * i), line, "white", ImageFont.load_default(size))
    return np.asarray(canvas).copy()


def test_words_are_read_in_order(reader: ocr.Ocr) -> None:
    lines = [line.text for line in reader(_sign("Quillmoor Bakery", "open from seven"))]
    assert lines == ["Quillmoor Bakery", "open from seven"]


def test_print_of_ten_points_at_the_size_that_pages_come_in_is_read(reader: ocr.Ocr) -> None:
    lines = ["The harvest failed in Ostrava", "and grain was sold by the bushel", "at prices nobody could remember"]
    canvas = pil.new("RGB", (724, 1024), "white")  # A4 as `media.pdf` draws it, 87 dpi
    for i, line in enumerate(lines):
        ImageDraw.Draw(canvas).text((60, 130 + 17 * i), line, "black", ImageFont.load_default(12))
    assert [line.text for line in reader(np.asarray(canvas).copy())] == lines


@pytest.mark.parametrize("shape", [(1, 1), (11, 500), (12, 12), (30, 4096), (900, 20)])
def test_pictures_of_any_shape_without_words_give_none(reader: ocr.Ocr, shape: tuple[int, int]) -> None:
    assert reader(np.full((*shape, 3), 127, np.uint8)) == []


def test_a_strip_is_padded_and_a_large_picture_made_smaller() -> None:
    for shape in ((30, 4096), (900, 20), (3_000, 2_000), (12, 12), (600, 800)):
        height, width = ocr._fitted(np.zeros((*shape, 3), np.uint8)).shape[:2]
        assert 24 <= max(height, width) <= ocr.LONG_SIDE
        assert max(height, width) <= ocr.LONGEST * min(height, width)
        assert max(height, width) <= max(*shape, 24)


def test_threads_do_not_disturb_each_other(reader: ocr.Ocr) -> None:
    signs = [_sign(word, size=30 + 4 * i) for i, word in enumerate(("Harbour", "Station", "Library"))]
    with ThreadPoolExecutor(3) as pool:
        found = [" ".join(line.text for line in lines) for lines in pool.map(reader, signs)]
    assert found == ["Harbour", "Station", "Library"]


def test_nothing_is_written_to_the_terminal(reader: ocr.Ocr, capfd: pytest.CaptureFixture[str]) -> None:
    reader(np.zeros((64, 64, 3), np.uint8))
    assert capfd.readouterr() == ("", "")


def test_a_package_without_networks_is_refused_before_it_could_fetch_any(monkeypatch: pytest.MonkeyPatch) -> None:
    class Spec:
        origin = "/nowhere/rapidocr/__init__.py"

    monkeypatch.setattr(ocr, "find_spec", lambda package: Spec)
    with pytest.raises(MissingExtra, match="no networks"):
        ocr.version()


@pytest.mark.parametrize("name", ["onesense-mini", "onesense-mini+ocr"])
def test_a_scan_is_found_by_its_words(name: str) -> None:
    scans = [Page(Image(_sign(text)), "", 1) for text in ("minutes of the parish", "price of wheat", "train to Oslo")]
    with Embedder(name) as embedder:
        asked = embedder.embed(["cereal prices", "railway journey"])
        scores = asked @ embedder.embed([Content(Part(scan)) for scan in scans]).T
    assert scores[0, 1] > scores[0, [0, 2]].max() + 0.03
    assert scores[1, 2] > scores[1, :2].max() + 0.03
