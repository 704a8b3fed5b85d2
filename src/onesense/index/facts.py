"""What a file says of itself, to filter by: type, size of the picture, length, when and where it was taken, language.

Facts are extras: a header that cannot be read gives fewer of them and never an error, for the file itself was decoded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from textwrap import shorten
from typing import Any

from onesense.errors import OnesenseError
from onesense.types import Segment

from . import language, words

Facts = dict[str, Any]

FIELDS = ("mime", "width", "height", "duration_s", "taken", "lat", "lon", "n_pages", "language")
"""Names of all facts. `taken` is ISO 8601 without zone, as cameras write it; `lat` and `lon` are degrees, north and
east positive; `width` and `height` are pixels of the file as it is seen, upright."""

PREVIEW = 80  # characters of what stands in a picture that its preview shows

_TAKEN = (0x9003, 0x9004, 0x0132)  # EXIF: DateTimeOriginal, DateTimeDigitized, DateTime
_EXIF_IFD, _GPS_IFD, _ORIENTATION = 0x8769, 0x8825, 0x0112
_ISO_6709 = re.compile(r"([+-]\d+(?:\.\d+)?)([+-]\d+(?:\.\d+)?)")
_BAD_FIELD = (ValueError, TypeError, KeyError, IndexError, ZeroDivisionError, OverflowError)
"""What a damaged field of a header leads to."""


def of_segment(segment: Segment, read: str = "") -> Facts:
    """What a segment adds to its row: `text`, its words for full text, and in `facts` their language.

    Args:
        segment: with its content.
        read: what the model found printed or said in it, where it has no words of its own.
    """
    own = words.said(segment.content)
    text = own or read[: words.MAX_TEXT]
    if not text:
        return {}
    found = language.detect(text)
    extras: Facts = {"text": text} | ({"facts": {"language": found}} if found else {})
    if not own:
        extras["preview"] = f"{segment.preview}: “{shorten(text, PREVIEW, placeholder=' …')}”"
    return extras


def of_file(path: Path) -> Facts:
    """What the header of a file says; {} of a file that cannot be read."""
    from onesense.media import fetch, sniff

    try:
        modality, mime = sniff.sniff(fetch.fetch(path))
        read = _READERS.get(modality.name)
        return {"mime": mime} | (read(path) if read is not None else {})
    except (OnesenseError, OSError):
        return {}


def _of_picture(path: Path) -> Facts:
    from onesense.media import image

    (width, height), exif = image.header(path)
    if exif.get(_ORIENTATION) in (5, 6, 7, 8):  # lies on its side
        width, height = height, width
    return {"width": width, "height": height} | _taken(exif) | _gps(exif.get(_GPS_IFD) or {})


def _taken(exif: Mapping[int, Any]) -> Facts:
    fields = {**exif, **(exif.get(_EXIF_IFD) or {})}
    said = next((fields[tag] for tag in _TAKEN if fields.get(tag)), None)
    try:
        taken = datetime.strptime(str(said).strip("\x00 "), "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return {}
    return {"taken": taken.strftime("%Y-%m-%dT%H:%M:%S")}


def _gps(fields: Mapping[int, Any]) -> Facts:
    try:
        lat, lon = (_degrees(fields[at + 1]) * (-1 if fields[at] in ("S", "W") else 1) for at in (1, 3))
    except _BAD_FIELD:
        return {}
    return {"lat": lat, "lon": lon} if abs(lat) <= 90 and abs(lon) <= 180 and (lat or lon) else {}


def _degrees(parts: Any) -> float:
    degrees, minutes, seconds = (float(part) for part in parts)
    return round(degrees + minutes / 60 + seconds / 3_600, 6)


def _of_moving(path: Path) -> Facts:
    from onesense.media import _av

    found = _av.header(path)
    facts: Facts = {name: found[name] for name in ("width", "height", "duration_s") if found.get(name)}
    tags = {str(key).lower(): str(value) for key, value in found["tags"].items()}
    place = _ISO_6709.match(tags.get("location") or tags.get("com.apple.quicktime.location.iso6709") or "")
    if place is not None:
        facts |= {"lat": float(place[1]), "lon": float(place[2])}
    taken = tags.get("com.apple.quicktime.creationdate") or tags.get("creation_time") or tags.get("date") or ""
    try:
        facts["taken"] = datetime.fromisoformat(taken).strftime("%Y-%m-%dT%H:%M:%S")
    except ValueError:
        pass
    return facts


def _of_document(path: Path) -> Facts:
    from onesense.media import pdf

    return {"n_pages": pdf.n_pages(path)}


_READERS: dict[str, Callable[[Path], Facts]] = {
    "image": _of_picture,
    "audio": _of_moving,
    "video": _of_moving,
    "pdf": _of_document,
}
