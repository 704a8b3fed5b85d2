"""Cohere's `/v2/embed`, and `/v1/embed` for its older clients: texts, pictures, or contents of several parts."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from ..errors import InvalidInput, MalformedRequest, NotFound, OnesenseError, TooLarge
from ..types import Array, Embedding, Task
from . import compact, gemini, openapi
from . import gemini_wire as wire
from .content_parts import data_part, wanted
from .engine import Engine, plain_name
from .openai import base64_of
from .protojson import Field, Message, Support
from .routing import while_connected

router = APIRouter(tags=["cohere"])

MAX_ITEMS = 96  # Cohere's
INPUT_TYPES: Mapping[str, Task | None] = {
    "search_document": Task.SEARCH_DOCUMENT,
    "search_query": Task.SEARCH_QUERY,
    "classification": Task.CLASSIFICATION,
    "clustering": Task.CLUSTERING,
    "image": None,
}
"""`input_type` -> what the vectors are for."""
TYPES: Mapping[str, Callable[[Array], Any]] = {
    "float": lambda values: values,
    "int8": compact.int8,
    "uint8": compact.uint8,
    "binary": compact.binary,
    "ubinary": compact.ubinary,
    "base64": base64_of,
}
"""`embedding_types` -> how one vector is written."""
REQUEST = Message(
    "EmbedRequest",
    {
        "model": Field("string"),
        "input_type": Field("enum", words=tuple(INPUT_TYPES), about="required under /v2"),
        "texts": Field("any", about="a list of texts"),
        "images": Field("any", about="a list of `data:` addresses"),
        "inputs": Field("any", about='a list of `{"content": [parts]}`; the parts of one are fused'),
        "embedding_types": Field("any", about=f"a list of {', '.join(TYPES)}; float by default"),
        "output_dimension": Field("int32"),
        "max_tokens": Field("int32", about="texts are cut to so many tokens"),
        "truncate": Field("enum", words=("NONE", "START", "END"), about="what is cut off a text that is too long"),
        "priority": Field("any", Support.IGNORED),
    },
)
_SOURCES = ("texts", "images", "inputs")


@router.post("/v2/embed", response_model=None, **openapi.route(REQUEST, "EmbedByTypeResponse"))
async def embed(request: Request) -> Response:
    """A vector an entry, in each of the types that are asked for."""
    fields = await gemini.read_body(request, REQUEST)
    if "input_type" not in fields:
        raise MalformedRequest(f"`input_type` is missing: use one of {', '.join(INPUT_TYPES)}")
    return await _answer(request, fields, _types(fields))


@router.post("/v1/embed", response_model=None, **openapi.route(REQUEST, "EmbedByTypeResponse"))
async def embed_v1(request: Request) -> Response:
    """As `/v2/embed`; without `embedding_types` the answer is a plain list of vectors."""
    fields = await gemini.read_body(request, REQUEST)
    return await _answer(request, fields, _types(fields) if "embedding_types" in fields else None)


async def _answer(request: Request, fields: dict[str, Any], types: Sequence[str] | None) -> Response:
    model = fields.get("model")
    if not model:
        raise MalformedRequest("`model` is missing: name one of `GET /v1/models`")
    if plain_name(model) not in request.app.state.settings.names:
        raise NotFound(f"model '{model}' not found: `GET /v1/models` lists those that there are")
    name, entries = _entries(fields)
    asked = _read(name, entries, fields)
    if types and {"binary", "ubinary"} & set(types):
        compact.check_packable(fields.get("output_dimension") or request.app.state.engine.info(model).dim)
    n_cut = 0
    if name == "texts":
        asked, n_cut = await _fitted(request, model, asked, fields)
    found = await gemini.embed(request, model, asked, items=name, honours_task=True)
    body = {"id": str(uuid.uuid4())} | _embeddings(found, types)
    if name == "texts":
        body["texts"] = entries
    body["meta"] = _meta(request, found, asked, n_cut)
    return gemini.answer(request, body, found)


def _embeddings(found: Sequence[Embedding], types: Sequence[str] | None) -> dict[str, Any]:
    if types is None:
        return {"response_type": "embeddings_floats", "embeddings": [e.values for e in found]}
    by_type = {name: [TYPES[name](e.values) for e in found] for name in types}
    return {"response_type": "embeddings_by_type", "embeddings": by_type}


def _meta(request: Request, found: Sequence[Embedding], asked: Sequence[wire.Wanted], n_cut: int) -> dict[str, Any]:
    total = sum(e.n_tokens for e in found)
    n_images = sum(e.usage.get("image", 0) for e in found)
    billed = {"input_tokens": total - n_images, "image_tokens": n_images}
    version = "1" if request.url.path.startswith("/v1") else "2"
    meta = {"api_version": {"version": version}, "billed_units": billed, "tokens": {"input_tokens": total}}
    n_cut += sum(e.truncated for e in found)
    warnings = [f"{n_cut} of {len(asked)} inputs were longer than the model reads, and were cut"] if n_cut else []
    return meta | ({"warnings": warnings} if warnings else {})


# --- what is asked ----------------------------------------------------------------------------------------------------


def _types(fields: Mapping[str, Any]) -> list[str]:
    given = fields.get("embedding_types", ["float"])
    if not isinstance(given, list) or not given or any(not isinstance(t, str) or t not in TYPES for t in given):
        raise MalformedRequest(f"`embedding_types` is a list of {', '.join(TYPES)}, not {str(given)[:100]}")
    return list(dict.fromkeys(given))


def _entries(fields: Mapping[str, Any]) -> tuple[str, list[Any]]:
    names = [name for name in _SOURCES if fields.get(name) is not None]
    if len(names) != 1:
        raise MalformedRequest(
            f"one of `texts`, `images` and `inputs` is expected, not {' and '.join(names) or 'none'}"
        )
    entries = fields[names[0]]
    if not isinstance(entries, list):
        raise MalformedRequest(f"`{names[0]}` is a list, not {type(entries).__name__}")
    if not 1 <= len(entries) <= MAX_ITEMS:
        raise InvalidInput(f"`{names[0]}` has {len(entries)} entries: 1 to {MAX_ITEMS} can be in one call")
    return names[0], entries


def _read(name: str, entries: Sequence[Any], fields: Mapping[str, Any]) -> list[wire.Wanted]:
    options = {
        "task": INPUT_TYPES[fields.get("input_type", "image")],
        "dim": fields.get("output_dimension"),
        "auto_truncate": fields.get("truncate", "END") != "NONE",
    }
    if name != "texts" and (fields.get("truncate") == "START" or fields.get("max_tokens") is not None):
        raise InvalidInput(f"`truncate: START` and `max_tokens` are for `texts`, not for `{name}`")
    asked = []
    for place, entry in enumerate(entries):
        try:
            asked.append(_READERS[name](entry, options))
        except OnesenseError as error:
            raise wire.fault_of_item(error, place, name) from None
    return asked


def _read_text(entry: Any, options: Mapping[str, Any]) -> wire.Wanted:
    if not isinstance(entry, str):
        raise MalformedRequest(f"a text is a string, not {type(entry).__name__}")
    return wanted([entry], **options)


def _read_image(entry: Any, options: Mapping[str, Any]) -> wire.Wanted:
    return wire.Wanted(None, (data_part(entry),), ({},), title=None, **options)


def _read_content(entry: Any, options: Mapping[str, Any]) -> wire.Wanted:
    parts = entry.get("content") if isinstance(entry, dict) else None
    if not isinstance(parts, list):
        raise MalformedRequest('an input is `{"content": [{"type": "text", "text": "…"}, …]}`')
    return wanted(parts, **options)


_READERS = {"texts": _read_text, "images": _read_image, "inputs": _read_content}


# --- cutting texts to a length of the caller's ------------------------------------------------------------------------


async def _fitted(
    request: Request, model: str, asked: list[wire.Wanted], fields: Mapping[str, Any]
) -> tuple[list[wire.Wanted], int]:
    """Texts cut as `truncate` and `max_tokens` say, where the model's own cut at the end is not what is asked for."""
    limit, side = fields.get("max_tokens"), fields.get("truncate", "END")
    if limit is not None and limit < 1:
        raise InvalidInput(f"`max_tokens` is {limit}: at least 1 was expected")
    if limit is None and side != "START":
        return asked, 0
    fitter = _Fitter(request, model, limit)
    fitted = []
    for place, one in enumerate(asked):
        text = str(_only_text(one))
        if await fitter.fits(text, one.task):
            fitted.append(one)
            continue
        if side == "NONE":
            raise wire.fault_of_item(TooLarge(f"the text has more than {limit} tokens: shorten it"), place, "texts")
        cut = await fitter.cut(text, one.task, keeps_end=side == "START")
        if not cut.strip():
            raise wire.fault_of_item(InvalidInput(f"{limit} tokens hold nothing of this text"), place, "texts")
        fitted.append(wanted([cut], task=one.task, dim=one.dim))
    return fitted, sum(new is not old for new, old in zip(fitted, asked, strict=True))


class _Fitter:
    """Finds how much of a text the model reads, by halving; tokens grow with the text, so that is exact enough."""

    def __init__(self, request: Request, model: str, limit: int | None) -> None:
        self._request = request
        self._model = plain_name(model)
        self._limit = limit

    async def fits(self, text: str, task: Task | None) -> bool:
        """Whether the model reads all of a text, and the caller's limit holds it.

        Raises:
            OnesenseError: it cannot be read at all.
        """
        engine: Engine = self._request.app.state.engine
        content = wanted([text], task=task).job([], honours_task=True).content
        (found,) = await while_connected(self._request, engine.count_tokens([content], model=self._model, task=task))
        if isinstance(found, OnesenseError):
            raise found
        return not found.truncated and (self._limit is None or found.n_tokens <= self._limit)

    async def cut(self, text: str, task: Task | None, *, keeps_end: bool) -> str:
        """The longest end, or beginning, that fits; '' where not even a character does."""
        low, high = 0, len(text)
        while high - low > 1:
            middle = (low + high) // 2
            piece = text[-middle:] if keeps_end else text[:middle]
            if not piece.strip() or await self.fits(piece, task):
                low = middle
            else:
                high = middle
        return (text[-low:] if keeps_end else text[:low]) if low else ""


def _only_text(one: wire.Wanted) -> Any:
    (part,) = one.parts
    return getattr(part, "value", "")
