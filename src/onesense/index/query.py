"""What is asked, and how the answer is to be shaped: text, files, things of the collection, more of this, less of that.

The rule of plus and minus: every term is one unit vector; those that are wanted are added up, and of the sum of those
that are not wanted `MINUS` is taken away; the result is scaled to unit length. Order does not matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import numpy as np

from onesense import plugins
from onesense.errors import InvalidInput, NotFound
from onesense.types import Array, Content, Part, Payload, Store, Where
from onesense.vectors import truncate_normalize

from .calibrate import query_task

if TYPE_CHECKING:
    from onesense.engine.embedder import Embedder

MIXED = "mixed"
"""Modality of a content, or record, that has parts of several."""

MINUS = 0.5  # share of a term that is not wanted; .25 to 1 were measured, docs/search.md
MIN_LENGTH = 0.05  # of the sum of all terms; below it they cancel out and what is left is rounding

Rank = Literal["confidence", "cosine"]
Term = Any
"""One thing that is asked for: str is text, `Path` a file, else whatever `engine.inputs.as_content` takes."""


class Options(TypedDict, total=False):
    """Optional arguments of `Collection.search`; `Ask` says what each does."""

    like: str | Path | Sequence[str | Path]
    plus: Sequence[Term]
    minus: Sequence[Term]
    offset: int
    group: Literal["file"] | None
    collapse: bool
    rank: Rank
    words: bool


@dataclass(frozen=True, slots=True)
class Ask:
    """A checked question."""

    query: Term = None
    """What is looked for; may be left out where `like` or `plus` says it."""
    k: int = 10
    """Most hits to return, files with `group="file"`."""
    modality: str | Sequence[str] | None = None
    """Only text, image, audio, video, pdf or mixed, or any of several."""
    where: Where | None = None
    """Filter, see `types.Where` and `facts.FIELDS`."""
    like: str | Path | Sequence[str | Path] = ()
    """Ids or paths of the collection: more like these. Their stored vectors are used; they are not found again."""
    plus: Sequence[Term] = ()
    """More of this."""
    minus: Sequence[Term] = ()
    """Less of this."""
    offset: int = 0
    """Hits to pass over: `SearchResult.next_offset` of the page before."""
    group: Literal["file"] | None = None
    """`file`: one hit a file, with its best segments in it; stretches of seconds that touch become one."""
    collapse: bool = False
    """Put hits that look or sound the same under the best of them."""
    rank: Rank = "confidence"
    """`cosine` orders by the raw score, which does not compare across modalities."""
    words: bool = True
    """Also look for the query's words in texts, file names and metadata; what has none is not held back."""

    def __post_init__(self) -> None:
        for name, least in (("k", 1), ("offset", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
                raise InvalidInput(f"`{name}` is a whole number, {least} or more, not {value!r}")
        if self.group not in (None, "file"):
            raise InvalidInput(f"hits are grouped by `file` or not at all, not by {self.group!r}")
        if self.rank not in ("confidence", "cosine"):
            raise InvalidInput(f"hits are ranked by `confidence` or `cosine`, not by {self.rank!r}")
        if self.query is None and not self.likes and not self.plus:
            raise InvalidInput("nothing to look for: give a query, or `like` or `plus`")

    @property
    def likes(self) -> list[str]:
        """The ids and paths of `like`."""
        given = [self.like] if isinstance(self.like, (str, Path)) else list(self.like)
        return [str(item) for item in given]

    @property
    def wanted(self) -> list[Content]:
        """What is embedded and added."""
        return [as_query(term) for term in ([] if self.query is None else [self.query]) + _terms("plus", self.plus)]

    def condition(self) -> Where | None:
        """The filter, with the modality in it.

        Raises:
            InvalidInput: the modality is unknown, or given twice.
        """
        if self.modality is None:
            return self.where
        if self.where and "modality" in self.where:
            raise InvalidInput("the modality is given twice: as an argument and in the filter")
        wanted = [self.modality] if isinstance(self.modality, str) else list(self.modality)
        known = {*plugins.names("modalities"), MIXED}
        unknown = [name for name in wanted if name not in known]
        if unknown:
            raise InvalidInput(f"unknown modality `{unknown[0]}`: there are {', '.join(sorted(known))}")
        return {**(self.where or {}), "modality": wanted}


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """A question as the rows are compared with it."""

    vector: Array
    """float32 [d], unit length."""
    modality: str
    text: str
    """What it says in words, '' for media."""
    left_out: frozenset[str]
    """Ids that are not to be found: those it is like."""


def aim(store: Store, embedder: Embedder, ask: Ask) -> Target:
    """The vector of a question.

    Raises:
        InvalidInput: a term cannot be embedded, or plus and minus cancel out.
        NotFound: `like` names no id and no path of the collection.
    """
    wanted, unwanted = ask.wanted, [as_query(term) for term in _terms("minus", ask.minus)]
    vectors = _embedded(store, embedder, [*wanted, *unwanted])
    rows = [_rows_like(store, name) for name in ask.likes]
    likes = [np.mean(store.vectors(list(found)), 0) for found in rows]
    positive = np.sum([*vectors[: len(wanted)], *(truncate_normalize(v, len(v)) for v in likes)], axis=0)
    total = positive - MINUS * vectors[len(wanted) :].sum(0)
    if float(np.linalg.norm(total)) < MIN_LENGTH:
        raise InvalidInput("what is wanted and what is not cancel out: leave a term out or say it in other words")
    names = {modality_of(content) for content in wanted}
    names |= {str(payload.get("modality")) for found in rows for payload in found.values()}
    text = " ".join(part.value for content in wanted for part in content.parts if isinstance(part.value, str))
    modality = names.pop() if len(names) == 1 else MIXED
    left_out = frozenset(id_ for found in rows for id_ in found)
    return Target(truncate_normalize(total, len(total)), modality, text, left_out)


def as_query(term: Term) -> Content:
    """One content from a term; nothing is guessed from how a string looks."""
    from onesense.engine.inputs import as_content

    return Content(Part.file(term)) if isinstance(term, Path) else as_content(term)


def modality_of(content: Content) -> str:
    """Name of the modality that all parts of a content have, else `mixed`."""
    names = {part_modality(part) for part in content.parts}
    return names.pop() if len(names) == 1 else MIXED


def part_modality(part: Part) -> str:
    """Name of the modality of a part, by the first bytes of a file."""
    from onesense import media
    from onesense.media import fetch, sniff

    if isinstance(part.value, (bytes, Path)):
        return sniff.sniff(fetch.fetch(part.value), part.mime_type)[0].name
    return media.decode(part)[0]  # decoded media and text pass through and are named


def _terms(name: str, terms: Sequence[Term]) -> list[Term]:
    if isinstance(terms, (str, Path, Part, Content)) or not isinstance(terms, Sequence):
        raise InvalidInput(f"`{name}` is a list of terms, such as {name}=['a dog'], not {type(terms).__name__}")
    return list(terms)


def _embedded(store: Store, embedder: Embedder, contents: list[Content]) -> Array:
    """float32 [n, d]."""
    if not contents:
        return np.zeros((0, store.spec.dim), np.float32)
    if len(contents) == 1:  # so that a fault is told without an index
        return embedder.embed(contents[0], store.spec.dim, query_task(store))
    return embedder.embed(contents, store.spec.dim, query_task(store))


def _rows_like(store: Store, name: str) -> Mapping[str, Payload]:
    """The row of an id, or all rows of a path."""
    path, mark, number = name.rpartition("#")
    if mark and number.isdecimal():
        found = {id_: payload for id_, payload in store.rows({"path": path}) if id_ == name}
        if found:
            return found
    absolute = str(Path(name).expanduser().absolute())
    rows = dict(store.rows({"path": [name, absolute]}))
    if not rows:
        raise NotFound(f"`{name}` is no id and no path of this collection: ids stand in hits, paths in `files()`")
    return rows
