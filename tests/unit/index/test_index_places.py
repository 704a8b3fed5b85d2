import io
import wave

import numpy as np
import pytest
from PIL import Image

import media_samples as samples
from onesense.errors import InvalidInput, NotFound, UnsupportedModality
from onesense.index import places
from onesense.index.collection import Collection
from onesense.media import _av, _boxes
from onesense.types import Hit, Locator


def hit(path, modality, **where) -> Hit:
    return Hit(f"{path}#0", str(path), Locator(**where), modality, 0.5, None, "")


def test_a_sound_is_cut_as_wav(tmp_path):
    (tmp_path / "a.wav").write_bytes(samples.sound("wav", samples.tone(4.0)))
    clip = places.clip(hit(tmp_path / "a.wav", "audio", start_s=1.0, end_s=3.0))
    with wave.open(io.BytesIO(clip.data)) as file:
        assert (file.getnframes() / file.getframerate(), file.getframerate()) == (2.0, 48_000)
    assert clip.mime_type == "audio/wav"


def test_a_video_is_cut_as_mp4_with_its_sound(tmp_path):
    (tmp_path / "a.mkv").write_bytes(samples.video("mkv", 6))
    clip = places.clip(hit(tmp_path / "a.mkv", "video", start_s=2.0, end_s=4.0))
    found = _av.probe(clip.data)
    assert clip.mime_type == "video/mp4" and found.has_sound and found.has_pictures
    assert found.duration_s == pytest.approx(2, abs=0.5)


def test_frames_are_of_the_place(tmp_path):
    (tmp_path / "a.mkv").write_bytes(samples.video("mkv", 6))
    shot = places.frame(hit(tmp_path / "a.mkv", "video", start_s=0.0, end_s=6.0), at_s=4.0)
    assert np.asarray(Image.open(io.BytesIO(shot.data)))[:, 40:].mean() == pytest.approx(80, abs=12)
    (tmp_path / "a.wav").write_bytes(samples.sound("wav", samples.tone(1.0)))
    with pytest.raises(UnsupportedModality):
        places.frame(hit(tmp_path / "a.wav", "audio", start_s=0.0, end_s=1.0))


def test_what_cannot_be_cut_is_told(tmp_path):
    with pytest.raises(NotFound, match="moved"):
        places.clip(hit(tmp_path / "gone.wav", "audio", start_s=0.0, end_s=1.0))
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(InvalidInput, match="no stretch"):
        places.clip(hit(tmp_path / "a.txt", "text", start_char=0, end_char=1))


def test_words_are_boxed_on_the_page():
    source = samples.pdf(["one pear here"])
    (box,), text = _boxes.boxes(source, 1, lambda page: [(page.index("pear"), page.index("pear") + 4)])
    (whole,), _ = _boxes.boxes(source, 1, lambda page: [(0, len(page))])
    assert text == "pear"
    assert whole[0] < box[0] < box[2] < whole[2] and all(0 <= side <= 1 for side in box)
    with pytest.raises(InvalidInput, match="pages 1 to 1"):
        _boxes.boxes(source, 2, lambda _: [])


def test_the_words_of_a_query_are_marked(tmp_path):
    (tmp_path / "a.pdf").write_bytes(samples.pdf(["one pear here"]))
    (tmp_path / "a.txt").write_text("The train is late. A cat purrs on the sofa. Nobody knows why.", encoding="utf-8")
    with Collection.open(tmp_path / "c.json", model="tiny", dim=64) as opened:
        opened.add([tmp_path / "a.pdf", tmp_path / "a.txt"])
        page = opened.search("pear", modality="pdf")[0]
        assert opened.mark(page, "the PEAR").text == "pear" and len(opened.mark(page, "pear").boxes) == 1
        note = opened.search("a cat purrs", modality="text")[0]
        mark = opened.mark(note, "a cat purrs")
        assert (mark.text, mark.start_char, mark.end_char) == ("A cat purrs on the sofa.", 19, 43)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("猫がいる。犬もいる。", ["猫がいる。", "犬もいる。"]),
        ("- milk\n- bread", ["- milk", "- bread"]),
        ("3.5 kg of pears", ["3.5 kg of pears"]),
        ("  ", []),
    ],
)
def test_sentences(text, expected):
    assert [text[a:b] for a, b in places.sentences(text)] == expected
