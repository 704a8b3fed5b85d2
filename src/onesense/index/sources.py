"""What can be indexed: files (found in folders) and records, both as sources of segments with a content hash."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from onesense import media
from onesense.errors import InvalidInput, NotFound, OnesenseError, UnsupportedMedia
from onesense.types import Content, Limits, Locator, ModelInfo, Segment, Task

from .query import MIXED, part_modality

_BLOCK_BYTES = 1 << 20
_PREVIEW_CHARS = 80
_RECORD_FIELDS = ("id", "content", "metadata")


@dataclass(frozen=True, slots=True)
class Failure:
    """A file, folder or record that could not be indexed, whole or in part."""

    path: str
    reason: str
    """What is wrong and what to do, for a person."""
    code: str
    """`OnesenseError.code`, or `cannot_read` for an error of the file system."""
    at_s: float | None = None
    """When it was last tried, seconds since 1970; set on what a collection keeps."""

    @classmethod
    def of(cls, path: str, cause: OnesenseError | OSError, place: str = "") -> Failure:
        """The failure that an error stands for; `place` says where in the file."""
        code = cause.code if isinstance(cause, OnesenseError) else "cannot_read"
        reason = str(cause) if isinstance(cause, OnesenseError) else cause.strerror or type(cause).__name__
        return cls(printable(path), f"{place}: {reason}" if place else reason, code)


class Source(Protocol):
    """One thing to index."""

    @property
    def path(self) -> str:
        """Its identity in the collection."""
        ...

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The user's own fields, to filter by."""
        ...

    def stamp(self) -> tuple[int, float] | None:
        """Size in bytes and time of the last change; equal stamps mean an unchanged file. None for a record."""
        ...

    def segments(self, limits: Limits) -> Iterator[Segment]:
        """The stretches that get a vector each; checks the input at once, decodes as they are taken."""
        ...

    def digest(self) -> str:
        """Hash of the content; equal hashes mean equal vectors and metadata."""
        ...


@dataclass(frozen=True, slots=True)
class File:
    """A regular file on this machine."""

    path: str
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def stamp(self) -> tuple[int, float]:
        """Size and mtime.

        Raises:
            OSError: it is gone or may not be read.
            UnsupportedMedia: it is a pipe, a socket or a device, whose reading might never end.
            InvalidInput: its name is not valid Unicode.
        """
        status = os.stat(self.path)
        if not stat.S_ISREG(status.st_mode):
            raise UnsupportedMedia("this is a pipe, a socket or a device: only regular files are indexed")
        if printable(self.path) != self.path:
            raise InvalidInput("the file's name is not valid UTF-8: rename it")
        return status.st_size, status.st_mtime

    def segments(self, limits: Limits) -> Iterator[Segment]:
        """See `media.segments`."""
        return media.segments(Path(self.path), limits=limits)

    def digest(self) -> str:
        """Blake3 of the bytes, read in blocks of 1 MiB."""
        from blake3 import blake3

        digest = blake3()
        with open(self.path, "rb") as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
        return str(digest.hexdigest())


@dataclass(frozen=True, slots=True)
class Record:
    """A dict with id, content and metadata. A str is segmented like a text file, other content is one vector."""

    path: str
    content: Any
    metadata: Mapping[str, Any]
    info: ModelInfo
    task: Task | None

    @classmethod
    def parse(cls, fields: Mapping[str, Any], info: ModelInfo, task: Task | None) -> Record:
        """A record from a dict.

        Raises:
            InvalidInput: a field is missing, unknown or of a wrong type.
        """
        unknown = [name for name in fields if name not in _RECORD_FIELDS]
        if unknown or "content" not in fields:
            raise InvalidInput(f"a record has `id`, `content` and optionally `metadata`; unknown: {unknown or 'none'}")
        id_, metadata = fields.get("id"), fields.get("metadata", {})
        if not isinstance(id_, str) or not id_ or printable(id_) != id_:
            raise InvalidInput(f"a record's id is a non-empty string, not {id_!r}")
        if not isinstance(metadata, Mapping):
            raise InvalidInput(f"a record's metadata is a dict, not {type(metadata).__name__}")
        return cls(id_, fields["content"], metadata, info, task)

    def stamp(self) -> None:
        """A record has no time of change: its hash decides."""
        return

    def segments(self, limits: Limits) -> Iterator[Segment]:
        """Text as `media.segments` cuts it, else one segment."""
        if isinstance(self.content, str):
            return media.segments(self.content.encode(), "text/plain", limits)
        content = self._content()
        modality, preview = _describe(content)
        return iter([Segment(content, Locator(), modality, preview)])

    def digest(self) -> str:
        """Hash of everything that decides the vector, and of the metadata.

        Raises:
            InvalidInput: the metadata is nothing that JSON can hold.
        """
        from onesense.engine.cache import cache_key

        try:
            metadata = json.dumps(dict(self.metadata), sort_keys=True, allow_nan=False)
        except (TypeError, ValueError) as cause:
            raise InvalidInput(
                f"metadata holds what JSON holds (text, finite numbers, lists, dicts): {cause}"
            ) from cause
        return cache_key(Content(*self._content().parts, metadata), self.task, self.info)

    def _content(self) -> Content:
        from onesense.engine.inputs import as_content

        return as_content(self.content)


def _describe(content: Content) -> tuple[str, str]:
    """Modality and preview of a content that is one vector."""
    names = [part_modality(part) for part in content.parts]
    lines = [p.value if isinstance(p.value, str) else n for p, n in zip(content.parts, names, strict=True)]
    preview = " + ".join(" ".join(line.split())[:_PREVIEW_CHARS] for line in lines)
    return (names[0] if len(set(names)) == 1 else MIXED), preview


# --- finding files ----------------------------------------------------------------------------------------------------


def as_roots(paths: Sequence[str | Path]) -> list[str]:
    """Absolute paths, each once, sorted."""
    return sorted({os.path.abspath(os.path.expanduser(path)) for path in paths})


def find_files(root: str, passed_over: Collection[str]) -> Iterator[File | Failure]:
    """Files at or below a root, sorted folder by folder; what cannot be listed comes as a failure.

    Hidden files and folders and collections (`*.onesense`) are left out. Links to folders are followed, but no folder
    is entered twice, so a loop of links ends.

    Args:
        root: absolute path of a file or folder.
        passed_over: absolute paths below the root that are left out: the collection itself, and other roots.
    """
    if not os.path.isdir(root):
        yield File(root) if os.path.lexists(root) else Failure.of(root, NotFound("there is no such file or folder"))
        return
    seen: set[tuple[int, int]] = set()
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            names = _list(folder, seen)
        except OSError as cause:
            yield Failure.of(folder, cause)
            continue
        paths = [(path, is_folder) for n, is_folder in names if (path := os.path.join(folder, n)) not in passed_over]
        yield from (File(path) for path, is_folder in paths if not is_folder)
        waiting += [path for path, is_folder in reversed(paths) if is_folder and not path.endswith(".onesense")]


def _list(folder: str, seen: set[tuple[int, int]]) -> list[tuple[str, bool]]:
    """Names in a folder and whether each is a folder, sorted, hidden ones left out; nothing when it was seen before."""
    status = os.stat(folder)
    if (status.st_dev, status.st_ino) in seen:
        return []
    seen.add((status.st_dev, status.st_ino))
    with os.scandir(folder) as entries:
        return sorted((entry.name, entry.is_dir()) for entry in entries if not entry.name.startswith("."))


def below(root: str) -> dict[str, Any]:
    """The filter for rows of files below a folder."""
    return {"path": {"prefix": _below(root)}}


def _below(folder: str) -> str:
    return folder.rstrip(os.sep) + os.sep


def printable(path: str) -> str:
    """The path, with bytes that are not UTF-8 written as escapes."""
    return path.encode(errors="backslashreplace").decode()
