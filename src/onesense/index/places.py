"""The exact place of a hit, on demand: a clip to play, the picture of a page, what to mark on it.

Nothing here is stored: files are read when somebody looks at a hit, and a file that has gone is told as such.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from onesense import media
from onesense.errors import InvalidInput, NotFound, UnsupportedModality
from onesense.types import Array, Content, Document, Hit, Image, Part, Video

from . import words

if TYPE_CHECKING:
    from onesense.engine.embedder import Embedder

    from .query import Target

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 as shares of width and height, 0..1."""

MAX_SENTENCES = 40  # of a hit that are embedded to find the best one
_JPEG_QUALITY = 88
_END = re.compile(r"(?<=[.!?。！？])[\s\"'”»)]*\s+|(?<=[。！？])|\n\s*\n|\n(?=\s*[-*•#|])")
_SIDE = 1.0 / 3  # part of the cells of a heat map that are boxed: those whose warmth reaches the upper third


@dataclass(frozen=True, slots=True)
class Clip:
    """A small file made from a hit."""

    data: bytes
    mime_type: str


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """What to mark in a hit."""

    boxes: tuple[Box, ...] = ()
    """On the page or picture: words of the query, else the best sentence, else the warmest cells."""
    start_char: int | None = None
    end_char: int | None = None
    """The best sentence in the file's text, as `media.decode` gives it."""
    text: str = ""
    """That sentence, or the first stretch of words that are marked on a page."""
    heat: Array | None = None
    """float32 [h, w] cosines of the cells of a picture, None where the model cannot tell."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        heat = None if self.heat is None else np.round(self.heat.astype(float), 4).tolist()
        place = {"start_char": self.start_char, "end_char": self.end_char}
        return {"boxes": [list(box) for box in self.boxes], **place, "text": self.text, "heat": heat}


def clip(hit: Hit, *, margin_s: float = 0.0) -> Clip:
    """The stretch of a sound (WAV) or video (MP4) that was found, ready to play.

    Args:
        hit: of a file.
        margin_s: seconds to show before and after it.

    Raises:
        NotFound: the file is gone, or the hit is a record without one.
        InvalidInput: it is no stretch of seconds, or one longer than two minutes.
    """
    from onesense.media import _cut

    path, where = _file(hit), hit.locator
    if where.start_s is None or where.end_s is None:
        raise InvalidInput(f"a {hit.modality} has no stretch of seconds to play: clips are of sound and video")
    start_s, end_s = max(0.0, where.start_s - margin_s), where.end_s + margin_s
    if hit.modality == "audio":
        return Clip(_cut.sound(path, start_s, end_s), "audio/wav")
    return Clip(_cut.video(path, start_s, end_s), "video/mp4")


def frame(hit: Hit, at_s: float | None = None) -> Clip:
    """The picture of a hit as JPEG: the picture itself, the page, or the frame at a second (the middle by default).

    Raises:
        NotFound: the file is gone, or the hit is a record without one.
        UnsupportedModality: there is nothing to see in it.
    """
    from PIL import Image as pil

    out = io.BytesIO()
    pil.fromarray(_picture(hit, at_s)).save(out, "JPEG", quality=_JPEG_QUALITY)
    return Clip(out.getvalue(), "image/jpeg")


def mark(embedder: Embedder, hit: Hit, target: Target) -> Mark:
    """What to mark in a hit for a question.

    Raises:
        NotFound: the file is gone, or the hit is a record without one.
    """
    if hit.modality == "pdf":
        return _mark_page(embedder, hit, target)
    if hit.modality == "text":
        return _mark_text(embedder, hit, target)
    return _mark_picture(embedder, hit, target) if hit.modality in ("image", "video") else Mark()


def sentences(text: str) -> list[tuple[int, int]]:
    """Where the sentences (or lines of a list, or paragraphs) of a text stand, without the space round them."""
    ends = [0, *(m.end() for m in _END.finditer(text)), len(text)]
    found = [(a + len(text[a:b]) - len(text[a:b].lstrip()), a + len(text[a:b].rstrip())) for a, b in pairwise(ends)]
    return [(a, b) for a, b in found if a < b]


# --- one modality each ----------------------------------------------------------------------------------------------


def _mark_page(embedder: Embedder, hit: Hit, target: Target) -> Mark:
    from onesense.media import _boxes

    asked = set(words.asked(target.text))

    def find(text: str) -> Sequence[tuple[int, int]]:
        rare = [span for span in words.places(text, asked) if text[slice(*span)].casefold() not in FREQUENT]
        return rare or _best_sentence(embedder, text, target)

    boxes, text = _boxes.boxes(_file(hit), hit.locator.page or 1, find)
    return Mark(tuple(boxes), text=text) if boxes else _mark_picture(embedder, hit, target)


FREQUENT = frozenset("a an and are as at by for from how in is it many much of on or that the to was what were".split())
"""English words that would be marked all over a page; other languages' small words are marked."""


def _mark_text(embedder: Embedder, hit: Hit, target: Target) -> Mark:
    _, value = media.decode(Part.file(_file(hit)))
    start, end = hit.locator.start_char, hit.locator.end_char
    if not isinstance(value, str) or start is None or end is None:
        return Mark()
    best = _best_sentence(embedder, value[start:end], target)
    return Mark((), start + best[0][0], start + best[0][1], value[slice(start + best[0][0], start + best[0][1])])


def _best_sentence(embedder: Embedder, text: str, target: Target) -> list[tuple[int, int]]:
    """The sentence nearest to the question, in a list; the whole text where it has only one."""
    found = sentences(text)[:MAX_SENTENCES]
    if not found:
        return []
    if len(found) == 1:
        return found
    rows = embedder.embed([text[a:b] for a, b in found], len(target.vector))
    return [found[int((rows @ target.vector).argmax())]]


def _mark_picture(embedder: Embedder, hit: Hit, target: Target) -> Mark:
    """The heat of the picture's cells; a model that cannot tell them apart marks nothing."""
    picture = Content(Part(Image(_picture(hit, None))))
    try:
        heat = embedder.regions(picture, target.vector)
    except UnsupportedModality:
        return Mark()
    return Mark(_warmest(heat), heat=heat)


def _warmest(heat: Array) -> tuple[Box, ...]:
    """Boxes of the cells whose warmth lies in the upper third of the range."""
    height, width = heat.shape
    warm = heat >= heat.max() - _SIDE * (heat.max() - heat.min())
    return tuple((x / width, y / height, (x + 1) / width, (y + 1) / height) for y, x in np.argwhere(warm).tolist())


def _picture(hit: Hit, at_s: float | None) -> Array:
    """uint8 [H, W, 3]."""
    _, value = media.decode(_seen(hit, at_s))
    if isinstance(value, Image):
        return value.pixels
    if isinstance(value, Document):
        return value.pages[0].image.pixels
    if isinstance(value, Video):
        frames: Array = value.frames
        first: Array = frames[0]
        return first
    raise UnsupportedModality(f"there is nothing to see in `{hit.path}`: it is {hit.modality}")


def _seen(hit: Hit, at_s: float | None) -> Part:
    """The part of the file that holds the picture."""
    path, where = _file(hit), hit.locator
    if hit.modality == "pdf":
        return Part(path, pages=(where.page or 1,))
    if hit.modality != "video" or where.start_s is None or where.end_s is None:
        return Part(path)
    at_s = (where.start_s + where.end_s) / 2 if at_s is None else at_s
    return Part(path, start_s=at_s, end_s=max(where.end_s, at_s + 1.0), sound=False)


def _file(hit: Hit) -> Path:
    path = Path(hit.path)
    if not path.is_file():
        raise NotFound(f"`{hit.path}` is not a file that could be opened: it was moved, or the hit is a record")
    return path
