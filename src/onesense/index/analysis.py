"""What is in a collection: groups that belong together, near-duplicates, what stands alone, what carries which label.

All of it works on the stored unit vectors; only labels are embedded. Everything that is drawn at random has a seed.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from onesense.errors import InvalidInput
from onesense.types import Array, Locator, Payload, Where
from onesense.vectors import truncate_normalize

from .group import SAME as SAME
from .query import as_query

if TYPE_CHECKING:
    from .collection import Collection

MAX_ROWS = 200_000  # rows that are analysed at once: 2.4 GB at 3072 dims
ROUNDS = 50  # of k-means at most; it settles in 5 to 20
BLOCK = 2_048  # rows that are compared with all at once
NEIGHBOURS = 5  # nearest others whose mean cosine says how alone a row stands
TEMPERATURE = 0.05  # of the softmax over labels' cosines, that shares of labels can be compared


@dataclass(frozen=True, slots=True)
class Labelled:
    """A row of the collection and what was found out about it."""

    id: str
    path: str
    locator: Locator
    modality: str
    preview: str
    label: str
    """Name of a label, `cluster 3`, or `outlier`."""
    score: float
    """How well the label fits: cosine to the middle of its cluster, share of the label (0..1), or how alone it is."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON and tables; the place in words."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        return plain | {"locator": str(self.locator), "score": round(self.score, 4)}


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    ids: list[str]
    payloads: list[Payload]
    vectors: Array
    """float32 [n, d], unit."""

    def labelled(self, i: int, label: str, score: float) -> Labelled:
        payload = self.payloads[i]
        where, path = Locator.from_dict(payload.get("locator") or {}), str(payload.get("path", self.ids[i]))
        modality, preview = (str(payload.get(name, "")) for name in ("modality", "preview"))
        return Labelled(self.ids[i], path, where, modality, preview, label, float(score))


def cluster(
    collection: Collection, n: int | None = None, *, where: Where | None = None, seed: int = 0
) -> list[Labelled]:
    """Rows in groups that belong together: spherical k-means, the largest group first, the most typical row first.

    Modalities are centred one by one first, else sounds and pictures would be the two groups that are found.

    Args:
        collection: to look into.
        n: groups; by default about the square root of half the number of rows, at most 20.
        where: which rows.
        seed: of the first centres (k-means++).

    Raises:
        InvalidInput: fewer rows than groups, or too many rows.
    """
    rows = _read(collection, where)
    if not rows.ids:
        return []
    n = max(1, min(20, round((len(rows.ids) / 2) ** 0.5))) if n is None else n
    if not 1 <= n <= len(rows.ids):
        raise InvalidInput(f"{len(rows.ids)} segments can be put into 1 to {len(rows.ids)} groups, not {n}")
    groups, fits = _k_means(_centred(rows), n, np.random.default_rng(seed))
    sizes = np.bincount(groups, minlength=n)
    place = {int(g): i for i, g in enumerate(np.argsort(-sizes, kind="stable"), start=1)}
    order = sorted(range(len(groups)), key=lambda i: (place[int(groups[i])], -fits[i], rows.ids[i]))
    return [rows.labelled(i, f"cluster {place[int(groups[i])]}", fits[i]) for i in order]


def duplicates(collection: Collection, threshold: float = SAME, *, where: Where | None = None) -> list[list[Labelled]]:
    """Groups of rows of one modality that look, sound or read the same, the largest first.

    Two rows are in one group when a chain of rows links them, each at least as near to the next as the threshold. The
    score is the cosine to the group's first row, that whose id comes first.

    Raises:
        InvalidInput: the threshold is no cosine above 0, or too many rows.
    """
    if not 0 < threshold <= 1:
        raise InvalidInput(f"the threshold is a cosine above 0 and at most 1, not {threshold!r}")
    rows = _read(collection, where)
    root = list(range(len(rows.ids)))

    def find(i: int) -> int:
        while root[i] != i:
            root[i] = root[root[i]]
            i = root[i]
        return i

    for a, b in _near_pairs(rows, threshold):
        low, high = sorted((find(a), find(b)))
        root[high] = low
    groups: dict[int, list[int]] = {}
    for i in range(len(root)):
        groups.setdefault(find(i), []).append(i)
    found = [g for g in groups.values() if len(g) > 1]
    found.sort(key=lambda g: (-len(g), g[0]))
    return [
        [rows.labelled(i, f"group {n}", rows.vectors[i] @ rows.vectors[g[0]]) for i in g]
        for n, g in enumerate(found, start=1)
    ]


def outliers(collection: Collection, n: int = 20, *, where: Where | None = None) -> list[Labelled]:
    """The rows that stand most alone among those of their modality, first the one that stands most so.

    The score is 1 less the mean cosine to the five nearest rows of the same modality that belong to other files.

    Raises:
        InvalidInput: n is below 1, or too many rows.
    """
    if n < 1:
        raise InvalidInput(f"n is the number of outliers, 1 or more, not {n}")
    rows = _read(collection, where)
    alone = np.full(len(rows.ids), -np.inf)
    paths = np.array([str(payload.get("path")) for payload in rows.payloads])
    for places in _by_modality(rows).values():
        for block in _blocks(places):
            scores = rows.vectors[block] @ rows.vectors[places].T
            scores[paths[block][:, None] == paths[places][None, :]] = -np.inf
            nearest = -np.sort(-scores, axis=1)[:, :NEIGHBOURS]
            there = np.isfinite(nearest)
            mean = np.where(there, nearest, 0.0).sum(1) / np.maximum(there.sum(1), 1)
            alone[block] = np.where(there.any(1), 1.0 - mean, -np.inf)
    order = [int(i) for i in np.argsort(-alone, kind="stable")[:n] if np.isfinite(alone[i])]
    return [rows.labelled(i, "outlier", alone[i]) for i in order]


def classify(
    collection: Collection, labels: Mapping[str, Sequence[Any]] | Sequence[str], *, where: Where | None = None
) -> list[Labelled]:
    """The best label of each row, without training: by the names of the labels, or by examples of them.

    Args:
        collection: to look into.
        labels: names, or name -> examples: text, files (`Path`), contents, of which the mean is taken.
        where: which rows.

    Returns:
        A row each, by path and id; the score is the label's share, 0..1, of a softmax over all labels.

    Raises:
        InvalidInput: fewer than two labels, or a label without an example, or an example that cannot be embedded.
    """
    examples = {name: [name] for name in labels} if not isinstance(labels, Mapping) else dict(labels)
    if len(examples) < 2:
        raise InvalidInput("a choice needs two labels or more: name them, with examples where the name is not enough")
    if empty := [name for name, given in examples.items() if not given]:
        raise InvalidInput(f"the label `{empty[0]}` has no example: give it some, or leave it out")
    names = list(examples)
    means = np.stack([collection.embed([as_query(e) for e in examples[name]]).mean(0) for name in names])
    rows = _read(collection, where)
    shares = np.concatenate([_shares(_unit(means), rows.vectors[block]) for block in _blocks(np.arange(len(rows.ids)))])
    best = shares.argmax(1)
    order = sorted(range(len(rows.ids)), key=lambda i: (str(rows.payloads[i].get("path")), rows.ids[i]))
    return [rows.labelled(i, names[int(best[i])], shares[i, best[i]]) for i in order]


def write_table(rows: Sequence[Labelled], path: Path) -> None:
    """Write rows as CSV, JSON Lines or Parquet, by the ending of the name.

    Raises:
        InvalidInput: another ending.
        OSError: the disk refused.
    """
    plain = [row.to_dict() for row in rows]
    match path.suffix.lower():
        case ".csv":
            with path.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, Labelled.__slots__)
                writer.writeheader()
                writer.writerows(plain)
        case ".jsonl":
            lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in plain)
            path.write_text("".join(lines), encoding="utf-8")
        case ".parquet":
            import pyarrow as pa
            from pyarrow import parquet

            columns = {name: [row[name] for row in plain] for name in Labelled.__slots__}
            parquet.write_table(pa.table(columns), path)
        case other:
            raise InvalidInput(
                f"a table is written as .csv, .jsonl or .parquet, not as {other or 'a name without one'}"
            )


# --- rows and their arithmetic ------------------------------------------------------------------------------------


def _read(collection: Collection, where: Where | None) -> _Rows:
    """All rows that pass, by id."""
    found = sorted(collection.rows(where), key=lambda row: row[0])
    if len(found) > MAX_ROWS:
        raise InvalidInput(f"{len(found):,} segments are too many at once: choose up to {MAX_ROWS:,} by a filter")
    ids = [id_ for id_, _ in found]
    return _Rows(ids, [payload for _, payload in found], collection.vectors(ids))


def _by_modality(rows: _Rows) -> dict[str, Array]:
    names = np.array([str(payload.get("modality")) for payload in rows.payloads])
    return {str(name): np.flatnonzero(names == name) for name in dict.fromkeys(names.tolist())}


def _blocks(places: Array) -> Iterator[Array]:
    return (places[i : i + BLOCK] for i in range(0, max(1, len(places)), BLOCK))


def _unit(x: Array) -> Array:
    out: Array = truncate_normalize(x, x.shape[-1])
    return out


def _centred(rows: _Rows) -> Array:
    """Unit vectors, less the mean of their modality; a row that is its modality's mean stays as it is."""
    out = rows.vectors.copy()
    for places in _by_modality(rows).values():
        out[places] -= out[places].mean(0) * (len(places) > 1)
    flat = np.linalg.norm(out, axis=1) < 1e-6
    out[flat] = rows.vectors[flat]
    return _unit(out)


def _k_means(x: Array, n: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Group of each row, int64 [rows], and its cosine to the group's middle, float32 [rows]."""
    centres = _first_centres(x, n, rng)
    groups = np.full(len(x), -1)
    for _ in range(ROUNDS):
        scores = x @ centres.T
        found = scores.argmax(1)
        if (found == groups).all():
            break
        groups = found
        for g in range(n):
            members = x[groups == g]
            middle = members.sum(0) if len(members) else x[int(scores.max(1).argmin())]  # an empty group starts anew
            centres[g] = middle if np.linalg.norm(middle) < 1e-6 else _unit(middle)
    return groups, (x * centres[groups]).sum(1)


def _first_centres(x: Array, n: int, rng: np.random.Generator) -> Array:
    """k-means++ (Arthur and Vassilvitskii 2007) with squared distance 2 - 2 cos."""
    chosen = [int(rng.integers(len(x)))]
    nearest = x @ x[chosen[0]]
    for _ in range(1, n):
        far = np.maximum(1.0 - nearest, 0.0).astype(np.float64)
        far[chosen] = 0.0
        chances = far / far.sum() if far.sum() > 0 else None
        chosen.append(int(rng.choice(len(x), p=chances)))
        nearest = np.maximum(nearest, x @ x[chosen[-1]])
    return x[chosen].copy()


def _near_pairs(rows: _Rows, threshold: float) -> Iterator[tuple[int, int]]:
    for places in _by_modality(rows).values():
        for block in _blocks(places):
            a, b = np.nonzero(rows.vectors[block] @ rows.vectors[places].T >= threshold)
            yield from ((int(block[i]), int(places[j])) for i, j in zip(a, b, strict=True) if block[i] < places[j])


def _shares(labels: Array, rows: Array) -> Array:
    """Softmax over labels, float32 [rows, labels]."""
    scores = rows @ labels.T
    power = np.exp((scores - scores.max(1, keepdims=True)) / TEMPERATURE)
    shares: Array = power / power.sum(1, keepdims=True)
    return shares
