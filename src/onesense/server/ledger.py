"""A small SQLite database that survives `kill -9`: what the server must remember about files and batches."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import CorruptData, StorageFull

_BUSY_S = 10.0  # another process may hold the write lock for a commit, not for longer


class Ledger:
    """One database file in WAL mode, opened by whoever owns it and closed by the same.

    Thread-safe: one connection behind one lock; every statement is short.

    Args:
        path: the database, created with its folder where it is missing.
        schema: `CREATE TABLE IF NOT EXISTS` statements.

    Raises:
        CorruptData: the file is no SQLite database.
        StorageFull: the disk is full.
    """

    def __init__(self, path: Path, schema: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._lock = threading.RLock()
        with self._faults():
            self._connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
            self._connection.row_factory = sqlite3.Row
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")  # safe against a killed process
            self._connection.executescript(schema)

    def add_column(self, table: str, name: str, kind: str) -> None:
        """Widen a table that an earlier version made; nothing where the column is there."""
        with self.transaction():
            if name not in {row["name"] for row in self.rows(f"PRAGMA table_info({table})")}:
                self.write(f"ALTER TABLE {table} ADD COLUMN {name} {kind}")

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """All rows that a query answers."""
        with self._lock, self._faults():
            return self._connection.execute(query, values).fetchall()

    def row(self, query: str, values: Sequence[Any] = ()) -> sqlite3.Row | None:
        """The first row of the answer, None where there is none."""
        with self._lock, self._faults():
            found: sqlite3.Row | None = self._connection.execute(query, values).fetchone()
            return found

    def write(self, statement: str, values: Sequence[Any] = ()) -> int:
        """Change rows; the number of rows that were changed."""
        with self._lock, self._faults():
            return self._connection.execute(statement, values).rowcount

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside happens, or nothing does; other threads and processes wait to write."""
        with self._lock, self._faults():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def close(self) -> None:
        """Release the file. Calling it twice is fine."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as cause:
            if "full" in str(cause):
                raise StorageFull(f"the disk of the server is full ({self._path.name}): free some space") from cause
            raise CorruptData(f"`{self._path}` cannot be used: {cause}") from cause
        except sqlite3.DatabaseError as cause:
            raise CorruptData(f"`{self._path}` cannot be read: {cause}; move it away to start anew") from cause
