"""Words as they are looked up: one way of cutting and folding text, for every store and every language.

Stores keep `of_payload` of each row and find `tokens` of a query in it; as both sides pass through here, `Été` finds
`ete`, a Chinese name is found inside a sentence, and every store answers alike.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from onesense.types import Content, Page, Payload

MAX_TEXT = 8_000  # characters of a segment that are kept for words: a dense page has 6,000, a text segment 1,000
MAX_QUERY_TOKENS = 64  # of a query; longer ones are passages, which vectors find
K1, B = 1.2, 0.75  # Robertson et al. 1994; what LanceDB's index uses

_MARKS = re.compile("[\u0300-\u036f\u0591-\u05c7\u064b-\u0652]")
"""Accents of Latin, Greek and Cyrillic, points of Hebrew and Arabic; elsewhere (Hindi, Thai) such signs are vowels."""
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
"""Scripts written without spaces: Thai, Lao, Burmese, Khmer, kana, Chinese characters."""
_SIGN = rf"(?:[^\W_{_UNSPACED}]|[\u0900-\u0963\u0966-\u0dff])"
"""Of a word: letters and digits, and the vowel signs of India's scripts, which Python does not count as letters."""
_TOKEN = re.compile(rf"\d+(?:[.,]\d+)+|[{_UNSPACED}]+|{_SIGN}+(?:['’]{_SIGN}+)?")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_IS_UNSPACED = re.compile(f"[{_UNSPACED}]")


def tokens(text: str) -> list[str]:
    """Folded words of a text, in order; runs of a script without spaces as pairs of neighbours (one sign alone stays).

    Case, accents and width are folded, `1,234` is `1234`, and `don't` is one word, `dont`.
    """
    folded = _MARKS.sub("", unicodedata.normalize("NFKD", text).casefold())
    return [token for run in _TOKEN.findall(unicodedata.normalize("NFC", folded)) for token in _cut(run)]


def _cut(run: str) -> Iterator[str]:
    if _IS_UNSPACED.match(run):
        yield from (run[i : i + 2] for i in range(max(1, len(run) - 1)))
    elif _THOUSANDS.fullmatch(run):
        yield run.replace(",", "")
    else:
        yield run.replace("'", "").replace("’", "").replace(",", ".")


def places(text: str, wanted: Container[str]) -> list[tuple[int, int]]:
    """Where wanted tokens stand in a text as it is written, in order; neighbours that overlap are one place."""
    found: list[tuple[int, int]] = []
    for match in _TOKEN.finditer(text):
        for start, end in _pieces(match):
            if any(token in wanted for token in tokens(text[start:end])):
                joins = bool(found) and start < found[-1][1]
                found[-1:] = [(found[-1][0], end)] if joins else [*found[-1:], (start, end)]
    return found


def _pieces(match: re.Match[str]) -> Iterator[tuple[int, int]]:
    """A match whole, or pairs of signs of a script without spaces."""
    start, end = match.span()
    if not _IS_UNSPACED.match(match[0]):
        yield start, end
        return
    yield from ((i, min(i + 2, end)) for i in range(start, max(start + 1, end - 1)))


def asked(text: str) -> list[str]:
    """Distinct tokens of a query, in order, at most `MAX_QUERY_TOKENS`."""
    return list(dict.fromkeys(tokens(text)))[:MAX_QUERY_TOKENS]


def said(content: Content) -> str:
    """The words of a segment that a person could search for: texts, and text layers of pages."""
    values = [part.value for part in content.parts]
    texts = [v if isinstance(v, str) else v.text for v in values if isinstance(v, (str, Page))]
    return "\n".join([content.title or "", *texts]).strip()[:MAX_TEXT]


def of_payload(payload: Payload) -> str:
    """All folded words of a row, joined by spaces: file name, title and text, preview, and the user's metadata."""
    path = PurePath(str(payload.get("path", "")))
    text = str(payload.get("text") or payload.get("preview", ""))
    return " ".join(tokens("\n".join([path.parent.name, path.stem, text, *_strings(payload.get("metadata"))])))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _strings(inner)


class Index:
    """BM25 over texts that fit in memory, for stores that have no full text of their own.

    Args:
        rows: `of_payload` of each row.
    """

    def __init__(self, rows: Sequence[str]) -> None:
        self._counts = [Counter(row.split()) for row in rows]
        self._lengths = [count.total() for count in self._counts]
        self._mean = max(1.0, sum(self._lengths) / max(1, len(rows)))
        self._n_with = Counter(token for count in self._counts for token in count)

    def scores(self, query: Sequence[str], passing: Sequence[int]) -> list[tuple[int, float]]:
        """(row, BM25) of the rows among `passing` that hold any of the tokens, best first, ties by row."""
        found = [(row, self._score(row, query)) for row in passing]
        return sorted((f for f in found if f[1] > 0), key=lambda f: (-f[1], f[0]))

    def _score(self, row: int, query: Sequence[str]) -> float:
        count, longer = self._counts[row], 1 - B + B * self._lengths[row] / self._mean
        return sum(
            self._idf(token) * count[token] * (K1 + 1) / (count[token] + K1 * longer)
            for token in query
            if token in count
        )

    def _idf(self, token: str) -> float:
        n = self._n_with[token]
        return math.log(1 + (len(self._counts) - n + 0.5) / (n + 0.5))
