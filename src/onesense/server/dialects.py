"""Whose API a request speaks, and how an error is told in it: Google's, OpenAI's, Cohere's or our own, by its path."""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import orjson
from starlette.responses import Response

from onesense.errors import BadKey, Busy, InvalidInput, OnesenseError

_RPC = "type.googleapis.com/google.rpc"

HTTP_OF = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "DATA_LOSS": 500,
    "UNKNOWN": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
"""Google's status words and the HTTP status of each. Source: googleapis google/rpc/code.proto."""


class Dialect(StrEnum):
    """Whose clients a path is for."""

    GOOGLE = "google"
    OPENAI = "openai"
    COHERE = "cohere"
    ONESENSE = "onesense"


_OPENAI = re.compile(r"/v1/embeddings$|.*/openai(/|$)")
_COHERE = re.compile(r"/v2/|/v1/embed$")
_MODELS = re.compile(r"/v1/models(/[^:]*)?$")


def dialect_of(path: str, headers: Mapping[str, str], query: str = "") -> Dialect:
    """Whose dialect a request speaks.

    Only `GET /v1/models` belongs to two: OpenAI's clients send `Authorization: Bearer`, Google's their own key header,
    their client header, or `?key=`.

    Args:
        path: without the query.
        headers: by lower-case name.
        query: behind the `?`.
    """
    if path.startswith("/api/") or path == "/mcp":
        return Dialect.ONESENSE
    if _OPENAI.match(path):
        return Dialect.OPENAI
    if _COHERE.match(path):
        return Dialect.COHERE
    if _MODELS.match(path):
        is_google = "x-goog-api-key" in headers or "x-goog-api-client" in headers or "key=" in query
        if not is_google and headers.get("authorization", "").lower().startswith("bearer "):
            return Dialect.OPENAI
    return Dialect.GOOGLE


def error_response(error: OnesenseError, dialect: Dialect) -> Response:
    """An error in the shape and with the status that clients of a dialect expect."""
    headers = {"Retry-After": str(math.ceil(error.retry_after_s))} if isinstance(error, Busy) else None
    return json_response(error_body(error, dialect), error_status(error, dialect), headers)


def json_response(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer; numpy arrays are written straight from their memory."""
    text = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(text, status, dict(headers or {}), "application/json")


def error_status(error: OnesenseError, dialect: Dialect) -> int:
    """The HTTP status of an error: at Google it follows from the status word."""
    return HTTP_OF[error.gemini_status] if dialect is Dialect.GOOGLE else error.http_status


def error_body(error: OnesenseError, dialect: Dialect) -> dict[str, Any]:
    """The JSON of an error."""
    status = error_status(error, dialect)
    if dialect is Dialect.GOOGLE:
        return google_error(status, error.gemini_status, str(error), _details(error))
    return plain_error(dialect, status, str(error), error.code)


def google_error(code: int, status: str, message: str, details: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """Google's shape; also what stands in the `error` of a failed batch item."""
    error: dict[str, Any] = {"code": code, "message": message, "status": status}
    return {"error": error | ({"details": details} if details else {})}


def plain_error(dialect: Dialect, status: int, message: str, code: str) -> dict[str, Any]:
    """OpenAI's, Cohere's or our own shape."""
    if dialect is Dialect.ONESENSE:
        return {"error": {"code": code, "message": message, "status": status}}
    if dialect is Dialect.COHERE:
        return {"id": str(uuid.uuid4()), "message": message}
    kinds = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
    kind = kinds.get(status, "invalid_request_error" if status < 500 else "server_error")
    code = "invalid_api_key" if code == BadKey.code else code
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _details(error: OnesenseError) -> list[dict[str, Any]]:
    """What Google's clients look for beside the message: which field, which reason, how long to wait."""
    if isinstance(error, BadKey):
        return [
            {
                "@type": f"{_RPC}.ErrorInfo",
                "reason": "API_KEY_INVALID",
                "domain": "googleapis.com",
                "metadata": {"service": "generativelanguage.googleapis.com"},
            }
        ]
    if isinstance(error, Busy):
        wait = f"{math.ceil(error.retry_after_s)}s"
        violation = {"quotaMetric": f"onesense/{error.code}", "quotaId": error.code}
        return [
            {"@type": f"{_RPC}.QuotaFailure", "violations": [violation]},
            {"@type": f"{_RPC}.RetryInfo", "retryDelay": wait},
        ]
    if isinstance(error, InvalidInput) and error.violations:
        violations = [
            {"field": field, "description": text} if field else {"description": text}
            for field, text in error.violations
        ]
        return [{"@type": f"{_RPC}.BadRequest", "fieldViolations": violations}]
    return []
