"""What our OpenAPI says about bodies that are read by `protojson` rather than by FastAPI."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from .dialects import Dialect, dialect_of
from .protojson import Message

_NUMBERS = {"type": "array", "items": {"type": "number"}}
_COUNT = {"type": "integer", "minimum": 0}
_DETAILS = {
    "type": "array",
    "items": {"type": "object", "properties": {"modality": {"type": "string"}, "tokenCount": _COUNT}},
}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


_STATISTICS = {"type": "object", "properties": {"truncated": {"type": "boolean"}, "tokensDetails": _DETAILS}}
_EMBEDDING = _object(values=_NUMBERS, statistics=_STATISTICS)
_USAGE = _object(promptTokenCount=_COUNT, totalTokenCount=_COUNT, promptTokensDetails=_DETAILS)
_ANSWERS = {
    "EmbedContentResponse": _object(embedding=_EMBEDDING, usageMetadata=_USAGE),
    "BatchEmbedContentsResponse": _object(embeddings={"type": "array", "items": _EMBEDDING}, usageMetadata=_USAGE),
    "CountTokensResponse": _object(totalTokens=_COUNT, promptTokensDetails=_DETAILS),
    "CreateEmbeddingResponse": _object(
        object={"type": "string"}, data={"type": "array"}, model={"type": "string"}, usage={"type": "object"}
    ),
    "EmbedByTypeResponse": _object(
        id={"type": "string"}, response_type={"type": "string"}, embeddings={}, meta={"type": "object"}
    ),
    "Operation": _object(name={"type": "string"}, metadata={"type": "object"}),
    "PredictResponse": _object(predictions={"type": "array", "items": _object(embeddings=_EMBEDDING)}),
}
_TEXT = {"type": "string"}
_ERRORS = {
    Dialect.GOOGLE: _object(error=_object(code={"type": "integer"}, message=_TEXT, status=_TEXT)),
    Dialect.OPENAI: _object(error=_object(message=_TEXT, type=_TEXT, param={"type": ["string", "null"]}, code=_TEXT)),
    Dialect.COHERE: _object(message=_TEXT),
    Dialect.ONESENSE: _object(error=_object(code=_TEXT, message=_TEXT, status={"type": "integer"})),
}


def route(message: Message, answer: str) -> dict[str, Any]:
    """Options of a route of Google's: the message that it reads, and the name of the one that it answers."""
    body = {"required": True, "content": {"application/json": {"schema": message.schema()}}}
    fine = {"description": answer, "content": {"application/json": {"schema": _ANSWERS[answer]}}}
    return {"openapi_extra": {"requestBody": body}, "responses": {200: fine, "default": error()}}


def error(dialect: Dialect = Dialect.GOOGLE) -> dict[str, Any]:
    """The answer of a dialect to what went wrong."""
    return {"description": "An error", "content": {"application/json": {"schema": _ERRORS[dialect]}}}


def complete(api: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The OpenAPI that FastAPI made, with what it cannot know: version words, names of models, errors, keys.

    Args:
        api: changed in place.
        names: of the models that are served.
    """
    known = {"version": ["v1", "v1beta"], "model": sorted(names)}
    for path, methods in api["paths"].items():
        for operation in methods.values():
            told = {p["name"]: p for p in operation.setdefault("parameters", [])}
            for name in re.findall(r"{(\w+)}", path):
                if name not in told:
                    told[name] = {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
                    operation["parameters"].append(told[name])
                if name in known:
                    told[name]["schema"] = {"type": "string", "enum": known[name]}
            operation["responses"].pop("422", None)  # FastAPI's own shape, which nobody here answers
            operation["responses"]["default"] = error(dialect_of(path, {}))
    schemes = api.setdefault("components", {}).setdefault("securitySchemes", {})
    schemes["key"] = {"type": "apiKey", "in": "header", "name": "x-goog-api-key"}
    schemes["bearer"] = {"type": "http", "scheme": "bearer"}
    api["security"] = [{}, {"key": []}, {"bearer": []}]
    return api
