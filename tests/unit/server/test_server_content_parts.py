"""Parts as OpenAI's and Cohere's clients write them."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from onesense.errors import InvalidInput
from onesense.server.content_parts import wanted
from onesense.server.sources import FileRef
from onesense.types import Part

PNG = b"\x89PNG and more \xff\xfe"
URI = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
URL_SAFE = base64.urlsafe_b64encode(PNG).decode().rstrip("=")


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("hi", Part("hi")),
        ({"type": "text", "text": "hi"}, Part("hi")),
        ({"type": "input_text", "text": "hi"}, Part("hi")),
        ({"text": "hi"}, Part("hi")),
        ({"type": "image_url", "image_url": {"url": URI}}, Part(PNG, "image/png")),
        ({"type": "image_url", "image_url": URI}, Part(PNG, "image/png")),
        ({"type": "input_image", "image_url": URI}, Part(PNG, "image/png")),
        ({"type": "image", "image": URI}, Part(PNG, "image/png")),
        ({"type": "image_url", "image_url": f"data:image/png;base64,{URL_SAFE}"}, Part(PNG, "image/png")),
        ({"type": "image_url", "image_url": "DATA:;base64,aGk="}, Part(b"hi", None)),
        ({"type": "image_url", "image_url": "data:text/plain,a%20b"}, Part(b"a b", "text/plain")),
        ({"type": "image_url", "image_url": "https://h/a.png"}, FileRef("https://h/a.png", None)),
        ({"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}}, Part(b"hi", "audio/wav")),
        ({"type": "input_audio", "input_audio": {"data": "aGk=", "format": "mp3"}}, Part(b"hi", "audio/mpeg")),
        ({"type": "input_audio", "input_audio": {"data": "aGk="}}, Part(b"hi", None)),
        ({"type": "video_url", "video_url": {"url": "data:video/mp4;base64,aGk="}}, Part(b"hi", "video/mp4")),
        ({"type": "file", "file": {"file_data": "data:application/pdf;base64,aGk="}}, Part(b"hi", "application/pdf")),
        ({"type": "input_file", "file_id": "abc"}, FileRef("files/abc", None)),
        ({"type": "file", "file": {"file_id": "files/abc"}}, FileRef("files/abc", None)),
        ({"inlineData": {"mimeType": "image/png", "data": "aGk="}}, Part(b"hi", "image/png")),
        ({"inline_data": {"mime_type": "image/png", "data": "aGk="}}, Part(b"hi", "image/png")),
        ({"fileData": {"fileUri": "files/a"}}, FileRef("files/a", None)),
    ],
)
def test_every_way_to_write_a_part(item: Any, expected: Part | FileRef) -> None:
    assert wanted([item]).parts == (expected,)


@pytest.mark.parametrize(
    "item",
    [
        7, None, [], {}, "", {"type": "text"}, {"type": "text", "text": ""}, {"type": "text", "text": 7},
        {"type": "dance"}, {"type": 7}, {"type": ["text"]}, {"type": "image_url"},
        {"type": "image_url", "image_url": 7},
        {"type": "image_url", "image_url": ""}, {"type": "image_url", "image_url": "data:image/png;base64"},
        {"type": "image_url", "image_url": "data:image/png;base64,"},
        {"type": "image_url", "image_url": "data:image/png;base64,*"},
        {"type": "image_url", "image_url": "data:image/png;base64,a"}, {"type": "input_audio"},
        {"type": "input_audio", "input_audio": {"data": 7}}, {"type": "input_audio", "input_audio": {"data": ""}},
        {"type": "input_audio", "input_audio": {"data": "aGk=", "format": 7}}, {"type": "file"},
        {"type": "file", "file": {}}, {"type": "file", "file": 7}, {"unknown": 1}, {"text": "a", "inlineData": {}},
        {"inlineData": {"mimeType": "image/png", "data": "*"}},
    ],
)  # fmt: skip
def test_what_is_no_part_is_refused(item: Any) -> None:
    with pytest.raises(InvalidInput):
        wanted([item])


def test_a_content_without_parts_is_refused() -> None:
    with pytest.raises(InvalidInput, match="at least one part"):
        wanted([])
