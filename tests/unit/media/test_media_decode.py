import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import media_samples as samples
from onesense.errors import DecodeError, InvalidInput, NotFound, TooLarge
from onesense.media import decode, preview, segments
from onesense.types import Audio, Document, Image, Limits, Page, Part, Video

PICTURE = Image(samples.pattern())


@pytest.mark.parametrize(
    ("value", "name"),
    [("just words", "text"), ("", "text"), ("photo.jpg", "text"), ("https://example.com/a.png", "text"),
     (PICTURE, "image"), (Audio(samples.tone(0.1)), "audio"), (Page(PICTURE, "x", 1), "pdf"),
     (Document((Page(PICTURE, "x", 1),)), "pdf"),
     (Video(PICTURE.pixels[None], np.zeros(1, np.float32), None, 1.0), "video")],
)  # fmt: skip
def test_text_and_canonical_media_pass_as_they_are(value, name):
    found, same = decode(Part(value))
    assert found == name
    assert same is value


def test_files_and_bytes_give_the_same(tmp_path):
    source = samples.picture("PNG")
    file = tmp_path / "picture.txt"  # the name says nothing
    file.write_bytes(source)
    for part in (Part.file(file), Part.file(str(file)), Part.bytes(source), Part.bytes(source, "image/png")):
        name, value = decode(part)
        assert name == "image"
        assert np.array_equal(value.pixels, PICTURE.pixels)


def test_a_text_file_gives_its_text(tmp_path):
    file = tmp_path / "a.md"
    file.write_text("# Hi\n", encoding="utf-8")
    assert decode(Part.file(file)) == ("text", "# Hi\n")


def test_the_stretch_of_a_part_is_honoured():
    source = samples.video("mp4", 5)
    assert decode(Part(source, start_s=1.0, end_s=3.0, fps=2.0))[1].times_s == pytest.approx([1, 1.5, 2, 2.5], abs=0.11)
    assert decode(Part(source, "audio/mp4", start_s=1.0, end_s=3.0))[1].duration_s == 2.0
    assert [p.number for p in decode(Part(samples.pdf(["a", "b"]), pages=(2,)))[1].pages] == [2]


def test_limits_reach_the_door_and_the_decoder():
    with pytest.raises(TooLarge):
        decode(Part(samples.picture("PNG")), Limits(max_bytes=10))
    with pytest.raises(TooLarge):
        decode(Part(samples.picture("PNG")), Limits(max_pixels=10))
    with pytest.raises(TooLarge):
        segments(samples.picture("PNG"), limits=Limits(max_bytes=10))


def test_segments_are_checked_when_they_are_asked_for(tmp_path):
    with pytest.raises(NotFound):
        segments(tmp_path / "missing.png")
    with pytest.raises(DecodeError, match="declared"):
        segments(samples.picture("PNG"), "audio/wav")
    file = tmp_path / "a.wav"
    file.write_bytes(samples.sound("wav", samples.tone(1.0)))
    (segment,) = segments(str(file))
    assert segment.modality == "audio"
    assert preview(segment.content.parts[0].value) == segment.preview == "sound 0:01.0"


def test_a_stretch_of_what_is_decoded_is_refused_rather_than_ignored():
    with pytest.raises(InvalidInput, match="encoded file"):
        decode(Part(Audio(samples.tone(1.0)), start_s=0.5))


def test_other_values_are_refused():
    with pytest.raises(InvalidInput, match="not int"):
        decode(Part(7))


def test_listing_and_importing_loads_no_decoder():
    script = (
        "import sys, onesense.media, onesense.media.sniff as s; [m.sniff(b'x' * 99) for m in s.modalities()];"
        "print([m for m in ('PIL', 'av', 'pypdfium2', 'pillow_heif') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_adding_a_modality_is_adding_a_file(tmp_path, monkeypatch):
    from onesense import media
    from onesense.media import sniff

    (tmp_path / "smell.py").write_text(
        "class Smell:\n"
        "    name, mimes, suffixes = 'smell', frozenset({'application/x-smell'}), frozenset()\n"
        "    def sniff(self, head): return 'application/x-smell' if head.startswith(b'SMELL') else None\n"
        "    def decode(self, source, part, limits=None): return source.decode()\n"
        "modality = Smell()\n",
        encoding="utf-8",
    )
    known = sniff.plugins.names("modalities")
    monkeypatch.setattr(sniff.plugins, "names", lambda kind: known | {"smell": "onesense.media.smell"})
    monkeypatch.setattr(media, "__path__", [*media.__path__, str(tmp_path)])
    sniff.modalities.cache_clear()
    try:
        assert decode(Part(b"SMELL of roses")) == ("smell", "SMELL of roses")
    finally:
        monkeypatch.undo()
        sys.modules.pop("onesense.media.smell", None)
        sniff.modalities.cache_clear()
    assert Path(media.__file__).parent.joinpath("text.py").exists()
