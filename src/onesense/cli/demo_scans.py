"""The demo's two pictures of print: a receipt as a phone takes it, and a sign; drawn here with Pillow's own font."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import numpy as np

RECEIPT = (
    ("CAFÉ TERRAZA", 34),
    ("Rua da Rosa 12, Lisboa", 20),
    ("2 x flat white        7.20", 22),
    ("1 x almond croissant  3.40", 22),
    ("1 x orange juice      4.10", 22),
    ("Total                14.70", 26),
    ("Paid by card  No. 4711-88", 20),
    ("Obrigado! Thank you!", 22),
)
"""Lines and their size in pixels."""


def receipt() -> bytes:
    """A receipt on a table, a little turned, with a camera's grain; JPEG."""
    from PIL import Image, ImageDraw, ImageFilter, ImageFont

    paper = Image.new("RGB", (420, 520), "#f7f4ea")
    draw, y = ImageDraw.Draw(paper), 30
    for text, size in RECEIPT:
        draw.text((30, y), text, "#2b2b30", ImageFont.load_default(size))
        y += round(2.1 * size)
    table = Image.new("RGB", (640, 720), "#6d4c33")
    table.paste(paper, (110, 100))
    turned = table.rotate(3, Image.Resampling.BICUBIC, fillcolor="#6d4c33").filter(ImageFilter.GaussianBlur(0.6))
    grain = np.random.default_rng(0).normal(0, 6, (720, 640, 1))
    return _jpeg(np.clip(np.asarray(turned) + grain, 0, 255).astype(np.uint8))


def sign() -> bytes:
    """A sign at a gate; JPEG."""
    from PIL import Image, ImageDraw, ImageFont

    canvas = Image.new("RGB", (800, 500), "#7f9a6b")
    draw = ImageDraw.Draw(canvas)
    draw.rectangle((120, 110, 680, 390), "#f2c230", "#2a2a2a", 8)
    for y, text, size in ((150, "Beware of the bull", 52), (250, "Keep this gate shut", 44), (320, "Weald Farm", 30)):
        draw.text((160, y), text, "#1d1d1d", ImageFont.load_default(size))
    return _jpeg(np.asarray(canvas))


def _jpeg(pixels: np.ndarray) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=80)
    return stream.getvalue()


SCANS: Mapping[str, Callable[[], bytes]] = {"receipt.jpg": receipt, "gate.jpg": sign}
"""File below `scans` -> what draws it."""
