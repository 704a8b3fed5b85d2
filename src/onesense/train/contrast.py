"""An adapter is trained: in-batch InfoNCE over the first sizes of its vectors, in NumPy, with Adam.

For each size s the moved vectors are cut to s components and scaled to unit length; the loss is the mean over sizes of
the cross entropy of `cosine / temperature`, from queries to documents and back. What is known to match another row of
the batch is no negative of it. The step beside the identity is held small by its squared size.

Source: van den Oord et al. 2018 (arXiv:1807.03748), InfoNCE; Kusupati et al. 2022 (arXiv:2205.13147), the sum over
sizes, here all of weight 1; Kingma and Ba 2015 (arXiv:1412.6980), Adam.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..engine.adapter import Adapter
from ..errors import InvalidInput
from ..types import Array
from ..vectors import MIN_NORM, truncate_normalize

SIZES = (3072, 1536, 768, 512, 256, 128)
_LOOK_EVERY = 20  # steps between two looks at the validation part
_BETAS, _EPSILON = (0.9, 0.999), 1e-8  # Adam's, as published


@dataclass(frozen=True, slots=True)
class Settings:
    """How an adapter is trained."""

    rank: int = 64
    """Width of the step beside the identity; no more than the model's width counts."""
    temperature: float = 0.05
    learning_rate: float = 3e-4
    pull: float = 1e-2
    """Weight of the squared size of the step: how strongly the base model's space is kept."""
    batch: int = 128
    steps: int = 800
    """At most; training ends sooner when the validation part gains nothing more."""
    patience: int = 8
    """Looks at the validation part without a gain after which it ends."""
    minutes: float = 5.0
    """Wall-clock budget of training, embedding not counted."""
    seed: int = 0
    """Of the split and of the batches."""

    def __post_init__(self) -> None:
        for name in ("rank", "temperature", "learning_rate", "batch", "steps", "patience", "minutes"):
            if not getattr(self, name) > 0:
                raise InvalidInput(f"`{name}` is above 0, not {getattr(self, name)!r}")
        if not self.pull >= 0 or self.batch < 2:
            raise InvalidInput(f"`pull` is 0 or more and `batch` 2 or more, not {self.pull!r} and {self.batch!r}")


class Sampler(Protocol):
    """Draws what is learned from."""

    def draw(self, rng: np.random.Generator, n: int) -> tuple[Array, Array]:
        """Rows int64 [b] of queries and int64 [c] of documents, c >= b: the first b are the answers, in order."""
        ...

    def matches(self, queries: Array, documents: Array) -> Array:
        """Bool [b, c]: whether a document is known to answer a query."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """What training gave."""

    adapter: Adapter
    """The best on the validation part; that of step 0, which changes nothing, where none was better."""
    step: int
    """Where it was the best."""
    score: float
    """Of the validation part."""


Watch = Callable[[int, int, str], None]


def sizes_of(width: int) -> tuple[int, ...]:
    """The sizes that are trained at a width: all of it, and those of `SIZES` below."""
    return tuple(dict.fromkeys((width, *(size for size in SIZES if size < width))))


def start(x: Array, rank: int) -> Adapter:
    """The adapter that changes nothing: it looks along the main directions of what it will learn from.

    Args:
        x: float32 [n, D], unit rows.
        rank: of the step; min(rank, n, D) is taken.
    """
    directions = np.linalg.svd(x, full_matrices=False)[2][:rank]
    return Adapter(np.ascontiguousarray(directions.T), np.zeros_like(directions))


def train(
    queries: Array,
    documents: Array,
    sampler: Sampler,
    score: Callable[[Adapter], float],
    settings: Settings,
    watch: Watch | None = None,
) -> Fit:
    """Train an adapter.

    Args:
        queries: float32 [n, D], unit rows.
        documents: float32 [m, D], unit rows.
        sampler: draws rows of both, of the training part only.
        score: of an adapter on the validation part, higher is better.
        settings: see there.
        watch: called after each look with (step, steps, a line).
    """
    rng = np.random.default_rng(settings.seed)
    q, d = sampler.draw(rng, 4 * settings.rank)
    adapter = start(np.concatenate([queries[q], documents[d]]), settings.rank)
    sizes, adam = sizes_of(queries.shape[1]), _Adam(settings.learning_rate, settings.steps)
    best, until_s = Fit(adapter, 0, score(adapter)), time.monotonic() + 60 * settings.minutes
    for step in range(1, settings.steps + 1):
        q, d = sampler.draw(rng, settings.batch)
        x = np.concatenate([queries[q], documents[d]])
        _, gradient = loss(adapter, x, sampler.matches(q, d), sizes, settings)
        adapter = adam.step(adapter, gradient)
        if step % _LOOK_EVERY and step < settings.steps:
            continue
        if (found := score(adapter)) > best.score:
            best = Fit(adapter, step, found)
        if watch is not None:
            watch(step, settings.steps, f"validation {found:.3f}, best {best.score:.3f}")
        if step - best.step >= settings.patience * _LOOK_EVERY or time.monotonic() > until_s:
            break
    return best


def loss(adapter: Adapter, x: Array, matches: Array, sizes: Sequence[int], settings: Settings) -> tuple[float, Adapter]:
    """The loss of a batch, and its gradient in the shape of an adapter.

    Args:
        adapter: as it is.
        x: float32 [b + c, D], unit rows: b queries, then c documents, the first b of which are the answers.
        matches: bool [b, c], see `Sampler.matches`.
        sizes: to train.
        settings: temperature and pull.
    """
    n = len(matches)
    inner = x @ adapter.down  # [b + c, r]
    moved = x + inner @ adapter.up
    total, to_moved = 0.0, np.zeros_like(moved)
    for size in sizes:
        unit = truncate_normalize(moved, size)
        value, to_scores = _cross_entropy(unit[:n] @ unit[n:].T / settings.temperature, matches)
        to_unit = np.concatenate([to_scores @ unit[n:], to_scores.T @ unit[:n]]) / settings.temperature
        length = np.maximum(np.linalg.norm(moved[:, :size], axis=1, keepdims=True), MIN_NORM)
        to_moved[:, :size] += (to_unit - (to_unit * unit).sum(1, keepdims=True) * unit) / length / len(sizes)
        total += value / len(sizes)
    wide, deep = adapter.up @ adapter.up.T, adapter.down.T @ adapter.down  # [r, r]; |down up|^2 = sum(wide * deep)
    down = x.T @ (to_moved @ adapter.up.T) + 2 * settings.pull * adapter.down @ wide
    up = inner.T @ to_moved + 2 * settings.pull * deep @ adapter.up
    return total + settings.pull * float((wide * deep).sum()), Adapter(down, up)


def _cross_entropy(scores: Array, matches: Array) -> tuple[float, Array]:
    """Mean of both directions, and its gradient float32 [b, c]; row i belongs to column i."""
    n = len(scores)
    own = np.arange(n)
    open_ = np.where(matches, -np.inf, scores)
    open_[own, own] = scores[own, own]
    forward, back = _softmax(open_, 1), _softmax(open_[:, :n], 0)
    value = -float(np.log(forward[own, own]).mean() + np.log(back[own, own]).mean()) / 2
    gradient = forward
    gradient[:, :n] += back
    gradient[own, own] -= 2
    return value, gradient / (2 * n)


def _softmax(x: Array, axis: int) -> Array:
    shares = np.exp(x - x.max(axis, keepdims=True))
    found: Array = np.maximum(shares / shares.sum(axis, keepdims=True), 1e-30)
    return found


class _Adam:
    """Adam with a learning rate that falls to nothing along half a cosine."""

    def __init__(self, rate: float, steps: int) -> None:
        self._rate, self._steps, self._n = rate, steps, 0
        self._moments: list[tuple[Array, Array]] = []

    def step(self, adapter: Adapter, gradient: Adapter) -> Adapter:
        """The adapter one step further."""
        values, slopes = (adapter.down, adapter.up), (gradient.down, gradient.up)
        self._moments = self._moments or [(np.zeros_like(v), np.zeros_like(v)) for v in values]
        self._n += 1
        rate = self._rate * 0.5 * (1 + np.cos(np.pi * (self._n - 1) / self._steps))
        return Adapter(*(self._moved(v, g, m, rate) for v, g, m in zip(values, slopes, self._moments, strict=True)))

    def _moved(self, value: Array, slope: Array, moments: tuple[Array, Array], rate: float) -> Array:
        first, second = moments
        first += (1 - _BETAS[0]) * (slope - first)
        second += (1 - _BETAS[1]) * (slope * slope - second)
        mean, square = first / (1 - _BETAS[0] ** self._n), second / (1 - _BETAS[1] ** self._n)
        moved: Array = (value - rate * mean / (np.sqrt(square) + _EPSILON)).astype(np.float32)
        return moved
