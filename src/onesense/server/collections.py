"""`/api/collections`: make, list, search and delete collections; what is in them is shown by `collections_media`.

The shelf, the jobs and the previews live in `app.state.shelf`, `.jobs` and `.previews` for the rooms beside this one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
from fastapi import APIRouter, Depends, FastAPI, Query, Request
from pydantic import Field
from starlette.responses import Response

from onesense import __version__

from ..errors import Busy, EmptyInput, InvalidInput, PermissionDenied
from ..index.collection import Collection
from .collections_listing import Listing, Listings
from .collections_query import MAX_HITS, MarkIn, PartIn, QueryIn, SearchIn, Strict, opened_contents
from .collections_rows import content_of, first_of, hit_of
from .collections_shelf import Shelf, Shelved
from .dialects import json_response
from .jobs import Jobs
from .preview_cache import PreviewCache
from .settings import Settings, is_loopback

_SEARCHES = 4  # at once; the model embeds one query after the other anyway
_MAX_WAITING = 64
_PAGE, _MAX_PAGE = 100, 1_000
_UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class NewCollection(Strict):
    """A collection to make."""

    name: str = Field(max_length=200)
    model: str | None = Field(None, max_length=200, description="one that this server serves; its first by default")
    dim: int | None = Field(None, ge=1)
    task: str | None = Field(None, max_length=100)


class Paths(Strict):
    """Files of a collection."""

    paths: list[str] = Field(min_length=1, max_length=10_000)


def refuse_foreign_pages(request: Request) -> None:
    """Refuse changes that a page of another site asks for in the name of whoever looks at it.

    Raises:
        PermissionDenied: the browser says that the request comes from elsewhere.
    """
    origin = request.headers.get("origin")
    if request.method not in _UNSAFE or origin is None:
        return
    settings: Settings = request.app.state.settings
    ours = {request.headers.get("host"), urlsplit(settings.public_url or "").netloc} - {""}
    if urlsplit(origin).netloc not in ours and not {origin, "*"} & set(settings.cors_origins):
        raise PermissionDenied(f"a page of `{origin[:200]}` may not use this server: allow it with --cors-origin")


router = APIRouter(prefix="/api", tags=["collections"], dependencies=[Depends(refuse_foreign_pages)])


async def start(app: FastAPI) -> None:
    """Set up the shelf, the jobs and the previews."""
    settings: Settings = app.state.settings
    app.state.shelf = Shelf(settings.folder / "collections", settings.collections)
    app.state.listings = Listings()
    app.state.jobs = Jobs()
    app.state.previews = await asyncio.to_thread(
        PreviewCache, settings.folder / "previews", settings.limits.max_preview_bytes
    )
    app.state.search_turns = anyio.CapacityLimiter(_SEARCHES)


async def stop(app: FastAPI) -> None:
    """Stop the jobs, close the collections."""
    await asyncio.to_thread(app.state.jobs.close)
    await asyncio.to_thread(app.state.shelf.close)


def shelf_of(request: Request) -> Shelf:
    """The shelf of the application."""
    shelf: Shelf = request.app.state.shelf
    return shelf


async def collection_of(request: Request, name: str) -> Collection:
    """An open collection.

    Raises:
        NotFound: there is none of this name.
    """
    return await anyio.to_thread.run_sync(shelf_of(request).open, name)


def takes_paths(settings: Settings) -> bool:
    """Whether folders of the server's own disk may be indexed by whoever may come in: on this machine they may."""
    return bool(settings.media_roots) or (is_loopback(settings.host) and settings.public_url is None)


# --- what there is ----------------------------------------------------------------------------------------------------


@router.get("/status")
async def status(request: Request) -> Response:
    """What this server is and can do."""
    settings: Settings = request.app.state.settings
    info = request.app.state.engine.info(None)
    return json_response(
        {
            "version": __version__,
            "ready": request.app.state.engine.is_ready,
            "model": {"name": info.name, "dim": info.dim, "dims": info.mrl_dims, "modalities": sorted(info.modalities)},
            "models": settings.models,
            "can": {"ask": hasattr(request.app.state, "llm"), "paths": takes_paths(settings)},
            "roots": [str(root) for root in settings.media_roots],
            "limits": {"file_bytes": settings.limits.max_file_bytes, "hits": MAX_HITS},
        }
    )


@router.get("/collections")
async def list_collections(request: Request) -> Response:
    """Every collection, by name, without opening it."""
    found = await anyio.to_thread.run_sync(shelf_of(request).all)
    return json_response({"collections": [_brief(one) for one in found]})


@router.post("/collections", status_code=201)
async def create_collection(request: Request, wanted: NewCollection) -> Response:
    """Make an empty collection in the server's own folder."""
    settings: Settings = request.app.state.settings
    model = wanted.model or settings.model
    if model not in settings.models:
        raise InvalidInput(f"this server serves {', '.join(settings.models)}, not `{model}`")

    def create() -> Shelved:
        return shelf_of(request).create(wanted.name, model=model, dim=wanted.dim, task=wanted.task)

    made = await anyio.to_thread.run_sync(create)
    collection = await collection_of(request, made.name)
    return json_response(_described(made, collection, await listing_of(request, collection)), 201)


@router.get("/collections/{name}")
async def get_collection(request: Request, name: str) -> Response:
    """A collection: its model, and how much is in it."""
    collection = await collection_of(request, name)
    found = shelf_of(request).find(name)
    return json_response(_described(found, collection, await listing_of(request, collection)))


@router.delete("/collections/{name}")
async def delete_collection(request: Request, name: str) -> Response:
    """Delete a collection that was made here, with the files that were uploaded into it; others' files stay."""
    if any(not job.is_over for job in request.app.state.jobs.of(name)):
        raise Busy(f"`{name}` is being indexed: cancel that first")
    await anyio.to_thread.run_sync(shelf_of(request).delete, name)
    return json_response({})


@router.get("/collections/{name}/files")
async def list_files(
    request: Request,
    name: str,
    offset: int = Query(0, ge=0),
    limit: int = Query(_PAGE, ge=1, le=_MAX_PAGE),
    contains: str = Query("", max_length=400),
) -> Response:
    """A page of the files of a collection, by path."""
    entries = (await listing_of(request, await collection_of(request, name))).files
    wanted = contains.casefold()
    found = [entry for entry in entries if wanted in entry.path.casefold()] if wanted else entries
    fields = ("path", "modalities", "n_segments", "size", "mtime")
    page = [{field: getattr(entry, field) for field in fields} for entry in found[offset : offset + limit]]
    return json_response({"files": page, "total": len(found)})


@router.post("/collections/{name}/files/remove")
async def remove_files(request: Request, name: str, wanted: Paths) -> Response:
    """Take files, or all files below folders, out of a collection; the files themselves stay where they are."""
    collection = await collection_of(request, name)
    n_removed = await anyio.to_thread.run_sync(collection.delete, wanted.paths)
    return json_response({"removed": n_removed})


def _brief(found: Shelved) -> dict[str, Any]:
    return {"name": found.name, "own": found.is_own}


def _described(found: Shelved, collection: Collection, listing: Listing) -> dict[str, Any]:
    info = collection.info
    return _brief(found) | {
        "model": info.model,
        "dim": info.dim,
        "task": info.task,
        "files": len(listing.files),
        "segments": listing.n_segments,
        "by_modality": listing.by_modality,
        "folders": listing.folders,
    }


async def listing_of(request: Request, collection: Collection) -> Listing:
    """What is in a collection."""
    listings: Listings = request.app.state.listings
    return await anyio.to_thread.run_sync(listings.of, collection)


# --- search -----------------------------------------------------------------------------------------------------------


@router.get("/collections/{name}/sample")
async def sample_collection(request: Request, name: str, n: int = Query(12, ge=1, le=100)) -> Response:
    """A few segments of every kind, to begin with."""
    collection = await collection_of(request, name)
    paths = (await listing_of(request, collection)).some(n)
    hits = await anyio.to_thread.run_sync(first_of, collection, paths)
    return json_response({"hits": [hit.to_dict() for hit in hits]})


@router.get("/collections/{name}/hit")
async def get_hit(
    request: Request, name: str, id: str = Query(min_length=1, max_length=4_200, description="of a segment")
) -> Response:
    """One segment, as a search would answer it."""
    collection = await collection_of(request, name)
    return json_response((await anyio.to_thread.run_sync(hit_of, collection, id)).to_dict())


@router.post("/collections/{name}/search")
async def search(request: Request, name: str, wanted: SearchIn) -> Response:
    """The segments nearest to a query, best first, with their confidence and the verdict on the whole."""
    collection = await collection_of(request, name)
    groups: list[Sequence[PartIn]] = [wanted.parts, *([p] for p in wanted.plus), *([p] for p in wanted.minus)]
    _refuse_nothing(wanted)
    async with opened_contents(request, groups) as contents:
        query, *steers = contents
        plus, minus = steers[: len(wanted.plus)], steers[len(wanted.plus) :]

        def find() -> dict[str, Any]:
            result = collection.search(
                query,
                wanted.k,
                wanted.modality or None,
                wanted.where or None,
                like=wanted.like,
                plus=plus,
                minus=[*minus, *(content_of(hit_of(collection, id_)) for id_ in wanted.unlike)],
                offset=wanted.offset,
                group=wanted.group,
                collapse=wanted.collapse,
                words=wanted.words,
            )
            return result.to_dict()

        return json_response(await _in_turn(request, find))


@router.post("/collections/{name}/mark")
async def mark(request: Request, name: str, wanted: MarkIn) -> Response:
    """Where in a hit the query is: boxes on a page, a stretch of characters, a heat map of a picture."""
    collection = await collection_of(request, name)
    _refuse_nothing(wanted)
    async with opened_contents(request, [wanted.parts or wanted.plus]) as (query,):

        def find() -> dict[str, Any]:
            return collection.mark(hit_of(collection, wanted.id), query, like=wanted.like).to_dict()

        return json_response(await _in_turn(request, find))


def _refuse_nothing(wanted: QueryIn) -> None:
    if not (wanted.parts or wanted.like or wanted.plus):
        raise EmptyInput("there is nothing to look for: give `parts`, `like` or `plus`")


async def _in_turn(request: Request, work: Any) -> Any:
    """Run in a thread, a few at once.

    Raises:
        Busy: too many wait.
    """
    turns: anyio.CapacityLimiter = request.app.state.search_turns
    if turns.statistics().tasks_waiting >= _MAX_WAITING:
        raise Busy(f"{_MAX_WAITING} searches wait already: try again in a second")
    return await anyio.to_thread.run_sync(work, limiter=turns)
