"""The collections that may be asked, by name, and the places in them: the one door for answers, agents and MCP.

Whoever asks, a person or a model that was talked into something by a document it read, gets at what the collections
hold, and at nothing else: every path is looked up in a collection first, a link that leads out of its folder or out of
the given roots is not followed, and writing takes a library that was opened for it.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from onesense.errors import InvalidInput, NotFound, OnesenseError, PermissionDenied
from onesense.index import places
from onesense.index.collection import Collection
from onesense.index.ingest import Report
from onesense.index.places import Clip
from onesense.index.search import to_hit
from onesense.types import Hit, Locator, Where

from . import links
from .types import Passage

MAX_TEXT = 20_000  # characters that `text` gives at once; about 5,000 tokens, a long chapter
MAX_CLIP_S = 120.0  # of sound or video at once, as `places.clip`


class Library:
    """Collections by name. Thread-safe as far as they are; they belong to whoever opened them.

    Args:
        collections: name -> collection.
        roots: folders that files must lie in to be opened or added; without any, files are opened wherever they were
            indexed, and none are added.
        is_read_only: refuse to add.
    """

    def __init__(
        self, collections: Mapping[str, Collection], *, roots: Sequence[Path] = (), is_read_only: bool = True
    ) -> None:
        if not collections:
            raise InvalidInput("there is no collection to ask: make one with `onesense index FOLDER`")
        self._collections = dict(collections)
        self._roots = [os.path.realpath(root.expanduser()) for root in roots]
        self.is_read_only = is_read_only

    @classmethod
    def open(cls, paths: Sequence[str | Path], **options: Any) -> Library:
        """Collections at paths, each named by its file's stem; `close` closes them.

        Raises:
            NotFound: there is none at a path.
            InvalidInput: two have one name.
        """
        opened: dict[str, Collection] = {}
        try:
            for path in paths:
                name = Path(path).expanduser().absolute().stem
                if name in opened:
                    raise InvalidInput(f"two collections are called `{name}`: rename one, or ask them one at a time")
                opened[name] = Collection.open(path, create=False)
            return cls(opened, **options)
        except OnesenseError:
            _close(opened)
            raise

    def read_only(self) -> Library:
        """The same collections and roots, for somebody who may not add."""
        return Library(self._collections, roots=[Path(root) for root in self._roots])

    def close(self) -> None:
        """Close the collections."""
        _close(self._collections)

    def __enter__(self) -> Library:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def roots(self) -> list[str]:
        """Real paths of the folders that files must lie in; empty for none."""
        return list(self._roots)

    @property
    def names(self) -> list[str]:
        """Names of the collections, in order."""
        return list(self._collections)

    def collection(self, name: str) -> Collection:
        """One of them.

        Raises:
            NotFound: there is none of this name.
        """
        if name not in self._collections:
            raise NotFound(f"there is no collection `{name[:100]}`: there are {', '.join(self._collections)}")
        return self._collections[name]

    def describe(self) -> list[dict[str, Any]]:
        """Name, model, size and contents of each collection."""
        return [_described(name, collection) for name, collection in self._collections.items()]

    # --- finding ------------------------------------------------------------------------------------------------------

    def search(
        self,
        query: str,
        k: int = 8,
        *,
        collection: str | None = None,
        modality: Sequence[str] = (),
        where: Where | None = None,
    ) -> tuple[list[Passage], bool | None]:
        """The places nearest to a query over all collections, best first, and whether any of them is a match."""
        found: list[Passage] = []
        verdicts = []
        for name in self._named(collection):
            opened = self.collection(name)
            result = opened.search(query, k, list(modality) or None, where or None, collapse=True)
            found += self.passages(name, result.hits)
            verdicts.append(result.is_confident)
        found.sort(key=lambda p: (-(p.hit.confidence or 0.0), -p.hit.score))
        return numbered(found[:k]), verdict(verdicts)

    def similar(self, address: str, k: int = 8, *, modality: Sequence[str] = ()) -> list[Passage]:
        """Places that look, sound or read like one, best first.

        Raises:
            NotFound: there is no such place.
        """
        name, hit = self.find(address)
        result = self.collection(name).search(None, k, list(modality) or None, like=hit.id, collapse=True)
        return numbered(self.passages(name, result.hits))

    def compare(self, one: str, other: str) -> float:
        """Cosine -1..1 of two places of one collection.

        Raises:
            NotFound: there is no such place.
            InvalidInput: they belong to two collections.
        """
        (name, a), (other_name, b) = self.find(one), self.find(other)
        if name != other_name:
            raise InvalidInput("vectors of two collections cannot be compared: give two places of one")
        rows = self.collection(name).vectors([a.id, b.id])
        return float(rows[0] @ rows[1])

    def passages(self, name: str, hits: Sequence[Hit]) -> list[Passage]:
        """Hits with the words that stand in them, not yet numbered."""
        paths = sorted({hit.path for hit in hits})
        rows = dict(self.collection(name).rows({"path": paths})) if paths else {}
        return [Passage(0, name, hit, str(rows.get(hit.id, {}).get("text") or "")) for hit in hits]

    def find(self, address: str) -> tuple[str, Hit]:
        """Collection and segment of an address; the segment at its place, or the first that overlaps it.

        Raises:
            InvalidInput: it is no address.
            NotFound: the collection holds no such place.
        """
        name, path, place = links.parse(address)
        rows = self.collection(name).rows({"path": path})
        hits = sorted((to_hit(id_, 1.0, payload, None) for id_, payload in rows), key=_order)
        wanted = links.link(name, path, place)
        for hit in hits:
            if place == Locator() or links.link(name, path, hit.locator) == wanted:
                return name, hit
        for hit in hits:
            if _overlap(hit.locator, place):
                return name, dataclasses.replace(hit, locator=_narrowed(hit.locator, place))
        raise NotFound(f"`{name}` holds no such place: `{address[:300]}`; addresses come with search results")

    # --- looking ------------------------------------------------------------------------------------------------------

    def text(self, address: str) -> str:
        """The words at a place, at most `MAX_TEXT` characters; those of all segments where the whole file is meant.

        Raises:
            NotFound: there is no such place.
        """
        name, path, place = links.parse(address)
        _, hit = self.find(address)
        collection = self.collection(name)
        if place != Locator():
            found = [
                str(payload.get("text") or "") for id_, payload in collection.rows({"path": path}) if id_ == hit.id
            ]
        else:
            rows = [(to_hit(id_, 1.0, p, None), str(p.get("text") or "")) for id_, p in collection.rows({"path": path})]
            found = [text for _, text in sorted(rows, key=lambda row: _order(row[0]))]
        return "\n".join(text for text in found if text)[:MAX_TEXT]

    def picture(self, address: str, at_s: float | None = None) -> Clip:
        """What is to be seen at a place, as JPEG: the picture, the page, or the frame at a second of the file.

        Raises:
            NotFound: there is no such place, or its file is gone.
            PermissionDenied: the file leads out of its folder.
            UnsupportedModality: there is nothing to see.
        """
        return places.frame(self._reachable(self.find(address)[1]), at_s)

    def clip(self, address: str) -> Clip:
        """What is to be heard or seen moving at a place, as WAV or MP4.

        Raises:
            NotFound: there is no such place, or its file is gone.
            PermissionDenied: the file leads out of its folder.
            InvalidInput: it is no sound and no video, or longer than two minutes.
        """
        return places.clip(self._reachable(self.find(address)[1]))

    def media(self, hit: Hit) -> Clip | None:
        """A hit as a file to hand over: the picture, page or clip; None of texts.

        Raises:
            NotFound: its file is gone.
            PermissionDenied: it leads out of its folder.
        """
        if hit.modality in ("image", "pdf"):
            return places.frame(self._reachable(hit))
        return places.clip(self._reachable(hit)) if hit.modality in ("audio", "video") else None

    def _reachable(self, hit: Hit) -> Hit:
        """The hit, if its file may be opened.

        Raises:
            PermissionDenied: it is a link out of its folder, or lies outside the roots.
        """
        real = os.path.realpath(hit.path)
        if self._roots:
            if lying(real, self._roots) is not None:
                return hit
        elif os.path.dirname(real) == os.path.realpath(os.path.dirname(hit.path)):
            return hit
        raise PermissionDenied(f"`{hit.path[:200]}` leads out of the folders that may be read")

    # --- adding -------------------------------------------------------------------------------------------------------

    def add(
        self, paths: Sequence[str], collection: str | None = None, *, within: Sequence[str] | None = None
    ) -> Report:
        """Index files or folders below the roots.

        Args:
            paths: of this machine.
            collection: where to; the first by default.
            within: real paths of folders that the caller keeps to, beside the library's own; None for no more than
                those.

        Raises:
            PermissionDenied: the library is read only, or a path, or what it links to, lies outside the roots or
                outside `within`.
            NotFound: a path leads nowhere.
        """
        if self.is_read_only:
            raise PermissionDenied("this library is read only: nothing can be added")
        name = self._named(collection)[0]
        real = [os.path.realpath(os.path.expanduser(path)) for path in paths]
        bounds = {"may be added from": self._roots} | ({} if within is None else {"the client declared": within})
        for (words, roots), (given, path) in itertools.product(bounds.items(), zip(paths, real, strict=True)):
            folders = f"the folders that {words}: {', '.join(roots) or 'there are none'}"
            if lying(path, roots) is None:
                raise PermissionDenied(f"`{given[:200]}` lies outside {folders}")
            if not os.path.exists(path):
                raise NotFound(f"`{given[:200]}` does not exist")
            if escaping := next(_links_out(path, roots), None):
                raise PermissionDenied(f"`{escaping[:200]}` links to a place outside {folders}")
        return self.collection(name).add(list(real))

    def _named(self, collection: str | None) -> list[str]:
        if collection is None:
            return self.names
        self.collection(collection)
        return [collection]


def numbered(passages: Sequence[Passage]) -> list[Passage]:
    """The same passages, numbered from 1."""
    return [passage.numbered(n) for n, passage in enumerate(passages, start=1)]


def verdict(verdicts: Sequence[bool | None]) -> bool | None:
    """Whether any collection has a match: True if one says so, None if none does and one cannot tell."""
    if True in verdicts:
        return True
    return None if None in verdicts else False


def _close(collections: Mapping[str, Collection]) -> None:
    for collection in collections.values():
        collection.close()


def _described(name: str, collection: Collection) -> dict[str, Any]:
    kinds: dict[str, int] = {}
    entries = collection.files()
    for entry in entries:
        for modality in entry.modalities:
            kinds[modality] = kinds.get(modality, 0) + 1
    info = collection.info
    return {"name": name, "model": info.model, "dim": info.dim, "files": len(entries), "by_modality": kinds}


def _order(hit: Hit) -> tuple[float, str]:
    place = hit.locator
    return float(place.page or place.start_s or place.start_char or 0), hit.id


def _overlap(a: Locator, b: Locator) -> bool:
    if b.page is not None:
        return a.page == b.page
    for start, end in (("start_s", "end_s"), ("start_char", "end_char")):
        a0, b0 = getattr(a, start), getattr(b, start)
        if a0 is not None and b0 is not None:
            a1, b1 = getattr(a, end), getattr(b, end)
            return bool((b1 is None or a0 < b1) and (a1 is None or b0 < a1))
    return False


def _narrowed(a: Locator, b: Locator) -> Locator:
    """The stretch of seconds that was asked for, where it is one: a clip of it can be cut."""
    if b.start_s is None or b.end_s is None:
        return a
    return Locator(start_s=b.start_s, end_s=min(b.end_s, b.start_s + MAX_CLIP_S))


def lying(path: str, roots: Sequence[str]) -> str | None:
    """The first of these folders that a path lies in, or is; None where it lies in none. All are real paths."""
    return next((root for root in roots if path == root or path.startswith(root.rstrip(os.sep) + os.sep)), None)


def _links_out(folder: str, roots: Sequence[str]) -> Iterator[str]:
    """Links below a folder whose targets lie outside the roots."""
    for place, folders, files in os.walk(folder):
        for path in (os.path.join(place, name) for name in (*folders, *files)):
            if os.path.islink(path) and lying(os.path.realpath(path), roots) is None:
                yield path
