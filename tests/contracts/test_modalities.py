"""What every modality owes, built-in or not: each is found by listing its folder and needs a sample here."""

import functools
import re
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import media_samples as samples
from onesense import plugins
from onesense.errors import EmptyInput, OnesenseError
from onesense.media import decode
from onesense.media import segments as media_segments
from onesense.types import Audio, Document, Image, Limits, Modality, Page, Part, Video

NAMES = sorted(plugins.names("modalities"))


@functools.cache
def golden(name: str) -> bytes:
    """A small valid file of each modality; one without a sample fails here."""
    return {
        "text": lambda: "Grüße aus Köln, words and 世界.\n\nA second paragraph.".encode(),
        "image": lambda: samples.picture("PNG"),
        "audio": lambda: samples.sound("flac", samples.tone(0.5)),
        "video": lambda: samples.video("mp4", 2),
        "pdf": lambda: samples.pdf(["Annual report", "Revenue"]),
    }[name]()


MORE = {
    "image": [lambda k=k: samples.picture(k) for k in ("JPEG", "GIF", "BMP", "WEBP", "AVIF", "HEIF")],
    "audio": [lambda k=k: samples.sound(k, samples.tone(0.3)) for k in ("wav", "mp3", "ogg", "opus", "m4a", "aac")],
    "video": [lambda k=k: samples.video(k, 1) for k in ("mov", "webm", "mkv", "avi")],
}


def load(name) -> Modality:
    return plugins.load("modalities", name)


def check(value) -> None:
    """A decoded value is sane: right dtypes, ranks and ranges."""
    if isinstance(value, Image):
        assert value.pixels.dtype == np.uint8
        assert value.pixels.ndim == 3
        assert value.pixels.shape[2] == 3
        assert min(value.pixels.shape) > 0
    elif isinstance(value, Audio):
        assert value.samples.dtype == np.float32
        assert value.samples.ndim == 1
        assert len(value.samples) > 0
        assert np.abs(value.samples).max() <= 1.0
    elif isinstance(value, Video):
        assert value.frames.dtype == np.uint8
        assert value.frames.ndim == 4
        assert len(value.frames) == len(value.times_s) > 0
        assert (np.diff(value.times_s) > 0).all()
        assert value.duration_s >= 0
    elif isinstance(value, Document):
        assert value.pages
        for page in value.pages:
            check(page)
    elif isinstance(value, Page):
        assert value.number >= 1
        check(value.image)
        check(value.text)
    else:
        assert isinstance(value, str)


def try_all(source: bytes) -> None:
    """Decode and cut: a sane value or one of our errors, never another exception."""
    try:
        check(decode(Part(source))[1])
        for segment in media_segments(source):
            check(segment.content.parts[0].value)
    except OnesenseError as error:
        assert str(error)


@pytest.mark.parametrize("name", NAMES)
def test_it_satisfies_the_contract(name):
    modality = load(name)
    assert isinstance(modality, Modality)
    assert modality.name == name
    assert modality.mimes
    assert all(re.fullmatch(r"[a-z]+/[a-z0-9.+-]+", mime) for mime in modality.mimes)
    assert all(re.fullmatch(r"\.[a-z0-9]+", suffix) for suffix in modality.suffixes)


def test_no_suffix_belongs_to_two():
    suffixes = [suffix for name in NAMES for suffix in load(name).suffixes]
    assert len(suffixes) == len(set(suffixes))


@pytest.mark.parametrize("name", NAMES)
def test_round_trip_by_bytes_and_by_path(name, tmp_path):
    modality, source = load(name), golden(name)
    assert modality.sniff(source[:4096]) in modality.mimes
    assert not any(load(other).sniff(source[:4096]) for other in NAMES if other not in {name, "text", "audio", "video"})
    file = tmp_path / "sample"
    file.write_bytes(source)
    for held in (source, file):
        value = modality.decode(held, Part(held))
        check(value)
        assert decode(Part(held))[0] == name
        line = modality.preview(value)
        assert line
        assert "\n" not in line
        found = list(modality.segments(held))
        assert found
        assert all(segment.modality == name and segment.preview for segment in found)
        for segment in found:
            check(segment.content.parts[0].value)


RECORDED = {
    "text": lambda v: (len(v), v[:5]) == (50, "Grüße"),
    "image": lambda v: (
        v.pixels.shape == (48, 64, 3) and int(v.pixels.sum(dtype=int)) == int(samples.pattern().sum(dtype=int))
    ),
    "audio": lambda v: (
        v.samples.shape == (8000,) and float(np.square(v.samples).mean()) == pytest.approx(0.125, rel=1e-3)
    ),
    "video": lambda v: v.frames.shape == (2, 48, 64, 3) and v.frames[1, :, 32:].mean() == pytest.approx(20, abs=3),
    "pdf": lambda v: [p.image.pixels.shape for p in v.pages] == [(800, 600, 3)] * 2 and v.pages[1].text == "Revenue",
}


@pytest.mark.parametrize("name", NAMES)
def test_the_golden_sample_has_its_recorded_shape_and_sum(name):
    value = load(name).decode(golden(name), Part(golden(name)))
    assert RECORDED[name](value)


@pytest.mark.parametrize("name", NAMES)
def test_no_bytes_are_empty_input(name, tmp_path):
    mime = sorted(load(name).mimes)[0]
    (tmp_path / "empty").touch()
    for held in (b"", tmp_path / "empty"):
        with pytest.raises(EmptyInput):
            decode(Part(held, mime))


@pytest.mark.parametrize("name", NAMES)
def test_truncated_anywhere(name):
    for make in [lambda: golden(name), *MORE.get(name, [])]:
        source = make()
        for share in (0.02, 0.1, 0.35, 0.7, 0.97):
            try_all(source[: max(1, int(len(source) * share))])


@pytest.mark.parametrize("name", NAMES)
def test_wrong_magic_and_random_bytes(name):
    modality, noise = load(name), np.random.default_rng(7).bytes(3000)
    others = [golden(other) for other in NAMES if other not in {name, "text"}]
    for source in [noise, noise[:7], golden(name)[:16] + noise, *others]:
        try_all(source)
        try:  # the decoder called past the sniffer must hold as well
            check(modality.decode(source, Part(source)))
        except OnesenseError as error:
            assert str(error)


@pytest.mark.parametrize("name", NAMES)
def test_a_limit_of_nothing_refuses(name):
    nothing = Limits(
        max_bytes=0, max_text_bytes=0, max_pixels=0, max_pages=0, max_seconds=0, max_frames=0, max_stream_s=0
    )
    with pytest.raises(OnesenseError):
        load(name).decode(golden(name), Part(golden(name)), nothing)


def test_bombs_are_refused_by_their_headers():
    webp = samples.picture("WEBP", lossless=True)
    at = webp.index(b"VP8L") + 9
    huge = {
        "png": samples.png_header(100_000, 100_000),
        "bmp": samples.picture("BMP")[:18] + struct.pack("<ii", 60_000, 60_000) + samples.picture("BMP")[26:],
        "gif": b"GIF89a" + struct.pack("<HH", 65_535, 65_535) + samples.picture("GIF")[10:],
        "webp": webp[:at] + b"\xff\xff\xff\x0f" + webp[at + 4 :],
    }
    for source in huge.values():
        with pytest.raises(OnesenseError):
            decode(Part(source))


@pytest.mark.parametrize("name", NAMES)
@given(edits=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=6), which=st.integers(0, 9))
@example(edits=[(0.0, 0)], which=0)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_mutated_bytes(name, edits, which):
    makers = [lambda: golden(name), *MORE.get(name, [])]
    source = bytearray(makers[which % len(makers)]())
    for place, byte in edits:
        source[min(int(place**2 * len(source)), len(source) - 1)] = byte  # squared: headers are hit more often
    try_all(bytes(source))


def test_nothing_reaches_stderr(capfd):
    for name in ("image", "audio", "video", "pdf"):
        for make in [lambda name=name: golden(name), *MORE.get(name, [])]:
            source = bytearray(make())
            source[len(source) // 2 :: 7] = b"\xa5" * len(source[len(source) // 2 :: 7])
            try_all(bytes(source))
    out, err = capfd.readouterr()
    assert out == ""
    assert err == ""
