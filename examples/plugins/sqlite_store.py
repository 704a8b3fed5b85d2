"""A store in one SQLite file: a finished example of the `Store` contract.

Name it in a package's `pyproject.toml` and every collection whose path ends in `.sqlite` uses it:

    [project.entry-points."onesense.stores"]
    sqlite = "your_package.sqlite_store"

The contract suite (`tests/contracts/test_stores.py`) runs it beside the built-in stores.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np

from onesense.errors import CorruptData, NotFound
from onesense.index import where as filters
from onesense.index.rows import check_query, check_rows, require_same, spec_from_dict, spec_to_dict
from onesense.types import Array, Payload, StoreSpec, Where
from onesense.vectors import rerank

TABLES = """
CREATE TABLE IF NOT EXISTS spec (fields TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS rows (id TEXT PRIMARY KEY, vector BLOB NOT NULL, payload TEXT NOT NULL) WITHOUT ROWID;
"""


class Store:
    """Brute-force search over one SQLite file. Thread-safe; readers go on while one process writes."""

    features = frozenset({"filter"})

    def __init__(self, path: Path, spec: StoreSpec) -> None:
        self.spec = spec
        self._path = path
        self._lock = threading.Lock()

    @classmethod
    def read_spec(cls, path: Path) -> StoreSpec | None:
        """The spec of the collection at `path`, None when nothing is there."""
        if not path.exists():
            return None
        with _connection(path) as database:
            row = database.execute("SELECT fields FROM spec").fetchone()
        return spec_from_dict(json.loads(row[0]) if row else None, path)

    @classmethod
    def open(cls, path: Path, spec: StoreSpec) -> Store:
        """Open or create."""
        if (found := cls.read_spec(path)) is not None:
            require_same(found, spec, path)
            return cls(path, spec)
        with _connection(path) as database:
            database.execute("PRAGMA journal_mode = WAL")
            database.executescript(TABLES)
            database.execute("INSERT INTO spec VALUES (?)", [json.dumps(spec_to_dict(spec))])
        return cls(path, spec)

    def upsert(self, ids: Sequence[str], vectors: Array, payloads: Sequence[Payload]) -> None:
        """Insert or replace rows, in one transaction."""
        names, rows, texts = check_rows(ids, vectors, payloads, self.spec.dim)
        blobs = [row.astype("<f4").tobytes() for row in rows]
        with self._lock, _connection(self._path) as database:
            database.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?, ?)", zip(names, blobs, texts, strict=True))

    def delete(self, ids: Sequence[str]) -> None:
        """Remove rows, in one transaction."""
        with self._lock, _connection(self._path) as database:
            database.executemany("DELETE FROM rows WHERE id = ?", [(id_,) for id_ in ids])

    def search(self, vector: Array, k: int, where: Where | None = None) -> list[tuple[str, float, Payload]]:
        """The k nearest rows that pass the filter; ties by id, which is the order they are read in."""
        query = check_query(vector, k, self.spec.dim)
        found = [(id_, blob, payload) for id_, blob, payload in self._read(where)]
        order, scores = rerank(self._matrix([blob for _, blob, _ in found]), query, k)
        return [(found[i][0], float(score), found[i][2]) for i, score in zip(order, scores, strict=True)]

    def rows(self, where: Where | None = None) -> Iterator[tuple[str, Payload]]:
        """Ids and payloads, by id."""
        return ((id_, payload) for id_, _, payload in self._read(where))

    def vectors(self, ids: Sequence[str]) -> Array:
        """float32 [n, d] of these ids, in order."""
        blobs = {id_: blob for id_, blob, _ in self._read(None)}
        missing = [id_ for id_ in ids if id_ not in blobs]
        if missing:
            raise NotFound(f"`{self._path}` has no row `{missing[0]}`")
        return self._matrix([blobs[id_] for id_ in ids])

    def count(self) -> int:
        """Number of rows."""
        with _connection(self._path) as database:
            return int(database.execute("SELECT count(*) FROM rows").fetchone()[0])

    def close(self) -> None:
        """Nothing is held open between calls."""

    def _read(self, where: Where | None) -> list[tuple[str, bytes, Payload]]:
        checked = filters.check(where)
        with _connection(self._path) as database:
            rows = database.execute("SELECT id, vector, payload FROM rows ORDER BY id").fetchall()
        parsed = ((id_, blob, json.loads(text)) for id_, blob, text in rows)
        return [row for row in parsed if filters.matches(row[2], checked)]

    def _matrix(self, blobs: list[bytes]) -> Array:
        return np.frombuffer(b"".join(blobs), "<f4").reshape(len(blobs), self.spec.dim)


@contextmanager
def _connection(path: Path) -> Iterator[sqlite3.Connection]:
    """One transaction: committed at the end, rolled back on an error."""
    try:
        with closing(sqlite3.connect(path, timeout=30)) as database, database:
            yield database
    except sqlite3.DatabaseError as cause:
        raise CorruptData(f"the collection `{path}` cannot be read or written: {cause}") from cause
