"""The embedding methods as Vertex AI (Agent Platform) addresses and answers them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from onesense.errors import InvalidInput, OnesenseError
from onesense.types import Embedding

from . import gemini, openapi
from . import gemini_wire as wire
from .routing import Handler, versioned

router = APIRouter(tags=["vertex"])

_PLACES = ("/projects/{project}/locations/{location}/publishers/google", "/publishers/google")
"""Before `models/NAME`; express mode leaves project and location out."""


def _vertex(method: str, path: str, **options: Any) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        for n, place in enumerate(_PLACES):
            versioned(router, method, place + path, include_in_schema=n == 1, **options)(handler)
        return handler

    return register


@_vertex("POST", "/models/{model:path}:embedContent", **openapi.route(wire.EMBED_REQUEST, "EmbedContentResponse"))
async def embed_content(request: Request, model: str) -> Response:
    """One content, one vector; whether it was cut stands at the top as well."""
    gemini.known_model(request, model, "embedContent")
    fields = await gemini.read_body(request, wire.EMBED_REQUEST)
    (found,) = await gemini.embed(request, model, [gemini.read_one(fields, model)])
    body = {"embedding": wire.embedding(found), "usageMetadata": _usage([found]), "truncated": found.truncated}
    return gemini.answer(request, body, [found])


@_vertex(
    "POST", "/models/{model:path}:batchEmbedContents", **openapi.route(wire.BATCH_REQUEST, "BatchEmbedContentsResponse")
)
async def batch_embed_contents(request: Request, model: str) -> Response:
    """Several contents, a vector each, in order."""
    gemini.known_model(request, model, "batchEmbedContents")
    fields = await gemini.read_body(request, wire.BATCH_REQUEST)
    wanted = gemini.read_batch(fields, model, gemini.most(request))
    found = await gemini.embed(request, model, wanted, items="requests")
    body = {
        "embeddings": [{"values": e.values, "statistics": _statistics(e)} for e in found],
        "usageMetadata": _usage(found),
        "truncated": any(e.truncated for e in found),
    }
    return gemini.answer(request, body, found)


@_vertex("POST", "/models/{model:path}:countTokens", **openapi.route(wire.COUNT_REQUEST, "CountTokensResponse"))
async def count_tokens(request: Request, model: str) -> Response:
    """As the Developer API's."""
    return await gemini.count_tokens(request, model)


@_vertex("POST", "/models/{model:path}:predict", **openapi.route(wire.PREDICT_REQUEST, "PredictResponse"))
async def predict(request: Request, model: str) -> Response:
    """The older method for text: an instance, a vector."""
    gemini.known_model(request, model, "predict")
    fields = await gemini.read_body(request, wire.PREDICT_REQUEST)
    wanted = _instances(fields, gemini.most(request))
    found = await gemini.embed(request, model, wanted, items="requests")
    predictions = [
        {"embeddings": {"values": e.values, "statistics": {"truncated": e.truncated, "token_count": e.n_tokens}}}
        for e in found
    ]
    letters = sum(len(instance.get("content", "")) for instance in fields["instances"])
    return gemini.answer(request, {"predictions": predictions, "metadata": {"billableCharacterCount": letters}}, found)


def _instances(fields: dict[str, Any], max_items: int) -> list[wire.Wanted]:
    instances = fields.get("instances") or []
    if not instances:
        raise InvalidInput("Empty instances.")
    if len(instances) > max_items:
        raise InvalidInput(f"{len(instances)} instances: at most {max_items} can be in one call")
    found = []
    for place, instance in enumerate(instances):
        part = {"text": instance.get("content", "")}
        options = fields.get("parameters", {}) | {k: v for k, v in instance.items() if k in ("task_type", "title")}
        try:
            found.append(wire.read_wanted({"content": {"parts": [part]}, "embed_content_config": options}))
        except OnesenseError as error:
            raise wire.fault_of_item(error, place) from None
    return found


def _statistics(found: Embedding) -> dict[str, Any]:
    """The one place where the SDKs read `token_count` in snake_case, and only there."""
    plain = wire.statistics(found)
    plain["token_count"] = plain.pop("tokenCount")
    return plain


def _usage(found: list[Embedding]) -> dict[str, Any]:
    plain = wire.usage(found)
    del plain["promptTokenDetails"]
    return plain | {"trafficType": "ON_DEMAND"}
