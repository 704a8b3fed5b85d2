"""What is sent to a service: the parts of a content as texts and small files.

An encoded part goes as the file that it is where the service reads its type; everything else, and every stretch of a
file, is decoded and written anew: pictures as PNG or JPEG, sound as WAV, video as MP4, a page as its picture and text.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from onesense.engine import pieces
from onesense.errors import EmptyInput
from onesense.types import Audio, Content, Decoded, Document, Features, Image, ModelInfo, Page, Part, Video

BYTES_A_TOKEN = 4  # of UTF-8: English 4.2, Chinese 4.5, Russian 5 with tokenisers of 250,000 words; an estimate
IMAGE_TOKENS = 258  # a picture or a page; this and the next three: Google's guide to gemini-embedding-2
FRAME_TOKENS = 66
AUDIO_TOKENS = 25  # a second
MAX_FRAMES = 32  # of a video, one a second

MAX_FILE_BYTES = 4 * 1024**2  # a larger file is written anew at the size that models look at
PNG_PIXELS = 256 * 256  # pictures up to here are sent without loss; larger ones as JPEG, ten times smaller
_JPEG_QUALITY = 95


@dataclass(frozen=True, slots=True)
class Piece:
    """A text, or a file."""

    modality: str
    """What it was before it was encoded."""
    n_tokens: int
    """Estimated."""
    text: str = ""
    data: bytes = b""
    mime_type: str = "text/plain"
    amount: float = 0.0
    """Seconds of a sound or video, pages of a document, 1 for a picture."""


def encode(content: Content, info: ModelInfo, mimes: frozenset[str]) -> tuple[Piece, ...]:
    """The parts of a content, in order.

    Args:
        content: what `Backend.prepare` was given.
        info: record of the model that will read it.
        mimes: types of files that the service reads.

    Raises:
        UnsupportedModality: the model has no sense for a part.
        EmptyInput: there is nothing in it.
        InvalidInput: a part cannot be decoded; every file is decoded once before it is sent.
    """
    found: list[Piece] = []
    for part, (modality, value) in zip(content.parts, pieces.decode(content, info), strict=True):
        found += _file(part, modality, value, mimes) or _anew(value, modality)
    kept = tuple(piece for piece in found if piece.data or piece.text.strip())
    if not kept:
        raise EmptyInput("there is nothing to embed: no word, no sample, no pixel")
    return kept


def features(found: tuple[Piece, ...], payload: object, max_tokens: int) -> Features:
    """Features with the estimated tokens of the pieces, as far as the model reads."""
    usage: dict[str, int] = {}
    left = max_tokens
    for piece in found:
        taken = min(left, piece.n_tokens)
        left -= taken
        if taken:
            usage[piece.modality] = usage.get(piece.modality, 0) + taken
    return Features(payload, max_tokens - left, usage, sum(p.n_tokens for p in found) > max_tokens)


def text_tokens(text: str) -> int:
    """About how many tokens a text has, at least 1."""
    return max(1, math.ceil(len(text.encode()) / BYTES_A_TOKEN))


def cut_text(text: str, n_tokens: int) -> str:
    """The beginning of a text that has at most so many tokens by `text_tokens`."""
    return text.encode()[: n_tokens * BYTES_A_TOKEN].decode(errors="ignore")


def _file(part: Part, modality: str, value: Decoded, mimes: frozenset[str]) -> list[Piece]:
    """The file itself; nothing where it has to be written anew."""
    from onesense.media import fetch, sniff

    whole = (part.start_s, part.end_s, part.fps, part.pages, part.sound) == (None, None, None, None, True)
    if isinstance(value, str) or not whole or not isinstance(part.value, (bytes, Path)):
        return []
    source = fetch.fetch(part.value)
    _, mime_type = sniff.sniff(source, part.mime_type)
    n_bytes = len(source) if isinstance(source, bytes) else source.stat().st_size
    if mime_type not in mimes or n_bytes > MAX_FILE_BYTES:
        return []
    data = fetch.read(source, MAX_FILE_BYTES)
    amount = _amount(value)
    return [Piece(modality, _tokens(value), data=data, mime_type=mime_type, amount=amount)]


def _anew(value: Decoded, modality: str) -> Iterator[Piece]:
    """A decoded value as texts and files."""
    from onesense.media import _cut

    amount, n_tokens = _amount(value), _tokens(value)
    match value:
        case str():
            yield Piece(modality, n_tokens, text=value)
        case Image():
            data, mime_type = _picture(value)
            yield Piece(modality, n_tokens, data=data, mime_type=mime_type, amount=amount)
        case Audio():
            yield Piece(modality, n_tokens, data=_cut.of_audio(value), mime_type="audio/wav", amount=amount)
        case Video():
            yield Piece(modality, n_tokens, data=_cut.of_video(value), mime_type="video/mp4", amount=amount)
        case Page():
            data, mime_type = _picture(value.image)
            yield Piece(modality, IMAGE_TOKENS, data=data, mime_type=mime_type, amount=amount)
            if value.text.strip():
                yield Piece(modality, text_tokens(value.text), text=value.text)
        case Document():
            for page in value.pages:
                yield from _anew(page, modality)


def _amount(value: Decoded) -> float:
    match value:
        case Audio() | Video():
            return value.duration_s
        case Document():
            return len(value.pages)
        case str():
            return 0.0
        case _:
            return 1.0


def _tokens(value: Decoded) -> int:
    """About how many tokens a file of this value takes."""
    match value:
        case str():
            return text_tokens(value)
        case Audio():
            return max(1, math.ceil(AUDIO_TOKENS * value.duration_s))
        case Video():
            return FRAME_TOKENS * max(1, min(MAX_FRAMES, math.ceil(value.duration_s)))
        case Document():
            return IMAGE_TOKENS * len(value.pages)
        case _:
            return IMAGE_TOKENS


def _picture(picture: Image) -> tuple[bytes, str]:
    """A file of these pixels, and its type."""
    from PIL import Image as Pillow

    height, width, _ = picture.pixels.shape
    if not height * width:
        raise EmptyInput("this picture has no pixels")
    out = io.BytesIO()
    if height * width <= PNG_PIXELS:
        Pillow.fromarray(picture.pixels).save(out, "PNG", compress_level=1)
        return out.getvalue(), "image/png"
    Pillow.fromarray(picture.pixels).save(out, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return out.getvalue(), "image/jpeg"
