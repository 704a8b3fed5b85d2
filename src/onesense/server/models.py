"""Which models there are, told in the caller's dialect: Google's, Vertex's or OpenAI's."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from onesense.errors import InvalidInput, NotFound
from onesense.types import ModelInfo

from .dialects import Dialect, json_response
from .engine import plain_name
from .gemini import known_model
from .routing import versioned
from .settings import Settings

router = APIRouter(tags=["models"])

METHODS = ("embedContent", "batchEmbedContents", "asyncBatchEmbedContent", "countTokens")
_PAGE = 50  # models on a page when the caller names no size, as at Google
_LARGEST_PAGE = 1_000


@versioned(router, "GET", "/openai/models", tags=["openai"])
async def openai_models(request: Request) -> Response:
    """Every name, in OpenAI's shape."""
    return json_response({"object": "list", "data": [_openai_card(name) for name in _settings(request).names]})


@versioned(router, "GET", "/openai/models/{model:path}", tags=["openai"])
async def openai_model(request: Request, model: str) -> Response:
    """One name, in OpenAI's shape."""
    if model not in _settings(request).names:
        raise NotFound(f"The model `{model}` does not exist: there are {', '.join(_settings(request).names)}")
    return json_response(_openai_card(model))


@versioned(router, "GET", "/models")
async def list_models(request: Request) -> Response:
    """Every name that is answered; OpenAI's clients, known by their header, get their own shape."""
    if request.state.dialect is Dialect.OPENAI:
        return await openai_models(request)
    cards = [_card(request, name) for name in _settings(request).names]
    page, next_token = _page(request, cards)
    return json_response({"models": page} | next_token)


@versioned(router, "GET", "/models/{model:path}")
async def get_model(request: Request, model: str) -> Response:
    """One name."""
    if request.state.dialect is Dialect.OPENAI:
        return await openai_model(request, model)
    known_model(request, model, "getModel")
    return json_response(_card(request, plain_name(model)))


@versioned(router, "GET", "/publishers/google/models", tags=["vertex"])
async def list_publisher_models(request: Request) -> Response:
    """Every name, in Vertex's shape."""
    cards = [_publisher_card(request, name) for name in _settings(request).names]
    page, next_token = _page(request, cards)
    return json_response({"publisherModels": page} | next_token)


@versioned(router, "GET", "/publishers/google/models/{model:path}", tags=["vertex"])
async def get_publisher_model(request: Request, model: str) -> Response:
    """One name, in Vertex's shape."""
    known_model(request, model, "getModel")
    return json_response(_publisher_card(request, plain_name(model)))


def _settings(request: Request) -> Settings:
    found: Settings = request.app.state.settings
    return found


def _info(request: Request, name: str) -> ModelInfo:
    found: ModelInfo = request.app.state.engine.info(name)
    return found


def _card(request: Request, name: str) -> dict[str, Any]:
    info = _info(request, name)
    return {
        "name": f"models/{name}",
        "baseModelId": info.name,
        "version": info.revision,
        "displayName": name if name == info.name else f"{name} ({info.name})",
        "description": info.description,
        "inputTokenLimit": info.max_tokens,
        "outputTokenLimit": 1,
        "supportedGenerationMethods": list(METHODS),
    }


def _publisher_card(request: Request, name: str) -> dict[str, Any]:
    return {"name": f"publishers/google/models/{name}", "versionId": _info(request, name).revision, "launchStage": "GA"}


def _openai_card(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "onesense"}


def _page(request: Request, cards: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The page that `pageSize` and `pageToken` ask for, and the token of the next."""
    size = min(_number(request, "pageSize", "page_size", _PAGE) or _PAGE, _LARGEST_PAGE)
    start = _number(request, "pageToken", "page_token", 0)
    rest = start + size
    return cards[start:rest], ({"nextPageToken": str(rest)} if rest < len(cards) else {})


def _number(request: Request, camel: str, snake: str, default: int) -> int:
    text = request.query_params.get(camel) or request.query_params.get(snake)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise InvalidInput(f"`{camel}` is {text!r}: a whole number was expected")
    return int(text)
