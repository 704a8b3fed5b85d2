"""Which word pieces are kept: every one that the training texts use at least twice, and every single character.

`python -m onesense.train.vocabulary OUT` counts the pieces of all text packs (140+ languages, 40 M pieces) and writes
`pieces.npz` with `counts` int64 [250037]. A piece that is left out is written with shorter ones, as Unigram does.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from ..evals.packs import Packs
from ..types import Array
from . import sources

TABLE_ROWS = 250_037
SPECIALS = (0, 1, 2, 3)  # <s> <pad> </s> <unk>
COLUMNS = {"text", "english", "lemma", "description", "question", "answer", "sentence1", "sentence2"}
RECORD_FIELDS = ("docstring", "code", "definition", "term", "csv", "title")


def texts(packs: Packs) -> Iterator[str]:
    """Every text of the text packs; NTREX's development lines are left out."""
    for name in packs.names("text/"):
        if name.endswith(".tsv.xz"):
            for row in packs.rows(name):
                if not ("ntrex" in name and int(row["line"]) > 1500):
                    yield from (value for column, value in row.items() if column in COLUMNS)
        else:
            for record in packs.records(name):
                yield from (str(record[field]) for field in RECORD_FIELDS if record.get(field))


def count(packs: Packs) -> Array:
    """How often each piece is used, int64 [250037]; a text that is repeated counts once."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(sources.path("e5_tokenizer")))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    counts = np.zeros(TABLE_ROWS, np.int64)
    seen: set[int] = set()
    stream = texts(packs)
    while batch := list(islice(stream, 20_000)):
        new = [t for t in batch if (key := hash(t)) not in seen and not seen.add(key)]  # type: ignore[func-returns-value]
        for encoding in tokenizer.encode_batch_fast(new, add_special_tokens=False):
            np.add.at(counts, encoding.ids, 1)
    return counts


def kept(counts: Array, pieces: list[str]) -> Array:
    """Ids that stay, ascending, int64: the four specials, pieces used twice or more, single characters."""
    keep = counts[: len(pieces)] >= 2
    for i, piece in enumerate(pieces):
        keep[i] |= len(piece.removeprefix("▁")) <= 1
    keep[list(SPECIALS)] = True
    keep[len(pieces) - 1] = False  # <mask>
    return np.flatnonzero(keep)


def idf(counts: Array) -> Array:
    """Log inverse frequency of each piece, float32, 0 for the most frequent."""
    smoothed = counts.astype(np.float64) + 1
    weights: Array = np.log(smoothed.max() / smoothed).astype(np.float32)
    return weights


def main() -> None:
    """Count and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    counts = count(Packs(sources.data_root()))
    np.savez(out / "pieces.npz", counts=counts)
    sys.stdout.write(
        f"{int(counts.sum()):,} pieces, {int((counts > 0).sum()):,} kinds, {int((counts > 1).sum()):,} twice\n"
    )


if __name__ == "__main__":
    main()
