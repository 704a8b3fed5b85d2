"""Where words stand on a page of a PDF: boxes as shares of the page, for marking them on its picture."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..errors import InvalidInput
from . import fetch, pdf

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 as shares of width and height from the upper left corner, 0..1."""
Span = tuple[int, int]
"""First character and the one after the last."""

_GRID = 100_000  # whole numbers in which PDFium tells places: 0.01 mm on A4


def boxes(source: bytes | Path, number: int, find: Callable[[str], Sequence[Span]]) -> tuple[list[Box], str]:
    """Boxes of stretches of a page's text layer, one a line of each stretch, and the text of the first stretch.

    Args:
        source: a PDF.
        number: page, from 1.
        find: text of the page -> stretches of it; no stretch, no box.

    Raises:
        InvalidInput: there is no such page.
        DecodeError: the file or the page is damaged.
    """
    with pdf.opened(source) as document:
        if not 1 <= number <= len(document):
            raise InvalidInput(f"{fetch.label(source)} has pages 1 to {len(document)}, not {number}")
        with pdf.pdfium(source, f"has a damaged page {number}"):
            page = document[number - 1]
            layer = page.get_textpage()
            try:
                text = _characters(layer)
                spans = find(text)
                found = [_shares(page, rect) for span in spans for rect in _rects(layer, span)]
            finally:
                layer.close()
                page.close()
    return found, " ".join(text[slice(*spans[0])].split()) if spans else ""


def _characters(layer: Any) -> str:
    """The text with one sign for each of PDFium's characters, so that places in it are places on the page."""
    from pypdfium2 import raw

    codes = (raw.FPDFText_GetUnicode(layer, i) for i in range(layer.count_chars()))
    return "".join(" " if code in (0, 2, 13) or 0xD800 <= code < 0xE000 else chr(code) for code in codes)


def _rects(layer: Any, span: Span) -> Iterator[tuple[float, float, float, float]]:
    """Left, bottom, right, top in points."""
    yield from (layer.get_rect(i) for i in range(layer.count_rects(span[0], span[1] - span[0])))


def _shares(page: Any, rect: tuple[float, float, float, float]) -> Box:
    """A rectangle of the page as it is seen, turned and cropped."""
    left, bottom, right, top = rect
    (x0, y0), (x1, y1) = _place(page, left, top), _place(page, right, bottom)
    return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)


def _place(page: Any, x: float, y: float) -> tuple[float, float]:
    from pypdfium2 import raw

    across, down = ctypes.c_int(), ctypes.c_int()
    raw.FPDF_PageToDevice(page, 0, 0, _GRID, _GRID, 0, x, y, across, down)
    return tuple(min(max(place.value / _GRID, 0.0), 1.0) for place in (across, down))  # type: ignore[return-value]
