"""Examples of somebody's own, to adapt a model to: pairs of what is asked and what answers, or things with labels.

    {"query": "order 66-B", "document": "Spare belt, shelf 4."}          `positive` is another name of `document`;
    {"query": "a bike", "document": {"file": "bike.jpg"}, "negative": "a car"}     `negatives` is a list of several
    {"item": {"file": "a.png"}, "label": "square"}

A side is as `own.side` reads it: text, `{"file": ...}` relative to the JSONL, or a list of these in order. A folder of
folders is labels too: each folder's name is the label of the files below it. Every fault names its line; none is passed
over, because a model that learned from half of its examples looks like one that learned from all.
"""

from __future__ import annotations

import hashlib
import json
import os
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ...engine.shelf import sha256
from ...errors import InvalidInput, NotFound, OnesenseError
from ...index import sources
from ...types import Array, Content, Part
from .own import side

Data = str | Path | Sequence[Mapping[str, Any]]
"""A JSONL file, a folder of classes, or rows as the lines of such a file would be."""

MIN_ROWS = 20  # fewer leave under four to measure with, and the outcome is chance
_ALSO = {"positive": "document", "negative": "negatives"}
"""Other names of a pair's sides."""


@dataclass(slots=True)
class Table:
    """Distinct contents, each with where it first stood."""

    contents: list[Content] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    keys: dict[str, int] = field(default_factory=dict)

    def add(self, content: Content, place: str) -> int:
        """Row of this content; texts that differ in case or space only are one."""
        key = _key(content, place)
        if key not in self.keys:
            self.keys[key] = len(self.contents)
            self.contents.append(content)
            self.places.append(place)
        return self.keys[key]


@dataclass(frozen=True, slots=True)
class Examples:
    """What was read: queries and documents by number, each once."""

    kind: Literal["pairs", "labels"]
    queries: Table
    documents: Table
    """Of labels, the same table: every item can ask, and answer for its label."""
    links: Array
    """int64 [n, 2]: query and document of a pair, or item and label. Each once."""
    negatives: Array
    """int64 [m, 2]: query and document that must not answer it."""
    n_repeated: int
    """Rows that said what an earlier one had said."""

    @property
    def n(self) -> int:
        """Distinct pairs, or items."""
        return len(self.links)

    def digest(self) -> str:
        """Sha256 of all contents and links, whatever order the rows came in."""
        queries, documents = list(self.queries.keys), list(self.documents.keys)
        ends = documents if self.kind == "pairs" else [str(n) for n in range(int(self.links[:, 1].max()) + 1)]
        rows = [f"{queries[q]} {ends[d]}" for q, d in self.links]
        rows += [f"not {queries[q]} {documents[d]}" for q, d in self.negatives]
        return hashlib.sha256("\n".join([self.kind, *sorted(rows)]).encode()).hexdigest()


def read(data: Data) -> Examples:
    """Read pairs or labels.

    Raises:
        NotFound: the file, the folder or a file that a row names is not there.
        InvalidInput: a line is no JSON or no such row, pairs and labels are mixed, there are too few of them, only one
            label, or one item with two labels.
    """
    rows = list(_folder(Path(data).expanduser()) if isinstance(data, (str, Path)) else _given(data))
    kinds = {("labels" if "label" in row else "pairs"): place for row, place, _ in rows}
    if len(kinds) > 1:
        raise InvalidInput(f"{kinds['labels']} has a label and {kinds['pairs']} has none: give pairs, or labels")
    if not rows:
        raise InvalidInput("there is nothing to learn from: no row, no file")
    return _labels(rows) if "labels" in kinds else _pairs(rows)


_Row = tuple[Mapping[str, Any], str, Path]
"""The object, where it stands, and the folder that its files are relative to."""


def _folder(path: Path) -> Iterator[_Row]:
    """Rows of a JSONL file, or of a folder of classes."""
    if path.is_file():
        yield from _lines(path)
        return
    if not path.is_dir():
        raise NotFound(f"there is nothing at `{path}`: give a .jsonl file, or a folder with a folder for each label")
    for label in sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith(".")):
        for found in sources.find_files(os.path.abspath(label), ()):
            if isinstance(found, sources.Failure):
                raise InvalidInput(f"`{found.path}`: {found.reason}")
            yield {"item": {"file": found.path}, "label": label.name}, f"`{found.path}`", path


def _lines(file: Path) -> Iterator[_Row]:
    for number, line in enumerate(file.read_bytes().splitlines(), 1):
        if not line.strip():
            continue
        place = f"{file.name} line {number}"
        try:
            value = json.loads(line)
        except (UnicodeDecodeError, json.JSONDecodeError) as cause:
            raise InvalidInput(f"{place} is no JSON ({cause}): one object a line is expected") from cause
        yield _object(value, place), place, file.parent


def _given(rows: Sequence[Mapping[str, Any]]) -> Iterator[_Row]:
    for number, row in enumerate(rows):
        yield _object(row, f"rows[{number}]"), f"rows[{number}]", Path()


def _object(value: Any, place: str) -> Mapping[str, Any]:
    """A row, with the names of its sides made one."""
    if not isinstance(value, Mapping):
        raise InvalidInput(f"{place} is {type(value).__name__}, expected an object such as {{'query', 'document'}}")
    row = {_ALSO.get(str(name), str(name)): [said] if name == "negative" else said for name, said in value.items()}
    wanted = {"item", "label"} if "label" in value else {"query", "document"}
    if unknown := sorted(set(row) - wanted - ({"negatives"} if "query" in wanted else set())):
        raise InvalidInput(
            f"{place} has `{unknown[0]}`: a row has query and document (and negative), or item and label"
        )
    if missing := sorted(wanted - set(row)):
        raise InvalidInput(f"{place} has no `{missing[0]}`: a row has query and document, or item and label")
    if len(row) < len(value):
        raise InvalidInput(f"{place} says one side under two names")
    return row


def _pairs(rows: Sequence[_Row]) -> Examples:
    queries, documents = Table(), Table()
    links: dict[tuple[int, int], str] = {}
    negatives: dict[tuple[int, int], str] = {}
    for row, place, folder in rows:
        query = queries.add(_content(row["query"], place, folder), place)
        links.setdefault((query, documents.add(_content(row["document"], place, folder), place)), place)
        if not isinstance(said := row.get("negatives", []), list):
            raise InvalidInput(f"{place}: `negatives` is a list; one alone is a `negative`")
        for value in said:
            negatives.setdefault((query, documents.add(_content(value, place, folder), place)), place)
    if both := sorted(set(links) & set(negatives)):
        raise InvalidInput(f"{negatives[both[0]]} says that a document must not answer, {links[both[0]]} that it does")
    if len(queries.contents) < MIN_ROWS:
        raise InvalidInput(
            f"{len(queries.contents)} distinct queries are too few to learn and measure: {MIN_ROWS} or more"
        )
    return Examples("pairs", queries, documents, _array(links), _array(negatives), len(rows) - len(links))


def _labels(rows: Sequence[_Row]) -> Examples:
    items, names = Table(), list(dict.fromkeys(_label(row["label"], place) for row, place, _ in rows))
    if len(names) < 2:
        raise InvalidInput(f"there is one label only, {names[0]!r}: two or more are needed to tell them apart")
    number = {name: i for i, name in enumerate(sorted(names))}
    found: dict[int, int] = {}
    for row, place, folder in rows:
        item, label = items.add(_content(row["item"], place, folder), place), number[_label(row["label"], place)]
        if found.setdefault(item, label) != label:
            raise InvalidInput(f"{place} gives the item of {items.places[item]} another label: keep one of them")
    if len(found) < MIN_ROWS:
        raise InvalidInput(f"{len(found)} distinct items are too few to learn from: {MIN_ROWS} or more")
    return Examples("labels", items, items, _array(found.items()), _array(()), len(rows) - len(found))


def _label(value: Any, place: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidInput(f"{place}: a label is a text, not {value!r}")
    return value.strip()


def _content(value: Any, place: str, folder: Path) -> Content:
    try:
        return Content(*side(value, folder).parts)
    except OnesenseError as cause:
        raise type(cause)(f"{place}: {cause}") from cause


def _array(links: Iterable[tuple[int, int]]) -> Array:
    return np.array(list(links), np.int64).reshape(-1, 2)


def _key(content: Content, place: str) -> str:
    return hashlib.sha256("\n".join(_part_key(part, place) for part in content.parts).encode()).hexdigest()


def _part_key(part: Part, place: str) -> str:
    """What makes two parts the same: words without case and spacing, bytes of files."""
    if not isinstance(part.value, Path):
        return "text " + " ".join(unicodedata.normalize("NFKC", str(part.value)).casefold().split())
    try:
        return "file " + sha256(part.value)
    except OSError as cause:
        raise NotFound(f"{place}: `{part.value}` cannot be read ({cause.strerror})") from cause
