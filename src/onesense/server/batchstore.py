"""Batches of requests that are embedded in the background: what was asked, how far it is, what came out.

A batch is a row in SQLite and a folder with `input.jsonl` and `output.jsonl`. Results are appended to the output, and
the row then says how many lines and bytes of both are settled: after `kill -9` the work goes on from there, and what
was written behind it is cut off.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from ..errors import EmptyInput, NotFound
from .filestore import new_id
from .ledger import Ledger

_SCHEMA = """
CREATE TABLE IF NOT EXISTS batches (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, model TEXT NOT NULL,
  display_name TEXT NOT NULL, priority INTEGER NOT NULL, base TEXT NOT NULL, input_file TEXT NOT NULL,
  state TEXT NOT NULL, created_s REAL NOT NULL, updated_s REAL NOT NULL, ended_s REAL,
  n_requests INTEGER NOT NULL, n_done INTEGER NOT NULL DEFAULT 0, n_failed INTEGER NOT NULL DEFAULT 0,
  read_bytes INTEGER NOT NULL DEFAULT 0, written_bytes INTEGER NOT NULL DEFAULT 0,
  n_attempts INTEGER NOT NULL DEFAULT 0, is_careful INTEGER NOT NULL DEFAULT 0,
  output_file TEXT NOT NULL DEFAULT '', error_code INTEGER NOT NULL DEFAULT 0, error TEXT NOT NULL DEFAULT '');
"""
_CAREFUL_AFTER = 2  # deaths of the server at one place of a batch before its lines are taken one by one


class State(StrEnum):
    """Google's `BatchState`, without its prefix."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"

    @property
    def is_open(self) -> bool:
        """Whether there is still work to do."""
        return self in (State.PENDING, State.RUNNING)


@dataclass(frozen=True, slots=True)
class BatchRow:
    """One batch of one owner."""

    id: str
    """The name behind `batches/`."""
    owner: str
    model: str
    display_name: str
    priority: int
    base: str
    """What stands before `files/ID` in the URI of the result file."""
    input_file: str
    """`files/ID` that the requests came from; '' where they came in the call."""
    state: State
    created_s: float
    updated_s: float
    ended_s: float | None
    n_requests: int
    n_done: int
    """Settled requests, failed ones included."""
    n_failed: int
    read_bytes: int
    """Of the input, up to the end of the last settled line."""
    written_bytes: int
    """Of the output, up to the end of the last settled line."""
    n_attempts: int
    """How often the next lines were begun and not settled: more than once means that the server died of them."""
    is_careful: bool
    """Lines are taken one by one, so that one that kills the server costs itself alone."""
    output_file: str
    """`files/ID` of the results, '' where they are given in the answer."""
    error_code: int
    error: str
    folder: Path

    @property
    def input(self) -> Path:
        """The requests, one a line."""
        return self.folder / "input.jsonl"

    @property
    def output(self) -> Path:
        """The results, one a line; gone when they became a file of the file store."""
        return self.folder / "output.jsonl"


@dataclass(frozen=True, slots=True)
class NewBatch:
    """What a client asks for."""

    owner: str
    model: str
    base: str
    display_name: str = ""
    priority: int = 0
    input_file: str = ""


class BatchStore:
    """A folder of batches. Thread-safe; survives `kill -9`; `close` releases the database.

    Args:
        folder: created where it is missing.
        keep_s: life of an ended batch, and the longest time that one may wait and run.
        clock: seconds since 1970; tests turn it.
    """

    def __init__(self, folder: Path, keep_s: float, clock: Callable[[], float] = time.time) -> None:
        self.folder = folder
        self._keep_s = keep_s
        self._clock = clock
        folder.mkdir(parents=True, exist_ok=True)
        self._ledger = Ledger(folder / "batches.sqlite", _SCHEMA)

    def create(self, new: NewBatch, requests: Path | Iterable[bytes]) -> BatchRow:
        """Take in a batch.

        Args:
            new: what is asked.
            requests: a file of the same disk, which stays where it is, or the lines themselves.

        Raises:
            EmptyInput: there is no request.
            StorageFull: the disk is full.
        """
        batch_id = new_id()
        folder = self.folder / batch_id
        folder.mkdir()
        try:
            n_requests = _fill(folder / "input.jsonl", requests)
            if n_requests == 0:
                raise EmptyInput('the batch holds no request: a line of its file is one, `{"key": …, "request": …}`')
            now = self._clock()
            self._ledger.write(
                "INSERT INTO batches (id, owner, model, display_name, priority, base, input_file, state, created_s,"
                " updated_s, n_requests) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (batch_id, new.owner, new.model, new.display_name, new.priority, new.base, new.input_file,
                 State.PENDING, now, now, n_requests),
            )  # fmt: skip
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return self.get(new.owner, batch_id)

    def get(self, owner: str, batch_id: str) -> BatchRow:
        """One batch.

        Raises:
            NotFound: this owner has none of this name.
        """
        row = self._ledger.row("SELECT * FROM batches WHERE id = ? AND owner = ?", (batch_id, owner))
        if row is None:
            raise NotFound(f"there is no `batches/{batch_id[:64]}`: it may have been deleted, or have expired")
        return self._batch(row)

    def list(self, owner: str, limit: int, before: int | None = None) -> tuple[list[BatchRow], int | None]:
        """A page of batches, newest first; arguments and answer as `FileStore.list`."""
        query = "SELECT * FROM batches WHERE owner = ? AND seq < ? ORDER BY seq DESC LIMIT ?"
        rows = self._ledger.rows(query, (owner, 2**62 if before is None else before, limit + 1))
        rest = rows[limit - 1]["seq"] if len(rows) > limit else None
        return [self._batch(row) for row in rows[:limit]], rest

    def update(self, owner: str, batch_id: str, fields: dict[str, Any]) -> BatchRow:
        """Change `display_name` and `priority`. Raises NotFound as `get`."""
        batch = self.get(owner, batch_id)
        values = (fields.get("display_name", batch.display_name), fields.get("priority", batch.priority))
        self._ledger.write("UPDATE batches SET display_name = ?, priority = ? WHERE id = ?", (*values, batch_id))
        return self.get(owner, batch_id)

    def cancel(self, owner: str, batch_id: str) -> None:
        """Stop a batch; one that has ended stays as it is. Raises NotFound as `get`."""
        self.get(owner, batch_id)
        self._end(batch_id, State.CANCELLED)

    def delete(self, owner: str, batch_id: str) -> None:
        """Forget a batch, running or not; a result file stays a file. Raises NotFound as `get`."""
        batch = self.get(owner, batch_id)
        self._ledger.write("DELETE FROM batches WHERE id = ?", (batch_id,))
        shutil.rmtree(batch.folder, ignore_errors=True)

    # --- for the worker -------------------------------------------------------------------------------------------

    def next(self) -> BatchRow | None:
        """The batch to work on: one that runs already, then the highest priority, then the oldest."""
        query = "SELECT * FROM batches WHERE state IN (?, ?) ORDER BY state = ? DESC, priority DESC, seq LIMIT 1"
        row = self._ledger.row(query, (State.RUNNING, State.PENDING, State.RUNNING))
        return None if row is None else self._batch(row)

    def attempt(self, batch: BatchRow, *, is_again: bool = False) -> BatchRow:
        """Note that the next lines are begun.

        Args:
            batch: which.
            is_again: this process has begun these very lines before, and lives: they are not to blame.

        Raises:
            NotFound: the batch was deleted.
        """
        is_careful = batch.is_careful or batch.n_attempts >= _CAREFUL_AFTER
        n_attempts = 1 if is_careful and not batch.is_careful else batch.n_attempts + (not is_again)
        self._ledger.write(
            "UPDATE batches SET state = ?, n_attempts = ?, is_careful = ?, updated_s = ?"
            " WHERE id = ? AND state IN (?, ?)",
            (State.RUNNING, n_attempts, is_careful, self._clock(), batch.id, State.PENDING, State.RUNNING),
        )
        return self.get(batch.owner, batch.id)

    def settle(self, batch: BatchRow, *, n_done: int, n_failed: int, read_bytes: int, written_bytes: int) -> BatchRow:
        """Note that lines are settled; counts and sizes are those of the whole batch.

        Raises:
            NotFound: the batch was deleted.
        """
        self._ledger.write(
            "UPDATE batches SET n_done = ?, n_failed = ?, read_bytes = ?, written_bytes = ?, n_attempts = 0,"
            " updated_s = ? WHERE id = ?",
            (n_done, n_failed, read_bytes, written_bytes, self._clock(), batch.id),
        )
        return self.get(batch.owner, batch.id)

    def pause(self, batch: BatchRow) -> None:
        """Note that the server goes down in order: the lines that were begun are not to blame."""
        self._ledger.write("UPDATE batches SET n_attempts = 0 WHERE id = ?", (batch.id,))

    def succeed(self, batch: BatchRow, output_file: str = "") -> None:
        """End a batch whose lines are all settled."""
        self._end(batch.id, State.SUCCEEDED, output_file=output_file)

    def fail(self, batch: BatchRow, code: int, message: str) -> None:
        """End a batch that cannot go on.

        Args:
            batch: which.
            code: number of a google.rpc.Code.
            message: why.
        """
        self._end(batch.id, State.FAILED, error_code=code, error=message)

    def sweep(self) -> None:
        """End what has been open for too long, and remove what ended long ago."""
        now = self._clock()
        open_states = (State.PENDING, State.RUNNING)
        query = "SELECT id FROM batches WHERE created_s <= ? AND state IN (?, ?)"
        for row in self._ledger.rows(query, (now - self._keep_s, *open_states)):
            self._end(row["id"], State.EXPIRED)
        for row in self._ledger.rows("SELECT id FROM batches WHERE ended_s <= ?", (now - self._keep_s,)):
            self._ledger.write("DELETE FROM batches WHERE id = ?", (row["id"],))
            shutil.rmtree(self.folder / row["id"], ignore_errors=True)

    def close(self) -> None:
        """Release the database. Calling it twice is fine."""
        self._ledger.close()

    def _end(self, batch_id: str, state: State, **fields: Any) -> None:
        values = {"output_file": "", "error_code": 0, "error": ""} | fields
        now = self._clock()
        self._ledger.write(
            "UPDATE batches SET state = ?, ended_s = ?, updated_s = ?, output_file = ?, error_code = ?, error = ?"
            " WHERE id = ? AND state IN (?, ?)",
            (state, now, now, *values.values(), batch_id, State.PENDING, State.RUNNING),
        )

    def _batch(self, row: Any) -> BatchRow:
        fields = dict(row)
        del fields["seq"]
        fields["state"] = State(fields["state"])
        fields["is_careful"] = bool(fields["is_careful"])
        return BatchRow(**fields, folder=self.folder / fields["id"])


def _fill(target: Path, requests: Path | Iterable[bytes]) -> int:
    """Write the input, and count its lines that are not blank."""
    if isinstance(requests, Path):
        try:
            os.link(requests, target)  # the upload may be deleted while the batch runs
        except OSError:
            shutil.copyfile(requests, target)
    else:
        with target.open("wb") as file:
            file.writelines(line + b"\n" for line in requests)
    with target.open("rb") as file:
        return sum(1 for line in file if line.strip())


def settled(path: Path, n_bytes: int) -> None:
    """Cut what was written but not settled off an output; a missing one is made."""
    with contextlib.suppress(FileExistsError):
        path.touch(exist_ok=False)
    os.truncate(path, n_bytes)
