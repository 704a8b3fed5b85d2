"""Google's batch API for embeddings: asyncBatchEmbedContent, and get, list, cancel, update, delete of batches."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import orjson
from fastapi import APIRouter, FastAPI, Request
from starlette.responses import Response, StreamingResponse

from ..errors import InvalidInput, OnesenseError
from . import openapi
from .batchstore import BatchRow, BatchStore, NewBatch, State
from .batchworker import Worker
from .dialects import json_response
from .engine import plain_name
from .files import base_of, next_page, read_page, store_of, timestamp
from .gemini import known_model, read_body
from .protojson import Field, Message, Support
from .routing import versioned

router = APIRouter(tags=["batches"])

_PACKAGE = "type.googleapis.com/google.ai.generativelanguage.v1beta"
_SWEEP_S = 600.0
_PIECE_LINES = 16

_INLINED = Message(
    "InlinedEmbedContentRequest",
    {
        "request": Field("any", about="an EmbedContentRequest; a wrong one fails alone, when it is read"),
        "metadata": Field("any", about="comes back with the result"),
    },
)
_REQUESTS = Message("InlinedEmbedContentRequests", {"requests": Field("message", message=_INLINED, is_list=True)})
_INPUT = Message(
    "InputEmbedContentConfig",
    {
        "requests": Field("message", message=_REQUESTS),
        "file_name": Field("string", about='`files/ID` of a JSON lines file: `{"key": …, "request": {…}}`'),
    },
    one_of=("requests", "file_name"),
)
BATCH = Message(
    "EmbedContentBatch",
    {
        "display_name": Field("string"),
        "priority": Field("int32", about="higher ones go first; 0 by default"),
        "input_config": Field("message", message=_INPUT),
        "model": Field("string", about="the same as in the address"),
    }
    | dict.fromkeys(
        ("name", "state", "output", "create_time", "update_time", "end_time", "batch_stats"),
        Field("any", Support.IGNORED),
    ),
)
ASYNC_REQUEST = Message("AsyncBatchEmbedContentRequest", {"batch": Field("message", message=BATCH)})


async def start(app: FastAPI) -> None:
    """Open the store and go on with what was left."""
    settings = app.state.settings
    store = await asyncio.to_thread(BatchStore, settings.folder / "batches", settings.limits.file_ttl_s)
    worker = Worker(store, app.state.files.store, app.state.engine, app.state.sources, settings)
    app.state.batches, app.state.batch_worker = store, worker
    app.state.batch_tasks = [asyncio.create_task(worker.run()), asyncio.create_task(_sweep(store))]


async def stop(app: FastAPI) -> None:
    """Stop where the work stands; the next start goes on from there."""
    for task in app.state.batch_tasks:
        task.cancel()
    await asyncio.gather(*app.state.batch_tasks, return_exceptions=True)
    app.state.batches.close()


async def _sweep(store: BatchStore) -> None:
    while True:
        with suppress(OnesenseError, OSError):  # a full or busy disk: the next round tries again
            await asyncio.to_thread(store.sweep)
        await asyncio.sleep(_SWEEP_S)


# --- routes -----------------------------------------------------------------------------------------------------------


@versioned(router, "POST", "/models/{model:path}:asyncBatchEmbedContent", **openapi.route(ASYNC_REQUEST, "Operation"))
async def async_batch_embed_content(request: Request, model: str) -> Response:
    """Embed many contents in the background, at times when nobody waits for an answer."""
    known_model(request, model, "asyncBatchEmbedContent")
    fields = (await read_body(request, ASYNC_REQUEST)).get("batch", {})
    if named := fields.get("model"):
        if plain_name(named) != plain_name(model):
            raise InvalidInput(f"`batch.model` is `{named}`, but the address says `models/{plain_name(model)}`")
    config = fields.get("input_config", {})
    owner = request.state.key_name
    source = config.get("file_name", "")
    new = NewBatch(
        owner=owner,
        model=f"models/{plain_name(model)}",
        base=base_of(request),
        display_name=fields.get("display_name", ""),
        priority=fields.get("priority", 0),
        input_file=source,
    )
    requests = config.get("requests", {}).get("requests") or []
    if not requests and not source:
        raise InvalidInput("* EmbedContentBatch.input_config: `requests.requests` or `fileName` is not specified")
    lines: Any = map(orjson.dumps, requests)
    if source:
        lines = store_of(request).get(owner, source.removeprefix("files/")).path
    batch = await asyncio.to_thread(_store(request).create, new, lines)
    request.app.state.batch_worker.wake()
    return _operation(batch)


@versioned(router, "GET", "/batches")
async def list_batches(request: Request) -> Response:
    """The batches of this key, newest first, in pages. Results that came inline stand in the batch itself only."""
    limit, before = read_page(request)
    found, rest = _store(request).list(request.state.key_name, limit, before)
    return json_response({"operations": [operation_json(batch) for batch in found]} | next_page(rest))


@versioned(router, "GET", "/batches/{batch_id}")
async def get_batch(request: Request, batch_id: str) -> Response:
    """How far a batch is, and its results once it has ended."""
    return _operation(_store(request).get(request.state.key_name, batch_id))


@versioned(router, "POST", "/batches/{batch_id}:cancel")
async def cancel_batch(request: Request, batch_id: str) -> Response:
    """Stop a batch; one that has ended stays as it is."""
    _store(request).cancel(request.state.key_name, batch_id)
    return json_response({})


@versioned(router, "DELETE", "/batches/{batch_id}")
async def delete_batch(request: Request, batch_id: str) -> Response:
    """Forget a batch, running or not."""
    _store(request).delete(request.state.key_name, batch_id)
    return json_response({})


@versioned(router, "PATCH", "/batches/{batch_id}:updateEmbedContentBatch")
async def update_batch(request: Request, batch_id: str) -> Response:
    """Change the display name or the priority."""
    fields = await read_body(request, BATCH)
    batch = _store(request).update(request.state.key_name, batch_id, fields)
    return json_response(batch_json(batch))


# --- answers ----------------------------------------------------------------------------------------------------------


def batch_json(batch: BatchRow, output: dict[str, Any] | None = None) -> dict[str, Any]:
    """Google's `EmbedContentBatch`."""
    counts = {
        "requestCount": batch.n_requests,
        "successfulRequestCount": batch.n_done - batch.n_failed,
        "failedRequestCount": batch.n_failed,
        "pendingRequestCount": batch.n_requests - batch.n_done,
    }
    fields = {
        "@type": f"{_PACKAGE}.EmbedContentBatch",
        "name": f"batches/{batch.id}",
        "model": batch.model,
        "displayName": batch.display_name,
        "state": f"BATCH_STATE_{batch.state}",
        "priority": str(batch.priority),
        "createTime": timestamp(batch.created_s),
        "updateTime": timestamp(batch.updated_s),
        "endTime": timestamp(batch.ended_s) if batch.ended_s else None,
        "inputConfig": {"fileName": batch.input_file} if batch.input_file else None,
        "batchStats": {name: str(n) for name, n in counts.items()},
        "output": output,
    }
    return {name: value for name, value in fields.items() if value is not None}


def operation_json(batch: BatchRow, inlined: Any = None) -> dict[str, Any]:
    """The operation that stands for a batch; google-genai reads its `metadata` only, REST users its `response`."""
    output: dict[str, Any] | None = {"responsesFile": batch.output_file} if batch.output_file else inlined
    fields: dict[str, Any] = {"name": f"batches/{batch.id}", "metadata": batch_json(batch, output)}
    if not batch.state.is_open:
        fields["done"] = True
    if batch.state is State.SUCCEEDED and output:
        fields["response"] = {"@type": f"{_PACKAGE}.EmbedContentBatchOutput"} | output
    if batch.state in (State.FAILED, State.EXPIRED):
        late = "the batch was not done within its time"
        fields["error"] = {"code": batch.error_code or 4, "message": batch.error or late}
    return fields


def _operation(batch: BatchRow) -> Response:
    """An operation; results that came inline are read from the disk while they are sent."""
    if batch.state is not State.SUCCEEDED or batch.output_file:
        return json_response(operation_json(batch))
    mark = secrets.token_hex(16)
    shell = orjson.dumps(operation_json(batch, {"inlinedResponses": {"inlinedResponses": mark}}))
    return StreamingResponse(_filled(shell.split(orjson.dumps(mark)), batch), media_type="application/json")


def _filled(shell: Sequence[bytes], batch: BatchRow) -> Iterator[bytes]:
    """The lines of the output between the pieces of an answer that is JSON already."""
    first, *others = shell
    yield first
    for piece in others:
        with batch.output.open("rb") as results:
            yield b"["
            yield from _joined(results)
            yield b"]"
        yield piece


def _joined(lines: Iterable[bytes]) -> Iterator[bytes]:
    waiting: list[bytes] = []
    lead = b""
    for line in lines:
        waiting.append(line.rstrip(b"\n"))
        if len(waiting) == _PIECE_LINES:
            yield lead + b",".join(waiting)
            waiting, lead = [], b","
    if waiting:
        yield lead + b",".join(waiting)


def _store(request: Request) -> BatchStore:
    found: BatchStore = request.app.state.batches
    return found
