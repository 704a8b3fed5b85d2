"""Sources read ahead of the model: a few threads look at files, hash and decode them; what they find comes in order.

While the model embeds one batch, the next is decoded, so that no core waits for the other.
"""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from onesense.errors import OnesenseError
from onesense.types import Content, Image, Limits, Page, Payload, Segment, Video

from .sources import Source

AHEAD_SOURCES = 128  # two batches of pictures; more wait only for memory
AHEAD_BYTES = 128 << 20  # decoded media that wait
AHEAD_SEGMENTS = 8  # of one source, so that an hour of video does not fill the memory
MAX_THREADS = 8
_LOOK_S = 0.1  # between two looks whether the run was stopped


@dataclass(slots=True)
class Known:
    """What the collection holds of a source."""

    ids: list[str] = field(default_factory=list)
    payloads: list[Payload] = field(default_factory=list)
    """Of the same rows; only where `keeps_payloads`."""
    stamps: set[tuple[Any, Any]] = field(default_factory=set)
    digests: set[str] = field(default_factory=set)
    counts: set[int] = field(default_factory=set)

    def add(self, id_: str, payload: Payload, *, keeps_payloads: bool = False) -> None:
        """Take up one row."""
        self.ids.append(id_)
        self.stamps.add((payload.get("size"), payload.get("mtime")))
        self.digests.add(str(payload.get("hash")))
        self.counts.add(int(payload.get("n_segments", 0)))
        if keeps_payloads:
            self.payloads.append(payload)

    @property
    def is_whole(self) -> bool:
        """All rows are there and of one reading of the file."""
        return len(self.digests) == 1 and self.counts == {len(self.ids)}


Twins = Mapping[tuple[str, str], tuple[str, Known]]
"""(content hash, suffix of the name) -> (path, rows) of a file that the collection holds."""


@dataclass(slots=True, eq=False)
class Reading:
    """One source on its way. `segments` is taken first; the other fields are valid from then on."""

    source: Source
    known: Known
    stamp: tuple[int, float] | None = None
    digest: str = ""
    is_same: bool = False
    """The collection holds this content under this path already."""
    twin: tuple[str, Known] | None = None
    """Another path of the collection with the same content."""
    error: OnesenseError | OSError | None = None
    """What ended it early."""
    _queue: queue.Queue[Segment | None] = field(default_factory=lambda: queue.Queue(AHEAD_SEGMENTS))

    def segments(self) -> Iterator[Segment]:
        """What was decoded, as it comes; ends at the end or at the error."""
        while (segment := self._queue.get()) is not None:
            yield segment


class Ahead:
    """Readings in the order in which their sources were given. One thread gives and takes; `close` ends the threads.

    Args:
        limits: how large media are decoded.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._waiting: deque[Reading] = deque()
        self._pool = ThreadPoolExecutor(min(MAX_THREADS, os.cpu_count() or 1), thread_name_prefix="onesense-read")
        self._held_bytes = 0
        self._lock = threading.Lock()
        self._is_stopped = threading.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_full(self) -> bool:
        """Whether enough is under way; one source always may be."""
        return len(self._waiting) >= AHEAD_SOURCES or (bool(self._waiting) and self._held_bytes >= AHEAD_BYTES)

    def give(self, source: Source, known: Known, twins: Twins) -> None:
        """Begin to read a source."""
        reading = Reading(source, known)
        self._waiting.append(reading)
        self._pool.submit(self._read, reading, twins)

    def take(self) -> tuple[Reading, Iterator[Segment]]:
        """The oldest reading, and its segments."""
        reading = self._waiting.popleft()
        return reading, self._counted(reading)

    def close(self) -> None:
        """Stop reading; what nobody took is dropped."""
        self._is_stopped.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> Ahead:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _counted(self, reading: Reading) -> Iterator[Segment]:
        for segment in reading.segments():
            self._hold(-held_bytes(segment.content))
            yield segment

    def _hold(self, n_bytes: int) -> None:
        with self._lock:
            self._held_bytes += n_bytes

    def _read(self, reading: Reading, twins: Twins) -> None:
        try:
            for segment in _segments(reading, twins, self._limits):
                self._hold(held_bytes(segment.content))
                self._put(reading, segment)
                if self._is_stopped.is_set():
                    return
        except (OnesenseError, OSError) as cause:
            reading.error = cause
        finally:
            self._put(reading, None)

    def _put(self, reading: Reading, segment: Segment | None) -> None:
        while not self._is_stopped.is_set():
            try:
                return reading._queue.put(segment, timeout=_LOOK_S)
            except queue.Full:
                continue


def _segments(reading: Reading, twins: Twins, limits: Limits) -> Iterator[Segment]:
    """The segments of a source that is new or changed, none of one that the collection holds."""
    source, known = reading.source, reading.known
    reading.stamp = source.stamp()
    if reading.stamp is not None and known.is_whole and known.stamps == {reading.stamp}:
        reading.is_same = True
        return
    segments = source.segments(limits)  # refuses what cannot be indexed before it is read whole for its hash
    reading.digest = source.digest()
    reading.is_same = known.is_whole and known.digests == {reading.digest}
    if reading.stamp is not None:
        reading.twin = twins.get((reading.digest, suffix(source.path)))
    if not reading.is_same and reading.twin is None:
        yield from segments


def suffix(path: str) -> str:
    """Ending of a file's name, which has a say in what the bytes are taken for."""
    return os.path.splitext(path)[1].lower()


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
