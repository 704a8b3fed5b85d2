"""What an evaluation task is: its record, its results, and the scope that a run gives it.

A task is one file in `evals/tasks/` that defines an object `task`; the file's name is the task's name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

from ..types import Array
from . import metrics
from .encoder import Encoder
from .packs import Packs

T = TypeVar("T")
DIMS = (3072, 1536, 768, 512, 256, 128)
"""Output sizes at which the Matryoshka task measures, cut to what the model gives."""


@dataclass(frozen=True, slots=True)
class Result:
    """One number and what it stands on."""

    name: str
    """What was asked of what, e.g. `question → table`."""
    metric: str
    """Name of the measure, e.g. `R@10`."""
    value: float
    """The measure; shares are 0..1."""
    n: int
    """Queries, pairs or pictures behind the value."""
    chance: float | None = None
    """What random vectors would reach, None where that is 0 or not defined."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """The same measure by language, modality, size or variant, or other facts that belong to the number."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; floats to 6 digits."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        plain: dict[str, Any] = _plain(fields)
        return plain


@dataclass(frozen=True, slots=True)
class Scope:
    """How much of the development sets a run measures."""

    limit: int | None = None
    """Most items of a set, None for all; sets with many languages are cut to fewer of them as well."""
    dims: tuple[int, ...] = DIMS
    """Output sizes of the Matryoshka task."""
    seed: int = 0
    """Seed of what is drawn at random (pairs of classes, synthetic sounds)."""

    def pick(self, items: Sequence[T], most: int | None = None) -> list[T]:
        """Evenly spread items: at most `limit`, at most `most`, in their order."""
        caps = [c for c in (self.limit, most) if c is not None]
        n = min([len(items), *caps])
        return [items[i] for i in np.linspace(0, len(items) - 1, n).round().astype(int)] if n else []

    def pick_groups(self, groups: Sequence[T]) -> list[T]:
        """Evenly spread languages or variants: all without a limit, else a fifth of the limit and at least 4."""
        return list(groups) if self.limit is None else replace(self, limit=max(4, self.limit // 5)).pick(groups)


@dataclass(frozen=True, slots=True)
class EvalTask:
    """A development set and how it is measured."""

    name: str
    """The file's name."""
    measures: str
    """One line for people."""
    split: str
    """Rule that decides which rows of which packs are measured; nothing of them is trained on."""
    prompts: tuple[str, ...]
    """The exact wordings that go around the data, `{text}` standing for it."""
    packs: tuple[str, ...]
    """Pack files, or tar packs without shard number, that it reads."""
    run: Callable[[Encoder, Packs, Scope], list[Result]]
    """Measures; the first result is the task's main one."""


def retrieval(
    name: str, scores: Array, relevant: metrics.Relevant, ks: Sequence[int], groups: Sequence[str] | None = None
) -> list[Result]:
    """Recall at each k of one score matrix, with the level of chance and the value by group of queries.

    Args:
        name: what was asked of what.
        scores: float32 [n, m], a row a query.
        relevant: for each query its relevant column or columns.
        ks: cut-offs, the main one first.
        groups: n labels (languages, wordings) to split the value by.
    """
    placed = metrics.ranks(scores, relevant)
    mean_relevant = float(np.mean([len(r) for r in placed]))
    results = []
    for k in ks:
        hit = np.array([r[0] <= k for r in placed])
        chance = min(1.0, k * mean_relevant / scores.shape[1])
        detail: dict[str, Any] = {"candidates": scores.shape[1]}
        if groups is not None:
            detail["by"] = by_group(hit, groups)
        results.append(Result(name, f"R@{k}", float(hit.mean()), len(hit), chance, detail))
    return results


def by_group(values: Array, groups: Sequence[str]) -> dict[str, float]:
    """Mean of the values of each group, by name of the group."""
    labels = np.asarray(groups)
    return {str(g): float(np.mean(values[labels == g])) for g in dict.fromkeys(groups)}


def unique_index(texts: Sequence[str]) -> tuple[list[str], list[int]]:
    """Distinct texts in order of appearance, and for each text its place among them.

    Equal texts are one candidate, so that a right answer never loses to its own copy.
    """
    place: dict[str, int] = {}
    positions = [place.setdefault(text, len(place)) for text in texts]
    return list(place), positions


def places(values: Sequence[str]) -> dict[str, list[int]]:
    """Value -> the positions where it stands."""
    found: dict[str, list[int]] = {}
    for i, value in enumerate(values):
        found.setdefault(value, []).append(i)
    return found


def with_article(name: str) -> str:
    """English noun with its indefinite article: `an apple`; plurals and names in capitals stay bare."""
    if (name.endswith("s") and not name.endswith(("ss", "us"))) or name[:1].isupper():
        return name
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, (float, np.floating)):
        return round(float(value), 6)
    return int(value) if isinstance(value, np.integer) else value
