"""A bridge between two models' spaces: a preview of what another model would find in a collection.

    query ── new model ── y [d'] ── (y − mean') · map + mean ── x [d], compared with the vectors that are there

The map is linear and learned from a sample of the collection's own items, which both models embed. It is a preview: its
hits are nearer to what re-embedding would give than to the truth, how near is measured on items of the sample that the
map did not see, and nothing that comes over it is ever written into a collection.

Source: Schönemann 1966, the orthogonal Procrustes problem; Mikolov et al. 2013 (arXiv:1309.4168), maps between spaces.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from onesense import plugins
from onesense.engine.embedder import Embedder
from onesense.errors import InvalidInput, NotFound
from onesense.types import Array, Hit, Store, Where
from onesense.vectors import truncate_normalize

from .collection import Collection, store_name
from .ingest import Progress
from .query import Ask, as_query
from .reembed import embeddable
from .search import to_hit

FORMAT = "onesense.bridge.v1"
SAMPLE = 500  # segments; twice as many gain about a point of overlap, dev/LOG.md
MIN_SAMPLE = 40  # fewer leave under eight to measure with
NEAR = 10  # neighbours that are compared
_HELD, _VALID = 0.2, 0.15  # of the sample's files
_RIDGES = (0.003, 0.03, 0.3, 3.0)  # of the mean squared length of an item from their mean


@dataclass(frozen=True, slots=True)
class Quality:
    """How near the preview comes to true re-embedding, on items of the sample that the map did not see."""

    method: str
    """`procrustes`, or `ridge` and its weight: the best of them on a part of its own."""
    n_fit: int
    n_held: int
    overlap: float
    """Share of the ten nearest items by the new model that are among the preview's ten nearest."""
    recall: float
    """Share of items whose nearest item by the new model is among the preview's ten."""
    old_overlap: float
    """The same of the collection's own model: what a search finds today."""
    old_recall: float


@dataclass(frozen=True, slots=True, eq=False)
class Bridge:
    """A learned map. Made by `learn`, never part of a collection."""

    model: str
    """The new model."""
    dim: int
    """Size of its vectors."""
    key: tuple[str, str, int]
    """Fingerprints of the new model's vectors and the collection's, and the size of the sample."""
    map: Array
    """float32 [d', d]."""
    means: tuple[Array, Array]
    """float32 [d'] and [d]."""
    quality: Quality

    def __call__(self, vectors: Array) -> Array:
        """Float32 [n, d], unit rows: the new model's vectors [n, d'] where the collection's model might put them."""
        return _over(vectors, self.map, self.means)


def learn(
    path: Path, model: str, *, dim: int | None = None, sample: int = SAMPLE, progress: Progress | None = None
) -> Bridge:
    """The bridge from a model to a collection: the one that was learned before, or a new one, kept beside it.

    Args:
        path: of the collection; it is read only.
        model: the new one.
        dim: size of the new model's vectors; all that it gives by default.
        sample: segments of the collection to embed with it.
        progress: as for `Collection.add`.

    Raises:
        NotFound: there is no collection, or no such model.
        InvalidInput: too few of its items can be embedded again, or the collection is this model's own.
    """
    if sample < MIN_SAMPLE:
        raise InvalidInput(f"a sample of {sample} is too small to learn and measure: {MIN_SAMPLE} or more")
    with _opened(path) as store, Embedder(model) as embedder:
        key = embedder.info.fingerprint(dim or embedder.info.dim, None), store.spec.fingerprint, sample
        if key[0] == key[1]:
            raise InvalidInput(f"`{path}` holds vectors of `{model}` already: search it")
        if (kept := _read(_file(path), key)) is not None:
            return kept
        new, old, files = _sampled(store, model, dim, sample, progress)
    if len(new) < MIN_SAMPLE:
        raise InvalidInput(f"{len(new)} segments of `{path}` could be embedded again: {MIN_SAMPLE} or more are needed")
    bridge = Bridge(model, new.shape[1], key, *_fitted(new, old, files))
    _write(_file(path), bridge)
    return bridge


def preview(
    path: Path,
    bridge: Bridge,
    query: Any,
    k: int = 10,
    modality: str | None = None,
    where: Where | None = None,
) -> list[Hit]:
    """What a query of the new model might find: hits by cosine, without confidence, which nobody can tell here.

    Args:
        path: of the collection.
        bridge: of `learn`.
        query: text, a file (`Path`), or a `Content`.
        k: most hits.
        modality: as for `Collection.search`.
        where: same.

    Raises:
        InvalidInput: the query cannot be embedded, or the filter is not possible.
    """
    ask = Ask(query, k, modality, where, rank="cosine")
    with Embedder(bridge.model) as embedder:
        asked = embedder.embed(as_query(query), bridge.dim)
    with _opened(path) as store:
        return [to_hit(*row, None) for row in store.search(bridge(asked)[0], k, ask.condition())]


# --- the sample ---------------------------------------------------------------------------------------------------


def _sampled(
    store: Store, model: str, dim: int | None, most: int, progress: Progress | None
) -> tuple[Array, Array, Array]:
    """Vectors of both models, float32 [n, d'] and [n, d], and int64 [n] the number of each one's file."""
    rows = dict(store.rows())
    again, _ = embeddable(rows.items())
    n_rows: dict[str, int] = {}
    for payload in rows.values():
        n_rows[str(payload.get("path"))] = n_rows.get(str(payload.get("path")), 0) + 1
    chosen: list[Any] = []
    n_left = most
    for place in np.random.default_rng(0).permutation(len(again)):
        name = again[place] if isinstance(again[place], str) else again[place]["id"]
        if n_left > 0:
            chosen.append(again[place])
            n_left -= n_rows[name]
    with tempfile.TemporaryDirectory() as folder:
        with Collection.open(Path(folder) / "sample.onesense", model=model, dim=dim) as beside:
            beside.add(chosen, progress=progress)
            ids = [id_ for id_, payload in beside.rows() if _is_same(rows.get(id_), payload)]
            new = beside.vectors(ids) if ids else np.zeros((0, beside.info.dim), np.float32)
    paths = [str(rows[id_].get("path")) for id_ in ids]
    old = store.vectors(ids) if ids else np.zeros((0, store.spec.dim), np.float32)
    return new, old, np.unique(paths, return_inverse=True)[1]


def _is_same(one: Mapping[str, Any] | None, other: Mapping[str, Any]) -> bool:
    """Whether two rows of one id are of the same stretch, unchanged since; a record's text may lie elsewhere in it."""
    stretch = "text" if other.get("text") else "locator"
    return one is not None and all(one.get(name) == other.get(name) for name in (stretch, "size", "mtime"))


# --- fitting ------------------------------------------------------------------------------------------------------


def _fitted(new: Array, old: Array, files: Array) -> tuple[Array, tuple[Array, Array], Quality]:
    """The best map on the validation files, and how good it is on the held-out ones."""
    order = np.random.default_rng(0).permutation(files.max() + 1)
    ends = np.cumsum(np.bincount(files)[order]) / len(files)
    part_of = np.empty(len(order), np.int64)
    part_of[order] = np.where(ends <= _HELD, 0, np.where(ends <= _HELD + _VALID, 1, 2))
    held, valid, fit = (np.flatnonzero(part_of[files] == part) for part in range(3))
    if min(len(held), len(valid), len(fit)) < 2:
        raise InvalidInput("nearly all segments are of one file: a bridge is learned from several")
    means = new[fit].mean(0), old[fit].mean(0)
    candidates = dict(_maps(new[fit] - means[0], old[fit] - means[1]))
    near = {name: _agreement(_over(new[valid], map_, means), new, old, valid)[0] for name, map_ in candidates.items()}
    method = max(near, key=lambda name: near[name])
    overlap, recall = _agreement(_over(new[held], candidates[method], means), new, old, held)
    old_overlap, old_recall = _agreement(old[held], new, old, held)
    quality = Quality(method, len(fit), len(held), overlap, recall, old_overlap, old_recall)
    return candidates[method], means, quality


def _maps(new: Array, old: Array) -> Iterator[tuple[str, Array]]:
    """Linear maps float32 [d', d] by their names, from centred rows float32 [n, d'] to [n, d].

    All are computed in the space of the n items, which is smaller than those of the vectors.
    """
    values, directions = np.linalg.eigh(new.astype(np.float64) @ new.T)
    seen = directions.T @ old  # [n, d]
    for ridge in _RIDGES:
        weights = directions @ (seen / (np.maximum(values, 0) + ridge * values.mean())[:, None])
        yield f"ridge {ridge:g}", (new.T @ weights).astype(np.float32)
    (q_new, r_new), (q_old, r_old) = np.linalg.qr(new.T), np.linalg.qr(old.T)
    u, spread, v = np.linalg.svd(r_new @ r_old.T, full_matrices=False)
    scale = spread.sum() / (new * new).sum()
    yield "procrustes", (scale * (q_new @ u) @ (v @ q_old.T)).astype(np.float32)


def _over(vectors: Array, map_: Array, means: tuple[Array, Array]) -> Array:
    mapped: Array = truncate_normalize((vectors - means[0]) @ map_ + means[1], map_.shape[1])
    return mapped


def _agreement(queries: Array, new: Array, old: Array, rows: Array) -> tuple[float, float]:
    """Overlap and recall of what `queries` find among the old vectors, with what the new model finds for `rows`."""
    n_near = min(NEAR, len(new) - 1)
    true, found = _nearest(new[rows], new, rows, n_near), _nearest(queries, old, rows, n_near)
    overlap = np.mean([len({*t} & {*f}) / n_near for t, f in zip(true, found, strict=True)])
    recall = np.mean([t[0] in f for t, f in zip(true, found, strict=True)])
    return round(float(overlap), 4), round(float(recall), 4)


def _nearest(queries: Array, items: Array, own: Array, n: int) -> list[list[int]]:
    """The n items nearest to each query, best first, without the item that it is made of."""
    scores = queries @ items.T
    scores[np.arange(len(own)), own] = -np.inf
    found: list[list[int]] = np.argsort(-scores, axis=1, kind="stable")[:, :n].tolist()
    return found


# --- keeping ------------------------------------------------------------------------------------------------------


def _file(path: Path) -> Path:
    return path.with_name(f"{path.stem}.bridge.npz")


def _write(file: Path, bridge: Bridge) -> None:
    facts = {"format": FORMAT, "model": bridge.model, "dim": bridge.dim, "key": bridge.key}
    said = json.dumps(facts | {"quality": asdict(bridge.quality)})
    draft = file.with_name(f".{file.name}.{os.getpid()}.tmp.npz")
    try:
        np.savez(draft, facts=np.array(said), map=bridge.map, new=bridge.means[0], old=bridge.means[1])
        os.replace(draft, file)
    except OSError:  # read only, or full: it is learned again next time
        draft.unlink(missing_ok=True)


def _read(file: Path, key: tuple[str, str, int]) -> Bridge | None:
    """A kept bridge; None where there is none of this key, or it is damaged: it can be learned again."""
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            facts = json.loads(str(stored["facts"]))
            map_, means = stored["map"], (stored["new"], stored["old"])
        quality = Quality(**facts["quality"])
        if facts["format"] != FORMAT or tuple(facts["key"]) != key:
            return None
        return Bridge(facts["model"], facts["dim"], key, map_, means, quality)
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile):
        return None


@contextmanager
def _opened(path: Path) -> Iterator[Store]:
    """The rows of a collection, without its model."""
    store_class = plugins.load("stores", store_name(path))
    spec = store_class.read_spec(path)
    if spec is None:
        raise NotFound(f"there is no collection at `{path}`")
    store: Store = store_class.open(path, spec)
    try:
        yield store
    finally:
        store.close()
