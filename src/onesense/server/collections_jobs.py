"""`/api/collections/{name}/jobs` and `/api/jobs`: indexing in the background, watched live, cancelled, tried again."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import anyio.to_thread
import orjson
from fastapi import APIRouter, Depends, Request
from pydantic import Field
from starlette.responses import Response, StreamingResponse

from ..errors import EmptyInput, NotFound, PermissionDenied, StorageFull
from ..index.collection import Collection
from .collections import collection_of, refuse_foreign_pages, shelf_of, takes_paths
from .collections_query import Strict
from .dialects import json_response
from .filestore import FileStore, StoredFile
from .jobs import Job, Jobs
from .settings import Settings

router = APIRouter(prefix="/api", tags=["collections"], dependencies=[Depends(refuse_foreign_pages)])

_LOOK_S = 0.2  # between two looks at a job that is watched
_ALIVE_S = 15.0  # a proxy closes a stream that is silent for a minute
_MAX_DEPTH = 16
_MAX_NAME_BYTES = 180


class NewJob(Strict):
    """What to index."""

    kind: Literal["index", "plan", "retry"] = Field("index", description="`plan` only counts; `retry` what failed")
    paths: list[str] = Field(default_factory=list, max_length=1_000, description="files and folders of the server")
    uploads: list[str] = Field(default_factory=list, max_length=10_000, description="`files/ID` of the Files API")
    prune: bool = Field(default=False, description="forget files that are gone from the paths")


@router.post("/collections/{name}/jobs", status_code=202)
async def create_job(request: Request, name: str, wanted: NewJob) -> Response:
    """Begin to index; the answer is the job, whose `id` can be watched."""
    collection = await collection_of(request, name)
    allowed = [str(_allowed(Path(path), request.app.state.settings)) for path in wanted.paths]
    if wanted.kind != "retry" and not (wanted.paths or wanted.uploads):
        raise EmptyInput("there is nothing to index: give `paths` or `uploads`")
    if wanted.uploads:
        folder = shelf_of(request).uploads(name)
        store: FileStore = request.app.state.files.store
        taken = await anyio.to_thread.run_sync(_take_in, store, request.state.key_name, wanted.uploads, folder)
        allowed += [str(path) for path in taken]

    def work(job: Job) -> Any:
        return _WORK[wanted.kind](collection, job, allowed, prune=wanted.prune)

    jobs: Jobs = request.app.state.jobs
    return json_response(jobs.submit(name, wanted.kind, work).to_dict(), 202)


@router.get("/collections/{name}/jobs")
async def list_jobs(request: Request, name: str) -> Response:
    """The jobs of a collection, newest first, and the server's clock."""
    shelf_of(request).find(name)
    jobs = [job.to_dict() for job in request.app.state.jobs.of(name)]
    return json_response({"jobs": jobs, "now_s": time.time()})


@router.get("/collections/{name}/failures")
async def list_failures(request: Request, name: str) -> Response:
    """Files that could not be indexed, and why."""
    collection = await collection_of(request, name)
    found = await anyio.to_thread.run_sync(collection.failed)
    return json_response({"failures": [{"path": f.path, "code": f.code, "reason": f.reason} for f in found]})


@router.get("/jobs/{id}")
async def get_job(request: Request, id: str) -> Response:
    """How far a job is."""
    return json_response(request.app.state.jobs.get(id).to_dict())


@router.get("/jobs/{id}/events", response_class=StreamingResponse)
async def watch_job(request: Request, id: str) -> Response:
    """Server-sent events: the job whenever it has changed, until it is over."""
    job: Job = request.app.state.jobs.get(id)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_events(job), media_type="text/event-stream", headers=headers)


@router.post("/jobs/{id}/cancel")
async def cancel_job(request: Request, id: str) -> Response:
    """Stop a job at its next file; what is indexed by then stays."""
    job: Job = request.app.state.jobs.get(id)
    job.cancel()
    return json_response(job.to_dict())


async def _events(job: Job) -> AsyncIterator[bytes]:
    seen, told_s = -1, time.monotonic()
    while True:
        version, is_over = job.version, job.is_over
        if version != seen or is_over:  # the last state is told whatever was seen before
            seen, told_s = version, time.monotonic()
            yield b"data: " + orjson.dumps(job.to_dict()) + b"\n\n"
        elif time.monotonic() - told_s > _ALIVE_S:
            told_s = time.monotonic()
            yield b": still here\n\n"
        if is_over:
            return
        await asyncio.sleep(_LOOK_S)


# --- the work ---------------------------------------------------------------------------------------------------------


def _index(collection: Collection, job: Job, paths: list[str], *, prune: bool) -> Any:
    return collection.add(paths, prune=prune, progress=job.progress).to_dict()


def _plan(collection: Collection, job: Job, paths: list[str], *, prune: bool) -> Any:
    del job
    return collection.plan(paths, prune=prune).to_dict()


def _retry(collection: Collection, job: Job, paths: list[str], *, prune: bool) -> Any:
    del paths, prune
    return collection.retry_failed(progress=job.progress).to_dict()


_WORK = {"index": _index, "plan": _plan, "retry": _retry}


def _allowed(path: Path, settings: Settings) -> Path:
    """A path of the server that may be indexed, without links and dots.

    Raises:
        PermissionDenied: it is not below one of the folders that the server was allowed.
        NotFound: there is nothing.
    """
    if not takes_paths(settings):
        raise PermissionDenied("this server indexes uploads only: start it with --media-root FOLDER to allow a folder")
    real = Path(os.path.realpath(path.expanduser()))
    roots = [Path(os.path.realpath(root.expanduser())) for root in settings.media_roots]
    if roots and not any(real.is_relative_to(root) for root in roots):
        raise PermissionDenied(f"`{path}` is not below {', '.join(f'`{root}`' for root in roots)}")
    if not real.exists():
        raise NotFound(f"there is no file or folder `{path}` on the server's machine")
    return real


# --- uploads ----------------------------------------------------------------------------------------------------------


def _take_in(store: FileStore, owner: str, uploads: list[str], folder: Path) -> list[Path]:
    """Move uploaded files beside the collection, under names that stay within the folder.

    Raises:
        PermissionDenied: this owner has no such file.
        StorageFull: the disk is full.
    """
    files = [store.get(owner, uri.removeprefix("files/")) for uri in uploads]
    try:
        return [_move_in(store, file, folder) for file in files]
    except OSError as cause:
        raise StorageFull(f"the uploads cannot be kept: {cause.strerror}") from cause


def _move_in(store: FileStore, file: StoredFile, folder: Path) -> Path:
    target = _free(folder.joinpath(*safe_names(file.display_name or file.id)), file.n_bytes)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file.path, target)
    store.delete(file.owner, file.id)
    return target


def safe_names(display_name: str) -> list[str]:
    """Folders and a file name of what a client called a file: nothing hidden, nothing above, nothing endless."""
    parts = ["".join(c for c in part if c.isprintable()) for part in display_name.replace("\\", "/").split("/")]
    kept = [name for part in parts if (name := part.strip().lstrip("."))]
    return [_shortened(name) for name in kept[-_MAX_DEPTH:]] or ["unnamed"]


def _shortened(name: str) -> str:
    stem, suffix = os.path.splitext(name)
    room = _MAX_NAME_BYTES - len(suffix.encode())
    return stem.encode()[: max(room, 1)].decode(errors="ignore") + suffix[:40]


def _free(path: Path, n_bytes: int) -> Path:
    """The path, or with a number behind the name while another file has it; the same size is the same file anew."""
    for n in range(2, 10_000):
        if not path.exists() or path.stat().st_size == n_bytes:
            return path
        path = path.with_name(f"{path.stem.rpartition(' (')[0] or path.stem} ({n}){path.suffix}")
    return path
