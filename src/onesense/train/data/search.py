"""Search pairs: a query and the longer text that answers it, with hard negatives drawn together.

Real questions about tables, questions made from the cells of training tables, docstrings and code, words and what they
mean, and a sentence in any language against the English paragraph around it. Rows of the development sets are left out.
"""

from __future__ import annotations

import csv
import io
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ...evals.packs import Packs
from ...evals.splits import is_dev_story, is_dev_table, is_dev_term
from ...types import Array
from .texts import NTREX_TRAIN_LINES

MAX_PASSAGE_CHARS = 700
NEIGHBOURS = 24  # passages that a batch may be drawn from once its first one is chosen

Embed = Callable[[Sequence[str]], Array]


@dataclass(frozen=True, slots=True)
class Found:
    """One passage and the queries that it answers."""

    passage: str
    queries: tuple[str, ...]


class SearchSource:
    """Passages of one kind; a batch is a passage, its nearest neighbours and strangers.

    Args:
        name: of the source.
        found: passages with their queries.
        embed: cheap vectors of passages, float32 [n, D], that tell which ones are easily confused.
    """

    def __init__(self, name: str, found: Sequence[Found], embed: Embed) -> None:
        self.name, self.found = name, list(found)
        vectors = embed([f.passage for f in found])
        vectors = vectors - vectors.mean(0)
        self._vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-6)).astype(np.float32)

    def sample(self, n: int, rng: random.Random) -> list[tuple[str, str]]:
        """Draw n (query, passage); about half of them are near each other."""
        seed = rng.randrange(len(self.found))
        near = np.argpartition(-(self._vectors @ self._vectors[seed]), min(NEIGHBOURS, len(self.found) - 1))
        chosen = {seed, *rng.sample(near[:NEIGHBOURS].tolist(), min(n // 2, len(near)))}
        while len(chosen) < min(n, len(self.found)):
            chosen.add(rng.randrange(len(self.found)))
        return [(rng.choice(self.found[i].queries), self.found[i].passage) for i in sorted(chosen)]


WEIGHTS = {"questions": 3.0, "cells": 1.5, "code": 1.0, "meanings": 1.0, "terms": 0.5, "news": 1.5, "pages": 1.0}
"""How often a source is drawn."""


def sources(packs: Packs, embed: Embed) -> dict[str, SearchSource]:
    """All sources of search pairs by name."""
    return {name: SearchSource(name, list(_READERS[name](packs)), embed) for name in WEIGHTS}


def pairs(packs: Packs, n: int, rng: random.Random) -> list[tuple[str, str]]:
    """About n queries with their passages, one of each passage, sources by their weights."""
    total, found = sum(WEIGHTS.values()), []
    for name, weight in WEIGHTS.items():
        rows = list(_READERS[name](packs))
        drawn = rng.sample(rows, min(len(rows), round(n * weight / total)))
        found += [(rng.choice(row.queries), row.passage) for row in drawn]
    return found


def _questions(packs: Packs) -> Iterator[Found]:
    from ...evals.tasks.tables import QUESTIONS, TABLES, render

    asked: dict[str, list[str]] = defaultdict(list)
    for row in packs.rows(QUESTIONS):
        asked[row["table"]].append(row["question"])
    for table in packs.records(TABLES):
        if not is_dev_table(table["id"]) and asked[table["id"]]:
            yield Found(render(table)[:MAX_PASSAGE_CHARS], tuple(asked[table["id"]]))


CELL_QUESTIONS = (
    "what is the {column} of {key}?", "{key} {column}", "what was the {column} for {key}?",
    "which {first} has a {column} of {value}?", "which {first} had {value} as {column}?", "{title} {column}",
    "how many {first} are listed in {title}?", "{title}: {key}", "who or what is {key} in {title}?",
    "name a {first} from {title}", "list of {first} with {column}", "is {value} the {column} of {key}?",
)  # fmt: skip
"""Questions that the cells of a table can be asked by; `first` is its first column, `key` a cell of it."""


def _cells(packs: Packs, each: int = 12) -> Iterator[Found]:
    from ...evals.tasks.tables import TABLES, render

    for table in packs.records(TABLES):
        rng = random.Random(table["id"])
        if not is_dev_table(table["id"]) and (queries := _ask(table["title"], table["csv"], each, rng)):
            yield Found(render(table)[:MAX_PASSAGE_CHARS], queries)


def _ask(title: str, text: str, n: int, rng: random.Random) -> tuple[str, ...]:
    """Up to n questions about the first rows of a table."""
    head, *rows = [row for row in csv.reader(io.StringIO(text)) if row] or [[]]
    rows = [row for row in rows[:12] if len(row) == len(head) >= 2 and row[0].strip()]
    queries = set()
    for _ in range(n if rows else 0):
        row, at = rng.choice(rows), rng.randrange(1, len(head))
        words = {"title": title, "first": head[0].lower(), "key": row[0], "column": head[at].lower(), "value": row[at]}
        if words["column"].strip() and words["value"].strip() and words["first"].strip():
            queries.add(rng.choice(CELL_QUESTIONS).format(**words).replace("\n", " "))
    return tuple(sorted(queries))


def _code(packs: Packs) -> Iterator[Found]:
    for record in packs.records("text/python_docstring_code.jsonl.xz"):
        yield Found(record["code"][:MAX_PASSAGE_CHARS], (record["docstring"],))


def _meanings(packs: Packs, most: int = 30_000) -> Iterator[Found]:
    records = [r for r in packs.records("text/oewn.jsonl.xz") if r["definition"]]
    for record in random.Random(5).sample(records, min(most, len(records))):
        word, meaning = record["lemmas"][0].replace("_", " "), record["definition"][0]
        yield Found(f"{word}: {meaning}", (meaning, f"what is {word}?", f"define {word}", f"{word} meaning"))


def _terms(packs: Packs) -> Iterator[Found]:
    for record in packs.records("text/openstax_glossary.jsonl.xz"):
        if not is_dev_term(record["term"]):
            yield Found(record["definition"], (record["term"], f"what is {record['term']}?"))


def _news(packs: Packs, around: int = 3) -> Iterator[Found]:
    english: dict[int, str] = {}
    foreign: dict[int, list[str]] = defaultdict(list)
    for row in packs.rows("text/ntrex_1-1600.tsv.xz"):
        if int(row["line"]) <= NTREX_TRAIN_LINES:
            english[int(row["line"])] = row["english"]
            foreign[int(row["line"])].append(row["text"])
    for first in range(1, NTREX_TRAIN_LINES - around + 2):
        lines = [n for n in range(first, first + around) if n in english]
        queries = tuple(text for n in lines for text in foreign[n])
        if queries:
            yield Found(" ".join(english[n] for n in lines)[:MAX_PASSAGE_CHARS], queries)


def _pages(packs: Packs) -> Iterator[Found]:
    english: dict[str, dict[int, str]] = defaultdict(dict)
    foreign: dict[tuple[str, int], list[str]] = defaultdict(list)
    for row in packs.rows("text/stories.tsv.xz"):
        if not is_dev_story(row["story"]):
            page = int(row["page"])
            english[row["story"]].setdefault(page, row["english"])
            foreign[row["story"], page].append(row["text"])
    for story, pages in english.items():
        for page in sorted(pages):
            passage = " ".join(pages[p] for p in (page - 1, page, page + 1) if p in pages)
            yield Found(passage[:MAX_PASSAGE_CHARS], tuple(foreign[story, page]))


_READERS: dict[str, Callable[[Packs], Iterator[Found]]] = {
    "questions": _questions,
    "cells": _cells,
    "code": _code,
    "meanings": _meanings,
    "terms": _terms,
    "news": _news,
    "pages": _pages,
}
