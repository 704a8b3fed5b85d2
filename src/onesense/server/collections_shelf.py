"""The collections of a server: those it was started with, and those that were made through it, by name."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import AlreadyExists, InvalidInput, NotFound, PermissionDenied
from ..index.collection import Collection

SUFFIX = ".onesense"
_MAX_NAME = 64  # characters
_MAX_NAME_BYTES = 200  # of UTF-8: a file's name has at most 255, and a suffix comes behind it
_NOT_IN_NAMES = frozenset('/\\:*?"<>|%#.')


@dataclass(frozen=True, slots=True)
class Shelved:
    """A collection that can be asked for."""

    name: str
    path: Path
    is_own: bool
    """Made through this server, which may therefore delete it."""


class Shelf:
    """Opens collections when they are first asked for, and keeps them open. Thread-safe; `close` releases them.

    Args:
        folder: where new collections are made; created with the first one.
        given: collections that the server was started with, wherever they are.
    """

    def __init__(self, folder: Path, given: Sequence[Path]) -> None:
        self._folder = folder
        self._given = _named(given)
        self._open: dict[str, Collection] = {}
        self._lock = threading.RLock()

    def all(self) -> list[Shelved]:
        """Every collection, by name."""
        own = sorted(self._folder.glob(f"*{SUFFIX}")) if self._folder.is_dir() else []
        made = {path.stem: Shelved(path.stem, path, is_own=True) for path in own}
        return [found for _, found in sorted((made | self._given).items())]

    def find(self, name: str) -> Shelved:
        """One of them.

        Raises:
            NotFound: there is none of this name.
        """
        if name in self._given:
            return self._given[name]
        if is_name(name) and (path := self._folder / f"{name}{SUFFIX}").exists():
            return Shelved(name, path, is_own=True)
        raise NotFound(f"there is no collection `{name[:_MAX_NAME]}`: `GET /api/collections` lists those that exist")

    def open(self, name: str) -> Collection:
        """The collection itself, open; it belongs to the shelf.

        Raises:
            NotFound: there is none of this name.
            CorruptData: it cannot be read.
        """
        with self._lock:
            if name not in self._open:
                self._open[name] = Collection.open(self.find(name).path, create=False)
            return self._open[name]

    def create(self, name: str, *, model: str, dim: int | None, task: str | None) -> Shelved:
        """Make an empty collection in the server's folder.

        Raises:
            InvalidInput: the name, the size or the task is not possible.
            AlreadyExists: the name is taken.
            NotFound: there is no such model.
        """
        if not is_name(name):
            raise InvalidInput(
                f'a collection is named by 1 to {_MAX_NAME} printable characters, none of . / \\ : * ? " < > | % #, '
                f"and no space at either end; this is none: {name[:_MAX_NAME]!r}"
            )
        with self._lock:
            if any(found.name.casefold() == name.casefold() for found in self.all()):
                raise AlreadyExists(f"there is a collection `{name}` already: choose another name")
            self._folder.mkdir(parents=True, exist_ok=True)
            self._open[name] = Collection.open(self._folder / f"{name}{SUFFIX}", model, dim=dim, task=task)
        return self.find(name)

    def delete(self, name: str) -> None:
        """Remove a collection that was made here, and the files that were uploaded into it.

        Raises:
            NotFound: there is none of this name.
            PermissionDenied: the server was started with it.
        """
        found = self.find(name)
        if not found.is_own:
            raise PermissionDenied(f"the server was started with `{name}`: delete it on the server's own disk")
        with self._lock:
            if name in self._open:
                self._open.pop(name).close()
            shutil.rmtree(found.path, ignore_errors=True)
            shutil.rmtree(self.uploads(name), ignore_errors=True)

    def uploads(self, name: str) -> Path:
        """Where files lie that were uploaded into a collection."""
        return self._folder / f"{name}.files"

    def close(self) -> None:
        """Close what is open. Calling it twice is fine."""
        with self._lock:
            while self._open:
                self._open.popitem()[1].close()


def is_name(name: str) -> bool:
    """Whether a collection can be called this; a name never leaves the folder it is looked up in."""
    return (
        1 <= len(name) <= _MAX_NAME
        and name.isprintable()
        and name == name.strip()
        and _NOT_IN_NAMES.isdisjoint(name)
        and len(name.encode(errors="replace")) <= _MAX_NAME_BYTES
    )


def _named(given: Sequence[Path]) -> dict[str, Shelved]:
    """Collections by the name of their file, with a number behind it where two have the same."""
    found: dict[str, Shelved] = {}
    for path in given:
        stem = "".join("-" if c in _NOT_IN_NAMES else c for c in path.stem).strip() or "collection"
        names = (stem, *(f"{stem}-{n}" for n in range(2, len(given) + 2)))
        name = next(name for name in names if name not in found)
        found[name] = Shelved(name, path.expanduser().absolute(), is_own=False)
    return found
