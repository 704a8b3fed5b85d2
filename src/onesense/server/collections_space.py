"""The space itself: a collection as a map, and contents compared with each other at several sizes."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from typing import Any
from weakref import WeakKeyDictionary

import anyio.to_thread
import numpy as np
from fastapi import APIRouter, Depends, FastAPI, Query, Request
from starlette.responses import Response

from ..errors import EmptyInput, OnesenseError
from ..index import analysis
from ..index.collection import Collection
from ..types import Array, Locator
from ..vectors import check_dim, cosine, truncate_normalize
from . import projection
from .collections import collection_of, refuse_foreign_pages
from .collections_query import SimilarityIn, opened_contents
from .dialects import json_response
from .engine import Engine

router = APIRouter(prefix="/api", tags=["collections"], dependencies=[Depends(refuse_foreign_pages)])

_READ = 1_000  # vectors read from the store at once
_COLOURS = 8  # clusters that a person can tell apart


async def start(app: FastAPI) -> None:
    """Make room for maps."""
    app.state.maps = Maps()


@router.get("/collections/{name}/space")
async def space(request: Request, name: str, limit: int = Query(5_000, ge=1, le=projection.MAX_POINTS)) -> Response:
    """Segments as points of a map, within -1..1; an even sample of them where there are more than `limit`."""
    collection = await collection_of(request, name)
    maps: Maps = request.app.state.maps
    return json_response(await anyio.to_thread.run_sync(maps.of, collection, limit))


@router.post("/similarity")
async def similarity(request: Request, wanted: SimilarityIn) -> Response:
    """Cosines of contents with each other, at every size that is asked for; several parts make one composite."""
    engine: Engine = request.app.state.engine
    info = engine.info(wanted.model)
    dims = wanted.dims or [info.dim]
    for dim in dims:
        check_dim(dim, info.dim)
    if empty := [place for place, content in enumerate(wanted.contents) if not content.parts]:
        raise EmptyInput(f"contents[{empty[0]}] has no part: there is nothing to embed")
    async with opened_contents(request, [content.parts for content in wanted.contents]) as contents:
        outcomes = await engine.embed([c for c in contents if c], model=wanted.model)
    for place, outcome in enumerate(outcomes):
        if isinstance(outcome, OnesenseError):
            raise outcome.at(place)
    vectors = np.stack([e.values for e in outcomes if not isinstance(e, OnesenseError)])
    found = [{"dim": dim, "cosine": _at(vectors, dim)} for dim in dims]
    tokens = [dict(e.usage) for e in outcomes if not isinstance(e, OnesenseError)]
    return json_response({"model": info.name, "sizes": found, "tokens": tokens})


def _at(vectors: Array, dim: int) -> list[list[float]]:
    cut = truncate_normalize(vectors, dim)
    return [[round(float(value), 5) for value in row] for row in cosine(cut, cut)]


class Maps:
    """The map of each collection as it was last asked for, drawn anew when the collection has changed."""

    def __init__(self) -> None:
        self._maps: WeakKeyDictionary[Collection, dict[int, tuple[Hashable, dict[str, Any]]]] = WeakKeyDictionary()
        self._drawing = threading.Lock()

    def of(self, collection: Collection, limit: int) -> dict[str, Any]:
        """The points of a collection.

        Raises:
            CorruptData: it cannot be read.
        """
        with self._drawing:
            version = collection.version()
            drawn = self._maps.setdefault(collection, {})
            if limit not in drawn or version is None or drawn[limit][0] != version:
                drawn[limit] = (version, _drawn(collection, list(collection.rows()), limit))
            return drawn[limit][1]


def _groups(collection: Collection, n_rows: int) -> dict[str, int]:
    """Which group of things that belong together each segment is in, from 0, the largest first."""
    n = min(_COLOURS, max(1, n_rows // 4))
    if not 0 < n_rows <= projection.MAX_POINTS:
        return {}
    found = analysis.cluster(collection, n)
    names = list(dict.fromkeys(row.label for row in found))
    return {row.id: names.index(row.label) for row in found}


def _drawn(collection: Collection, rows: list[tuple[str, Any]], limit: int) -> dict[str, Any]:
    step = max(1, -(-len(rows) // limit))
    chosen = sorted(rows, key=lambda row: row[0])[::step]
    ids = [id_ for id_, _ in chosen]
    blocks = [collection.vectors(ids[at : at + _READ]) for at in range(0, len(ids), _READ)]
    vectors = np.concatenate(blocks) if blocks else np.zeros((0, 2), np.float32)
    places = projection.project(vectors)
    groups = _groups(collection, len(rows))
    points = [
        {
            "id": id_,
            "path": payload.get("path"),
            "modality": payload.get("modality"),
            "locator": Locator.from_dict(payload.get("locator") or {}).to_dict(),
            "preview": payload.get("preview", ""),
            "x": round(float(place[0]), 4),
            "y": round(float(place[1]), 4),
            "cluster": groups.get(id_, 0),
        }
        for (id_, payload), place in zip(chosen, places, strict=True)
    ]
    return {"points": points, "total": len(rows)}
