"""Files and records -> segments -> vectors -> store: resumable, one file at a time, in bounded memory.

A file's rows are written in one atomic call and carry its content hash and their number, so that after a kill a file
is either whole in the collection or is done again; nothing else is.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from onesense.engine import pieces
from onesense.errors import InvalidInput, OnesenseError
from onesense.types import Array, Content, Embedding, Image, Page, Payload, Segment, Store, Task, Video

from . import facts
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
class _Known:
    """What the collection holds of a source."""

    ids: list[str] = field(default_factory=list)
    stamps: set[tuple[Any, Any]] = field(default_factory=set)
    digests: set[str] = field(default_factory=set)
    counts: set[int] = field(default_factory=set)

    def add(self, id_: str, payload: Payload) -> None:
        self.ids.append(id_)
        self.stamps.add((payload.get("size"), payload.get("mtime")))
        self.digests.add(str(payload.get("hash")))
        self.counts.add(int(payload.get("n_segments", 0)))

    @property
    def is_whole(self) -> bool:
        """All rows are there and of one reading of the file."""
        return len(self.digests) == 1 and self.counts == {len(self.ids)}


@dataclass(slots=True)
class _Job:
    """A source whose segments are on their way through the model."""

    source: Source
    stamp: tuple[int, float] | None
    digest: str
    known: _Known
    rows: list[tuple[Segment, Array]] = field(default_factory=list)
    """Stored segments, their content dropped, and float32 [d]."""
    extras: list[Payload] = field(default_factory=list)
    """What each of them adds to its payload: words and facts."""
    failures: list[Failure] = field(default_factory=list)
    is_lost: bool = False
    """Failed for a reason that may pass, so nothing is stored and the next run tries again."""

    def take(self, segment: Segment, outcome: Embedding | OnesenseError) -> None:
        if isinstance(outcome, Embedding):
            self.extras.append(facts.of_segment(segment))
            self.rows.append((dataclasses.replace(segment, content=_DROPPED), outcome.values))
        else:
            self.fail(outcome, str(segment.locator))

    def fail(self, cause: OnesenseError | OSError, place: str = "") -> None:
        self.failures.append(Failure.of(self.source.path, cause, place))
        self.is_lost |= not isinstance(cause, InvalidInput)

    def ids(self) -> list[str]:
        return [f"{self.source.path}#{i}" for i in range(len(self.rows))]

    def payloads(self) -> list[Payload]:
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
        self._read: list[_Job] = []
        """Jobs all of whose segments are in the buffer or embedded."""
        self._ready: list[_Job] = []
        """Jobs that wait for the next commit."""
        self._committed_s = time.monotonic()

    def run(self, sources: Iterable[Source | Failure], n_total: int) -> None:
        """Index what is new or changed; what fails is named in the report and the rest goes on.

        Raises:
            OnesenseError: the store failed, or the model refuses everything. What was committed stays.
        """
        n_done = 0
        try:
            for chunk in _chunks(sources, LOOKUP):
                known = self._look_up([s.path for s in chunk if not isinstance(s, Failure)])
                for source in chunk:
                    self._take(source, known)
                    n_done += 1
                    if self._progress is not None:
                        self._progress(n_done, n_total, printable(source.path))
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

    def _look_up(self, paths: Sequence[str]) -> dict[str, _Known]:
        known: dict[str, _Known] = {}
        valid = [path for path in paths if printable(path) == path]
        for id_, payload in self._store.rows({"path": valid}) if valid else ():
            known.setdefault(str(payload["path"]), _Known()).add(id_, payload)
        return known

    def _take(self, source: Source | Failure, known: dict[str, _Known]) -> None:
        if isinstance(source, Failure):
            self.report.failed.append(source)
            return
        if any(job.source.path == source.path for job in (*self._read, *self._ready)):  # given twice in one run
            self._embed()
            self._commit()
            known |= self._look_up([source.path])
        try:
            self._compare(source, known.get(source.path, _Known()))
        except (OnesenseError, OSError) as cause:
            self.report.failed.append(Failure.of(source.path, cause))
            if isinstance(cause, InvalidInput):  # what the rows were made of is gone for good
                self._store.delete(known.get(source.path, _Known()).ids)

    def _compare(self, source: Source, known: _Known) -> None:
        """Pass over an unchanged source, else send it through the model."""
        stamp = source.stamp()
        if stamp is not None and known.is_whole and known.stamps == {stamp}:
            self.report.unchanged.append(source.path)
            return
        limits = pieces.limits(self._embedder.info)
        segments = source.segments(limits)  # refuses what cannot be indexed before it is read whole for its hash
        digest = source.digest()
        if known.is_whole and known.digests == {digest}:
            self._restamp(source.path, known, stamp)
            self.report.unchanged.append(source.path)
            return
        self._enqueue(_Job(source, stamp, digest, known), segments)

    def _restamp(self, path: str, known: _Known, stamp: tuple[int, float] | None) -> None:
        """Note the new time of a file that was touched but not changed, so that the next run need not read it."""
        if stamp is None or known.stamps == {stamp}:
            return
        payloads = dict(self._store.rows({"path": path}))
        renewed = [{**payloads[id_], "size": stamp[0], "mtime": stamp[1]} for id_ in known.ids]
        self._store.upsert(known.ids, self._store.vectors(known.ids), renewed)

    # --- through the model, in batches --------------------------------------------------------------------------

    def _enqueue(self, job: _Job, segments: Iterator[Segment]) -> None:
        try:
            for segment in segments:
                self._buffer.append((job, segment))
                self._buffer_bytes += held_bytes(segment.content)
                if len(self._buffer) >= BATCH_SEGMENTS or self._buffer_bytes >= BATCH_BYTES:
                    self._embed()
        except (OnesenseError, OSError) as cause:
            job.fail(cause)
        self._read.append(job)

    def _embed(self) -> None:
        """Embed the buffer, and commit what is whole when it is time."""
        batch, self._buffer, self._buffer_bytes = self._buffer, [], 0
        outcomes = self._embedder.try_embed([s.content for _, s in batch], self._store.spec.dim, self._task)
        for (job, segment), outcome in zip(batch, outcomes, strict=True):
            job.take(segment, outcome)
        self._ready += self._read
        self._read = []
        n_rows = sum(len(job.rows) for job in self._ready)
        if n_rows >= COMMIT_ROWS or time.monotonic() - self._committed_s >= COMMIT_SECONDS:
            self._commit()

    def _commit(self) -> None:
        """Write the rows of finished jobs in one call, then drop what is left of their former reading."""
        jobs, self._ready = self._ready, []
        whole = [job for job in jobs if job.rows and not job.is_lost]
        if whole:
            ids = [id_ for job in whole for id_ in job.ids()]
            vectors = np.stack([vector for job in whole for _, vector in job.rows])
            self._store.upsert(ids, vectors, [payload for job in whole for payload in job.payloads()])
        self._store.delete([id_ for job in jobs if not job.is_lost for id_ in set(job.known.ids) - set(job.ids())])
        for job in jobs:
            self._note(job)
        self._committed_s = time.monotonic()

    def _note(self, job: _Job) -> None:
        path = job.source.path
        self.report.failed += job.failures
        if not job.rows and not job.failures:
            self.report.failed.append(Failure(path, "there is nothing to embed in it", "empty_input"))
        if job.rows and not job.is_lost:
            self.report.n_segments += len(job.rows)
            (self.report.updated if job.known.ids else self.report.added).append(path)


_DROPPED = Content("")


def held_bytes(content: Content) -> int:
    """Memory that the decoded media of a content take."""
    return sum(_value_bytes(part.value) for part in content.parts)


def _value_bytes(value: Any) -> int:
    if isinstance(value, (str, bytes)):
        return len(value)
    if isinstance(value, Image):
        return int(value.pixels.nbytes)
    if isinstance(value, Page):
        return int(value.image.pixels.nbytes)
    if isinstance(value, Video):
        return int(value.frames.nbytes) + (_value_bytes(value.sound) if value.sound is not None else 0)
    samples = getattr(value, "samples", None)
    return int(samples.nbytes) if isinstance(samples, np.ndarray) else 0


def _chunks(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
