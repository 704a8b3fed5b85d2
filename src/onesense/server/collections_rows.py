"""Single rows of a collection: the hit behind an id, the file behind a path, the first segment of some files."""

from __future__ import annotations

from collections.abc import Sequence

from ..index.collection import Collection
from ..index.lookup import content_of, file_of, hit_of
from ..index.search import to_hit
from ..types import Hit

__all__ = ["content_of", "file_of", "first_of", "hit_of"]


def first_of(collection: Collection, paths: Sequence[str]) -> list[Hit]:
    """The first segment of each of these files, in their order; of files that are gone by now, none."""
    first: dict[str, Hit] = {}
    for id_, payload in collection.rows({"path": list(paths)}) if paths else ():
        path = str(payload.get("path"))
        if path not in first or (len(id_), id_) < (len(first[path].id), first[path].id):  # `x#9` before `x#10`
            first[path] = to_hit(id_, 0.0, payload, None)
    return [first[path] for path in paths if path in first]
