"""A collection in one JSON file that anyone can read: the spec, then a row a line with its payload and its vector.

Everything is in memory and every write writes the whole file, so it is for thousands of rows, not for millions.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from onesense.errors import CorruptData, NotFound
from onesense.index import where as filters
from onesense.index import words as fulltext
from onesense.index.rows import check_query, check_rows, evenly, require_same, spec_from_dict, spec_to_dict
from onesense.types import Array, Payload, StoreSpec, Where, as_float32
from onesense.vectors import rerank

from ._disk import faults_told, write_atomically

DECIMALS = 8  # a float32 component of a unit vector of 3072 has its last bit near 1e-9; cosines move by < 1e-7


@dataclass(slots=True)
class _Rows:
    """The rows, sorted by id so that ties come out by id."""

    ids: list[str] = field(default_factory=list)
    payloads: list[dict[str, Any]] = field(default_factory=list)
    vectors: Array = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    """float32 [n, d]."""
    lines: list[str] = field(default_factory=list)
    """Each row as it stands in the file, so that a write formats only what is new."""
    index: fulltext.Index | None = None
    """Words of the rows, made when somebody looks for some."""


class Store:
    """See `onesense.types.Store`. Thread-safe; one writer at a time across processes, held by a lock on the folder."""

    features = frozenset({"filter", "text"})

    def __init__(self, path: Path, spec: StoreSpec) -> None:
        self.spec = spec
        self._path = path
        self._lock = threading.RLock()
        self._stamp: tuple[int, int, int] | None = None
        self._rows = _Rows(vectors=np.zeros((0, spec.dim), np.float32))
        self._notes: dict[str, Any] = {}

    @classmethod
    def read_spec(cls, path: Path) -> StoreSpec | None:
        """The spec of the collection at `path`, None when nothing is there."""
        return spec_from_dict(_read(path).get("spec"), path) if path.exists() else None

    @classmethod
    def open(cls, path: Path, spec: StoreSpec) -> Store:
        """Open or create; see the contract.

        Raises:
            FingerprintMismatch: it was made by another model, size or task.
            CorruptData: it is no collection.
            StorageFull: there is no room to make it.
            PermissionDenied: it cannot be made there.
        """
        store = cls(path, spec)
        with faults_told(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with store._lock, _exclusive(path.parent):
                if path.exists():
                    store._refresh()
                else:
                    store._write()
        return store

    def upsert(self, ids: Sequence[str], vectors: Array, payloads: Sequence[Payload]) -> None:
        """Insert or replace rows; one atomic write."""
        names, rows, texts = check_rows(ids, vectors, payloads, self.spec.dim)
        with self._writing():
            fresh = set(names)
            kept = [i for i, id_ in enumerate(self._rows.ids) if id_ not in fresh]
            lines = [_line(*row) for row in zip(names, texts, rows, strict=True)]
            parsed = [json.loads(text) for text in texts]
            self._replace(kept, _Rows(names, parsed, rows, lines))

    def delete(self, ids: Sequence[str]) -> None:
        """Remove rows; one atomic write."""
        gone = set(ids)
        with self._writing():
            kept = [i for i, id_ in enumerate(self._rows.ids) if id_ not in gone]
            if len(kept) < len(self._rows.ids):
                self._replace(kept, _Rows(vectors=np.zeros((0, self.spec.dim), np.float32)))

    def search(self, vector: Array, k: int, where: Where | None = None) -> list[tuple[str, float, Payload]]:
        """Brute force: the cosine of every row that passes the filter."""
        query = check_query(vector, k, self.spec.dim)
        rows, passing = self._select(where)
        order, scores = rerank(rows.vectors[passing], query, k)
        found = zip((passing[i] for i in order), scores, strict=True)
        return [(rows.ids[i], float(score), rows.payloads[i]) for i, score in found]

    def find_words(self, words: Sequence[str], k: int, where: Where | None = None) -> list[tuple[str, float, Payload]]:
        """The k rows with the highest BM25, see `types.Worded`."""
        rows, passing = self._select(where)
        if rows.index is None:
            rows.index = fulltext.Index([fulltext.of_payload(payload) for payload in rows.payloads])
        return [(rows.ids[i], score, rows.payloads[i]) for i, score in rows.index.scores(words, passing)[:k]]

    def read_note(self, name: str) -> Mapping[str, Any] | None:
        """A field of the file, below `notes`."""
        with self._lock:
            self._refresh()
            note = self._notes.get(name)
        return note if isinstance(note, dict) else None

    def write_note(self, name: str, note: Mapping[str, Any]) -> None:
        """A field of the file, below `notes`; writes the file."""
        with self._lock, _exclusive(self._path.parent):
            self._refresh()
            self._notes = {**self._notes, name: dict(note)}
            self._write()

    def sample(self, most: int) -> Mapping[str, tuple[int, list[str]]]:
        """See `types.Sampling`."""
        rows, _ = self._select(None)
        found: dict[str, list[str]] = {}
        for id_, payload in zip(rows.ids, rows.payloads, strict=True):
            found.setdefault(str(payload.get("modality", "")), []).append(id_)
        return {name: (len(ids), evenly(ids, most)) for name, ids in found.items()}

    def rows(self, where: Where | None = None) -> Iterator[tuple[str, Payload]]:
        """Ids and payloads, by id."""
        rows, passing = self._select(where)
        return ((rows.ids[i], rows.payloads[i]) for i in passing)

    def vectors(self, ids: Sequence[str]) -> Array:
        """Float32 [n, d] of these ids, in order."""
        rows, _ = self._select(None)
        place = {id_: i for i, id_ in enumerate(rows.ids)}
        missing = [id_ for id_ in ids if id_ not in place]
        if missing:
            raise NotFound(f"`{self._path}` has no row `{missing[0]}`")
        return rows.vectors[[place[id_] for id_ in ids]]

    def count(self) -> int:
        """Number of rows."""
        return len(self._select(None)[1])

    def version(self) -> Hashable:
        """What the file system says of the file, see `types.Versioned`."""
        return _stamp(self._path)

    def close(self) -> None:
        """Nothing is held open between calls."""

    # --- the file -----------------------------------------------------------------------------------------------

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._lock, faults_told(self._path), _exclusive(self._path.parent):
            self._refresh()
            yield

    def _select(self, where: Where | None) -> tuple[_Rows, list[int]]:
        checked = filters.check(where)
        with self._lock:
            self._refresh()
            rows = self._rows
        return rows, [i for i, payload in enumerate(rows.payloads) if filters.matches(payload, checked)]

    def _replace(self, kept: list[int], new: _Rows) -> None:
        """Write the kept rows and the new ones, sorted by id; memory follows only when the file is in place."""
        old = self._rows
        ids = [old.ids[i] for i in kept] + new.ids
        order = sorted(range(len(ids)), key=ids.__getitem__)
        payloads = [old.payloads[i] for i in kept] + new.payloads
        lines = [old.lines[i] for i in kept] + new.lines
        stacked = np.concatenate([old.vectors[kept], new.vectors])
        self._rows = _Rows(
            [ids[i] for i in order], [payloads[i] for i in order], stacked[order], [lines[i] for i in order]
        )
        try:
            self._write()
        except OSError:
            self._rows = old
            raise

    def _write(self) -> None:
        fields = {"format": self.spec.format, "spec": spec_to_dict(self.spec)}
        head = json.dumps(fields | ({"notes": self._notes} if self._notes else {}), ensure_ascii=False)
        write_atomically(self._path, [head[:-1], ', "rows": [\n', ",\n".join(self._rows.lines), "\n]}\n"])
        self._stamp = _stamp(self._path)

    def _refresh(self) -> None:
        """Read the file again when another process has replaced it."""
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        fields = _read(self._path)
        require_same(spec_from_dict(fields.get("spec"), self._path), self.spec, self._path)
        self._rows = _parse_rows(fields.get("rows"), self.spec.dim, self._path)
        notes = fields.get("notes")
        self._notes = notes if isinstance(notes, dict) else {}
        self._stamp = stamp


def _line(id_: str, payload: str, vector: Array) -> str:
    numbers = json.dumps(np.round(vector.astype(np.float64), DECIMALS).tolist())
    return f'{{"id": {json.dumps(id_, ensure_ascii=False)}, "payload": {payload}, "vector": {numbers}}}'


def _read(path: Path) -> dict[str, Any]:
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFound(f"the collection `{path}` is gone") from None
    except (ValueError, RecursionError) as cause:
        raise CorruptData(f"`{path}` is not a collection of Onesense: it is not valid JSON ({cause})") from cause
    if not isinstance(fields, dict):
        raise CorruptData(f"`{path}` is not a collection of Onesense: an object with `spec` and `rows` was expected")
    return fields


def _parse_rows(rows: Any, dim: int, path: Path) -> _Rows:
    try:
        found = sorted(rows, key=lambda row: row["id"])
        vectors = as_float32([row["vector"] for row in found]).reshape(len(found), dim)
        payloads = [dict(row["payload"]) for row in found]
        ids = [str(row["id"]) for row in found]
    except (TypeError, KeyError, ValueError) as cause:
        raise CorruptData(f"`{path}`: a row lacks an id, a payload or {dim} numbers ({cause!r})") from cause
    texts = [json.dumps(payload, ensure_ascii=False) for payload in payloads]
    return _Rows(ids, payloads, vectors, [_line(*row) for row in zip(ids, texts, vectors, strict=True)])


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


@contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """Keep other writing processes out; where there is no `flock` (Windows), a collection has one writer."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
