"""What was drawn once is kept on disk, up to a size; what was not looked at for longest goes first."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

_KEEP = 0.8  # share of the limit that is left after a sweep, so that not every new file sweeps


class PreviewCache:
    """A folder of files named by what they were drawn from. Thread-safe; other processes may use the same folder.

    Args:
        folder: created where it is missing.
        max_bytes: all files together.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._drawing: dict[str, threading.Lock] = {}
        folder.mkdir(parents=True, exist_ok=True)
        self._n_bytes = sum(size for _, size, _ in self._files())

    def get(self, source: Path, what: str, draw: Callable[[Path], None]) -> bytes:
        """The file that `draw` makes of a source, from disk where the source has not changed since.

        Args:
            source: the file that is drawn.
            what: everything else that decides the result, such as `thumbnail page=2 side=320`.
            draw: writes the result to the path it is given; what it raises is raised here, and nothing is kept.

        Raises:
            OSError: the source is gone.
        """
        kept = self.path(source, what, draw)
        try:
            return kept.read_bytes()
        except FileNotFoundError:  # swept between the two
            return self.path(source, what, draw).read_bytes()

    def path(self, source: Path, what: str, draw: Callable[[Path], None]) -> Path:
        """As `get`, for files that are sent piece by piece."""
        key = _key(source, what)
        kept = self._folder / key
        with self._turn(key):
            with contextlib.suppress(FileNotFoundError):
                os.utime(kept)
                return kept
            fresh = self._folder / f"{key}.{secrets.token_hex(4)}"
            try:
                draw(fresh)
                os.replace(fresh, kept)
            finally:
                fresh.unlink(missing_ok=True)
        self._count(kept.stat().st_size)
        return kept

    @contextlib.contextmanager
    def _turn(self, key: str) -> Iterator[None]:
        """One thread draws a thing; the others wait for it."""
        with self._lock:
            turn = self._drawing.setdefault(key, threading.Lock())
        try:
            with turn:
                yield
        finally:
            with self._lock:
                self._drawing.pop(key, None)

    def _count(self, n_bytes: int) -> None:
        with self._lock:
            self._n_bytes += n_bytes
            if self._n_bytes > self._max_bytes:
                self._sweep()

    def _sweep(self) -> None:
        files = sorted(self._files())
        self._n_bytes = sum(size for _, size, _ in files)
        for _, size, path in files:
            if self._n_bytes <= _KEEP * self._max_bytes:
                return
            path.unlink(missing_ok=True)
            self._n_bytes -= size

    def _files(self) -> list[tuple[float, int, Path]]:
        found = []
        for path in self._folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                found.append((status.st_mtime, status.st_size, path))
        return found


def _key(source: Path, what: str) -> str:
    status = source.stat()
    return hashlib.sha256(f"{source}\0{status.st_size}\0{status.st_mtime_ns}\0{what}".encode()).hexdigest()[:40]
