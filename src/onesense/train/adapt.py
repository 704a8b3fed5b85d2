"""A model adapted to somebody's own pairs or labels, on a CPU, in minutes; no torch.

examples -> embedded once -> split by what belongs together -> adapter trained on the first part, stopped by the second,
measured before and after on the third, which nothing else looked at -> saved as the model `adapted:FOLDER` if it helps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..engine import adapter as artefact
from ..engine.adapter import Adapter, Base, Manifest
from ..engine.backends.adapted import PREFIX
from ..engine.embedder import Embedder
from ..engine.models import DEFAULT_MODEL
from ..errors import InvalidInput, OnesenseError
from ..evals import metrics
from ..types import Array, Task
from ..vectors import truncate_normalize
from . import contrast
from .contrast import Settings
from .data.examples import Data, Examples, Table, read

HELD_SHARE, VALID_SHARE = 0.2, 0.15
_LEAST_GROUPS = 10  # with fewer, or one that holds most rows, the parts are drawn query by query
_SURE = 1.645  # standard errors above zero: a gain that chance brings once in twenty
_MOST_VALID, _MOST_HELD = 256, 2_000  # queries that a look reads, and that are measured: their error is small by then
_CHUNK = 512  # queries whose scores are in memory at once
_DEFAULTS = Settings()

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What adapting gave."""

    model: str | None
    """Name of the saved model, None where it was not saved."""
    base: str
    kind: str
    """`pairs` or `labels`."""
    unit: str
    """What was never divided between the parts: `group` (all that shares a text or file), `query` or `item`."""
    n_train: int
    n_valid: int
    n_held: int
    """Queries, or items, of each part."""
    n_repeated: int
    """Rows that said what an earlier one had said."""
    before: Mapping[int, Mapping[str, float]]
    """Of the base model on the held-out part: size -> `ndcg_at_10` and `recall_at_1`."""
    after: Mapping[int, Mapping[str, float]]
    gain: float
    """Mean over sizes and held-out queries of the change in nDCG@10."""
    error: float
    """Standard error of the gain."""
    closeness: float
    """Mean cosine between a held-out vector before and after: 1 where nothing moved."""
    steps: int
    """After which the validation part was best; 0 where nothing was better than the base model."""
    embedding_s: float
    training_s: float

    @property
    def is_better(self) -> bool:
        """Whether the gain is more than chance."""
        return self.gain > _SURE * self.error and self.gain > 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self) | {"is_better": self.is_better}


def adapt(
    data: Data,
    to: str | Path,
    *,
    model: str = DEFAULT_MODEL,
    task: str | Task | None = None,
    keep: bool = False,
    settings: Settings = _DEFAULTS,
    progress: Progress | None = None,
) -> Outcome:
    """Adapt a model to pairs or labels, and save it as a model of its own, `adapted:FOLDER`.

    Args:
        data: a JSONL file, a folder of classes, or rows; see `train.data.examples`.
        to: folder that the adapted model is saved in; nothing may be there yet.
        model: the base. It stays as it is.
        task: what documents or items are embedded for, as in `Collection.open`; queries for `search document` are
            embedded as `search query`.
        keep: save also when the held-out part does not gain.
        settings: of training.
        progress: called with (done, in all, what).

    Raises:
        AlreadyExists: there is something at `to`.
        NotFound: the data, a file of it, or the model is not there.
        InvalidInput: the data cannot be used, see `examples.read`, or an item cannot be embedded.
    """
    folder = Path(to).expanduser().resolve()
    artefact.refuse_taken(folder)
    if model.startswith(PREFIX):
        raise InvalidInput(f"`{model}` is an adapter already: adapt its base model with all examples together")
    examples = read(data)
    told = progress or (lambda done, total, what: None)
    start_s = time.monotonic()
    with Embedder(model) as embedder:
        base = Base.of(embedder.info)
        queries, documents = _vectors(embedder, examples, Task.parse(task), told)
    embedded_s = time.monotonic()
    parts = split(examples, settings.seed)
    fit = contrast.train(
        queries, documents, _sampler(examples, parts), _validation(examples, parts, queries, documents), settings, told
    )
    trained_s = time.monotonic()
    before, after = (_measure(examples, parts, queries, documents, a) for a in (None, fit.adapter))
    changes = np.mean([after.each[size] - before.each[size] for size in after.each], axis=0)
    held = queries[parts.held]
    outcome = Outcome(
        model=None,
        base=base.name,
        kind=examples.kind,
        unit=parts.unit,
        n_train=len(parts.train),
        n_valid=len(parts.valid),
        n_held=len(parts.held),
        n_repeated=examples.n_repeated,
        before=before.means,
        after=after.means,
        gain=float(changes.mean()),
        error=float(changes.std(ddof=1) / np.sqrt(len(changes))) if len(changes) > 1 else 0.0,
        closeness=float((held * truncate_normalize(fit.adapter(held), base.dim)).sum(1).mean()),
        steps=fit.step,
        embedding_s=round(embedded_s - start_s, 2),
        training_s=round(trained_s - embedded_s, 2),
    )
    return _saved(outcome, folder, fit.adapter, base, examples, settings) if outcome.is_better or keep else outcome


def _saved(
    outcome: Outcome, folder: Path, adapter: Adapter, base: Base, examples: Examples, settings: Settings
) -> Outcome:
    named = replace(outcome, model=f"{PREFIX}{folder}")
    said = named.to_dict()
    manifest = Manifest(
        base=base,
        sizes=contrast.sizes_of(base.dim),
        rank=adapter.down.shape[1],
        data={"kind": examples.kind, "n": examples.n, "sha256": examples.digest()},
        metrics={name: value for name, value in said.items() if name not in ("model", "base", "kind")},
        weights_sha256="",  # `save` fills it in
        settings=asdict(settings),
    )
    artefact.save(folder, adapter, manifest)
    return named


# --- vectors ------------------------------------------------------------------------------------------------------


def _vectors(embedder: Embedder, examples: Examples, task: Task | None, told: Progress) -> tuple[Array, Array]:
    """Float32 [n, D] of queries and [m, D] of documents; of labels, one array twice."""
    of_queries = Task.SEARCH_QUERY if task is Task.SEARCH_DOCUMENT and examples.kind == "pairs" else task
    queries = _embed(embedder, examples.queries, of_queries, told)
    if examples.documents is examples.queries:
        return queries, queries
    return queries, _embed(embedder, examples.documents, task, told)


def _embed(embedder: Embedder, table: Table, task: Task | None, told: Progress) -> Array:
    rows: list[Array] = []
    for outcome in embedder.stream(table.contents, task=task):
        place = table.places[len(rows)]
        if isinstance(outcome, OnesenseError):
            raise type(outcome)(f"{place}: {outcome}") from outcome
        rows.append(outcome.values)
        told(len(rows), len(table.contents), f"embedding {place}")
    return np.stack(rows)


# --- parts --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """Queries (or items) of each part, int64, none in two."""

    train: Array
    valid: Array
    held: Array
    unit: str


def split(examples: Examples, seed: int) -> Parts:
    """Divide the examples so that nothing that is measured was learned from.

    Pairs that share a text or a file, on whichever side, stay together. Where nearly all hang together by a few
    documents, each query is one unit, and held-out queries ask for documents that training saw. Labels are divided
    item by item, in each label the same share.
    """
    rng = np.random.default_rng(seed)
    if examples.kind == "labels":
        return _split_items(examples.links[:, 1], rng)
    groups = _groups(examples)
    sizes = np.bincount(groups)
    is_grouped = len(sizes) >= _LEAST_GROUPS and sizes.max() <= HELD_SHARE * len(groups)
    if not is_grouped:
        groups = np.arange(len(groups))
    order = rng.permutation(groups.max() + 1)
    ends = np.cumsum(np.bincount(groups)[order]) / len(groups)
    part_of = np.empty(len(order), np.int64)
    part_of[order] = np.where(ends <= HELD_SHARE, 0, np.where(ends <= HELD_SHARE + VALID_SHARE, 1, 2))
    held, valid, train = (np.flatnonzero(part_of[groups] == part) for part in range(3))
    return Parts(train, valid, _spread(held, _MOST_HELD), "group" if is_grouped else "query")


def _split_items(labels: Array, rng: np.random.Generator) -> Parts:
    part = np.full(len(labels), 2)
    for label in range(labels.max() + 1):
        items = rng.permutation(np.flatnonzero(labels == label))
        # whole items of each share, chance deciding about the fraction, so that rare labels come in too
        n_held, n_valid = (int(len(items) * share + rng.random()) for share in (HELD_SHARE, VALID_SHARE))
        if len(items) - n_held - n_valid >= 1:
            part[items[:n_held]] = 0
            part[items[n_held : n_held + n_valid]] = 1
    held, valid, train = (np.flatnonzero(part == p) for p in range(3))
    if not (len(held) and len(valid)):
        raise InvalidInput("nearly every label has one item only: nothing can be held out. Give several of a label")
    return Parts(train, valid, _spread(held, _MOST_HELD), "item")


def _spread(rows: Array, most: int) -> Array:
    """At most so many of them, evenly spread."""
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).astype(int)]


def _groups(examples: Examples) -> Array:
    """Int64 [n queries]: number of the group that a query belongs to, 0 and up."""
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        while (above := parent.setdefault(key, key)) != key:
            parent[key] = parent[above]
            key = above
        return key

    queries, documents = list(examples.queries.keys), list(examples.documents.keys)
    for query, document in examples.links:
        parent[root(queries[query])] = root(documents[document])
    found: Array = np.unique([root(key) for key in queries], return_inverse=True)[1]
    return found


# --- what is learned from -------------------------------------------------------------------------------------------


def _sampler(examples: Examples, parts: Parts) -> contrast.Sampler:
    is_train = np.zeros(len(examples.queries.contents), bool)
    is_train[parts.train] = True
    if examples.kind == "labels":
        return _Labelled(examples.links[:, 1], parts.train)
    return _Paired(examples, is_train)


class _Paired:
    """Pairs of the training part, with the documents that must not answer them."""

    def __init__(self, examples: Examples, is_train: Array) -> None:
        self._links = examples.links[is_train[examples.links[:, 0]]]
        self._n = len(examples.documents.contents)
        self._codes = np.sort(examples.links[:, 0] * self._n + examples.links[:, 1])
        self._wrong: dict[int, list[int]] = {}
        for query, document in examples.negatives:
            self._wrong.setdefault(int(query), []).append(int(document))

    def draw(self, rng: np.random.Generator, n: int) -> tuple[Array, Array]:
        rows = self._links[rng.choice(len(self._links), min(n, len(self._links)), replace=False)]
        wrong = [int(rng.choice(self._wrong[q])) for q in rows[:, 0].tolist() if q in self._wrong]
        return rows[:, 0], np.concatenate([rows[:, 1], np.array(wrong, np.int64)])

    def matches(self, queries: Array, documents: Array) -> Array:
        found: Array = np.isin(queries[:, None] * self._n + documents[None, :], self._codes)
        return found


class _Labelled:
    """Items of the training part, each with another of its label."""

    def __init__(self, labels: Array, train: Array) -> None:
        self._labels = labels
        self._peers = {int(label): train[labels[train] == label] for label in np.unique(labels[train])}
        self._train = np.array([i for i in train if len(self._peers[int(labels[i])]) > 1], np.int64)
        if not len(self._train):
            raise InvalidInput("no label has two items to learn from: give several of a label")

    def draw(self, rng: np.random.Generator, n: int) -> tuple[Array, Array]:
        items = rng.choice(self._train, min(n, len(self._train)), replace=False)
        return items, np.array([self._peer(rng, int(item)) for item in items], np.int64)

    def matches(self, queries: Array, documents: Array) -> Array:
        found: Array = self._labels[queries][:, None] == self._labels[documents][None, :]
        return found

    def _peer(self, rng: np.random.Generator, item: int) -> int:
        peers = self._peers[int(self._labels[item])]
        return int(rng.choice(peers[peers != item]))


# --- measuring ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Measured:
    each: Mapping[int, Array]
    """Size -> float64 [n], nDCG@10 of each query."""
    means: Mapping[int, Mapping[str, float]]


def _measure(examples: Examples, parts: Parts, queries: Array, documents: Array, adapter: Adapter | None) -> _Measured:
    """The held-out part: pairs look among all documents, items among those of the training part."""
    asked, among, relevant = _questions(examples, parts.held, parts)
    return _score(queries[asked], documents[among], relevant, adapter)


def _validation(examples: Examples, parts: Parts, queries: Array, documents: Array) -> Callable[[Adapter], float]:
    asked, among, relevant = _questions(examples, _spread(parts.valid, _MOST_VALID), parts)
    q, d = queries[asked], documents[among]
    return lambda adapter: float(np.mean([row["ndcg_at_10"] for row in _score(q, d, relevant, adapter).means.values()]))


def _questions(examples: Examples, part: Array, parts: Parts) -> tuple[Array, Array, list[list[int]]]:
    """Queries of a part, the documents that they look among, and the places of the right ones among these."""
    if examples.kind == "labels":
        labels, among = examples.links[:, 1], parts.train
        found = [np.flatnonzero(labels[among] == labels[item]).tolist() for item in part]
    else:
        among = np.arange(len(examples.documents.contents))
        answers: dict[int, list[int]] = {}
        for query, document in examples.links.tolist():
            answers.setdefault(query, []).append(document)
        found = [answers[int(query)] for query in part]
    kept = [i for i, places in enumerate(found) if places]
    return part[kept], among, [found[i] for i in kept]


def _score(queries: Array, documents: Array, relevant: list[list[int]], adapter: Adapter | None) -> _Measured:
    if adapter is not None:
        queries, documents = adapter(queries), adapter(documents)
    each: dict[int, Array] = {}
    means: dict[int, Mapping[str, float]] = {}
    for size in contrast.sizes_of(queries.shape[1]):
        asked, among = truncate_normalize(queries, size), truncate_normalize(documents, size)
        rows = np.array([row for at in range(0, len(asked), _CHUNK) for row in _gains(asked, among, relevant, at)])
        each[size] = rows[:, 0]
        ndcg, recall = (round(float(mean), 4) for mean in rows.mean(0))
        means[size] = {"ndcg_at_10": ndcg, "recall_at_1": recall}
    return _Measured(each, means)


def _gains(asked: Array, among: Array, relevant: list[list[int]], at: int) -> list[tuple[float, float]]:
    """nDCG@10 and recall@1 of each query of a chunk."""
    scores = asked[at : at + _CHUNK] @ among.T
    pairs = zip(scores, relevant[at : at + _CHUNK], strict=True)
    return [(metrics.ndcg_at(row[None], [own], 10), metrics.recall_at(row[None], [own], 1)) for row, own in pairs]
