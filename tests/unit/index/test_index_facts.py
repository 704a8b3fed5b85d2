import numpy as np
import pytest
from PIL import Image

import media_samples as samples
from onesense.index import facts
from onesense.index.collection import Collection
from onesense.types import Content, Locator, Part, Segment


@pytest.fixture
def photo(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x0132] = "2023:07:04 10:00:00"
    exif.get_ifd(0x8769)[0x9003] = "2024:05:01 08:30:00"
    exif.get_ifd(0x8825).update({1: "N", 2: (38.0, 42.0, 36.0), 3: "W", 4: (9.0, 8.0, 24.0)})
    path = tmp_path / "lisbon.jpg"
    Image.fromarray(np.full((60, 80, 3), 90, np.uint8)).save(path, exif=exif)
    return path


def test_a_photograph_tells_when_and_where(photo):
    expected = {
        "mime": "image/jpeg",
        "width": 60,
        "height": 80,
        "taken": "2024-05-01T08:30:00",
        "lat": 38.71,
        "lon": -9.14,
    }
    assert facts.of_file(photo) == expected


def test_damaged_exif_leaves_the_size(tmp_path):
    exif = Image.Exif()
    exif[0x0132] = "yesterday"
    exif.get_ifd(0x8825).update({1: "N", 2: (0.0, 0.0), 3: "W"})
    path = tmp_path / "a.jpg"
    Image.fromarray(np.zeros((5, 7, 3), np.uint8)).save(path, exif=exif)
    assert facts.of_file(path) == {"mime": "image/jpeg", "width": 7, "height": 5}


def test_sound_video_and_documents_tell_length_and_pages(tmp_path):
    (tmp_path / "a.mp4").write_bytes(samples.video("mp4", 3))
    found = facts.of_file(tmp_path / "a.mp4")
    assert (found["mime"], found["width"], found["height"]) == ("video/mp4", 64, 48)
    assert found["duration_s"] == pytest.approx(3, abs=0.2)
    (tmp_path / "a.pdf").write_bytes(samples.pdf(["one", "two"]))
    assert facts.of_file(tmp_path / "a.pdf") == {"mime": "application/pdf", "n_pages": 2}


def test_what_cannot_be_read_has_no_facts(tmp_path):
    (tmp_path / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    assert facts.of_file(tmp_path / "cut.png") in ({}, {"mime": "image/png"})
    assert facts.of_file(tmp_path / "gone.png") == {}


def test_facts_filter_a_search(tmp_path, photo):
    (tmp_path / "note.txt").write_text("Die Katze liegt auf dem Sofa und schläft mit dem Hund.", encoding="utf-8")
    with Collection.open(tmp_path / "c.json", model="tiny", dim=64) as collection:
        collection.add([photo, tmp_path / "note.txt"])

        def names(**where):
            return [hit.path.rpartition("/")[2] for hit in collection.search("a place", where=where)]

        assert names(taken={"gte": "2024", "lte": "2025"}) == ["lisbon.jpg"]
        assert names(lat={"gte": 38, "lte": 39}, lon={"gte": -10, "lte": -9}) == ["lisbon.jpg"]
        assert names(language="de") == ["note.txt"]
        assert names(width={"gte": 61}) == []
        assert len(names(mime=["image/jpeg", "text/plain"])) == 2


def test_what_the_model_read_in_a_picture_becomes_its_text_and_preview():
    segment = Segment(Content(Part(b"...")), Locator(), "image", "picture, 64x48 as read")
    told = facts.of_segment(segment, "Harbour office\nOpen from nine to five every day of the week")
    assert told["text"].startswith("Harbour office\nOpen") and told["facts"] == {"language": "en"}
    assert told["preview"] == "picture, 64x48 as read: “Harbour office Open from nine to five every day of the week”"
    assert facts.of_segment(segment) == {}
    page = Segment(Content("its own words"), Locator(), "text", "its own words")
    assert facts.of_segment(page, "read elsewhere")["text"] == "its own words"
