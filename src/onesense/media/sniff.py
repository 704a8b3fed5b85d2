"""Which modality a file is: its declared type against its magic bytes, never how a string or a name looks."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Protocol, runtime_checkable

from .. import plugins
from ..errors import DecodeError, UnsupportedMedia
from ..types import Modality
from . import fetch

_ALIASES = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "image/x-ms-bmp": "image/bmp",
    "image/x-bmp": "image/bmp",
    "image/tif": "image/tiff",
    "audio/mp3": "audio/mpeg",
    "audio/x-mp3": "audio/mpeg",
    "audio/wave": "audio/wav",
    "audio/x-wav": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/x-flac": "audio/flac",
    "audio/m4a": "audio/mp4",
    "audio/x-m4a": "audio/mp4",
    "audio/x-aac": "audio/aac",
    "audio/x-aiff": "audio/aiff",
    "video/mov": "video/quicktime",
    "video/avi": "video/x-msvideo",
    "video/mkv": "video/x-matroska",
    "application/ogg": "audio/ogg",
    "application/x-pdf": "application/pdf",
    "application/x-json": "application/json",
}
_UNDECLARED = {"", "application/octet-stream", "binary/octet-stream", "*/*"}
_FOREIGN = {
    b"PK\x03\x04": "a ZIP archive or an Office document",
    b"\x1f\x8b": "a gzip archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"\x7fELF": "a program",
    b"MZ": "a program",
    b"SQLite format 3": "a SQLite database",
    b"\xd0\xcf\x11\xe0": "an old Office document",
}


@runtime_checkable
class Judge(Protocol):
    """What a modality may add to its contract when it shares a container with another, as sound and video do."""

    def reads(self, source: bytes | Path) -> int:
        """How much of this file it reads: 0 nothing, 1 a part, 2 all. Asked only when several claim a file."""
        ...


@cache
def modalities() -> tuple[Modality, ...]:
    """Every modality there is, in the order of their names."""
    return tuple(plugins.load("modalities", name) for name in sorted(plugins.names("modalities")))


def sniff(source: bytes | Path, declared: str | None = None) -> tuple[Modality, str]:
    """Name the modality and the type of a file.

    Magic bytes outrank the look of text. Where sound and video share a container, the declared type chooses as
    long as there is something of it inside, so `audio/mp4` takes the sound of a video, and sound only is never a video.
    Within one modality the bytes win over
    the declared type (a JPEG declared `image/png` is a JPEG).

    Args:
        source: what `fetch` let through.
        declared: a MIME type, parameters allowed; None or `application/octet-stream` declares nothing.

    Returns:
        The modality and the MIME type of the file.

    Raises:
        DecodeError: the declared type belongs to another modality than the bytes.
        UnsupportedMedia: no modality reads the declared type, or these bytes.
    """
    promised = plain_mime(declared)
    expected = _expected(promised) if promised not in _UNDECLARED else ()
    claims = _claims(fetch.head(source))
    if not claims:
        raise UnsupportedMedia(_unknown_bytes(source))
    if expected:
        both = [(m, mime) for m, mime in claims if m in expected]
        if not both:
            found = " or ".join(f"`{mime}`" for _, mime in claims)
            raise DecodeError(f"{fetch.label(source)} is declared `{promised}`, but its bytes are {found}: correct one")
        modality, mime = _fullest(both, claims, source)
        # Bytes that merely look like text cannot tell CSV from Markdown: the declared type can.
        return modality, promised if mime == "text/plain" else mime
    return _fullest(claims, claims, source)


def plain_mime(declared: str | None) -> str:
    """A MIME type without parameters, in lower case, by its usual name; '' for None."""
    mime = (declared or "").partition(";")[0].strip().lower()
    if mime.endswith(("+json", "+xml")) and not mime.startswith("image/"):
        mime = f"application/{mime.rpartition('+')[2]}"
    return _ALIASES.get(mime, mime)


def _expected(mime: str) -> tuple[Modality, ...]:
    """The modalities that read a declared type: by its full name, else by its family (`audio/…`)."""
    exact = tuple(m for m in modalities() if mime in m.mimes)
    if exact:
        return exact
    family = mime.partition("/")[0] + "/"
    kin = tuple(m for m in modalities() if any(known.startswith(family) for known in m.mimes))
    if not kin or family == "application/":
        names = ", ".join(m.name for m in modalities())
        raise UnsupportedMedia(f"no modality reads the type `{mime}`: there are {names}")
    return kin


def _claims(head: bytes) -> list[tuple[Modality, str]]:
    claims = [(m, mime) for m in modalities() if (mime := m.sniff(head))]
    return [claim for claim in claims if not claim[1].startswith("text/")] or claims


def _fullest(
    preferred: list[tuple[Modality, str]], claims: list[tuple[Modality, str]], source: bytes | Path
) -> tuple[Modality, str]:
    """Of the preferred claims the one that reads most of the file; of all claims where none of those reads any."""
    if len(claims) == 1:
        return claims[0]
    shares = [(_share(modality, source), (modality, mime)) for modality, mime in claims]
    readable = [(share, claim) for share, claim in shares if share and claim in preferred]
    return max(readable or shares, key=lambda scored: scored[0])[1]


def _share(modality: Modality, source: bytes | Path) -> int:
    return modality.reads(source) if isinstance(modality, Judge) else 2


def _unknown_bytes(source: bytes | Path) -> str:
    head = fetch.head(source)
    for magic, kind in _FOREIGN.items():
        if head.startswith(magic):
            return f"{fetch.label(source)} is {kind}, which no modality reads"
    return f"{fetch.label(source)} is of no known type: it begins with the bytes {head[:8].hex(' ')} and is not text"
