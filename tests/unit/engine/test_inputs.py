"""What may be handed in."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from google.genai import types as gt

from onesense.engine.inputs import as_content, as_part, is_many
from onesense.errors import EmptyInput, InvalidInput, UnsupportedMedia
from onesense.types import Audio, Content, Image, Part

RAW = bytes(range(250, 256)) + b"\x00>?"
URLSAFE = base64.urlsafe_b64encode(RAW).decode()
STANDARD = base64.b64encode(RAW).decode()


def test_googles_objects_become_ours() -> None:
    part = gt.Part(
        inline_data=gt.Blob(data=RAW, mime_type="video/mp4", display_name="film"),
        video_metadata=gt.VideoMetadata(start_offset="1.5s", end_offset="3s", fps=2),
    )
    assert as_part(part) == Part(RAW, "video/mp4", 1.5, 3.0, 2.0)
    assert as_part(gt.Part(text="a")) == Part("a")
    assert as_part(gt.Part.from_bytes(data=RAW, mime_type="image/png")) == Part(RAW, "image/png")
    assert as_part(gt.Part(file_data=gt.FileData(file_uri="/a/b.png"))) == Part(Path("/a/b.png"))
    assert as_part(gt.File(uri="file:///a/b%20c.png", mime_type="image/png")) == Part(Path("/a/b c.png"), "image/png")
    assert as_content(gt.Content(parts=[gt.Part(text="a"), part], role="user")) == Content("a", as_part(part))
    assert as_content(gt.UserContent(parts=["a"])) == Content("a")


@pytest.mark.parametrize(
    "fields",
    [
        {"inline_data": {"mime_type": "image/png", "data": RAW}},
        {"inlineData": {"mimeType": "image/png", "data": STANDARD}},
        {"inlineData": {"mime_type": "image/png", "data": URLSAFE}},
        {"inline_data": {"mimeType": "image/png", "data": URLSAFE.rstrip("="), "displayName": "x"}},
        {"inlineData": {"mimeType": "image/png", "data": STANDARD}, "mediaResolution": {"level": "LOW"}, "text": None},
    ],
)
def test_dicts_of_either_spelling_and_base64_of_either_alphabet(fields: dict[str, Any]) -> None:
    assert as_part(fields) == Part(RAW, "image/png")
    assert as_content({"parts": [fields], "role": "user"}) == Content(Part(RAW, "image/png"))


def test_lists_are_the_parts_of_one_content() -> None:
    assert as_content(["a", gt.Part(text="b"), {"text": "c"}]) == Content("a", "b", "c")


@pytest.mark.parametrize("value", [Image(np.zeros((1, 1, 3), np.uint8)), Audio(np.zeros(1, np.float32))])
def test_canonical_media_are_taken_as_they_are(value: Image | Audio) -> None:
    assert as_part(value).value is value


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "1", "CMYK", "F", "HSV"])
def test_pil_pictures_become_png_bytes_of_the_same_pixels(mode: str) -> None:
    picture = PIL.Image.new("RGB", (3, 2), (200, 10, 20)).convert(mode)
    part = as_part(picture)
    assert part.mime_type == "image/png"
    assert isinstance(part.value, bytes)
    with PIL.Image.open(io.BytesIO(part.value)) as read:
        assert read.size == (3, 2)
        assert np.abs(np.asarray(read.convert("RGB"), int) - np.asarray(picture.convert("RGB"), int)).max() <= 1


def test_a_pil_picture_keeps_its_orientation_and_profile() -> None:
    picture = PIL.Image.new("RGB", (3, 2))
    picture.getexif()[0x0112] = 6
    picture.info["icc_profile"] = b"profile"
    value = as_part(picture).value
    assert isinstance(value, bytes)
    with PIL.Image.open(io.BytesIO(value)) as read:
        assert read.getexif()[0x0112] == 6
        assert read.info["icc_profile"] == b"profile"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (5, "not int"),
        (None, "not NoneType"),
        (b"x", r"Part\.bytes"),
        (Path("a"), r"Part\.file"),
        (np.zeros(3), "not ndarray"),
        ({"text": 5}, "takes a str"),
        ({"text": "a", "inline_data": {"data": b"x"}}, "holds one of"),
        ({"inline_data": {"mime_type": "image/png"}}, "lacks `data`"),
        ({"inline_data": "abc"}, "`inline_data` is an object"),
        ({"inline_data": {"data": "a*b"}}, "not base64"),
        ({"inline_data": {"data": 5}}, "base64 text, not int"),
        ({"inline_data": {"data": b"x", "mime_type": 5}}, "`mime_type` is text"),
        ({"file_data": {"file_uri": 5}}, "`file_uri` is a path"),
        ({"txet": "a"}, "`txet`"),
        ({"inlineData": {"data": b""}, "inline_data": {"data": b""}}, "twice"),
        ({"text": "a", "video_metadata": {"fps": 1}}, "belongs to a video"),
        ({"inline_data": {"data": b"x"}, "video_metadata": {"fps": "fast"}}, "`fps` is a number"),
        ({"inline_data": {"data": b"x"}, "video_metadata": {"speed": 2}}, "`speed`"),
        ({"parts": "abc"}, "`parts` is a list"),
        ({"parts": ["a"], "title": 5}, "`title` is text"),
        ({"parts": ["a"], "text": "b"}, "`text`"),
        (gt.Part(function_call=gt.FunctionCall(name="f")), "`function_call`"),
        (gt.Part(executable_code=gt.ExecutableCode(code="1", language="PYTHON")), "`executable_code`"),
    ],
)
def test_anything_else_is_refused_with_a_reason(value: object, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        as_content(value)


@pytest.mark.parametrize("uri", ["https://example.org/a.png", "gs://bucket/a", "s3://b/a", "file://server/a.png"])
def test_nothing_is_fetched(uri: str) -> None:
    with pytest.raises(UnsupportedMedia, match="not on this machine"):
        as_part({"file_data": {"file_uri": uri}})


@pytest.mark.parametrize("value", [{}, {"parts": []}, {"role": "user"}, [], gt.Content(parts=[]), gt.Part()])
def test_a_content_without_parts_is_refused(value: object) -> None:
    with pytest.raises(EmptyInput, match="at least one part"):
        as_content(value)


@pytest.mark.parametrize(
    ("contents", "many"),
    [
        ("a", False),
        (b"a", False),
        ({"text": "a"}, False),
        (Part("a"), False),
        (Content("a"), False),
        (gt.Part(text="a"), False),
        (gt.Content(parts=[]), False),
        ({"a"}, False),
        (["a"], True),
        (("a",), True),
        (iter(["a"]), True),
    ],
)
def test_what_holds_several_contents(contents: object, many: bool) -> None:
    assert is_many(contents) is many
