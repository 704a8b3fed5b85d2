import threading

import numpy as np
import pytest

import media_samples as samples
from onesense.errors import DecodeError, EncryptedInput, InvalidInput, TooLarge
from onesense.media.pdf import modality
from onesense.types import Limits, Part

SOURCE = samples.pdf(["Annual report", "", "Revenue by quarter"])


def decode(source, **part):
    return modality.decode(source, Part(source, **part)).pages


def test_pages_have_a_picture_and_their_text():
    pages = decode(SOURCE)
    assert [page.number for page in pages] == [1, 2, 3]
    assert [page.text for page in pages] == ["Annual report", "", "Revenue by quarter"]
    assert all(page.image.pixels.shape == (800, 600, 3) for page in pages)  # 300 x 400 points at 144 dpi
    assert pages[0].image.pixels.dtype == np.uint8
    ink = (pages[0].image.pixels < 128).any(axis=2)
    assert 0.001 < ink.mean() < 0.05
    assert ink[140:210].sum() == ink.sum()  # the line stands 300 points above the lower edge
    assert (pages[1].image.pixels == 255).all()


def test_chosen_pages_in_the_asked_order():
    assert [page.number for page in decode(SOURCE, pages=(3, 1))] == [3, 1]
    for wrong in ((0,), (4,), (1, -1)):
        with pytest.raises(InvalidInput, match="pages 1 to 3"):
            decode(SOURCE, pages=wrong)
    with pytest.raises(InvalidInput, match="empty"):
        decode(SOURCE, pages=())


def test_more_pages_than_are_held_at_once():
    with pytest.raises(TooLarge, match="has 3 pages"):
        modality.decode(SOURCE, Part(SOURCE), Limits(max_pages=2))
    assert len(modality.decode(SOURCE, Part(SOURCE, pages=(2,)), Limits(max_pages=2)).pages) == 1
    assert len(list(modality.segments(SOURCE, Limits(max_pages=2)))) == 3


def test_a_password_is_named_and_an_empty_one_is_none():
    with pytest.raises(EncryptedInput, match="password"):
        decode(samples.pdf(["secret"], password="tiger"))
    with pytest.raises(EncryptedInput):
        list(modality.segments(samples.pdf(["secret"], password="tiger")))
    assert decode(samples.pdf(["open"], password=""))[0].text == "open"


@pytest.mark.parametrize("box", ["0 0 14400 14400", "0 0 2 2000", "0 0 1 1", "0 0 0 0"])
def test_pages_of_any_size(box):
    (page,) = decode(samples.pdf(["x"], media_box=box))
    height, width, channels = page.image.pixels.shape
    assert channels == 3
    assert 1 <= max(height, width) <= 1025


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_damage_is_named(share, tmp_path):
    file = tmp_path / "cut.pdf"
    file.write_bytes(SOURCE[: int(len(SOURCE) * share)])
    with pytest.raises(DecodeError, match=r"cut\.pdf. is a damaged PDF"):
        modality.decode(file, Part(file))


def test_a_damaged_page_does_not_take_the_others_with_it():
    broken = SOURCE.replace(b"6 0 obj\n<<", b"6 0 obj\n((")
    stream, given = modality.segments(broken), []
    with pytest.raises(DecodeError, match="pages were left out: 2;"):
        for segment in stream:
            given.append(segment.locator.page)
    assert given == [1, 3]
    with pytest.raises(DecodeError, match="damaged page 2"):
        decode(broken)


def test_segments_are_pages_with_a_preview(tmp_path):
    file = tmp_path / "a.pdf"
    file.write_bytes(SOURCE)
    segments = list(modality.segments(file))
    assert [str(s.locator) for s in segments] == ["page 1", "page 2", "page 3"]
    assert [s.preview for s in segments] == [
        "page 1: Annual report",
        "page 2: no text layer",
        "page 3: Revenue by quarter",
    ]
    assert segments[2].content.parts[0].value.text == "Revenue by quarter"


def test_many_threads_and_abandoned_generators():
    expected, found = decode(SOURCE)[0].image.pixels, []

    def work():
        for _ in range(3):
            found.append(next(modality.segments(SOURCE)).content.parts[0].value.image.pixels)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(found) == 18
    assert all(np.array_equal(pixels, expected) for pixels in found)
