"""Tables drawn as document pages, so that reading a page can be measured without a PDF of anybody's."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..types import Image, Page

if TYPE_CHECKING:
    from PIL import ImageDraw

WIDTH, HEIGHT = 918, 1188  # pixels: US letter at 108 dots per inch
MARGIN = 54
LINE = 26
MAX_ROWS = 36
MAX_COLUMNS = 8


def page(title: str, subtitle: str, rows: list[list[str]], *, text_layer: bool) -> Page:
    """One page with a title, a line below it and a ruled table.

    Args:
        title: set large.
        subtitle: set small, may be empty.
        rows: header first; more than 36 rows or 8 columns are left out, long cells are cut as they are drawn.
        text_layer: whether the page also says what it shows, as a PDF that was not scanned does.

    Returns:
        A page whose picture is uint8 [1188, 918, 3].
    """
    from PIL import Image as Pillow
    from PIL import ImageDraw, ImageFont

    shown = [row[:MAX_COLUMNS] for row in rows[: MAX_ROWS + 1]]
    canvas = Pillow.new("RGB", (WIDTH, HEIGHT), "white")
    draw = ImageDraw.Draw(canvas)
    draw.text((MARGIN, MARGIN), title, "black", ImageFont.load_default(30))
    draw.text((MARGIN, MARGIN + 42), subtitle, "#444444", ImageFont.load_default(18))
    _table(draw, shown, top=MARGIN + 84)
    text = "\n".join([title, subtitle, *("  ".join(row) for row in shown)]) if text_layer else ""
    return Page(Image(np.asarray(canvas).copy()), text, 1)


def _table(draw: ImageDraw.ImageDraw, rows: list[list[str]], top: int) -> None:
    from PIL import ImageFont

    columns = max(map(len, rows), default=1) or 1
    wide = (WIDTH - 2 * MARGIN) / columns
    font = ImageFont.load_default(16)
    for i, row in enumerate(rows):
        y = top + i * LINE
        if i == 0:
            draw.rectangle((MARGIN, y, WIDTH - MARGIN, y + LINE), fill="#e8e8e8")
        for j, cell in enumerate(row):
            draw.text((MARGIN + j * wide + 4, y + 4), _fit(cell, font, wide - 8), "black", font)
        draw.line((MARGIN, y + LINE, WIDTH - MARGIN, y + LINE), "#999999")


def _fit(text: str, font: Any, width: float) -> str:
    while text and font.getlength(text) > width:
        text = text[: int(len(text) * 0.9)]
    return text


def table_page(table: Mapping[str, Any], *, text_layer: bool) -> Page:
    """A table of the WikiTableQuestions pack as a page."""
    subtitle = " · ".join(part for part in (table["heading"], table["caption"]) if part)
    rows = list(csv.reader(io.StringIO(table["csv"])))
    return page(table["title"], subtitle, rows, text_layer=text_layer)
