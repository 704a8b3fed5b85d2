"""Files and records -> segments -> vectors -> store: resumable, one file at a time, in bounded memory.

A file's rows are written in one atomic call and carry its content hash and their number, so that after a kill a file
is either whole in the collection or is done again; nothing else is.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from onesense.engine import pieces
from onesense.engine.faults import ABOUT_NO_INPUT
from onesense.errors import InvalidInput, OnesenseError
from onesense.types import Array, Content, Embedding, Payload, Segment, Store, Task

from . import facts
from .reading import Ahead, Known, Twins, held_bytes, suffix
from .sources import Failure, Source, printable

if TYPE_CHECKING:
    from onesense.engine.embedder import Embedder

Progress = Callable[[int, int, str], None]
"""Called with (sources done, sources in all, path of the current one)."""

BATCH_SEGMENTS = 64  # segments that are embedded together
BATCH_BYTES = 256 << 20  # decoded media that are held at once, whatever their number
COMMIT_ROWS = 256  # rows a commit: 3 MB at 3072 dims, and few enough that a kill costs seconds
COMMIT_SECONDS = 5.0  # a slow model's work is safe after this long
LOOKUP = 256  # sources whose stored state is asked for at once

_T = TypeVar("_T")


@dataclass(slots=True)
class Report:
    """What became of each source. A source that failed in part is in `failed` and in `added` or `updated`."""

    added: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)
    """New paths of files that the collection held under another one; their vectors were taken over."""
    unchanged: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    """Gone from disk, so their rows were deleted (only with `prune`)."""
    failed: list[Failure] = field(default_factory=list)
    n_segments: int = 0
    """Segments that were embedded and stored."""
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return dataclasses.asdict(self)


@dataclass(slots=True)
class _Job:
    """A source whose segments are on their way through the model."""

    source: Source
    stamp: tuple[int, float] | None
    digest: str
    known: Known
    rows: list[tuple[Segment, Array]] = field(default_factory=list)
    """Stored segments, their content dropped, and float32 [d]."""
    extras: list[Payload] = field(default_factory=list)
    """What each of them adds to its payload: words and facts."""
    failures: list[Failure] = field(default_factory=list)
    twin: tuple[str, Known] | None = None
    """A file of the same content, whose rows are taken over instead."""
    is_lost: bool = False
    """Failed for a reason that may pass, so nothing is stored and the next run tries again."""

    def take(self, segment: Segment, outcome: Embedding | OnesenseError) -> None:
        if isinstance(outcome, Embedding):
            self.extras.append(facts.of_segment(segment, outcome.words))
            self.rows.append((dataclasses.replace(segment, content=_DROPPED), outcome.values))
        else:
            self.fail(outcome, str(segment.locator))

    def fail(self, cause: OnesenseError | OSError, place: str = "") -> None:
        self.failures.append(Failure.of(self.source.path, cause, place))
        self.is_lost |= not isinstance(cause, InvalidInput)

    @property
    def n_rows(self) -> int:
        return len(self.twin[1].ids) if self.twin else len(self.rows)

    def ids(self) -> list[str]:
        return [f"{self.source.path}#{i}" for i in range(self.n_rows)]

    def payloads(self) -> list[Payload]:
        if self.twin is not None:
            size, mtime = self.stamp or (None, None)
            own_fields = {"path": self.source.path, "size": size, "mtime": mtime}
            return [{**payload, **own_fields} for payload in self.twin[1].payloads]
        size, mtime = self.stamp or (None, None)
        shared: dict[str, Any] = {
            "path": self.source.path,
            "size": size,
            "mtime": mtime,
            "hash": self.digest,
            "n_segments": len(self.rows),
            "metadata": dict(self.source.metadata),
        }
        own = {} if self.stamp is None else facts.of_file(Path(self.source.path))
        return [
            shared
            | {"modality": s.modality, "locator": s.locator.to_dict(), "preview": s.preview, **extra}
            | {"facts": {**own, **extra.get("facts", {})}}
            for (s, _), extra in zip(self.rows, self.extras, strict=True)
        ]


class Ingest:
    """One run over many sources. Not thread-safe; the store and the embedder belong to the caller.

    Args:
        store: where the rows go.
        embedder: of the model that the store's spec names.
        progress: called once a source.
    """

    def __init__(self, store: Store, embedder: Embedder, progress: Progress | None = None) -> None:
        self.report = Report()
        self._store = store
        self._embedder = embedder
        self._task = Task.parse(store.spec.task)
        self._progress = progress
        self._buffer: list[tuple[_Job, Segment]] = []
        self._buffer_bytes = 0
        self._had_rows = store.count() > 0
        self._pending: set[str] = set()
        """Paths that are being read or wait for their commit."""
        self._n_done = 0
        self._n_total = 0
        self._read: list[_Job] = []
        """Jobs all of whose segments are in the buffer or embedded."""
        self._ready: list[_Job] = []
        """Jobs that wait for the next commit."""
        self._committed_s = time.monotonic()

    def run(self, sources: Iterable[Source | Failure], n_total: int) -> None:
        """Index what is new or changed; what fails is named in the report and the rest goes on.

        Raises:
            OnesenseError: the store failed, or the service of the model does. What was committed stays.
        """
        self._n_total = n_total
        try:
            with Ahead(pieces.limits(self._embedder.info)) as ahead:
                for chunk in _chunks(sources, LOOKUP):
                    self._read_chunk(chunk, ahead)
                self._drain(ahead)
            self._embed()
        finally:  # also when the user stops the run: what is embedded is kept
            self._commit()

    def prune(self, where: dict[str, Any], is_gone: Callable[[str], bool]) -> int:
        """Delete the rows of sources that pass the filter and are gone; returns how many sources were."""
        verdicts: dict[str, bool] = {}
        ids: list[str] = []
        for id_, payload in self._store.rows(where):
            path = str(payload.get("path"))
            if payload.get("mtime") is not None and verdicts.setdefault(path, is_gone(path)):
                ids.append(id_)
        self._store.delete(ids)
        removed = sorted(path for path, gone in verdicts.items() if gone)
        self.report.removed += removed
        return len(removed)

    # --- one source ---------------------------------------------------------------------------------------------

    def _read_chunk(self, chunk: Sequence[Source | Failure], ahead: Ahead) -> None:
        found = [source for source in chunk if not isinstance(source, Failure)]
        known = self._look_up([source.path for source in found])
        twins = self._twins([source for source in found if source.path not in known])
        for source in chunk:
            if isinstance(source, Failure):
                self.report.failed.append(source)
                self._count(source.path)
                continue
            if source.path in self._pending:  # given twice in one run
                self._drain(ahead)
                self._embed()
                self._commit()
                known |= self._look_up([source.path])
            while ahead.is_full:
                self._take(ahead)
            self._pending.add(source.path)
            ahead.give(source, known.get(source.path, Known()), twins)

    def _drain(self, ahead: Ahead) -> None:
        while len(ahead):
            self._take(ahead)

    def _look_up(self, paths: Sequence[str]) -> dict[str, Known]:
        known: dict[str, Known] = {}
        valid = [path for path in paths if printable(path) == path]
        for id_, payload in self._store.rows({"path": valid}) if valid else ():
            known.setdefault(str(payload["path"]), Known()).add(id_, payload)
        return known

    def _twins(self, unknown: Sequence[Source]) -> Twins:
        """Files of the collection that may be unknown ones before they were moved: those of the same size."""
        sizes = sorted({size for source in unknown if (size := _size(source)) is not None})
        if not sizes or not self._had_rows:
            return {}
        found: dict[str, Known] = {}
        for id_, payload in self._store.rows({"size": sizes}):
            if payload.get("mtime") is not None:
                found.setdefault(str(payload["path"]), Known()).add(id_, payload, keeps_payloads=True)
        return {(min(k.digests), suffix(path)): (path, k) for path, k in found.items() if k.is_whole}

    def _take(self, ahead: Ahead) -> None:
        """The next source in order: pass over an unchanged one, else send it through the model."""
        reading, segments = ahead.take()
        job = _Job(reading.source, None, "", reading.known)
        for segment in segments:
            self._buffer.append((job, segment))
            self._buffer_bytes += held_bytes(segment.content)
            if len(self._buffer) >= BATCH_SEGMENTS or self._buffer_bytes >= BATCH_BYTES:
                self._embed()
        job.stamp, job.digest, job.twin = reading.stamp, reading.digest, reading.twin
        if reading.error is not None:
            job.fail(reading.error)
        if reading.is_same:
            self._restamp(job.source.path, reading.known, reading.stamp)
            self.report.unchanged.append(job.source.path)
            self._pending.discard(job.source.path)
        else:
            self._read.append(job)
        self._count(job.source.path)

    def _count(self, path: str) -> None:
        self._n_done += 1
        if self._progress is not None:
            self._progress(self._n_done, self._n_total, printable(path))

    def _restamp(self, path: str, known: Known, stamp: tuple[int, float] | None) -> None:
        """Note the new time of a file that was touched but not changed, so that the next run need not read it."""
        if stamp is None or known.stamps == {stamp}:
            return
        payloads = dict(self._store.rows({"path": path}))
        renewed = [{**payloads[id_], "size": stamp[0], "mtime": stamp[1]} for id_ in known.ids]
        self._store.upsert(known.ids, self._store.vectors(known.ids), renewed)

    # --- through the model, in batches --------------------------------------------------------------------------

    def _embed(self) -> None:
        """Embed the buffer, and commit what is whole when it is time."""
        batch, self._buffer, self._buffer_bytes = self._buffer, [], 0
        outcomes = self._embedder.try_embed([s.content for _, s in batch], self._store.spec.dim, self._task)
        if stop := [o for o in outcomes if self._embedder.info.is_remote and isinstance(o, ABOUT_NO_INPUT)]:
            raise stop[0]
        for (job, segment), outcome in zip(batch, outcomes, strict=True):
            job.take(segment, outcome)
        self._ready += self._read
        self._read = []
        n_rows = sum(job.n_rows for job in self._ready)
        if n_rows >= COMMIT_ROWS or time.monotonic() - self._committed_s >= COMMIT_SECONDS:
            self._commit()

    def _commit(self) -> None:
        """Write the rows of finished jobs in one call, then drop what is left of their former reading."""
        jobs, self._ready = self._ready, []
        whole = [job for job in jobs if job.n_rows and not job.is_lost]
        if whole:
            ids = [id_ for job in whole for id_ in job.ids()]
            vectors = np.concatenate([self._vectors(job) for job in whole])
            self._store.upsert(ids, vectors, [payload for job in whole for payload in job.payloads()])
        stale = {id_ for job in jobs if not job.is_lost for id_ in set(job.known.ids) - set(job.ids())}
        moved = {job.source.path: job.twin for job in whole if job.twin and not os.path.lexists(job.twin[0])}
        stale |= {id_ for _, twin in moved.values() for id_ in twin.ids}
        self._store.delete(sorted(stale))
        for job in jobs:
            self._note(job, was_moved=job.source.path in moved)
        self._pending -= {job.source.path for job in jobs}
        self._committed_s = time.monotonic()

    def _vectors(self, job: _Job) -> Array:
        if job.twin is not None:
            return self._store.vectors(job.twin[1].ids)
        return np.stack([vector for _, vector in job.rows])

    def _note(self, job: _Job, *, was_moved: bool) -> None:
        path = job.source.path
        self.report.failed += job.failures
        if not job.n_rows and not job.failures:
            self.report.failed.append(Failure(path, "there is nothing to embed in it", "empty_input"))
        if job.n_rows and not job.is_lost:
            self.report.n_segments += len(job.rows)
            outcome = self.report.moved if was_moved else self.report.updated if job.known.ids else self.report.added
            outcome.append(path)


_DROPPED = Content("")


def _size(source: Source) -> int | None:
    """Bytes of a file, None of a record and of what cannot be looked at."""
    try:
        stamp = source.stamp()
    except (OnesenseError, OSError):
        return None
    return stamp[0] if stamp is not None else None


def _chunks(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
