"""How Google's methods are addressed: any version word, or none, before `models/NAME:method`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import ClientDisconnect

T = TypeVar("T")
Handler = TypeVar("Handler", bound=Callable[..., Awaitable[Any]])

VERSIONS = ("/{version:apiversion}", "")
"""`/v1`, `/v1beta`, `/v1alpha`, `/v1beta1` ...; google-genai sends none with `api_version=''`."""


class _Version(Convertor[str]):
    regex = r"v\d{1,3}(?:(?:alpha|beta)\d{0,3})?"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("apiversion", _Version())


def versioned(router: APIRouter, method: str, path: str, **options: Any) -> Callable[[Handler], Handler]:
    """Route `path` under every version word, and under none; OpenAPI shows the first only.

    Args:
        router: where.
        method: GET, POST ...
        path: what follows the version, e.g. `/models/{model:path}:embedContent`.
        options: for `APIRouter.add_api_route`.
    """

    def register(handler: Handler) -> Handler:
        for version in VERSIONS:
            shown = options | {"include_in_schema": bool(version) and options.get("include_in_schema", True)}
            router.add_api_route(version + path, handler, methods=[method], response_model=None, **shown)
        return handler

    return register


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Do work for a caller, and stop when the caller leaves.

    The body of the request must have been read.

    Raises:
        ClientDisconnect: the caller left; the work is cancelled.
    """
    doing = asyncio.create_task(work)
    watching = asyncio.create_task(_departure(request))
    try:
        await asyncio.wait((doing, watching), return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            raise ClientDisconnect
        return doing.result()
    finally:
        watching.cancel()
        doing.cancel()


async def _departure(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
