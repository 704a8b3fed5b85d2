"""Google's embedding methods: embedContent, batchEmbedContents, countTokens; Vertex's are in `vertex.py`."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio.to_thread
from fastapi import APIRouter, Request
from starlette.responses import Response

from onesense.engine.client import merges
from onesense.errors import InvalidInput, OnesenseError
from onesense.types import Embedding

from . import gemini_wire as wire
from . import openapi
from .dialects import json_response
from .engine import Engine, Job, plain_name, unknown_model
from .protojson import Message, parse
from .routing import versioned, while_connected
from .settings import Settings

router = APIRouter(tags=["gemini"])

_LARGE_BODY = 1 << 18  # bytes; parsing more on the event loop would hold up everybody else


@versioned(
    router, "POST", "/models/{model:path}:embedContent", **openapi.route(wire.EMBED_REQUEST, "EmbedContentResponse")
)
async def embed_content(request: Request, model: str) -> Response:
    """One content, one vector."""
    known_model(request, model, "embedContent")
    fields = await read_body(request, wire.EMBED_REQUEST)
    (found,) = await embed(request, model, [read_one(fields, model)])
    return answer(request, {"embedding": wire.embedding(found), "usageMetadata": wire.usage([found])}, [found])


@versioned(
    router,
    "POST",
    "/models/{model:path}:batchEmbedContents",
    **openapi.route(wire.BATCH_REQUEST, "BatchEmbedContentsResponse"),
)
async def batch_embed_contents(request: Request, model: str) -> Response:
    """Several contents, a vector each, in order. One that fails fails the call, and is named."""
    known_model(request, model, "batchEmbedContents")
    fields = await read_body(request, wire.BATCH_REQUEST)
    found = await embed(request, model, read_batch(fields, model, most(request)), items="requests")
    body = {"embeddings": [wire.embedding(e) for e in found], "usageMetadata": wire.usage(found)}
    return answer(request, body, found)


@versioned(
    router, "POST", "/models/{model:path}:countTokens", **openapi.route(wire.COUNT_REQUEST, "CountTokensResponse")
)
async def count_tokens(request: Request, model: str) -> Response:
    """Tokens that contents would take, what is cut left out."""
    known_model(request, model, "countTokens")
    fields = await read_body(request, wire.COUNT_REQUEST)
    inner = fields.get("generate_content_request", {})
    contents = fields.get("contents") or inner.get("contents")
    if not contents:
        raise InvalidInput("* CountTokensRequest.contents: contents is not specified")
    wanted = [wire.read_wanted({"content": content}) for content in contents]
    async with opened_jobs(request, model, wanted) as jobs:
        engine: Engine = request.app.state.engine
        work = engine.count_tokens([job.content for job in jobs], model=plain_name(model))
        outcomes = await while_connected(request, work)
    return json_response(wire.counted(_all_fine(outcomes, "contents")))


# --- the way of a request, shared with Vertex -------------------------------------------------------------------------


def known_model(request: Request, model: str, method: str) -> None:
    """Refuse a name that this server does not answer, in Google's words.

    Raises:
        NotFound: there is no such model here.
    """
    if plain_name(model) not in request.app.state.settings.names:
        raise unknown_model(model, request.path_params.get("version", "v1"), method)


async def read_body(request: Request, message: Message) -> dict[str, Any]:
    """The body, read as a message.

    Raises:
        MalformedRequest: it is none.
    """
    body = await request.body()
    start_s = time.perf_counter()
    if len(body) > _LARGE_BODY:
        fields = await anyio.to_thread.run_sync(parse, message, body)
    else:
        fields = parse(message, body)
    request.state.trace.add("parse", time.perf_counter() - start_s)
    return fields


def most(request: Request) -> int:
    """Most contents of one batch."""
    found: int = request.app.state.settings.limits.max_batch_items
    return found


def read_one(fields: dict[str, Any], model: str) -> wire.Wanted:
    """An EmbedContentRequest under the address of a model.

    Raises:
        InvalidInput: it names another model, or has nothing to embed.
    """
    wanted = wire.read_wanted(fields)
    if wanted.model is not None and plain_name(wanted.model) != plain_name(model):
        raise InvalidInput(f"`model` is `{wanted.model}`, but the address says `models/{plain_name(model)}`: keep one")
    return wanted


def read_batch(fields: dict[str, Any], model: str, max_items: int) -> list[wire.Wanted]:
    """The requests of a BatchEmbedContentsRequest.

    Raises:
        InvalidInput: none, too many, or one of them is wrong; the message names it.
    """
    requests = fields.get("requests") or []
    if not requests:
        raise InvalidInput("* BatchEmbedContentsRequest.requests: requests is not specified")
    if len(requests) > max_items:
        raise InvalidInput(f"* BatchEmbedContentsRequest.requests: at most {max_items} requests can be in one batch")
    found = []
    for place, one in enumerate(requests):
        try:
            found.append(read_one(one, model))
        except OnesenseError as error:
            raise wire.fault_of_item(error, place) from None
    return found


async def embed(
    request: Request,
    model: str,
    wanted: Sequence[wire.Wanted],
    *,
    items: str | None = None,
    honours_task: bool | None = None,
) -> list[Embedding]:
    """Vectors of all, in order.

    Args:
        request: who asks.
        model: any name that this server answers.
        wanted: one vector each.
        items: what an error calls them, such as `requests`; None where there is one only.
        honours_task: whether task and title count; by default that depends on the name, as `obeys_tasks` says.

    Raises:
        OnesenseError: one of them failed; the message names the first.
        ClientDisconnect: the caller left.
    """
    async with opened_jobs(request, model, wanted, honours_task=honours_task) as jobs:
        engine: Engine = request.app.state.engine
        work = engine.embed_jobs(jobs, model=plain_name(model), trace=request.state.trace)
        outcomes = await while_connected(request, work)
    return _all_fine(outcomes, items)


@asynccontextmanager
async def opened_jobs(
    request: Request, model: str, wanted: Sequence[wire.Wanted], *, honours_task: bool | None = None
) -> AsyncIterator[list[Job]]:
    """What the engine is asked, files opened; they are closed behind the `async with`.

    Raises:
        OnesenseError: a file cannot be opened, or a title stands beside a task that takes none.
    """
    honours = obeys_tasks(request.app.state.settings, model) if honours_task is None else honours_task
    refs = [ref for one in wanted for ref in one.refs]
    async with AsyncExitStack() as stack:
        opened = []
        if refs:
            start_s = time.perf_counter()
            sources = request.app.state.sources
            opened = _all_fine(await stack.enter_async_context(sources.opened(refs, request.state.key_name)), None)
            request.state.trace.add("fetch", time.perf_counter() - start_s)
        parts = iter(opened)
        yield [one.job([next(parts) for _ in one.refs], honours_task=honours) for one in wanted]


def obeys_tasks(settings: Settings, model: str) -> bool:
    """Whether `taskType` and `title` have an effect under this name: not where Google's own model ignores them."""
    return settings.honours_tasks or not merges(plain_name(model))


def _all_fine(outcomes: Sequence[Any], what: str | None) -> list[Any]:
    """The outcomes, none of which is an error."""
    for place, outcome in enumerate(outcomes):
        if isinstance(outcome, OnesenseError):
            raise wire.fault_of_item(outcome, place, what) if what else outcome
    return list(outcomes)


def answer(request: Request, body: dict[str, Any], found: Sequence[Embedding]) -> Response:
    """A JSON answer with vectors in it; its tokens are counted."""
    trace = request.state.trace
    trace.n_vectors = len(found)
    for one in found:
        for modality, n_tokens in one.usage.items():
            trace.n_tokens[modality] = trace.n_tokens.get(modality, 0) + n_tokens
    start_s = time.perf_counter()
    response = json_response(body)
    trace.add("serialise", time.perf_counter() - start_s)
    return response
