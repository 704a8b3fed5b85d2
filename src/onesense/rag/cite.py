"""Marks like `[2]` in the text of a language model, checked while it is written: no made-up one is ever shown."""

from __future__ import annotations

import re
from collections.abc import Sequence, Sized

_LIST = re.compile(r"\[\s*(\d{1,3}(?:\s*[,;]\s*\d{1,3})*)\s*\]")
"""`[2]`, and `[1, 3]`, which becomes `[1][3]`."""
_BEGUN = re.compile(r"(?:\s+|\s*\[[\d\s,;]*)\Z")
"""What may become a mark, with the space before it, which goes with it when it is dropped."""
_MAX_BEGUN = 40  # characters that are held back for it
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SENTENCE = re.compile(r"[^.!?。！？\n]*\w[^.!?。！？\n]*(?:[.!?。！？]+|\n|\Z)(?:\s*(?:\[\d+\])+)?")


class Citer:
    """Text in, text out, with valid marks only. One for an answer.

    Args:
        sources: marks from 1 to their number are valid; it may grow meanwhile.
    """

    def __init__(self, sources: Sized) -> None:
        self._sources = sources
        self._held = ""
        self.cited: list[int] = []
        """Valid numbers, in the order of their first marks."""
        self.dropped: list[int] = []
        """Numbers that stand for no passage."""

    def feed(self, delta: str) -> str:
        """What can be shown of the text so far; a mark that is not complete is held back."""
        text = self._held + _CONTROL.sub("", delta)
        begun = _BEGUN.search(text)
        cut = begun.start() if begun and len(text) - begun.start() <= _MAX_BEGUN else len(text)
        self._held = text[cut:]
        return self._checked(text[:cut])

    def end(self) -> str:
        """What was held back."""
        rest, self._held = self._held, ""
        return self._checked(rest)

    def _checked(self, text: str) -> str:
        return re.sub(rf"(\s*){_LIST.pattern}", self._mark, text)

    def _mark(self, match: re.Match[str]) -> str:
        numbers = [int(number) for number in re.findall(r"\d+", match[2])]
        valid = [number for number in numbers if 1 <= number <= len(self._sources)]
        self.dropped += [n for n in numbers if n not in valid and n not in self.dropped]
        self.cited += [n for n in dict.fromkeys(valid) if n not in self.cited]
        return match[1] + "".join(f"[{n}]" for n in valid) if valid else ""


def without_marks(text: str) -> str:
    """The text without its marks: numbers of one answer mean nothing in the next."""
    return re.sub(rf"\s*{_LIST.pattern}", "", text)


def uncited(text: str) -> tuple[int, int]:
    """Sentences that cite nothing, and sentences in all."""
    sentences: Sequence[str] = [s for s in _SENTENCE.findall(text) if re.search(r"\w{2}", _LIST.sub("", s))]
    return sum(not _LIST.search(sentence) for sentence in sentences), len(sentences)
