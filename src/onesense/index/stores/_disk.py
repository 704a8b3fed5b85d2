"""Writing a small file so that a reader sees the old one or the new one, and saying what a disk refused."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from onesense.errors import CorruptData, NotFound, OnesenseError, PermissionDenied, StorageFull

_FULL = ("os error 28", "errno 28", "no space left", "os error 122", "errno 122", "os error 27", "errno 27")
"""ENOSPC, EDQUOT, EFBIG as Rust and Python write them."""
_REFUSED = ("os error 13", "errno 13", "permission denied", "os error 30", "errno 30", "read-only file system")
"""EACCES, EROFS."""


def fault(path: Path, cause: Exception) -> OnesenseError:
    """What a disk or a database has said, as an error of ours that names the collection and what to do."""
    said = str(cause).lower()
    if any(word in said for word in _FULL):
        return StorageFull(f"there is no room left for `{path}`: what it held stays; make room and run the same again")
    if any(word in said for word in _REFUSED):
        return PermissionDenied(f"`{path}` cannot be written (it is read only): it can be searched, not added to")
    if not path.exists():
        return NotFound(f"the collection `{path}` is gone")
    return CorruptData(f"the collection `{path}` cannot be read or written: {cause}")


@contextmanager
def faults_told(path: Path, kinds: tuple[type[Exception], ...] = (OSError,)) -> Iterator[None]:
    """Within it, errors of these types become what `fault` makes of them."""
    try:
        yield
    except kinds as cause:
        raise fault(path, cause) from cause


def write_atomically(path: Path, chunks: Iterable[str]) -> None:
    """Write UTF-8 text beside `path`, flush it to the disk, and rename it into place.

    Raises:
        OSError: the disk refused; `path` is as it was.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.writelines(chunks)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~_umask())  # mkstemp makes it private
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":  # elsewhere a folder cannot be opened, and the rename is durable by itself
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
