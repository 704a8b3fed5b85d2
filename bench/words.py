"""What words bring beside vectors: questions, and exact names, that look for their table.

    python bench/words.py --data ../shared/data

The development tables of `onesense eval tables` as one collection, asked by vectors alone (`words=False`), by words
alone (the store's full text) and by both, as `Collection.search` answers by default. A name is a cell of one to three
words that stands in at most three of the tables. Prints a JSON object and appends a row to bench/RESULTS.md.
"""

from __future__ import annotations

import argparse
import csv
import io
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from _results import record

from onesense import Collection
from onesense.evals.packs import Packs
from onesense.evals.tasks.tables import dev_questions, dev_tables, render
from onesense.index.words import asked

DEPTH = 50  # what is not found so far down counts nothing
RARE = 3
WORDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="onesense-mini")
    parser.add_argument("--tables", type=int, default=150)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    packs = Packs(options.data)
    tables = dev_tables(packs)[: options.tables]
    questions = {row["table"]: row["question"] for row in reversed(dev_questions(packs, tables))}
    kinds = {"questions": list(questions.items()), "exact names": names(tables)}
    with tempfile.TemporaryDirectory() as folder, Collection.open(Path(folder) / "t.onesense", options.model) as made:
        made.add([{"id": t["id"], "content": render(t)} for t in tables])
        found = {kind: measure(made, pairs) for kind, pairs in kinds.items()}
    shown = "; ".join(f"{kind} ({len(kinds[kind])}) " + _values(mrr) for kind, mrr in found.items())
    record(
        "MRR of a table: vectors, words, both", f"{options.model}, {len(tables)} tables: {shown}", found, options.json
    )


def _values(mrr: dict[str, float]) -> str:
    return " / ".join(f"{value:.3f}" for value in mrr.values())


def names(tables: Sequence[dict]) -> list[tuple[str, str]]:
    """One rare cell of each table that has one: (id of the table, text of the cell)."""
    texts = [render(table).casefold() for table in tables]
    found = []
    for table, text in zip(tables, texts, strict=True):
        cells = [cell.strip() for row in csv.reader(io.StringIO(table["csv"])) for cell in row]
        rare = sorted(
            {c for c in cells if is_name(c) and c.casefold() in text and sum(c.casefold() in t for t in texts) <= RARE}
        )
        if rare:
            found.append((table["id"], rare[int(np.random.default_rng(len(found)).integers(len(rare)))]))
    return found


def is_name(cell: str) -> bool:
    """One to three words with a letter among them."""
    return 1 <= len(cell.split()) <= WORDS and any(c.isalpha() for c in cell)


def measure(made: Collection, pairs: Sequence[tuple[str, str]]) -> dict[str, float]:
    """Mean reciprocal rank of the right table, by each way to ask."""

    def by(words: bool) -> Callable[[str], list[str]]:
        return lambda query: [hit.path for hit in made.search(query, k=DEPTH, words=words)]

    def by_words(query: str) -> list[str]:
        return [str(payload["path"]) for _, _, payload in made._store.find_words(asked(query), DEPTH)]

    ways = {"vectors": by(words=False), "words": by_words, "both": by(words=True)}
    return {name: mean_reciprocal_rank(way, pairs) for name, way in ways.items()}


def mean_reciprocal_rank(way: Callable[[str], list[str]], pairs: Sequence[tuple[str, str]]) -> float:
    """Of the right row among those that a way to ask brings, 0 where it is not among them."""
    places = [(way(query), right) for right, query in pairs]
    return float(np.mean([1 / (1 + paths.index(right)) if right in paths else 0.0 for paths, right in places]))


if __name__ == "__main__":
    main()
