"""`/api/ask`: questions to collections, answered as server-sent events: passages, pieces of text, the answer.

Same keys, same check of foreign pages and same collections as `/api/collections`. Which language model is asked is the
server's own setting: whoever may ask cannot choose an address that the server would then call.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

import anyio.to_thread
import orjson
from fastapi import APIRouter, Depends, FastAPI, Request
from pydantic import Field
from starlette.responses import Response, StreamingResponse

from ..errors import Busy, EmptyInput, OnesenseError
from ..rag.ask import MAX_QUESTION, Conversation
from ..rag.library import Library
from ..rag.llm import NONE, name_of, open_model
from ..rag.retrieve import Wanted
from ..rag.types import Answer, Delta, Event, Turn
from .collections import collection_of, refuse_foreign_pages
from .collections_query import Strict
from .dialects import json_response
from .settings import Settings

MAX_ASKED = 8  # questions that are answered at once; each may hold a language model for minutes
_KEEP_ALIVE_S = 15.0  # proxies close connections on which nothing came for 30 to 60 s
_NAME = Annotated[str, Field(min_length=1, max_length=200)]
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "X-Content-Type-Options": "nosniff"}


class TurnIn(Strict):
    """A question that was answered before."""

    question: str = Field(max_length=MAX_QUESTION)
    answer: str = Field(max_length=50_000)


class AskIn(Strict):
    """A question, and where to look."""

    question: str = Field(max_length=MAX_QUESTION)
    collections: list[_NAME] = Field(min_length=1, max_length=8)
    modality: list[str] = Field(default_factory=list, max_length=8, description="any of several; all when empty")
    where: dict[str, Any] = Field(default_factory=dict, description="field: value, values, or {gte, lte, prefix}")
    k: int = Field(8, ge=1, le=30, description="passages that can be cited, at most")
    conversation: list[TurnIn] = Field(default_factory=list, max_length=20, description="earlier turns, oldest first")
    use_llm: bool = Field(default=True, description="false: the passages themselves, even where a model is set up")


router = APIRouter(prefix="/api", tags=["ask"], dependencies=[Depends(refuse_foreign_pages)])


async def start(app: FastAPI) -> None:
    """Set up the language model; a wrong setting stops the server at its start."""
    settings: Settings = app.state.settings
    app.state.llm = await anyio.to_thread.run_sync(open_model, settings.llm or NONE)
    app.state.n_asked = 0


@router.get("/ask")
async def describe(request: Request) -> Response:
    """Which language model answers; null: answers are made of the passages themselves."""
    return json_response({"llm": name_of(request.app.state.llm)})


@router.post("/ask", response_class=StreamingResponse)
async def ask(request: Request, wanted: AskIn) -> Response:
    """Server-sent events: `passages`, then `delta`s of text with marks like [1], last `answer`, or `error`."""
    if not wanted.question.strip():
        raise EmptyInput("the question is empty")
    if request.app.state.n_asked >= MAX_ASKED:
        raise Busy(f"{MAX_ASKED} questions are being answered already: try again in a second")
    names = list(dict.fromkeys(wanted.collections))
    library = Library({name: await collection_of(request, name) for name in names})
    conversation = Conversation(
        library,
        llm=request.app.state.llm if wanted.use_llm and request.app.state.llm is not None else NONE,
        wanted=Wanted(wanted.k, tuple(wanted.modality), wanted.where or None),
        turns=[Turn(turn.question, turn.answer) for turn in wanted.conversation],
    )
    events = conversation.events(wanted.question)
    first = await anext(events)  # faults of the request itself are ordinary answers
    body = _body(request.app, first, events)
    return StreamingResponse(body, headers=_HEADERS, media_type="text/event-stream")


async def _body(app: FastAPI, first: Event, events: AsyncIterator[Event]) -> AsyncIterator[bytes]:
    """What goes over the wire; ends with the caller, and the language model's answer with it."""
    app.state.n_asked += 1
    try:
        yield _wire(first)
        async for text in _kept_alive(events):
            yield text
    finally:
        app.state.n_asked -= 1


async def _kept_alive(events: AsyncIterator[Event]) -> AsyncIterator[bytes]:
    """Events, with a comment whenever none came for a while. One task asks for them all, from first to last."""
    pipe: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def pump() -> None:
        try:
            async for event in events:
                pipe.put_nowait(_wire(event))
        except OnesenseError as error:
            pipe.put_nowait(_event("error", {"code": error.code, "message": str(error)}))
        finally:
            pipe.put_nowait(None)

    task = asyncio.create_task(pump())
    try:
        while True:
            try:
                text = await asyncio.wait_for(pipe.get(), _KEEP_ALIVE_S)
            except TimeoutError:
                text = b": still working\n\n"
            if text is None:
                return
            yield text
    finally:
        task.cancel()


def _wire(event: Event) -> bytes:
    name = "delta" if isinstance(event, Delta) else "answer" if isinstance(event, Answer) else "passages"
    return _event(name, event.to_dict())


def _event(name: str, fields: dict[str, Any]) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + orjson.dumps(fields) + b"\n\n"
