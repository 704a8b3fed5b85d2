"""A cache of vectors, off by default: in memory, and on disk where a path is given.

The key is made in one place and holds everything that changes a vector. Output size is not in it: the whole vector is
kept, and cut afterwards.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from onesense.errors import CorruptData, NotFound
from onesense.types import Array, Content, ModelInfo, Part, Task

_SCHEMA = """CREATE TABLE IF NOT EXISTS answers
  (key TEXT PRIMARY KEY, vector BLOB NOT NULL, usage TEXT NOT NULL, truncated INTEGER NOT NULL, words TEXT NOT NULL)"""


@dataclass(frozen=True, slots=True, eq=False)
class Cached:
    """What the model said about one content."""

    row: Array
    """float32 [D], pooled, not normalised."""
    usage: Mapping[str, int]
    """Tokens by modality."""
    truncated: bool
    words: str = ""
    """What its readers wrote down."""


def cache_key(content: Content, task: Task | None, info: ModelInfo) -> str:
    """Digest of everything that decides the vector of a content.

    That is the model's fingerprint, the task, and of each part in order: kind, bytes, declared MIME type, window,
    frame rate, pages and whether its sound counts; the title and the instruction. A file counts by its bytes, not by
    its path.

    Args:
        content: as the model will read it, prompts applied.
        task: what the caller asked for.
        info: the model's record.

    Raises:
        NotFound: a part names a file that cannot be read.
    """
    from blake3 import blake3

    digest = blake3()
    for chunk in _ingredients(content, info.fingerprint(info.dim, task)):
        digest.update(len(chunk).to_bytes(8, "little"))
        digest.update(chunk)
    return str(digest.hexdigest())


def _ingredients(content: Content, fingerprint: str) -> Iterator[bytes]:
    """Chunks to digest; each is preceded by its length, so that no two contents give the same stream."""
    yield json.dumps([fingerprint, content.title, content.instruction, len(content.parts)]).encode()
    for part in content.parts:
        window = (part.mime_type, part.start_s, part.end_s, part.fps, part.pages, part.sound)
        yield json.dumps([_kind(part), *window]).encode()
        yield from _value_chunks(part.value)


def _kind(part: Part) -> str:
    return "bytes" if isinstance(part.value, Path) else type(part.value).__name__


def _value_chunks(value: Any) -> Iterator[bytes]:
    """Bytes of a part's value; canonical media are walked field by field, with dtype and shape."""
    if isinstance(value, Path):
        yield _file_digest(value)
    elif isinstance(value, bytes):
        yield hashlib.sha256(value).digest()
    elif isinstance(value, np.ndarray):
        yield f"{value.dtype.str}{value.shape}".encode()
        yield np.ascontiguousarray(value).tobytes()
    elif isinstance(value, tuple):
        for item in value:
            yield from _value_chunks(item)
    elif hasattr(value, "__dataclass_fields__"):
        yield type(value).__name__.encode()
        for field in fields(value):
            yield from _value_chunks(getattr(value, field.name))
    else:
        yield repr(value).encode()


def _file_digest(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as cause:
        raise NotFound(f"`{path}` cannot be read: {cause.strerror}") from None


class VectorCache:
    """Vectors by `cache_key`: the last used in memory, all of them on disk where a path is given.

    Thread-safe. Whoever makes it closes it; one cache may serve several `Embedder`s and several models.

    Args:
        path: SQLite file, made where it is missing; None keeps vectors in memory only.
        max_items: vectors held in memory; 12 KB each at 3072 dimensions.
    """

    def __init__(self, path: Path | str | None = None, *, max_items: int = 4_096) -> None:
        self._recent: OrderedDict[str, Cached] = OrderedDict()
        self._max_items = max_items
        self._lock = threading.Lock()
        self._path = Path(path).expanduser() if path is not None else None
        self._disk = self._open(self._path) if self._path is not None else None
        self.hits = 0
        """Answers given so far."""
        self.misses = 0
        """Questions that it could not answer so far."""

    def get(self, key: str) -> Cached | None:
        """What is stored under this key, None where nothing is.

        Raises:
            CorruptData: the file on disk is damaged.
        """
        with self._lock:
            found = self._recent.get(key) or self._read(key)
            if found is None:
                self.misses += 1
                return None
            self.hits += 1
            self._remember(key, found)
            return found

    def put(self, key: str, found: Cached) -> None:
        """Store; what is there is replaced.

        Raises:
            CorruptData: the file on disk is damaged or full.
        """
        with self._lock:
            self._remember(key, found)
            if self._disk is not None:
                row = np.asarray(found.row, "<f4").tobytes()
                values = (key, row, json.dumps(dict(found.usage)), int(found.truncated), found.words)
                with self._guarded():
                    self._disk.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?)", values)

    def clear(self) -> None:
        """Forget everything, on disk too."""
        with self._lock, self._guarded():
            self._recent.clear()
            if self._disk is not None:
                self._disk.execute("DELETE FROM answers")

    def close(self) -> None:
        """Close the file. Calling it twice is fine; memory goes on answering."""
        with self._lock:
            if self._disk is not None:
                self._disk.close()
                self._disk = None

    def __enter__(self) -> VectorCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        with self._lock, self._guarded():
            if self._disk is None:
                return len(self._recent)
            return int(self._disk.execute("SELECT count(*) FROM answers").fetchone()[0])

    def _remember(self, key: str, found: Cached) -> None:
        self._recent[key] = found
        self._recent.move_to_end(key)
        while len(self._recent) > self._max_items:
            self._recent.popitem(last=False)

    def _open(self, path: Path) -> sqlite3.Connection:
        with self._guarded():
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as cause:
                raise NotFound(f"the folder of the cache `{path}` cannot be made: {cause.strerror}") from None
            disk = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=30)
            disk.execute("PRAGMA journal_mode=WAL")  # readers go on while another process writes
            disk.execute("PRAGMA synchronous=NORMAL")
            disk.execute(_SCHEMA)
            return disk

    def _read(self, key: str) -> Cached | None:
        if self._disk is None:
            return None
        with self._guarded():
            sql = "SELECT vector, usage, truncated, words FROM answers WHERE key = ?"
            found = self._disk.execute(sql, (key,)).fetchone()
            if found is None:
                return None
            return Cached(np.frombuffer(found[0], "<f4"), json.loads(found[1]), bool(found[2]), found[3])

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, ValueError) as cause:
            raise CorruptData(f"the cache `{self._path}` cannot be used ({cause}): delete the file") from cause
