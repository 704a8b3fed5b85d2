"""What a score means: from cosines, which differ from one pair of modalities to the next, to chances of a match.

A cosine of 0.52 is good between a sentence and a photograph and poor between a word and a sound; and a short
query is near to everything. So each query is compared with a background: up to 200 rows of each modality of the
collection, most of which have nothing to do with it. `z` says by how many spreads a hit stands out of it. Where a
modality has few rows, neutral queries (`neutral.QUERIES`, or rows of the query's own modality) stand in for what is
missing. A logistic curve over z, the number of rows and the share of the query's words in the hit then gives the chance
that it is what was looked for; its three constants are the same for every pair.

Source: score normalisation by a cohort (Auckenthaler et al. 2000, T-norm, as in speaker verification). Measured against
the background with its best row: area under the curve .900 against .895 on held-out queries, docs/search.md.
"""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from onesense.errors import NotFound, OnesenseError
from onesense.types import Array, Noted, Sampling, Store, Task

from . import words
from .neutral import QUERIES

if TYPE_CHECKING:
    from onesense.engine.embedder import Embedder

SAMPLE = 200  # rows a modality; the spread of a query is known to 5 %, and 2.4 MB at 3072 dims
GROWTH = 0.25  # share of rows by which a collection may change before its background is drawn anew
PRIOR_ROWS = 16  # rows that the pair's own mean and spread count for beside those of the query
MIN_PRIOR = 30  # scores that a pair must have been measured on
MIN_ROWS = 8  # rows of a modality from which a query's own mean and spread are used where the pair is not known
MIN_SPREAD = 0.01  # of cosines; below it, all rows are alike and nothing stands out
COMMON = 0.02  # share of sampled texts from which a word is noted as common; the others count as rare alike

Z, ROWS, BASE = 1.592, -0.5, -3.77
"""Weights of z and of the logarithm of the number of rows, and the constant; fitted on first hits of training
queries (captions, names of sounds, questions, names of things, each kind counting alike), with and without their answer
among 12, 30, 100 and 250 rows; evals/tasks/confidence.py has the held-out ones."""
WORDS, FREE_WORDS = 11.0, 0.17
"""Weight of the share of the query's words that a hit holds, above the share that chance brings; fitted on questions
and exact names of training tables."""
NO_MATCH = 0.3
"""Confidence of the best hit below which the verdict is "no confident match"."""

NOTE = "calibration"
_FORMAT = "onesense.calibration.v1"


@dataclass(frozen=True, slots=True)
class Spread:
    """Cosines of what does not belong together."""

    mean: float
    std: float
    n: int
    """Scores behind it."""


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """The background of a collection at one size. Immutable."""

    counts: Mapping[str, int]
    """Rows by modality."""
    sample: Mapping[str, Sequence[str]]
    """Ids of the rows that stand for each modality."""
    pairs: Mapping[str, Spread]
    """`query modality>row modality` -> scores of unrelated queries."""
    n_texts: int
    """Sampled rows that hold words."""
    common: Mapping[str, int]
    """Word -> sampled rows that hold it, for common words."""
    vectors: Mapping[str, Array] = field(default_factory=dict)
    """float32 [n, d] of the sample."""

    @property
    def n_rows(self) -> int:
        """Rows of the collection when it was measured."""
        return sum(self.counts.values())

    def background(self, vector: Array, asked: str, among: str) -> Spread | None:
        """Scores of a query with rows of a modality that have nothing to do with it; None where nobody knows.

        The best of the sampled rows is left out, for it may be the answer: among 16 rows, it alone would double the
        spread, and nothing could stand out of it by more than 4.

        Args:
            vector: float32 [d], unit length.
            asked: modality of the query.
            among: modality of the rows.
        """
        prior = self.pairs.get(f"{asked}>{among}") or self.pairs.get(f"text>{among}")
        own = np.sort(self.vectors[among] @ vector)[:-1] if among in self.vectors else np.zeros(0, np.float32)
        if prior is None or prior.n < MIN_PRIOR:
            return _spread(own) if len(own) >= MIN_ROWS else None
        n, m = len(own), PRIOR_ROWS
        mean = (float(own.sum()) + m * prior.mean) / (n + m)
        square = (n * float(own.var() if n else 0.0) + m * prior.std**2) / (n + m)
        return Spread(mean, max(square**0.5, MIN_SPREAD), n)

    def rarity(self, word: str) -> float:
        """Inverse document frequency of a folded word, above zero."""
        n = self.common.get(word, 0)
        return math.log(1 + (self.n_texts - n + 0.5) / (n + 0.5))

    def to_note(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        pairs = {name: [s.mean, s.std, s.n] for name, s in self.pairs.items()}
        sample = {name: list(ids) for name, ids in self.sample.items()}
        plain = {"counts": dict(self.counts), "sample": sample, "pairs": pairs, "common": dict(self.common)}
        return {"format": _FORMAT, **plain, "n_texts": self.n_texts}


def from_note(note: Mapping[str, Any] | None, store: Store) -> Calibration | None:
    """What a note says, with the vectors of its sample; None where it cannot be used any more."""
    if note is None or note.get("format") != _FORMAT:
        return None
    try:
        pairs = {name: Spread(float(m), float(s), int(n)) for name, (m, s, n) in note["pairs"].items()}
        vectors = {name: store.vectors(ids) for name, ids in note["sample"].items()}
        return Calibration(note["counts"], note["sample"], pairs, int(note["n_texts"]), note["common"], vectors)
    except (KeyError, TypeError, ValueError, AttributeError, NotFound):  # damaged, or rows of the sample were deleted
        return None


def measure(store: Store, embed: Callable[[Sequence[str]], Array]) -> Calibration | None:
    """Draw the background of a collection; None where its store cannot be sampled or it is empty.

    Args:
        store: the rows.
        embed: neutral queries to float32 [n, d] unit vectors, as queries of this collection are embedded.
    """
    if not isinstance(store, Sampling):
        return None
    drawn = store.sample(SAMPLE)
    counts = {name: n for name, (n, _) in drawn.items()}
    sample = {name: ids for name, (_, ids) in drawn.items()}
    if not counts:
        return None
    vectors = {name: store.vectors(ids) for name, ids in sample.items()}
    texts = [set(words.of_payload(payload).split()) for payload in _payloads(store, sample)]
    holds = Counter(word for text in texts for word in text)
    common = {word: n for word, n in sorted(holds.items()) if n >= max(2, COMMON * len(texts))}
    return Calibration(counts, sample, pairs(vectors, _neutral(embed)), len(texts), common, vectors)


def _payloads(store: Store, sample: Mapping[str, Sequence[str]]) -> list[Mapping[str, Any]]:
    """Payloads of the sampled rows: those whose path is one of theirs, as ids are no field to filter by."""
    wanted = {id_ for ids in sample.values() for id_ in ids}
    paths = sorted({id_.rpartition("#")[0] for id_ in wanted})
    return [payload for id_, payload in store.rows({"path": paths}) if id_ in wanted]


def _neutral(embed: Callable[[Sequence[str]], Array]) -> Array | None:
    try:
        return embed(QUERIES)
    except OnesenseError:  # a model without text
        return None


def pairs(vectors: Mapping[str, Array], neutral: Array | None) -> dict[str, Spread]:
    """Spread of the scores of each modality with each: text asks with neutral queries, media with their own rows."""
    asking = {name: rows for name, rows in vectors.items() if name != "text"}
    if neutral is not None:
        asking["text"] = neutral
    return {f"{a}>{b}": _spread(_cross(asking[a], vectors[b], same=a == b != "text")) for a in asking for b in vectors}


def _cross(queries: Array, rows: Array, *, same: bool) -> Array:
    """All scores, float32 [n]; of a modality with itself without those of a row with itself."""
    scores = queries @ rows.T
    kept: Array = scores[~np.eye(len(rows), dtype=bool)] if same else scores.ravel()
    return kept


def _spread(scores: Array) -> Spread:
    """Mean and spread of the middle half, as a normal distribution would have them: a few true matches do not count."""
    if not len(scores):
        return Spread(0.0, MIN_SPREAD, 0)
    low, middle, high = (float(q) for q in np.quantile(scores, (0.25, 0.5, 0.75)))
    return Spread(middle, max((high - low) / 1.349, MIN_SPREAD), len(scores))


def evidence(z: float, n_rows: int, coverage: float = 0.0) -> float:
    """Log-odds that a hit is what was looked for.

    Args:
        z: spreads by which its score stands out of the background.
        n_rows: rows that were searched; among more, more stand out by chance.
        coverage: share of the query's words that it holds, by rarity, 0..1; 0 takes nothing away from a picture.
    """
    return Z * z + ROWS * math.log(max(n_rows, 1)) + BASE + WORDS * max(0.0, coverage - FREE_WORDS)


def chance(log_odds: float) -> float:
    """Confidence 0..1 of log-odds."""
    return 1.0 / (1.0 + math.exp(-max(-60.0, min(60.0, log_odds))))


class Calibrator:
    """Keeps the calibration of an open collection at hand, and draws it anew when the collection has changed much.

    Thread-safe. Where the note cannot be written (a folder that is read only), it is kept in memory.
    """

    def __init__(self, store: Store, embedder: Embedder) -> None:
        self._store, self._embedder = store, embedder
        self._lock = threading.Lock()
        self._held: Calibration | None = None
        self._tried_at: int | None = None

    def current(self) -> Calibration | None:
        """The calibration of the collection as it is now; None where it has none."""
        n_rows = self._store.count()
        with self._lock:
            if not self._is_fresh(n_rows) and self._tried_at != n_rows:
                self._tried_at = n_rows
                self._held = from_note(self._note(), self._store)
                if not self._is_fresh(n_rows):
                    self._held = self._measure()
            return self._held

    def renew(self) -> Calibration | None:
        """Measure now, whatever was known."""
        with self._lock:
            self._tried_at = self._store.count()
            self._held = self._measure()
            return self._held

    def _is_fresh(self, n_rows: int) -> bool:
        held = self._held
        return held is not None and abs(n_rows - held.n_rows) <= GROWTH * held.n_rows

    def _note(self) -> Mapping[str, Any] | None:
        return self._store.read_note(NOTE) if isinstance(self._store, Noted) else None

    def _measure(self) -> Calibration | None:
        found = measure(self._store, self._embed)
        if found is not None and isinstance(self._store, Noted):
            try:
                self._store.write_note(NOTE, found.to_note())
            except OSError:  # read only or full: it is measured again by the next process
                pass
        return found

    def _embed(self, texts: Sequence[str]) -> Array:
        return self._embedder.embed(list(texts), self._store.spec.dim, query_task(self._store))


_QUERY_TASKS = {Task.SEARCH_DOCUMENT: Task.SEARCH_QUERY}
"""Tasks whose two sides are embedded differently: what the rows were made for -> what a query is made for."""


def query_task(store: Store) -> Task | None:
    """What a query of this collection is embedded for."""
    task = Task.parse(store.spec.task)
    return _QUERY_TASKS.get(task, task) if task else None
