"""The application: routers of every dialect behind one gate, one engine, one shape of error a dialect.

A room of the server is a module with a `router`; those that are there are mounted. What they find in a request:
`request.app.state.engine`, `.settings`; `request.state.trace`, `.key_name`, `.dialect`. A router may also define
`async def start(app)` and `async def stop(app)`, run inside the life of the engine; `files.py` puts what opens a
`fileUri` into `app.state.sources` (see `sources.Sources`).
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from onesense import __version__
from onesense.errors import MalformedRequest, OnesenseError

from . import openapi
from .dialects import Dialect, error_response, google_error, json_response, plain_error
from .engine import Engine, unknown_model
from .gate import Gate
from .metrics import Metrics
from .settings import Settings
from .sources import NoSources

ROOMS = (
    *("gemini", "vertex", "openai", "cohere", "files", "batches", "models", "health"),
    *("collections", "collections_media", "collections_jobs", "collections_space", "ask", "studio"),
)
"""Modules of this folder with a `router`, in the order in which their routes are tried."""

_WORDS = {404: "NOT_FOUND", 405: "UNIMPLEMENTED", 400: "INVALID_ARGUMENT", 413: "INVALID_ARGUMENT"}
"""Google's status word for what the framework itself refuses."""


_METHOD = re.compile(r"(?:/(?P<version>v\d\w*))?(?:/.*)?/models/(?P<model>[^/:]+):(?P<method>\w+)$")


def create_app(settings: Settings) -> FastAPI:
    """The application of one server. Its engine starts and ends with the application's life.

    Raises:
        NotFound: a model of the settings does not exist.
    """
    rooms = [import_module(f"{__package__}.{name}") for name in ROOMS if find_spec(f"{__package__}.{name}")]
    metrics = Metrics()
    app = _App(
        title="Onesense",
        version=__version__,
        description="Google's, OpenAI's and Cohere's embedding APIs, answered by a model of this machine.",
        lifespan=_life(rooms),
        middleware=_middleware(settings, metrics),
        redirect_slashes=False,
        docs_url=None,  # their pages load scripts from other people's servers
        redoc_url=None,
    )
    app.state.settings = settings
    app.state.engine = Engine(settings)
    app.state.sources = NoSources()
    app.state.metrics = metrics
    metrics.watch(app.state.engine)
    for room in rooms:
        app.include_router(room.router)
    app.add_exception_handler(OnesenseError, _on_fault)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_refused)
    app.add_exception_handler(ClientDisconnect, _on_departure)
    app.add_exception_handler(Exception, _on_bug)
    return app


class _App(FastAPI):
    """FastAPI, whose OpenAPI tells what is read and answered by hand as well."""

    def openapi(self) -> dict[str, Any]:
        """The schema, made at the first call."""
        if self.openapi_schema is None:
            self.openapi_schema = openapi.complete(super().openapi(), self.state.settings.names)
        return self.openapi_schema


def _life(rooms: list[ModuleType]) -> Callable[[FastAPI], Any]:
    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await app.state.engine.start()
            stack.push_async_callback(app.state.engine.close)
            for room in rooms:
                if hasattr(room, "start"):
                    await room.start(app)
                if hasattr(room, "stop"):
                    stack.push_async_callback(room.stop, app)
            yield

    return life


def _middleware(settings: Settings, metrics: Metrics) -> list[Middleware]:
    """From the outside in: cross-origin answers where they are wanted, the gate."""
    gate = Middleware(Gate, settings=settings, observe=metrics.observe)
    if not settings.cors_origins:
        return [gate]
    origins, everything = list(settings.cors_origins), ["*"]
    return [Middleware(CORSMiddleware, origins, allow_methods=everything, allow_headers=everything), gate]


# --- faults ---------------------------------------------------------------------------------------------------------


def _dialect(request: Request) -> Dialect:
    return getattr(request.state, "dialect", Dialect.GOOGLE)


async def _on_fault(request: Request, error: Exception) -> Response:
    assert isinstance(error, OnesenseError)
    return error_response(error, _dialect(request))


async def _on_invalid(request: Request, error: Exception) -> Response:
    """What FastAPI's own checks of path and query found."""
    assert isinstance(error, RequestValidationError)
    faults = tuple((".".join(map(str, e["loc"])), str(e["msg"])) for e in error.errors())
    malformed = MalformedRequest("; ".join(f"{field}: {text}" for field, text in faults))
    malformed.violations = faults
    return error_response(malformed, _dialect(request))


async def _on_refused(request: Request, error: Exception) -> Response:
    """No such route, or not with this method; a method of Google's that embeds nothing gets Google's words."""
    assert isinstance(error, HTTPException)
    dialect, status = _dialect(request), error.status_code
    if called := _METHOD.search(request.url.path):
        return error_response(unknown_model(called["model"], called["version"] or "v1", called["method"]), dialect)
    message = f"{request.method} {request.url.path}: {error.detail}. The routes are listed at /openapi.json."
    if dialect is Dialect.GOOGLE:
        return json_response(google_error(status, _WORDS.get(status, "UNKNOWN"), message), status, error.headers)
    return json_response(plain_error(dialect, status, message, "not_found"), status, error.headers)


async def _on_departure(request: Request, error: Exception) -> Response:
    """The caller hung up: nobody reads this, and it is no fault to log."""
    del request, error
    return Response(status_code=499)


async def _on_bug(request: Request, error: Exception) -> Response:
    """Nothing raises anything but OnesenseErrors on purpose; the traceback goes to the server's log, not out."""
    del error
    bug = OnesenseError("an internal error occurred; the server's log says more")
    return error_response(bug, _dialect(request))
