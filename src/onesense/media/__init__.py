"""Bytes to canonical media: one file a modality, plus sniffing and fetching. Importing this loads no decoder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .. import plugins
from ..errors import InvalidInput
from ..types import LIMITS, Audio, Decoded, Document, Image, Limits, Modality, Page, Part, Segment, Video

_NATIVE: dict[type, str] = {
    str: "text",
    Image: "image",
    Audio: "audio",
    Video: "video",
    Page: "pdf",
    Document: "pdf",
}


def decode(part: Part, limits: Limits = LIMITS) -> tuple[str, Decoded]:
    """One part of a content in its canonical form.

    Text and canonical media pass through as they are; bytes and files are fetched, sniffed and decoded. `start_s`,
    `end_s`, `fps` and `pages` choose a stretch of an encoded sound, video or document.

    Args:
        part: any part.
        limits: how much may be read at once.

    Returns:
        The name of the modality, and str, Image, Audio, Video, Page or Document.

    Raises:
        InvalidInput: one of its subclasses says what is wrong with the bytes, the file or the stretch.
        NotFound: the file does not exist.
    """
    value = part.value
    if not isinstance(value, (bytes, Path)):
        if (part.start_s, part.end_s, part.fps, part.pages) != (None, None, None, None):
            raise InvalidInput("start_s, end_s, fps and pages choose from an encoded file: cut decoded media yourself")
        return native(value), value
    modality, _ = _open(value, part.mime_type, limits)
    return modality.name, modality.decode(value, part, limits)


def segments(source: str | Path | bytes, mime_type: str | None = None, limits: Limits = LIMITS) -> Iterator[Segment]:
    """The stretches of a file that get a vector of their own, in order, decoded as they are asked for.

    The file is checked when this is called; decoding errors come while the segments are taken. An error that comes
    after some segments means that the rest of the file cannot be read.

    Args:
        source: path of a file (never a URL), or the bytes of one.
        mime_type: declared type, checked against the bytes.
        limits: how much may be read at once.

    Raises:
        InvalidInput: as `decode`.
        NotFound: the file does not exist.
    """
    held = Path(source).expanduser() if isinstance(source, str) else source
    modality, _ = _open(held, mime_type, limits)
    return modality.segments(held, limits)


def preview(value: Decoded) -> str:
    """One line that tells a person what a decoded value is."""
    modality: Modality = plugins.load("modalities", native(value))
    return modality.preview(value)


def _open(source: bytes | Path, mime_type: str | None, limits: Limits) -> tuple[Modality, str]:
    from .fetch import fetch
    from .sniff import sniff

    return sniff(fetch(source, limits), mime_type)


def native(value: object) -> str:
    """Name of the modality that a decoded value belongs to.

    Raises:
        InvalidInput: it is no decoded value.
    """
    for kind, name in _NATIVE.items():
        if isinstance(value, kind):
            return name
    raise InvalidInput(f"a Part holds text, bytes, a path or decoded media, not {type(value).__name__}")
