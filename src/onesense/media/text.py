"""Text: plain, Markdown, HTML, source code, CSV, JSON and XML to `str`, and the spans of it that are indexed.

Only what has no magic bytes is told by its name: a suffix or the declared type chooses how a text is cut, and whether
it is HTML. JSON, XML and code are read as they stand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import EmptyInput
from ..types import LIMITS, Content, Decoded, Limits, Locator, Part, Segment
from . import _spans, fetch
from ._charset import looks_like_text, to_text
from ._html import html_title, html_to_text

Splitter = Callable[[str], Iterator[_spans.Span]]

_SPLITTERS: dict[str, Splitter] = {
    "text/csv": _spans.rows,
    "text/tab-separated-values": _spans.rows,
    "text/x-source": _spans.code_blocks,
    "application/javascript": _spans.code_blocks,
    "text/javascript": _spans.code_blocks,
    "application/json": _spans.lines,
    "application/jsonl": _spans.lines,
}
"""MIME type -> how its text is cut; all others by paragraphs."""

_OTHER_MIMES = (
    "text/plain text/markdown text/html text/xml text/css text/x-log application/xhtml+xml application/xml"
    " application/yaml application/x-yaml application/toml application/x-ndjson application/x-sh application/sql"
).split()
_SOURCE = (
    ".py .pyi .js .mjs .jsx .ts .tsx .c .h .cc .cpp .hpp .cs .java .kt .go .rs .rb .php .swift .scala .lua .r .jl .sh"
    " .sql"
).split()
_SUFFIXES = {
    ".txt": "text/plain",
    ".log": "text/plain",
    ".rst": "text/plain",
    ".srt": "text/plain",
    ".vtt": "text/plain",
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".html": "text/html",
    ".htm": "text/html",
    ".xhtml": "text/html",
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".ndjson": "application/jsonl",
    ".xml": "application/xml",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".toml": "application/toml",
    **dict.fromkeys(_SOURCE, "text/x-source"),
}
_HTML_START = re.compile(rb"\s*(?:<!--.{0,500}?-->\s*)?<(?:!doctype\s+html|html)\b", re.IGNORECASE | re.DOTALL)
_MARKDOWN_TITLE = re.compile(r"^# +(\S.*)$", re.MULTILINE)
_CHARSET = re.compile(r""";\s*charset\s*=\s*["']?([\w.:-]+)""", re.IGNORECASE)
_MAX_TITLE = 200  # characters
_PREVIEW_CHARS = 100


@dataclass(frozen=True, slots=True)
class _Text:
    text: str
    mime: str
    title: str | None


class TextModality:
    """Text files. Stateless, so any thread may use it."""

    name = "text"
    mimes = frozenset({*_SPLITTERS, *_OTHER_MIMES})
    suffixes = frozenset(_SUFFIXES)

    def sniff(self, head: bytes) -> str | None:
        """HTML by how it begins, plain text where the bytes can be read as text."""
        if not looks_like_text(head):
            return None
        return "text/html" if _HTML_START.match(head.removeprefix(b"\xef\xbb\xbf")) else "text/plain"

    def decode(self, source: bytes | Path, part: Part, limits: Limits = LIMITS) -> str:
        """The text of a file; of HTML what a reader sees. A charset in `part.mime_type` is honoured.

        Raises:
            DecodeError: the bytes are not text, or in an encoding that must be declared.
            EmptyInput: nothing but white space.
            TooLarge: more than `limits.max_text_bytes`.
        """
        return _read(source, part.mime_type, limits).text

    def segments(self, source: bytes | Path, limits: Limits = LIMITS) -> Iterator[Segment]:
        """Spans of about 200 to 1,000 characters, located by characters of the text that `decode` returns."""
        found = _read(source, None, limits)
        split = _SPLITTERS.get(found.mime, _spans.paragraphs)
        for span in split(found.text):
            words = found.text[span.start : span.end]
            content = Content(f"{span.header}\n{words}" if span.header else words, title=found.title)
            yield Segment(content, Locator(start_char=span.start, end_char=span.end), self.name, self.preview(words))

    def preview(self, value: Decoded) -> str:
        """The first words."""
        assert isinstance(value, str)
        words = " ".join(value[: 4 * _PREVIEW_CHARS].split())
        return words if len(words) <= _PREVIEW_CHARS else words[:_PREVIEW_CHARS].rsplit(" ", 1)[0] + " …"


modality = TextModality()


def _read(source: bytes | Path, declared: str | None, limits: Limits) -> _Text:
    raw = fetch.read(source, limits.max_text_bytes)
    charset = _CHARSET.search(declared or "")
    text = to_text(raw, charset[1] if charset else None, fetch.label(source))
    mime = _mime(source, declared, raw)
    title = None
    if mime == "text/html":
        text, title = html_to_text(text), html_title(text)
    elif mime == "text/markdown" and (heading := _MARKDOWN_TITLE.search(text)):
        title = heading[1].strip()
    if not text.strip():
        raise EmptyInput(f"{fetch.label(source)} holds no text but white space")
    return _Text(text, mime, title[:_MAX_TITLE] if title else None)


def _mime(source: bytes | Path, declared: str | None, raw: bytes) -> str:
    """The declared type, what a suffix hints at, or what the bytes show."""
    from .sniff import plain_mime

    named = plain_mime(declared)
    if named not in {"", "text/plain", "application/octet-stream"}:
        return "text/html" if named == "application/xhtml+xml" else named
    hint = _SUFFIXES.get(source.suffix.lower()) if isinstance(source, Path) else None
    shown = modality.sniff(raw[: fetch.HEAD_BYTES])
    return hint or shown or "text/plain"
