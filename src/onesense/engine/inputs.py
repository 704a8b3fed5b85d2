"""What callers may hand in, turned into `Part` and `Content`.

That is ours, google-genai's objects, dicts, strings and PIL pictures. Objects of other libraries are recognised by the
fields they carry, so that neither google-genai nor PIL is imported. Nothing is guessed from how a string looks.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from onesense.errors import InvalidInput, UnsupportedMedia
from onesense.types import Audio, Content, Document, Image, Page, Part, Video

CANONICAL = (Image, Audio, Video, Page, Document)

_PART_FIELDS = ("text", "inline_data", "file_data", "video_metadata")
_UNREAD_FIELDS = ("media_resolution", "media_processing", "thought", "thought_signature", "part_metadata")
"""Fields of a part that steer generation or travel along; an embedding does not depend on them."""
_CONTENT_FIELDS = ("parts", "role", "title")
_LOCAL_SCHEMES = ("", "file")
_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")


def is_many(contents: object) -> bool:
    """Whether an argument holds several contents (a sequence or an iterator) rather than being one itself."""
    if isinstance(contents, (str, bytes, bytearray, memoryview, Mapping, Set)):  # a set has no order to answer in
        return False
    return isinstance(contents, Iterable) and not _is_record(contents)


def as_content(value: Any) -> Content:
    """One content from anything that stands for one.

    Args:
        value: `Content`, `Part`, str, a canonical medium, google-genai's `Content`, `Part` or `File`, a dict of
            either spelling, a PIL picture, or a list of parts.

    Raises:
        EmptyInput: it holds no part.
        InvalidInput: it is of another kind, or a field is unknown or malformed.
    """
    if isinstance(value, Content):
        return value
    if isinstance(value, (list, tuple)):
        return Content(*(as_part(item) for item in value))
    fields = record(value)
    if fields is not None and ("parts" in fields or fields.keys() <= {"role", "title"}):
        _refuse_unknown(fields, _CONTENT_FIELDS, "content")
        parts = fields.get("parts") or []
        if isinstance(parts, (str, bytes, Mapping)) or not isinstance(parts, Iterable):
            raise InvalidInput(f"a content's `parts` is a list of parts, not {type(parts).__name__}")
        return Content(*(as_part(part) for part in parts), title=_text_or_none("title", fields.get("title")))
    return Content(as_part(value))


def as_part(value: Any) -> Part:
    """One part from anything that stands for one; see `as_content` for what is accepted and what is raised."""
    if isinstance(value, Part):
        return value
    if isinstance(value, (str, *CANONICAL)):
        return Part(value)
    if type(value).__module__.startswith("PIL."):
        return _from_pil(value)
    fields = record(value)
    if fields is None:
        hint = "; use Part.file(path)" if isinstance(value, Path) else ""
        hint = "; use Part.bytes(data, mime_type=...)" if isinstance(value, (bytes, bytearray, memoryview)) else hint
        raise InvalidInput(f"text, Part or Content was expected, not {type(value).__name__}{hint}")
    if "uri" in fields and "mime_type" in fields:  # google-genai's File, as its upload returns it
        fields = {"file_uri": fields["uri"], "mime_type": fields["mime_type"]}
    if "file_uri" in fields:
        fields = {"file_data": fields}
    return _from_fields(fields)


def record(value: Any) -> dict[str, Any] | None:
    """The fields of a dict or a google-genai object that are set, in snake_case; None for anything else.

    Raises:
        InvalidInput: one field stands there in both spellings.
    """
    if not (isinstance(value, Mapping) or _is_record(value)):
        return None
    found: dict[str, Any] = {}
    for key, item in value.items() if isinstance(value, Mapping) else iter(value):
        name = re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", str(key)).lower()
        if name in found:
            raise InvalidInput(f"`{name}` is given twice, in two spellings: keep one")
        if item is not None:
            found[name] = item
    return found


def _is_record(value: object) -> bool:
    return hasattr(type(value), "model_fields") and hasattr(value, "__iter__")  # pydantic: iterates over its fields


def _from_fields(fields: dict[str, Any]) -> Part:
    """Part from `text`, `inline_data` or `file_data`, with its `video_metadata`."""
    fields = {name: item for name, item in fields.items() if name not in _UNREAD_FIELDS}
    _refuse_unknown(fields, _PART_FIELDS, "part")
    window = _window(fields.pop("video_metadata", None))
    if len(fields) != 1:
        raise InvalidInput(
            f"a part holds one of `text`, `inline_data` and `file_data`; this one holds {sorted(fields) or 'none'}"
        )
    if "text" in fields:
        if window:
            raise InvalidInput("`video_metadata` belongs to a video, and this part is text")
        return Part.text(fields["text"])
    name, blob = fields.popitem()
    inner = record(blob)
    if inner is None:
        raise InvalidInput(f"`{name}` is an object with `mime_type` and content, not {type(blob).__name__}")
    inner.pop("display_name", None)
    key = "data" if name == "inline_data" else "file_uri"
    _refuse_unknown(inner, (key, "mime_type"), name)
    if key not in inner:
        raise InvalidInput(f"`{name}` lacks `{key}`")
    value = _decode_base64(inner["data"]) if key == "data" else _local_path(inner["file_uri"])
    mime_type = _text_or_none("mime_type", inner.get("mime_type"))
    return Part(value, mime_type, window.get("start_s"), window.get("end_s"), window.get("fps"))


def _text_or_none(name: str, value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise InvalidInput(f"`{name}` is text, not {type(value).__name__}")


def _window(metadata: Any) -> dict[str, float]:
    """`video_metadata` as the fields of a Part: offsets like `1.5s`, `12`, or numbers, in seconds."""
    fields = record(metadata) or {}
    _refuse_unknown(fields, ("start_offset", "end_offset", "fps"), "video_metadata")
    names = {"start_offset": "start_s", "end_offset": "end_s", "fps": "fps"}
    return {names[key]: _seconds(key, value) for key, value in fields.items()}


def _seconds(name: str, value: Any) -> float:
    try:
        return float(value.strip().removesuffix("s") if isinstance(value, str) else value)
    except (TypeError, ValueError):
        raise InvalidInput(f"`{name}` is a number of seconds such as '1.5s', not {value!r}") from None


def _decode_base64(data: Any) -> bytes:
    """Bytes as they are; a str is base64 in either alphabet, with or without padding."""
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    if not isinstance(data, str):
        raise InvalidInput(f"`inline_data.data` is bytes or base64 text, not {type(data).__name__}")
    plain = data.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except binascii.Error as cause:
        raise InvalidInput(f"`inline_data.data` is not base64: {cause}") from None


def _local_path(uri: Any) -> Path:
    """`file_uri` as a path of this machine; in process there is nobody to fetch anything else from."""
    if not isinstance(uri, (str, Path)):
        raise InvalidInput(f"`file_uri` is a path, not {type(uri).__name__}")
    split = urlsplit(str(uri))
    if isinstance(uri, Path) or len(split.scheme) < 2:  # one letter is a Windows drive
        return Path(uri).expanduser()
    if split.scheme not in _LOCAL_SCHEMES or split.netloc not in ("", "localhost"):
        raise UnsupportedMedia(f"`file_uri` {uri!r} is not on this machine: download it and give its path or its bytes")
    return Path(unquote(split.path))


def _from_pil(picture: Any) -> Part:
    """A PIL picture as PNG bytes, so that it takes the same way as a file: turned by EXIF, colours to sRGB."""
    if not hasattr(picture, "getexif"):
        raise InvalidInput(f"a picture was expected, not {type(picture).__name__}")
    if picture.mode not in _PNG_MODES:
        picture = picture.convert("RGB")
    buffer = io.BytesIO()
    profile = picture.info.get("icc_profile") if picture.mode.startswith("RGB") else None
    picture.save(buffer, "PNG", compress_level=1, exif=picture.getexif(), icc_profile=profile)
    return Part(buffer.getvalue(), "image/png")


def _refuse_unknown(fields: Mapping[str, Any], known: Sequence[str], what: str) -> None:
    unknown = [f"`{name}`" for name in fields if name not in known]
    if unknown:
        raise InvalidInput(f"{what} has {', '.join(unknown)}, which cannot be embedded: it may hold {', '.join(known)}")
