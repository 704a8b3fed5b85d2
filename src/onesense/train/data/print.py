"""Printed words drawn by code: lines for the reader, pages and signs for the finder of lines.

Words come from the packs (lemmas, names, parallel sentences of the training side) and from syllables and numbers drawn
here; fonts are those of this machine (`apt-get install fonts-freefont-ttf fonts-lato ...`, docs/training.md). Families
named in `UNSEEN` are left out: what is measured is drawn with them.
"""

from __future__ import annotations

import io
import math
import random
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from ...errors import NotFound
from ...evals import splits
from ...evals.packs import Packs
from ...types import Array
from .texts import NTREX_TRAIN_LINES

FONTS = Path("/usr/share/fonts")
UNSEEN = re.compile("dejavu|liberation|croscore|hack|libertine|OpenSans|Inconsolata", re.IGNORECASE)
"""The task `reading` draws with the first two, croscore and hack are drawn after those; the others are for checks."""
SPECIAL = re.compile("Math|Emoji|Symbol|Nushu|Icon|Music|Ornament", re.IGNORECASE)
HEIGHT = 32  # px of a line as the reader sees it
STRETCH = 1.2  # wider than it was: narrow letters get more steps
ABOVE, BELOW = 0.80, 0.26  # em over and under the base line that a line's box has, whatever stands in it
BAND = 0.5  # of the height of a box that the finder's mask covers, so that lines near each other stay apart

_BASIC = "".join(chr(c) for c in range(0x20, 0x7F))
_MARKS = "¡£§©«°±²³´·»¿×÷–—‘’‚“”„†•…‰‹›€№™−→"
_LETTERS = [*range(0xC0, 0x180), 0x192, *range(0x218, 0x21C), *range(0x1E80, 0x1E86), 0x1E9E]
_VIETNAMESE = [0x1A0, 0x1A1, 0x1AF, 0x1B0, *range(0x1EA0, 0x1EFA)]
_GREEK = [c for c in range(0x384, 0x3CF) if unicodedata.name(chr(c), "")]
_CYRILLIC = [*range(0x400, 0x460), 0x490, 0x491, *range(0x492, 0x4C0, 1)]
ALPHABET = "".join(
    dict.fromkeys(
        _BASIC
        + _MARKS
        + "".join(chr(c) for c in [*_LETTERS, *_VIETNAMESE, *_GREEK, *_CYRILLIC] if unicodedata.name(chr(c), ""))
    )
)
"""What the reader can write, in the order of its outputs; output 0 is the blank, 1 the first of these."""


NEEDED = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,"
"""What a font must have to be drawn with."""


@dataclass(frozen=True, slots=True)
class Face:
    """One font file and the letters that it has."""

    file: str
    has: frozenset[str]

    @property
    def family(self) -> str:
        """What files of one design share, about."""
        return re.split("[-.0-9]|Bold|Italic|Oblique|Two", Path(self.file).stem)[0]

    def font(self, size: int) -> Any:
        """The font at a size in pixels an em."""
        return _font(self.file, size)


@cache
def _font(file: str, size: int) -> Any:
    return ImageFont.truetype(file, size)


def faces(folder: Path = FONTS) -> list[Face]:
    """Latin fonts of this machine but those of `UNSEEN`, in order.

    Raises:
        NotFound: there are none.
    """
    found = []
    for file in sorted(folder.rglob("*.[to]tf")):
        if UNSEEN.search(str(file)) or SPECIAL.search(file.name):
            continue
        font = _font(str(file), 16)
        if letters_of(font, NEEDED).issuperset(NEEDED):
            found.append(Face(str(file), letters_of(font)))
    if not found:
        raise NotFound(f"no fonts to draw with in {folder}: install some, docs/training.md names the packages")
    return found


def letters_of(font: Any, among: str = ALPHABET) -> frozenset[str]:
    """Those letters that a font has: all that do not look like one that no font has."""
    missing = bytes(font.getmask("\uffff"))
    return frozenset(c for c in among if c == " " or bytes(font.getmask(c)) != missing)


def choose(fonts: Sequence[Face], rng: random.Random) -> Face:
    """A font, each family as likely as any other."""
    family = rng.choice(sorted({face.family for face in fonts}))
    return rng.choice([face for face in fonts if face.family == family])


class Words:
    """Draws short texts in the scripts of `ALPHABET`."""

    def __init__(self, packs: Packs) -> None:
        letters = frozenset(ALPHABET)
        pools: dict[str, list[str]] = {"LATIN": [], "GREEK": [], "CYRILLIC": []}
        for text in _texts(packs):
            whole = unicodedata.normalize("NFC", text)
            if letters.issuperset(whole):
                pools[_script(whole)].append(whole)
        self._pools = pools

    def draw(self, rng: random.Random) -> str:
        """One to six words, a number, or syllables that nobody ever wrote; 2 to 36 characters."""
        kind = rng.choices(["LATIN", "CYRILLIC", "GREEK", "number", "name", "any"], [52, 14, 7, 14, 10, 3])[0]
        if kind == "number":
            text = _number(rng)
        elif kind == "name":
            text = " ".join(_syllables(rng) for _ in range(rng.randint(1, 3)))
        elif kind == "any":
            text = "".join(rng.choice(ALPHABET) for _ in range(rng.randint(3, 14))).strip() or "?"
        else:
            text = _span(rng.choice(self._pools[kind]), rng)
        case = rng.random()
        text = text.upper() if case < 0.13 else text.title() if case < 0.25 else text
        return "".join(c for c in text if c in _ALLOWED)[:36].strip() or "a"


_ALLOWED = frozenset(ALPHABET)


def _texts(packs: Packs) -> Iterator[str]:
    for row in packs.rows("text/omw_lemmas.tsv.xz"):
        if splits.is_dev_term(row["lemma"].replace("_", " ")) is False:
            yield row["lemma"].replace("_", " ")
    for i, row in enumerate(packs.rows("text/ntrex_1-1600.tsv.xz")):
        if i < NTREX_TRAIN_LINES:
            yield from (str(v) for v in row.values() if isinstance(v, str))


def _script(text: str) -> str:
    for name, low, high in (("GREEK", 0x370, 0x3FF), ("CYRILLIC", 0x400, 0x4FF)):
        if any(low <= ord(c) <= high for c in text):
            return name
    return "LATIN"


def _span(text: str, rng: random.Random) -> str:
    """Some words in a row of a text."""
    words = text.split()
    n = rng.choice((1, 1, 2, 3, 4, 6))
    at = rng.randrange(max(1, len(words) - n + 1))
    return " ".join(words[at : at + n]) or text


def _number(rng: random.Random) -> str:
    n = rng.randint(0, 10 ** rng.randint(1, 7))
    year, part = rng.randint(1800, 2035), rng.randint(0, 99)
    forms = (
        f"{n}", f"{n:,}", f"{n / 100:.2f}", f"{n / 10:.1f} %", f"${n:,}", f"€ {n / 100:.2f}", f"{year}",
        f"{year}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}",
        f"{rng.randint(1, 28)}.{rng.randint(1, 12)}.{year}",
        f"{rng.randint(0, 23)}:{part % 60:02d}", f"({n})", f"+{part} {n}", f"{part}–{rng.randint(0, 99)}", f"#{n}",
        f"{rng.choice('ABCXYZ')}{n}-{part}", f"{part} km", f"{n} kg", f"No. {n}", f"{part}/{rng.randint(1, 99)}",
    )  # fmt: skip
    return rng.choice(forms)


def _syllables(rng: random.Random) -> str:
    starts, middles, ends = "bcdfghjklmnpqrstvwxyz", "aeiou", ["", "", *"nrslt"]
    return "".join(rng.choice(part) for _ in range(rng.randint(1, 4)) for part in (starts, middles, ends))


# --- lines for the reader -------------------------------------------------------------------------------------------


def line(text: str, face: Face, rng: random.Random) -> Array:
    """A line of print as the finder would cut it out: uint8 [32, W], grey."""
    size = rng.choice((10, 11, 12, 13, 14, 16, 18, 20, 24, 28, 34, 42))
    font = face.font(size)
    wide, pad = math.ceil(font.getlength(text)), 2 * size
    ink, ground = _tones(rng)
    canvas = Image.new("L", (wide + 2 * pad, 4 * size), ground)
    if rng.random() < 0.3:
        canvas = _uneven(canvas, rng)
    base = 2.4 * size
    draw = ImageDraw.Draw(canvas)
    draw.text((pad, base), text, ink, font, anchor="ls")
    if rng.random() < 0.06:  # a rule under or over it, as in tables
        y = base + rng.uniform(0.2, 0.4) * size if rng.random() < 0.6 else base - rng.uniform(0.95, 1.1) * size
        draw.line((0, y, canvas.width, y), ink, 1)
    slope = math.tan(math.radians(rng.gauss(0, 1.2)))
    slant = rng.gauss(0, 0.06)
    top, bottom = base - ABOVE * size * rng.uniform(0.9, 1.3), base + BELOW * size * rng.uniform(0.6, 1.9)
    left, right = pad - size * rng.uniform(-0.02, 0.5), pad + wide + size * rng.uniform(-0.02, 0.5)
    high = bottom - top
    w = max(8, round((right - left) * STRETCH * HEIGHT / high * rng.uniform(0.9, 1.1)))
    sx, sy = (right - left) / w, high / HEIGHT
    middle = (right - left) / 2
    matrix = (sx, slant * sy, left - slant * high / 2, slope * sx, sy, top - slope * middle)
    canvas = _worn(canvas, rng, size)
    return np.asarray(canvas.transform((w, HEIGHT), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR))


def _tones(rng: random.Random) -> tuple[int, int]:
    dark, light = rng.randint(0, 120), rng.randint(140, 255)
    if light - dark < 60:
        light = min(255, dark + 90)
    return (dark, light) if rng.random() < 0.7 else (light, dark)


def _uneven(canvas: Image.Image, rng: random.Random) -> Image.Image:
    """The ground with light that falls off, or stains."""
    grid = np.array([[rng.gauss(0, 14) for _ in range(6)] for _ in range(2)])
    shade = Image.fromarray(grid.astype(np.float32)).resize(canvas.size, Image.Resampling.BICUBIC)
    return Image.fromarray(np.clip(np.asarray(canvas, np.float32) + np.asarray(shade), 0, 255).astype(np.uint8))


def _worn(canvas: Image.Image, rng: random.Random, size: float) -> Image.Image:
    """Blur, grain and JPEG's blocks, as cameras and scanners bring them."""
    if rng.random() < 0.5:
        canvas = canvas.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 0.045 * size + 0.35)))
    if rng.random() < 0.4:
        noise = np.random.default_rng(rng.getrandbits(32)).normal(0, rng.uniform(2, 14), (canvas.height, canvas.width))
        canvas = Image.fromarray(np.clip(np.asarray(canvas) + noise, 0, 255).astype(np.uint8))
    if rng.random() < 0.35:
        stream = io.BytesIO()
        canvas.save(stream, "JPEG", quality=rng.randint(30, 85))
        canvas = Image.open(stream)  # noqa: TID251  our own bytes
    return canvas


# --- pages and signs for the finder ---------------------------------------------------------------------------------


@dataclass(slots=True)
class Page:
    """A grey picture with print, and where its lines are."""

    pixels: Array
    """uint8 [S, S]."""
    mask: Array
    """float32 [S / 4, S / 4], how much of each cell lies in the middle band of a line."""


def page(side: int, words: Words, fonts: Sequence[Face], photos: Sequence[Array], rng: random.Random) -> Page:
    """One picture of side x side px: a photograph without words, a sign on one, running text, a table, an interface."""
    kind = rng.choices(["photo", "sign", "paragraph", "table", "scattered"], [22, 22, 22, 18, 16])[0]
    ink, ground = _tones(rng)
    on_photo = kind == "photo" or rng.random() < (0.6 if kind == "sign" else 0.12)
    canvas = Image.fromarray(_crop(rng.choice(photos), side, rng)) if on_photo else Image.new("L", (side, side), ground)
    if not on_photo and rng.random() < 0.3:
        canvas = _uneven(canvas, rng)
    mask = Image.new("L", (side, side), 0)
    sheet = _Sheet(canvas, mask, words, fonts, ink, rng)
    if kind == "sign":
        _sign(sheet)
    elif kind == "paragraph":
        _paragraph(sheet)
    elif kind == "table":
        _table(sheet)
    elif kind == "scattered":
        _scattered(sheet)
    canvas = _worn(canvas, rng, 12)
    band = np.asarray(mask, np.float32).reshape(side // 4, 4, side // 4, 4).mean((1, 3)) / 255
    return Page(np.asarray(canvas.convert("L")), band)


def _crop(photo: Array, side: int, rng: random.Random) -> Array:
    """A random square of a photograph, enlarged or reduced to the side; uint8 [side, side]."""
    high, wide = photo.shape
    s = round(min(high, wide) * rng.uniform(0.5, 1.0))
    y, x = rng.randint(0, high - s), rng.randint(0, wide - s)
    return np.asarray(Image.fromarray(photo[y : y + s, x : x + s]).resize((side, side), Image.Resampling.BILINEAR))


@dataclass(slots=True)
class _Sheet:
    canvas: Image.Image
    mask: Image.Image
    words: Words
    fonts: Sequence[Face]
    ink: int
    rng: random.Random

    @property
    def side(self) -> int:
        return self.canvas.width

    def text(self, face: Face, n: int = 1) -> str:
        """A text whose letters the font has."""
        drawn = " ".join(self.words.draw(self.rng) for _ in range(n))
        return "".join(c for c in drawn if c in face.has) or "abc"

    def put(self, x: float, base: float, text: str, face: Face, size: int, ink: int | None = None) -> float:
        """Draw a line that starts at x; its width in px. The mask gets the middle band of its box."""
        font = face.font(size)
        ImageDraw.Draw(self.canvas).text((x, base), text, self.ink if ink is None else ink, font, anchor="ls")
        wide = font.getlength(text)
        ImageDraw.Draw(self.mask).rectangle(_band(x, base, wide, size), 255)
        return float(wide)


def _band(x: float, base: float, wide: float, size: float) -> tuple[float, float, float, float]:
    top, bottom = base - ABOVE * size, base + BELOW * size
    inset = (1 - BAND) / 2 * (bottom - top)
    return x, top + inset, x + wide, bottom - inset


def _sign(sheet: _Sheet) -> None:
    """One to three lines, turned together, on a board or straight on the ground."""
    rng, side = sheet.rng, sheet.side
    layer, band = Image.new("LA", (side, side), (0, 0)), Image.new("L", (side, side), 0)
    face, size = choose(sheet.fonts, rng), rng.choice((14, 18, 24, 30, 38, 48, 62))
    ink, board = _tones(rng)
    lines = [sheet.text(face) for _ in range(rng.randint(1, 3))]
    x, base = rng.uniform(4, side * 0.4), rng.uniform(size, side * 0.7)
    widest = max(face.font(size).getlength(t) for t in lines)
    draw, marks = ImageDraw.Draw(layer), ImageDraw.Draw(band)
    if rng.random() < 0.6:
        box = (x - size, base - 1.4 * size, x + widest + size, base + size * (1.3 * len(lines) - 0.6))
        draw.rectangle(box, (board, 255))
    for i, text in enumerate(lines):
        y = base + 1.3 * size * i
        draw.text((x, y), text, (ink, 255), face.font(size), anchor="ls")
        marks.rectangle(_band(x, y, face.font(size).getlength(text), size), 255)
    angle = rng.gauss(0, 4)
    layer, band = (p.rotate(angle, Image.Resampling.BILINEAR) for p in (layer, band))
    sheet.canvas.paste(layer.getchannel(0), (0, 0), layer.getchannel(1))
    sheet.mask.paste(band)


def _paragraph(sheet: _Sheet) -> None:
    rng, side = sheet.rng, sheet.side
    face, size = choose(sheet.fonts, rng), rng.choice((7, 8, 9, 10, 11, 12, 14, 16, 20, 26))
    columns, step = rng.choice((1, 1, 2, 3)), size * rng.uniform(1.15, 1.8)
    left, gap = rng.uniform(2, 40), 2 * size
    width = (side - 2 * left - gap * (columns - 1)) / columns
    for column in range(columns):
        y, x = rng.uniform(size, 60), left + column * (width + gap)
        while y < side - size * 0.3:
            text = sheet.text(face, 4)
            while text and face.font(size).getlength(text) > width:
                text = text[:-1]
            cut = len(text) if rng.random() < 0.85 else rng.randint(1, max(1, len(text)))
            sheet.put(x, y, text[:cut].strip() or "ab", face, size)
            y += step if rng.random() < 0.92 else 2 * step


def _table(sheet: _Sheet) -> None:
    rng, side = sheet.rng, sheet.side
    face, size = choose(sheet.fonts, rng), rng.choice((8, 9, 10, 11, 12, 14, 16, 20))
    n, step = rng.randint(2, 6), size * rng.uniform(1.3, 2.4)
    ruled, draw = rng.random() < 0.6, ImageDraw.Draw(sheet.canvas)
    edges = np.linspace(rng.uniform(2, 20), side - 4, n + 1)
    y = rng.uniform(size + 2, 50)
    while y < side - size:
        for left, right in pairwise(edges):
            text = sheet.text(face)
            while text and face.font(size).getlength(text) > right - left - 1.2 * size:
                text = text[:-1]
            if text.strip() and rng.random() < 0.93:
                sheet.put(left + 0.3 * size, y, text.strip(), face, size)
        if ruled:
            draw.line((edges[0], y + 0.4 * size, edges[-1], y + 0.4 * size), sheet.ink, 1)
        y += step
    if ruled and rng.random() < 0.6:
        for x in edges:
            draw.line((x, 0, x, y), sheet.ink, 1)


def _scattered(sheet: _Sheet) -> None:
    """Labels of many sizes among boxes and lines: interfaces, charts, posters."""
    rng, side = sheet.rng, sheet.side
    draw = ImageDraw.Draw(sheet.canvas)
    taken: list[tuple[float, float, float, float]] = []
    for _ in range(rng.randint(0, 12)):
        x, y, w, h = (rng.uniform(0, side) for _ in range(4))
        tone = rng.randint(0, 255)
        shape = rng.choice((draw.rectangle, draw.ellipse))
        shape((x, y, x + w / 2, y + h / 3), outline=tone, fill=tone if rng.random() < 0.5 else None)
        draw.line((x, y, w, h), tone, rng.randint(1, 3))
    for _ in range(rng.randint(3, 22)):
        face, size = choose(sheet.fonts, rng), rng.choice((8, 9, 10, 12, 14, 16, 18, 22, 28, 36))
        text = sheet.text(face)
        wide = face.font(size).getlength(text)
        x, y = rng.uniform(0, max(1, side - wide)), rng.uniform(size, side - size / 2)
        box = (x - size, y - 1.4 * size, x + wide + size, y + 0.8 * size)
        if any(box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in taken):
            continue
        taken.append(box)
        under = sheet.canvas.crop((round(x), round(y - size), round(x + wide) + 1, round(y) + 1))
        is_light = float(np.asarray(under).mean()) > 127
        sheet.put(x, y, text, face, size, rng.randint(0, 70) if is_light else rng.randint(190, 255))
