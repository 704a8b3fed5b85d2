"""The one door by which bytes come in: regular files and bytes in memory, up to a size. URLs are refused."""

from __future__ import annotations

import re
import stat
from pathlib import Path

from ..errors import EmptyInput, InvalidInput, NotFound, TooLarge
from ..types import LIMITS, Limits

HEAD_BYTES = 4096  # what a modality's `sniff` gets to see

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # a Path folds the two slashes of a URL into one
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def fetch(source: bytes | Path, limits: Limits = LIMITS) -> bytes | Path:
    """Check that a source can be read: a regular file (symbolic links are followed) or bytes, not empty, not too big.

    Args:
        source: bytes of an encoded file, or its path. A path is never taken for a URL's content.
        limits: `max_bytes` applies.

    Returns:
        The source itself; a file is left for its decoder to stream.

    Raises:
        NotFound: no file has this path.
        InvalidInput: it is a URL, a folder, a pipe or a device, or may not be read.
        EmptyInput: it holds no bytes.
        TooLarge: it holds more than `limits.max_bytes`.
    """
    n_bytes = _file_bytes(source) if isinstance(source, Path) else len(source)
    if n_bytes == 0:
        raise EmptyInput(f"{label(source)} is empty: there is nothing to read in it")
    if n_bytes > limits.max_bytes:
        raise TooLarge(f"{label(source)} has {n_bytes:,} bytes: at most {limits.max_bytes:,} are read")
    return source


def head(source: bytes | Path) -> bytes:
    """The first 4096 bytes.

    Raises:
        InvalidInput: the file may not be read.
    """
    if not isinstance(source, Path):
        return source[:HEAD_BYTES]
    try:
        with source.open("rb") as file:
            return file.read(HEAD_BYTES)
    except OSError as cause:
        raise InvalidInput(f"{label(source)} cannot be read: {cause.strerror}") from cause


def read(source: bytes | Path, max_bytes: int) -> bytes:
    """All bytes of a source, for modalities that hold a file whole.

    Raises:
        TooLarge: there are more than `max_bytes`.
        InvalidInput: the file may not be read.
    """
    if isinstance(source, Path):
        try:
            with source.open("rb") as file:
                content = file.read(max_bytes + 1)  # one more than allowed shows a file that grew since `fetch`
        except OSError as cause:
            raise InvalidInput(f"{label(source)} cannot be read: {cause.strerror}") from cause
    else:
        content = source
    if len(content) > max_bytes:
        raise TooLarge(f"{label(source)} has more than {max_bytes:,} bytes, the most that is held at once: split it")
    return content


def label(source: bytes | Path) -> str:
    """How an error message names a source."""
    return f"`{source}`" if isinstance(source, Path) else f"the input of {len(source):,} bytes"


def _file_bytes(path: Path) -> int:
    try:
        status = path.stat()
    except FileNotFoundError:
        if _URL.match(str(path)):
            raise InvalidInput(f"`{path}` is a URL, and URLs are not fetched: download it and give the file") from None
        raise NotFound(f"`{path}` does not exist") from None
    except ValueError as cause:  # a NUL inside the path
        raise InvalidInput(f"`{path!s}` is not a path: {cause}") from cause
    except OSError as cause:
        raise InvalidInput(f"`{path}` cannot be read: {cause.strerror}") from cause
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "not a file")
        raise InvalidInput(f"`{path}` is {kind}: a regular file is expected")
    return status.st_size
