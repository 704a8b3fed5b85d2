"""One writer a collection: a second one is told who writes, at once, instead of doing the same work again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from onesense.errors import Busy, PermissionDenied, StorageFull

_RETRY_S = 30.0


def lock_file(path: Path) -> Path:
    """Where the lock of a collection lies: in its folder, or hidden beside its file."""
    return path / ".writer.lock" if path.is_dir() else path.with_name(f".{path.name}.lock")


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Be the only one who indexes into a collection. The system lets go of the lock when a process ends, however.

    Searching needs no lock.

    Raises:
        Busy: somebody else is at it; the message names the process.
        PermissionDenied: the place is read-only.
        StorageFull: there is no room for the lock file.
    """
    handle = _opened(lock_file(path))
    try:
        _lock(handle, path)
        os.ftruncate(handle, 0)
        _note_pid(handle)
        yield
    finally:
        os.close(handle)


def _opened(file: Path) -> int:
    try:
        return os.open(file, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
    except OSError as cause:
        kind = StorageFull if cause.errno in _FULL else PermissionDenied
        raise kind(f"`{file.parent}` cannot be written ({cause.strerror}): it can be searched, not added to") from cause


def _note_pid(handle: int) -> None:
    try:
        os.pwrite(handle, str(os.getpid()).encode(), 0)
    except OSError:  # a full disk: the lock holds without the number
        return


def _lock(handle: int, path: Path) -> None:
    try:
        _take(handle)
    except OSError as cause:
        os.lseek(handle, 0, os.SEEK_SET)
        pid = os.read(handle, 20).decode("ascii", "replace").strip() or "another one"
        busy = Busy(f"`{path}` is being written by process {pid}: wait until it is done; searching works meanwhile")
        busy.retry_after_s = _RETRY_S
        raise busy from cause


def _take(handle: int) -> None:
    try:
        import fcntl
    except ImportError:  # Windows: a byte far behind the end, so that the number in front can be read
        import msvcrt

        os.lseek(handle, 1 << 30, os.SEEK_SET)
        getattr(msvcrt, "locking")(handle, getattr(msvcrt, "LK_NBLCK"), 1)  # noqa: B009, typeshed: Windows only
        return
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


_FULL = (28, 122)  # ENOSPC, EDQUOT
