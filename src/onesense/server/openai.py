"""OpenAI's `/v1/embeddings`, also under Google's `/v1beta/openai`; texts, and parts of any modality.

Every entry of `input` is one vector. An entry is a text, one part, or several parts that are fused: a list of parts, or
an object with `content` (OpenAI's messages) or `parts` (Gemini's contents).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from starlette.responses import Response

from ..engine import tasks
from ..errors import EmptyInput, InvalidInput, MalformedRequest, NotFound, OnesenseError
from ..types import Array, Embedding, Task
from . import gemini, openapi
from . import gemini_wire as wire
from .content_parts import wanted
from .engine import plain_name
from .openai_tokens import TokenTable
from .protojson import Field, Message, Support
from .routing import versioned

router = APIRouter(tags=["openai"])

MAX_ITEMS = 2_048  # OpenAI's
REQUEST = Message(
    "CreateEmbeddingRequest",
    {
        "input": Field("any", about="a text, a list of texts, or contents of parts; each entry of a list is a vector"),
        "messages": Field("any", about="vLLM's: a conversation in the place of `input`, all its parts one vector"),
        "model": Field("string"),
        "dimensions": Field("int32", about="1 to the width of the model; all of it by default"),
        "encoding_format": Field("enum", words=("float", "base64"), about="base64: little-endian float32"),
        "user": Field("any", Support.IGNORED),
        "task": Field("string", about="ours: what the vectors are for, such as `search query` or `RETRIEVAL_QUERY`"),
    },
)

_TOKENS = (
    "`input` holds token numbers, which belong to the tokeniser of another model: send the texts themselves "
    "(LangChain: `OpenAIEmbeddings(check_embedding_ctx_length=False)`), or start the server with "
    "`--openai-tokens cl100k_base.tiktoken`"
)
_OPTIONS = openapi.route(REQUEST, "CreateEmbeddingResponse")


@versioned(router, "POST", "/openai/embeddings", **_OPTIONS)
async def create_embeddings(request: Request) -> Response:
    """Embed every entry of `input`. Over-long ones are cut, and say so: `"truncated": true` beside their vector."""
    fields = await gemini.read_body(request, REQUEST)
    model = fields.get("model")
    if not model:
        raise MalformedRequest("`model` is missing: name one of `GET /v1/models`")
    if plain_name(model) not in request.app.state.settings.names:
        raise NotFound(f"The model `{model}` does not exist: `GET /v1/models` lists those that do")
    task = tasks.parse_task(fields.get("task"))
    is_chat = fields.get("messages") is not None
    given = (
        [_conversation(fields)] if is_chat else _spelt(fields.get("input"), request.app.state.settings.openai_tokens)
    )
    asked = _read_input(given, task, fields.get("dimensions"))
    found = await gemini.embed(request, model, asked, items="messages" if is_chat else "input", honours_task=True)
    is_base64 = fields.get("encoding_format") == "base64"
    n_tokens = sum(e.n_tokens for e in found)
    body = {
        "object": "list",
        "data": [_entry(place, e, is_base64=is_base64) for place, e in enumerate(found)],
        "model": model,
        "usage": {"prompt_tokens": n_tokens, "total_tokens": n_tokens},
    }
    return gemini.answer(request, body, found)


router.add_api_route("/v1/embeddings", create_embeddings, methods=["POST"], response_model=None, **_OPTIONS)


def _entry(place: int, found: Embedding, *, is_base64: bool) -> dict[str, Any]:
    values = base64_of(found.values) if is_base64 else found.values
    cut = {"truncated": True} if found.truncated else {}
    return {"object": "embedding", "index": place, "embedding": values} | cut


def base64_of(values: Array) -> str:
    """Base64 of little-endian float32."""
    return base64.b64encode(np.asarray(values, "<f4").tobytes()).decode()


def _read_input(given: Any, task: Task | None, dim: int | None) -> list[wire.Wanted]:
    """The contents of a request.

    Raises:
        InvalidInput: there is nothing, too much, or an entry is no content; the message names it.
    """
    if given is None or given == [] or given == "":
        raise EmptyInput("`input` is empty: give a text, or a list of texts or of parts")
    if not isinstance(given, (str, list, dict)):
        raise MalformedRequest(f"`input` is a text or a list, not {type(given).__name__}")
    entries = given if isinstance(given, list) else [given]
    if len(entries) > MAX_ITEMS:
        raise InvalidInput(f"`input` has {len(entries):,} entries: at most {MAX_ITEMS:,} can be in one call")
    asked = []
    for place, entry in enumerate(entries):
        try:
            asked.append(wanted(_parts_of(entry), task=task, dim=dim))
        except OnesenseError as error:
            raise wire.fault_of_item(error, place, "input") from None
    return asked


def _conversation(fields: Mapping[str, Any]) -> list[Any]:
    """The parts of all messages, in order.

    Raises:
        InvalidInput: there is `input` too, or this is no list of messages.
    """
    messages = fields["messages"]
    if fields.get("input") is not None:
        raise InvalidInput("`input` and `messages` exclude each other: leave one of them out")
    if not isinstance(messages, list) or not all(isinstance(m, dict) and "content" in m for m in messages):
        raise MalformedRequest('`messages` is a list such as `[{"role": "user", "content": "a cat"}]`')
    return [part for message in messages for part in _parts_of(message)]


def _spelt(given: Any, table: TokenTable | None) -> Any:
    """The same input with texts in the place of token numbers.

    Raises:
        InvalidInput: this server cannot read them.
    """
    if _is_tokens(given):
        if table is None:
            raise InvalidInput(_TOKENS)
        return table.text(given)
    if isinstance(given, list) and any(map(_is_tokens, given)):
        return [_spelt(entry, table) for entry in given]
    return given


def _is_tokens(entry: Any) -> bool:
    return isinstance(entry, list) and bool(entry) and all(type(n) is int for n in entry)


def _parts_of(entry: Any) -> list[Any]:
    if isinstance(entry, list):
        return entry
    if isinstance(entry, dict):
        inner = entry.get("content", entry.get("parts"))
        if isinstance(inner, list):
            return inner
        if isinstance(inner, str):
            return [inner]
    return [entry]
