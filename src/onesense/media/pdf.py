"""Documents: PDF pages as pictures with their text layer, one page at a time.

PDFium is not thread-safe, so every call into it holds one lock for the whole process; it is never held while a
caller works on a page.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DecodeError, EmptyInput, EncryptedInput, InvalidInput, TooLarge
from ..types import LIMITS, Array, Content, Decoded, Document, Image, Limits, Locator, Page, Part, Segment
from . import fetch

DPI = 144  # sharp enough to read 10-point type
LONG_SIDE = 1024  # px; an A4 page at 87 dpi, 2.2 MB

_LOCK = threading.RLock()  # re-entrant: a collected generator may close its document while its thread holds the lock
_POINTS_PER_INCH = 72
_PASSWORD = 4  # FPDF_ERR_PASSWORD, fpdfview.h
_NOT_TEXT = {0x00: None, 0xFFFE: None, 0xFFFF: None, 0x02: "-", 0x0D: None}
"""What PDFium puts for hyphens at line ends, unmapped glyphs and line breaks."""
_PREVIEW_CHARS = 80


class PdfModality:
    """PDF documents. Any thread may use it; PDFium itself runs one call at a time."""

    name = "pdf"
    mimes = frozenset({"application/pdf"})
    suffixes = frozenset({".pdf"})

    def sniff(self, head: bytes) -> str | None:
        """PDF, after a byte-order mark or white space if need be."""
        start = head.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n\t \x00")
        return "application/pdf" if start.startswith(b"%PDF-") else None

    def decode(self, source: bytes | Path, part: Part, limits: Limits = LIMITS) -> Document:
        """The pages that `part.pages` names (1-based, in that order), all by default.

        Returns:
            Document of pages with images uint8 [H, W, 3], long side at most 1024 px, and their text layers.

        Raises:
            EncryptedInput: a password is needed.
            DecodeError: the file or one of these pages is damaged.
            EmptyInput: the document has no pages.
            InvalidInput: `part.pages` names a page that is not there.
            TooLarge: more than `limits.max_pages` are asked for.
        """
        with opened(source) as document:
            numbers = _chosen(part.pages, len(document), source, limits)
            return Document(tuple(_page(document, number, source) for number in numbers))

    def segments(self, source: bytes | Path, limits: Limits = LIMITS) -> Iterator[Segment]:
        """Page after page. A damaged page is left out, and named in a DecodeError after the last one."""
        damaged = []
        with opened(source) as document:
            for number in range(1, len(document) + 1):
                try:
                    page = _page(document, number, source)
                except DecodeError:
                    damaged.append(number)
                    continue
                yield Segment(Content(Part(page)), Locator(page=number), self.name, self.preview(page))
        if damaged:
            listed = ", ".join(map(str, damaged[:20]))
            raise DecodeError(f"{fetch.label(source)}: damaged pages were left out: {listed}; the others were read")

    def preview(self, value: Decoded) -> str:
        """Which page, and how its text begins."""
        if isinstance(value, Document):
            return f"document of {len(value.pages)} pages; {self.preview(value.pages[0])}"
        assert isinstance(value, Page)
        words = " ".join(value.text.split())
        start = words if len(words) <= _PREVIEW_CHARS else words[:_PREVIEW_CHARS].rsplit(" ", 1)[0] + " …"
        return f"page {value.number}: {start or 'no text layer'}"


modality = PdfModality()


def n_pages(source: bytes | Path) -> int:
    """How many pages a document has. Raises as `PdfModality.decode`."""
    with opened(source) as document, _LOCK:
        return len(document)


@contextmanager
def opened(source: bytes | Path) -> Iterator[Any]:
    """An open PDFium document; calls into it belong inside `pdfium`."""
    import pypdfium2

    with pdfium(source, "is a damaged PDF"):
        document = pypdfium2.PdfDocument(source)
    try:
        with pdfium(source, "is a damaged PDF"):
            n_pages = len(document)
            document.init_forms()  # so that what was filled into form fields is drawn
        if n_pages == 0:
            raise EmptyInput(f"{fetch.label(source)} is a PDF without pages")
        yield document
    finally:
        with _LOCK:
            document.close()


@contextmanager
def pdfium(source: bytes | Path, fault: str) -> Iterator[None]:
    """Hold the lock round calls into PDFium, and name what it raises."""
    import pypdfium2

    with _LOCK:
        try:
            yield
        except pypdfium2.PdfiumError as cause:
            if cause.err_code == _PASSWORD:
                advice = "is protected by a password: save a copy without one"
                raise EncryptedInput(f"{fetch.label(source)} {advice}") from cause
            raise DecodeError(f"{fetch.label(source)} {fault}: {cause}") from cause
        except (OSError, ValueError, MemoryError) as cause:
            raise DecodeError(f"{fetch.label(source)} {fault}: {cause}") from cause


def _chosen(pages: tuple[int, ...] | None, n_pages: int, source: bytes | Path, limits: Limits) -> tuple[int, ...]:
    numbers = tuple(range(1, n_pages + 1)) if pages is None else pages
    if not numbers:
        raise InvalidInput("Part.pages is empty: name pages from 1, or leave it out for all")
    if wrong := [number for number in numbers if not 1 <= number <= n_pages]:
        raise InvalidInput(f"{fetch.label(source)} has pages 1 to {n_pages}, not {wrong[0]}")
    if len(numbers) > limits.max_pages:
        advice = f"at most {limits.max_pages} are decoded at once: choose some with Part.pages, or index the file"
        raise TooLarge(f"{fetch.label(source)} has {len(numbers)} pages: {advice}")
    return numbers


def _page(document: Any, number: int, source: bytes | Path) -> Page:
    with pdfium(source, f"has a damaged page {number}"):
        page = document[number - 1]
        try:
            return Page(Image(_rendered(page)), _text_layer(page), number)
        finally:
            page.close()


def _rendered(page: Any) -> Array:
    """uint8 [H, W, 3] at 144 dpi or what LONG_SIDE allows; blank pages are white."""
    long_side_pt = max(page.get_size())
    scale = min(DPI / _POINTS_PER_INCH, LONG_SIDE / max(long_side_pt, 1e-3))
    bitmap = page.render(scale=scale, rev_byteorder=True)
    try:
        pixels = bitmap.to_numpy()
        if pixels.ndim == 2:
            pixels = pixels[:, :, None].repeat(3, axis=2)
        return np.array(pixels[:, :, :3], dtype=np.uint8)  # copied: the bitmap's memory goes with it
    finally:
        bitmap.close()


def _text_layer(page: Any) -> str:
    layer = page.get_textpage()
    try:
        text: str = layer.get_text_bounded()
    finally:
        layer.close()
    return text.translate(_NOT_TEXT).encode("utf-8", "ignore").decode("utf-8").strip()
