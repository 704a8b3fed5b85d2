"""Single rows of a collection: the hit behind an id, the file behind a path, a few of everything."""

from __future__ import annotations

from itertools import islice, zip_longest

from ..index.collection import Collection
from ..index.lookup import content_of, file_of, hit_of
from ..index.search import to_hit
from ..types import Hit

__all__ = ["content_of", "file_of", "hit_of", "sample"]

_LOOKED_AT = 2_000  # rows of a large collection from which a few are chosen


def sample(collection: Collection, n: int) -> list[Hit]:
    """The first segments of some files, kinds in turn; the same ones as long as the collection stays as it is."""
    kinds: dict[str, dict[str, Hit]] = {}
    for id_, payload in islice(collection.rows(), _LOOKED_AT):
        found = kinds.setdefault(str(payload.get("modality")), {})
        if len(found) < n:
            found.setdefault(str(payload.get("path")), to_hit(id_, 0.0, payload, None))
    turns = zip_longest(*(hits.values() for hits in kinds.values()))
    return [hit for turn in turns for hit in turn if hit is not None][:n]
