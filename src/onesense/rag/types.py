"""What is asked and answered: turns, passages, events of an answer on its way, the answer."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onesense.types import Hit

from . import links


@dataclass(frozen=True, slots=True)
class Passage:
    """A place that an answer can cite, numbered as it is cited."""

    number: int
    """From 1, in the order in which passages are given to a reader."""
    collection: str
    """Name of the collection."""
    hit: Hit
    text: str
    """What it says: the text, a page's text layer; '' of pictures and sounds."""
    quote: str = ""
    """The sentence of it that is nearest to the question."""

    def numbered(self, number: int) -> Passage:
        """The same passage with a number."""
        return dataclasses.replace(self, number=number)

    @property
    def link(self) -> str:
        """Address of the place, see `links`."""
        return links.link(self.collection, self.hit.path, self.hit.locator)

    @property
    def is_gone(self) -> bool:
        """Whether it was a file that is not there any more."""
        return self.hit.facts.get("mime") is not None and not Path(self.hit.path).is_file()

    @property
    def place(self) -> str:
        """File and place for a person: `talk.mp3 0:41.0–0:49.0`."""
        return f"{Path(self.hit.path).name} {self.hit.locator}".strip()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON: those of the hit, and the passage's own."""
        own = {"number": self.number, "collection": self.collection, "text": self.text, "quote": self.quote}
        places = {"link": self.link, "studio": links.studio_link(self.collection, self.hit), "is_gone": self.is_gone}
        return self.hit.to_dict() | own | places


@dataclass(frozen=True, slots=True)
class Turn:
    """A question that was answered before."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Passages:
    """First event: what was found."""

    passages: Sequence[Passage]
    is_confident: bool | None
    """False: nothing that is likely to be meant; None where the collections are too small to tell."""
    searched: str
    """The question as it was searched for; another one than asked where a follow-up was made complete."""
    llm: str | None
    """Name of the language model that reads them, None where none does."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        passages = [passage.to_dict() for passage in self.passages]
        return {
            "passages": passages,
            "is_confident": self.is_confident,
            "searched": self.searched,
            "llm": self.llm,
        }


@dataclass(frozen=True, slots=True)
class Delta:
    """The next piece of the answer's text; marks like `[1]` are whole and valid."""

    text: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {"text": self.text}


@dataclass(frozen=True, slots=True)
class Answer:
    """Last event: the answer."""

    question: str
    text: str
    """With marks: `[2]` cites the passage of number 2."""
    citations: Sequence[Passage]
    """The passages that are cited, in the order of their first marks."""
    passages: Sequence[Passage]
    """All that were found, cited or not."""
    is_found: bool
    """False: it is not in the library."""
    llm: str | None = None
    """Name of the language model that wrote the text; None: the text is made of the passages themselves."""
    is_partial: bool = False
    """The language model broke off, or could not be asked."""
    notes: Sequence[str] = ()
    """What a reader should know: no model, a citation that was dropped, a file that is gone."""

    def __str__(self) -> str:
        return self.text

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; without the passages, which came before."""
        return {
            "question": self.question,
            "text": self.text,
            "citations": [passage.to_dict() for passage in self.citations],
            "is_found": self.is_found,
            "is_partial": self.is_partial,
            "llm": self.llm,
            "notes": list(self.notes),
        }


Event = Passages | Delta | Answer
"""What comes while a question is answered: once `Passages`, then `Delta`s, last an `Answer`."""
