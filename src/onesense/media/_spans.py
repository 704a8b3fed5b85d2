"""Where to cut a text: spans of about 200 to 1,000 characters at paragraphs, headings, code blocks, rows or lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

LOW, HIGH = 200, 1_000  # characters; about 50 to 250 tokens, a paragraph or two, well inside every model's window
_MAX_HEADER = 400  # characters of a table's header that are repeated

_PARAGRAPH_END = re.compile(r"\n[ \t\r]*\n\s*")
_HEADING = re.compile(r"#{1,6} |[^\n]{1,120}\n(?:={3,}|-{3,})[ \t\r]*(?:\n|\Z)")
_BLOCK_START = re.compile(r"^(?![\s)\]}])", re.MULTILINE)
_CUTS = ("\n", "。", ". ", "! ", "? ", "！", "？", "; ", ";", "}", ",", " ", "\t")
"""Where a piece that is too long is cut, best first."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a text."""

    start: int
    end: int
    header: str = ""
    """Put before the stretch: the header of the table that it belongs to."""


@dataclass(frozen=True, slots=True)
class _Piece:
    start: int
    end: int
    opens: bool = False
    """True where a new span should begin if the one before is long enough, as at a heading."""


def paragraphs(text: str) -> Iterator[Span]:
    """Prose, Markdown and logs: paragraphs, a heading with what follows it."""
    return _packed(text, _paragraph_pieces(text))


def code_blocks(text: str) -> Iterator[Span]:
    """Source code: what begins unindented after an empty line is one block (a function, a class, the imports)."""
    return _packed(text, _block_pieces(text))


def lines(text: str) -> Iterator[Span]:
    """JSON Lines and the like: whole lines."""
    return _packed(text, (_Piece(start, end) for start, end in _lines(text)))


def rows(text: str) -> Iterator[Span]:
    """CSV and TSV: groups of whole rows; every group but the first has the header before it."""
    records = _records(text)
    first = next(records, None)
    if first is None:
        return
    header = text[first[0] : min(first[1], first[0] + _MAX_HEADER)].strip()
    for span in _packed(text, (_Piece(start, end) for start, end in chain((first,), records))):
        yield span if span.start <= first[0] else Span(span.start, span.end, header)


def _packed(text: str, pieces: Iterable[_Piece]) -> Iterator[Span]:
    """Neighbouring pieces joined up to HIGH characters; none is blank, and white space round them is left out."""
    held: Span | None = None
    for piece in pieces:
        for start, end in _short(text, piece.start, piece.end):
            fits = held is not None and end - held.start <= HIGH
            closes = held is not None and piece.opens and start == piece.start and held.end - held.start >= LOW
            if held is not None and (closes or not fits):
                yield from _trimmed(text, held)
                held = None
            held = Span(held.start if held else start, end)
    if held is not None:
        yield from _trimmed(text, held)


def _trimmed(text: str, span: Span) -> Iterator[Span]:
    piece = text[span.start : span.end]
    start = span.start + len(piece) - len(piece.lstrip())
    end = span.end - (len(piece) - len(piece.rstrip()))
    if start < end:
        yield Span(start, end)


def _short(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The piece in parts of at most HIGH characters; an endless line is cut at a sentence, a word, or anywhere."""
    while end - start > HIGH:
        window = text[start : start + HIGH]
        found = next((at + len(cut) for cut in _CUTS if (at := window.rfind(cut, HIGH // 2)) >= 0), HIGH)
        yield start, start + found
        start += found
    yield start, end


def _paragraph_pieces(text: str) -> Iterator[_Piece]:
    start = 0
    for gap in _PARAGRAPH_END.finditer(text):
        yield _Piece(start, gap.start(), _HEADING.match(text, start) is not None)
        start = gap.end()
    yield _Piece(start, len(text), _HEADING.match(text, start) is not None)


def _block_pieces(text: str) -> Iterator[_Piece]:
    start = 0
    for match in _BLOCK_START.finditer(text):
        at = match.start()
        if at > start and _after_empty_line(text, at):
            yield _Piece(start, at, opens=True)
            start = at
    yield _Piece(start, len(text), opens=True)


def _after_empty_line(text: str, at: int) -> bool:
    before = text.rfind("\n", 0, max(at - 1, 0))
    return not text[before + 1 : at].strip()


def _lines(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        yield start, end
        start = end


def _records(text: str) -> Iterator[tuple[int, int]]:
    """Rows of a table: lines, joined while a quoted field is open."""
    begin, n_quotes = 0, 0
    for start, end in _lines(text):
        n_quotes += text.count('"', start, end)
        if n_quotes % 2 == 0:
            yield begin, end
            begin, n_quotes = end, 0
    if begin < len(text):
        yield begin, len(text)
