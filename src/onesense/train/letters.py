"""Letters for scripts that the imported model cannot read: pieces learnt from the packs, rows in closed form.

`python -m onesense.train.letters OUT` finds the texts of the packs that stand in a script without pieces (Thaana,
Tibetan, Tifinagh, N'Ko, Ol Chiki, Canadian syllabics, ...), learns unigram pieces on them and gives each piece the row
that makes the mean row of a text most like the mean row of its English, by ridge regression. It writes `letters.npz`,
which a recipe names (`letters=`); the rows are trained on from there.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..evals.packs import Packs
from ..evals.splits import is_dev_letters, is_dev_story
from ..types import Array
from . import sources
from .data.texts import NTREX_TRAIN_LINES, Pair

if TYPE_CHECKING:
    from .text import TextEncoder

N_PIECES = 4_000
MOST_NAMES = 1_500  # a language: the names of places would drown what people say
UNREAD_SHARE = 0.3  # of a text's characters
MIN_COUNT = 5  # of a character to get a piece
RIDGE = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class Letters:
    """Pieces beside those of the imported tokeniser."""

    pieces: list[str]
    scores: Array
    """float32 [n], log probabilities."""
    counts: Array
    """int64 [n], how often each stands in the training texts."""
    rows: Array
    """float32 [n, 384], word vectors."""

    @classmethod
    def load(cls, file: Path) -> Letters:
        """Read what `save` wrote."""
        with np.load(file, allow_pickle=False) as z:
            return cls(z["pieces"].tolist(), z["scores"], z["counts"], z["rows"])

    def save(self, file: Path) -> None:
        """Write one npz file."""
        np.savez(file, pieces=np.array(self.pieces), scores=self.scores, counts=self.counts, rows=self.rows)

    def extend(self, settings: dict[str, Any]) -> None:
        """Put the pieces behind those of a parsed `tokenizer.json`."""
        settings["model"]["vocab"] += [[p, float(s)] for p, s in zip(self.pieces, self.scores, strict=True)]


def pairs(packs: Packs, known: set[str]) -> list[Pair]:
    """Training texts in scripts without pieces, with their English.

    Args:
        packs: the data.
        known: characters that the imported pieces hold.
    """

    def is_unread(text: str) -> bool:
        letters = [c for c in text if c.isalpha()]
        return sum(c not in known for c in letters) > UNREAD_SHARE * max(1, len(letters))

    return [p for p in chain(_said(packs), _names(packs)) if p.other and is_unread(p.text)]


def _said(packs: Packs) -> Iterator[Pair]:
    for name in ("gatitos", "ntrex_1-1600", "sib200_train_dev", "stories", "udhr", "id_tagging"):
        for row in packs.rows(f"text/{name}.tsv.xz"):
            if not _is_dev(name, row):
                yield Pair(row["text"], row["english"], row["lang"])


def _is_dev(name: str, row: Mapping[str, str]) -> bool:
    if name.startswith("ntrex"):
        return int(row["line"]) > NTREX_TRAIN_LINES
    return is_dev_letters(row["id"]) if name.startswith("sib") else name == "stories" and is_dev_story(row["story"])


def _names(packs: Packs) -> Iterator[Pair]:
    seen: Counter[str] = Counter()
    for row in packs.rows("text/cldr_names.tsv.xz"):
        seen[row["lang"]] += 1
        if seen[row["lang"]] <= MOST_NAMES:
            yield Pair(row["text"], row["english"], row["lang"])


def learn(texts: Sequence[str], known: set[str], encoder: TextEncoder) -> tuple[list[str], Array]:
    """Unigram pieces of the unread characters, the likeliest first, and their log probabilities.

    Source: Kudo 2018 (arXiv:1804.10959), as the `tokenizers` package trains it.
    """
    from tokenizers import Tokenizer, models, trainers

    characters = Counter(c for t in texts for c in encoder.tokenizer.normalizer.normalize_str(t) if c not in known)
    alphabet = [c for c, n in characters.items() if n >= MIN_COUNT and not c.isspace()]
    made = Tokenizer(models.Unigram())
    made.normalizer, made.pre_tokenizer = encoder.tokenizer.normalizer, encoder.tokenizer.pre_tokenizer
    trainer = trainers.UnigramTrainer(
        vocab_size=2 * N_PIECES, initial_alphabet=sorted(alphabet), unk_token="<unk>", show_progress=False
    )
    made.train_from_iterator(texts, trainer)
    allowed = {*alphabet, "▁"}
    found = [(p, s) for p, s in json.loads(made.to_str())["model"]["vocab"] if p != "▁" and allowed.issuperset(p)]
    single = [(p, s) for p, s in found if len(p) == 1]
    longer = [(p, s) for p, s in found if len(p) > 1][: N_PIECES - len(single)]
    chosen = sorted(single + longer, key=lambda x: (-x[1], x[0]))
    return [p for p, _ in chosen], np.array([s for _, s in chosen], np.float32)


def fit_rows(ids: Sequence[Sequence[int]], english: Array, n: int, first: int) -> Array:
    """Rows whose mean over a text comes nearest to the mean row of its English, float32 [n, 384].

    Args:
        ids: piece ids of each text; those from `first` on are new.
        english: float32 [m, 384], mean word row of each text's English.
        n: how many new pieces there are.
        first: id of the first new one.
    """
    middle = english.mean(0)
    gram = np.eye(n) * RIDGE
    right = np.zeros((n, english.shape[1]))
    for text, target in zip(ids, english - middle, strict=True):
        new = Counter(i - first for i in text if i >= first)
        if new:
            places, shares = list(new), np.array(list(new.values())) / sum(new.values())
            gram[np.ix_(places, places)] += np.outer(shares, shares)
            right[places] += np.outer(shares, target)
    rows: Array = (middle + np.linalg.solve(gram, right)).astype(np.float32)
    return rows


def make(packs: Packs) -> Letters:
    """Learn pieces and rows."""
    from .text import TextEncoder

    encoder = TextEncoder()
    known = set("".join(encoder.tokenizer.get_vocab()))
    found = pairs(packs, known)
    pieces, scores = learn([p.text for p in found], known, encoder)
    blank = np.zeros((len(pieces), 384), np.float32)
    letters = Letters(pieces, scores, np.ones(len(pieces), np.int64), blank)
    first = encoder.add(letters)
    ids = encoder.tokenize([p.text for p in found])
    english = np.stack([_mean(encoder, i) for i in encoder.tokenize([p.other for p in found])])
    counts = np.bincount([i - first for i in chain(*ids) if i >= first], minlength=len(pieces))
    return Letters(pieces, scores, counts.astype(np.int64), fit_rows(ids, english, len(pieces), first))


def _mean(encoder: TextEncoder, ids: Iterable[int]) -> Array:
    mean: Array = encoder.words(list(ids) or [3]).mean(0)
    return mean


def main() -> None:
    """Learn and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    letters = make(Packs(sources.data_root()))
    letters.save(out / "letters.npz")
    sys.stdout.write(f"{len(letters.pieces):,} pieces, the likeliest: {' '.join(letters.pieces[:20])}\n")


if __name__ == "__main__":
    main()
