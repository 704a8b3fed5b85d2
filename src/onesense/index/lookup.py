"""Single rows of a collection: the hit behind an id, what it was made of, the file behind a path."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from onesense.errors import NotFound
from onesense.media import decode
from onesense.types import Content, Hit, Part

from .search import to_hit

if TYPE_CHECKING:
    from .collection import Collection


def hit_of(collection: Collection, id_: str) -> Hit:
    """The segment that an id names, with score 1.

    Raises:
        NotFound: there is no such segment.
    """
    path = id_.rpartition("#")[0] or id_
    for found, payload in collection.rows({"path": path}):
        if found == id_:
            return to_hit(found, 1.0, payload, None)
    raise NotFound(f"the collection holds no segment `{id_[:200]}`: it may have been indexed anew since")


def content_of(hit: Hit) -> Content:
    """What a segment was made of, read from its file again.

    Raises:
        NotFound: the file is gone.
    """
    path, place = Path(hit.path), hit.locator
    if not path.is_file():
        raise NotFound(f"`{hit.path[:200]}` is gone from the disk")
    if place.start_char is not None:
        text = decode(Part.file(path))[1]
        assert isinstance(text, str)
        return Content(text[place.start_char : place.end_char])
    pages = None if place.page is None else (place.page,)
    return Content(Part(path, start_s=place.start_s, end_s=place.end_s, pages=pages))


def file_of(collection: Collection, path: str) -> Path:
    """A file of the collection; only what was indexed can be looked at.

    Raises:
        NotFound: the collection has no such file, or it is gone from the disk.
    """
    row = next(iter(collection.rows({"path": path})), None)
    if row is None or row[1].get("mtime") is None:
        raise NotFound(f"the collection holds no file `{path[:200]}`")
    if not Path(path).is_file():
        raise NotFound(f"`{path[:200]}` is gone from the disk: index its folder again to take it out")
    return Path(path)
