"""What our OpenAPI says about bodies that are read by `protojson` rather than by FastAPI."""

from __future__ import annotations

from typing import Any

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
_ERROR = _object(error=_object(code={"type": "integer"}, message={"type": "string"}, status={"type": "string"}))


def route(message: Message, answer: str) -> dict[str, Any]:
    """Options of a route of Google's: the message that it reads, and the name of the one that it answers."""
    body = {"required": True, "content": {"application/json": {"schema": message.schema()}}}
    fine = {"description": answer, "content": {"application/json": {"schema": _ANSWERS[answer]}}}
    return {"openapi_extra": {"requestBody": body}, "responses": {200: fine, "default": error()}}


def error() -> dict[str, Any]:
    """Google's error shape."""
    return {"description": "An error, in Google's shape", "content": {"application/json": {"schema": _ERROR}}}
