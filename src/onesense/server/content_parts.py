"""Parts of a content as OpenAI's and Cohere's clients write them: `{"type": "image_url", ...}` and their like."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from ..errors import EmptyInput, InvalidInput, MalformedRequest
from ..types import Part
from . import gemini_wire as wire
from .protojson import read
from .sources import FileRef

AnyPart = Part | FileRef

_AUDIO_TYPES = {"mp3": "audio/mpeg", "wav": "audio/wav", "m4a": "audio/mp4"}


def wanted(items: list[Any], **options: Any) -> wire.Wanted:
    """One content of several parts, as the engine is asked for it.

    Args:
        items: parts, each a text, OpenAI's or Cohere's typed object, or Gemini's.
        options: `task`, `dim`, `auto_truncate` of the `Wanted`.

    Raises:
        EmptyInput: there is no part, or one is empty.
        InvalidInput: a part is none.
    """
    if not items:
        raise EmptyInput("a content needs at least one part")
    parts, windows = zip(*(_part(item) for item in items), strict=True)
    plain = {"task": None, "dim": None, "auto_truncate": True} | options
    return wire.Wanted(None, parts, windows, title=None, **plain)


def _part(item: Any) -> tuple[AnyPart, Mapping[str, Any]]:
    if isinstance(item, str):
        return _text(item), {}
    if not isinstance(item, dict):
        raise MalformedRequest(f"a part is a text or an object, not {_shown(item)}")
    if "type" not in item:  # Gemini's parts have no type
        parts, windows = wire.read_content({"parts": [read(wire.PART, item)]})
        return parts[0], windows[0]
    reader = _READERS.get(item["type"]) if isinstance(item["type"], str) else None
    if reader is None:
        raise MalformedRequest(f"a part's `type` is {_shown(item['type'])}: use one of {', '.join(_READERS)}")
    return reader(item), {}


def _text(text: Any) -> Part:
    if not isinstance(text, str):
        raise MalformedRequest(f"a text is a string, not {_shown(text)}")
    if not text:
        raise EmptyInput("a text is empty: there is nothing to embed")
    return Part(text)


def data_part(uri: Any) -> AnyPart:
    """The part behind a `data:` URI, or the reference behind any other: an uploaded file, or an `https://` address.

    Raises:
        InvalidInput: it is no address, or its base64 is broken.
    """
    if not isinstance(uri, str) or not uri:
        raise MalformedRequest(f"an address is text such as `data:image/png;base64,…`, not {_shown(uri)}")
    if not uri[:5].lower() == "data:":
        return FileRef(uri, None)
    head, comma, payload = uri[5:].partition(",")
    if not comma:
        raise MalformedRequest("a `data:` address has a comma before its bytes: `data:image/png;base64,…`")
    mime_type, *options = head.split(";")
    is_base64 = any(option.strip().lower() == "base64" for option in options)
    data = _base64(payload) if is_base64 else unquote_to_bytes(payload)
    if not data:
        raise EmptyInput("a `data:` address holds no bytes")
    return Part(data, mime_type.strip().lower() or None)


def _address(name: str) -> Callable[[Mapping[str, Any]], AnyPart]:
    """Reader of `{"type": …, name: "data:…"}` and `{"type": …, name: {"url": "data:…"}}`."""

    def reader(item: Mapping[str, Any]) -> AnyPart:
        inner = item.get(name)
        return data_part(inner.get("url") if isinstance(inner, dict) else inner)

    return reader


def _sound(item: Mapping[str, Any]) -> AnyPart:
    """`{"input_audio": {"data": base64, "format": "wav"}}`."""
    inner = item.get("input_audio")
    if not isinstance(inner, dict) or not isinstance(inner.get("data"), str) or not inner["data"]:
        raise MalformedRequest('a sound is `{"type": "input_audio", "input_audio": {"data": base64, "format": "wav"}}`')
    if inner["data"][:5].lower() == "data:":
        return data_part(inner["data"])
    kind = inner.get("format")
    if kind is not None and not isinstance(kind, str):
        raise MalformedRequest(f"`input_audio.format` is text such as `wav`, not {_shown(kind)}")
    return Part(_base64(inner["data"]), _AUDIO_TYPES.get(kind, f"audio/{kind}") if kind else None)


def _file(item: Mapping[str, Any]) -> AnyPart:
    """`{"file": {"file_data": "data:…"}}` or `{"file": {"file_id": "files/ID"}}`; the inner object may be left out."""
    inner = item.get("file", item)
    if isinstance(inner, dict):
        if inner.get("file_data"):
            return data_part(inner["file_data"])
        if isinstance(file_id := inner.get("file_id"), str) and file_id:
            return FileRef(file_id if "/" in file_id else f"files/{file_id}", None)
    raise MalformedRequest('a file is `{"type": "file", "file": {"file_data": "data:…"}}`, or has a `file_id`')


_READERS: Mapping[str, Callable[[Mapping[str, Any]], AnyPart]] = {
    "text": lambda item: _text(item.get("text")),
    "input_text": lambda item: _text(item.get("text")),
    "image_url": _address("image_url"),
    "input_image": _address("image_url"),
    "image": _address("image"),
    "input_audio": _sound,
    "audio_url": _address("audio_url"),
    "video_url": _address("video_url"),
    "input_video": _address("video_url"),
    "file": _file,
    "input_file": _file,
}


def _base64(text: str) -> bytes:
    plain = "".join(text.split()).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError) as cause:
        raise InvalidInput(f"the bytes of a part are not base64: {cause}") from None


def _shown(value: Any) -> str:
    text = repr(value)
    return f"`{text if len(text) <= 40 else text[:40] + '…'}`"
