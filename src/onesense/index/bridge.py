"""A bridge between two models' spaces: a preview of what another model would find in a collection.

    stored x [d] ── (x − mean) · map + mean' ── [d'] at unit length, compared with a query of the new model

The map is linear and learned from a sample of the collection's own items, which both models embed. A search takes a
pool by one vector in the old space, `map · query`, whose product with x is the same but for the length of the moved x,
and ranks the pool by the true cosine. It is a preview: how near it comes to re-embedding is measured on items of the
sample that the map did not see, and nothing that comes over it is ever written into a collection.

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
SAMPLE = 500  # segments; what more or fewer give stands in dev/LOG.md
MIN_SAMPLE = 40  # fewer leave under eight to measure with
NEAR = 10  # neighbours that are compared
POOL = 200  # candidates that are ranked by the true cosine, or ten for each hit
_HELD, _VALID = 0.4, 0.1  # of the sample's files; a fair measurement needs many to look among
_RIDGES = (0.003, 0.03, 0.3, 3.0)  # of the mean squared length of an item from their mean


@dataclass(frozen=True, slots=True)
class Quality:
    """How near the preview comes to true re-embedding, on items of the sample that the map did not see."""

    method: str
    """`procrustes`, or `ridge` and its weight: the best of them on a part of its own."""
    n_fit: int
    n_held: int
    overlap: float
    """Share of the ten nearest by the new model, of the held-out segments, that are among the preview's ten."""
    recall: float
    """Share of segments whose nearest by the new model is among the preview's ten."""
    old_overlap: float
    """The same of the collection's own model: what like finds like by today."""
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
    """float32 [d, d']."""
    means: tuple[Array, Array]
    """float32 [d] and [d']."""
    quality: Quality

    def __call__(self, vectors: Array) -> Array:
        """Float32 [n, d'], unit rows: stored vectors [n, d] where the new model might put them."""
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
    aim = bridge.map @ asked[0]
    with _opened(path) as store:
        pool = store.search(truncate_normalize(aim, len(aim)), max(POOL, 10 * k), ask.condition())
        if not pool:
            return []
        scores = bridge(store.vectors([id_ for id_, _, _ in pool])) @ asked[0]
    rows = [(id_, float(score), payload) for (id_, _, payload), score in zip(pool, scores, strict=True)]
    return [to_hit(*row, None) for row in sorted(rows, key=lambda row: (-row[1], row[0]))[:k]]


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
    means = old[fit].mean(0), new[fit].mean(0)
    candidates = dict(_maps(old[fit] - means[0], new[fit] - means[1]))
    lost = {name: ((_over(old[valid], map_, means) - new[valid]) ** 2).sum() for name, map_ in candidates.items()}
    method = min(lost, key=lambda name: float(lost[name]))
    overlap, recall = _agreement(new[held], _over(old[held], candidates[method], means), new[held])
    old_overlap, old_recall = _agreement(old[held], old[held], new[held])
    quality = Quality(method, len(fit), len(held), overlap, recall, old_overlap, old_recall)
    return candidates[method], means, quality


def _maps(old: Array, new: Array) -> Iterator[tuple[str, Array]]:
    """Linear maps float32 [d, d'] by their names, from centred rows float32 [n, d] to [n, d'].

    All are computed in the space of the n items, which is smaller than those of the vectors.
    """
    values, directions = np.linalg.eigh(old.astype(np.float64) @ old.T)
    seen = directions.T @ new  # [n, d']
    for ridge in _RIDGES:
        weights = directions @ (seen / (np.maximum(values, 0) + ridge * values.mean())[:, None])
        yield f"ridge {ridge:g}", (old.T @ weights).astype(np.float32)
    (q_old, r_old), (q_new, r_new) = np.linalg.qr(old.T), np.linalg.qr(new.T)
    u, spread, v = np.linalg.svd(r_old @ r_new.T, full_matrices=False)
    scale = spread.sum() / (old * old).sum()
    yield "procrustes", (scale * (q_old @ u) @ (v @ q_new.T)).astype(np.float32)


def _over(vectors: Array, map_: Array, means: tuple[Array, Array]) -> Array:
    mapped: Array = truncate_normalize((vectors - means[0]) @ map_ + means[1], map_.shape[1])
    return mapped


def _agreement(queries: Array, items: Array, new: Array) -> tuple[float, float]:
    """Overlap and recall of what queries find among items, with what the same rows of the new model find."""
    n_near = min(NEAR, len(new) - 1)
    true, found = _nearest(new, new, n_near), _nearest(queries, items, n_near)
    overlap = np.mean([len({*t} & {*f}) / n_near for t, f in zip(true, found, strict=True)])
    recall = np.mean([t[0] in f for t, f in zip(true, found, strict=True)])
    return round(float(overlap), 4), round(float(recall), 4)


def _nearest(queries: Array, items: Array, n: int) -> list[list[int]]:
    """The n items nearest to each query, best first, without its own, which stands at the same place."""
    scores = queries @ items.T
    np.fill_diagonal(scores, -np.inf)
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
        np.savez(draft, facts=np.array(said), map=bridge.map, old=bridge.means[0], new=bridge.means[1])
        os.replace(draft, file)
    except OSError:  # read only, or full: it is learned again next time
        draft.unlink(missing_ok=True)


def _read(file: Path, key: tuple[str, str, int]) -> Bridge | None:
    """A kept bridge; None where there is none of this key, or it is damaged: it can be learned again."""
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            facts = json.loads(str(stored["facts"]))
            map_, means = stored["map"], (stored["old"], stored["new"])
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
