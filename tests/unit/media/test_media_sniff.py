import numpy as np
import pytest

import media_samples as samples
from onesense.errors import DecodeError, UnsupportedMedia
from onesense.media.sniff import modalities, plain_mime, sniff

JPEG = samples.picture("JPEG")
SOUNDS = {"wav": "audio/wav", "mp3": "audio/mpeg", "flac": "audio/flac", "ogg": "audio/ogg", "opus": "audio/ogg",
          "m4a": "audio/mp4", "aac": "audio/aac", "mka": "audio/x-matroska"}  # fmt: skip
VIDEOS = {"mp4": "video/mp4", "mov": "video/quicktime", "webm": "video/webm", "mkv": "video/x-matroska",
          "avi": "video/x-msvideo"}  # fmt: skip
PICTURES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "GIF": "image/gif", "BMP": "image/bmp",
            "TIFF": "image/tiff", "HEIF": "image/heic", "AVIF": "image/avif"}  # fmt: skip


def found(source, declared=None):
    modality, mime = sniff(source, declared)
    return modality.name, mime


@pytest.mark.parametrize(("kind", "mime"), PICTURES.items())
def test_pictures(kind, mime):
    assert found(samples.picture(kind)) == ("image", mime)


@pytest.mark.parametrize(("kind", "mime"), SOUNDS.items())
def test_sounds(kind, mime):
    assert found(samples.sound(kind, samples.tone(0.2))) == ("audio", mime)


@pytest.mark.parametrize(("kind", "mime"), VIDEOS.items())
def test_videos(kind, mime):
    assert found(samples.video(kind, 1)) == ("video", mime)


def test_text_and_pdf():
    assert found(samples.pdf(["x"])) == ("pdf", "application/pdf")
    assert found("naïve café".encode()) == ("text", "text/plain")
    assert found(b"\n<!DOCTYPE html><p>x") == ("text", "text/html")


def test_a_declared_text_type_stands_because_bytes_cannot_tell_it():
    assert found(b"a,b\n1,2", "text/csv; charset=utf-8") == ("text", "text/csv")


@pytest.mark.parametrize(
    ("declared", "plain"),
    [("image/jpg", "image/jpeg"), ("audio/mp3", "audio/mpeg"), ("audio/x-wav", "audio/wav"),
     ("Image/JPEG; q=1", "image/jpeg"), ("application/ld+json", "application/json"), (None, "")],
)  # fmt: skip
def test_usual_names(declared, plain):
    assert plain_mime(declared) == plain


def test_within_a_modality_the_bytes_win():
    assert found(JPEG, "image/png") == ("image", "image/jpeg")
    assert found(JPEG, "image/x-unheard-of") == ("image", "image/jpeg")
    assert found(JPEG, "application/octet-stream") == ("image", "image/jpeg")
    assert found(samples.video("mp4", 1), "video/quicktime") == ("video", "video/mp4")


@pytest.mark.parametrize("declared", ["audio/mpeg", "text/plain", "application/pdf", "video/mp4", "application/json"])
def test_another_modality_is_an_error_naming_both(declared):
    with pytest.raises(DecodeError, match=rf"`{declared}`.*`image/jpeg`"):
        sniff(JPEG, declared)


def test_text_declared_as_a_picture_is_an_error():
    with pytest.raises(DecodeError, match=r"image/png.*text/plain"):
        sniff(b"just words", "image/png")


def test_the_declared_type_chooses_within_a_shared_container_as_long_as_it_is_inside():
    film, talk = samples.video("mp4", 1), samples.sound("mp4", samples.tone(0.3))
    assert found(film)[0] == "video"
    assert found(film, "audio/mp4")[0] == "audio"
    assert found(talk)[0] == "audio"
    assert found(talk, "video/mp4")[0] == "audio"
    assert found(samples.video("mp4", 1, with_sound=False), "audio/mp4")[0] == "video"


def test_unknown_bytes_are_named():
    with pytest.raises(UnsupportedMedia, match="ZIP archive"):
        sniff(b"PK\x03\x04" + bytes(100))
    with pytest.raises(UnsupportedMedia, match="begins with the bytes"):
        sniff(np.random.default_rng(0).bytes(5000))
    with pytest.raises(UnsupportedMedia, match="application/zip"):
        sniff(JPEG, "application/zip")


@pytest.mark.parametrize("words", [b"BMW builds cars", b"RIFF raff", b"ID3 tags are old", b"fLaC is a word", b"GIF it"])
def test_words_are_not_taken_for_magic(words):
    assert found(words) == ("text", "text/plain")


def test_utf16_is_not_taken_for_mpeg_audio():
    assert found("Grüße".encode("utf-16")) == ("text", "text/plain")


def test_every_modality_is_found():
    assert [m.name for m in modalities()] == ["audio", "image", "pdf", "text", "video"]
