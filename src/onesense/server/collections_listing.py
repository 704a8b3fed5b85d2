"""What is in a collection, by file: read once, and again only when the collection has changed."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from weakref import WeakKeyDictionary

from ..index.collection import Collection, Entry

_MAX_KEPT = 200_000  # files; about 100 MB
_MAX_FOLDERS = 200


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a collection as it was at one moment."""

    files: Sequence[Entry]
    """By path."""
    n_segments: int
    by_modality: dict[str, int]
    """Files of each kind; a file of two counts twice."""
    folders: Sequence[str]
    """What a person would filter by, see `folders_of`."""

    def some(self, n: int) -> list[str]:
        """Paths of a few files, kinds in turn."""
        kinds: dict[str, list[str]] = {}
        for entry in self.files:
            kinds.setdefault(entry.modalities[0], []).append(entry.path)
        turns = zip_longest(*kinds.values())
        return list(islice((path for turn in turns for path in turn if path is not None), n))


class Listings:
    """The listing of each collection that is open. Thread-safe; who comes while one is read waits for it."""

    def __init__(self) -> None:
        self._kept: WeakKeyDictionary[Collection, _Kept] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def of(self, collection: Collection) -> Listing:
        """What is in a collection now.

        Raises:
            CorruptData: it cannot be read.
        """
        with self._lock:
            kept = self._kept.setdefault(collection, _Kept())
        with kept.lock:
            version = collection.version()  # before the rows are read: a write in between is seen the next time
            if kept.listing is not None and version is not None and version == kept.version:
                return kept.listing
            listing = _read(collection)
            kept.version, kept.listing = version, listing if len(listing.files) <= _MAX_KEPT else None
            return listing


class _Kept:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.version: Hashable | None = None
        self.listing: Listing | None = None


def _read(collection: Collection) -> Listing:
    files = collection.files()
    return Listing(
        files,
        n_segments=sum(entry.n_segments for entry in files),
        by_modality=dict(sorted(Counter(modality for entry in files for modality in entry.modalities).items())),
        folders=folders_of([entry.path for entry in files if entry.size is not None]),
    )


def folders_of(paths: Sequence[str]) -> list[str]:
    """The folders just below the deepest one that all files share."""
    split = [path.split("/")[:-1] for path in paths]
    if not split:
        return []
    depth = 0
    while all(len(parts) > depth for parts in split) and len({parts[depth] for parts in split}) == 1:
        depth += 1
    return sorted({"/".join(parts[: depth + 1]) + "/" for parts in split})[:_MAX_FOLDERS]
