"""What stands before every route: key, rate, size of the body; and what stands behind it: timings and counters.

Plain ASGI, because Starlette's `BaseHTTPMiddleware` costs more than a whole request may.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from onesense.errors import MalformedRequest, OnesenseError, Unavailable

from .access import ANONYMOUS, ApiKey, Keyring, RateLimits, check_host, is_open, presented_key
from .dialects import dialect_of, error_response
from .settings import Settings
from .trace import Trace

_FILE_PREFIXES = ("/upload/", "/upload-session/")
"""Bodies under these are files, not JSON: they are streamed to disk and have a limit of their own."""


_CALLER_LEFT, _BUG = 499, 500  # how requests without an answer of ours are counted


class Gate:
    """Lets a request in, or answers it.

    It sets `request.state.trace` (a Trace), `.key_name` (str) and `.dialect` (a Dialect) for the routes.

    Args:
        app: what comes behind.
        settings: keys and limits.
        observe: called with (scope, status, seconds) when a request is over.
    """

    def __init__(self, app: ASGIApp, settings: Settings, observe: Callable[[Scope, int, float], None]) -> None:
        self._app = app
        self._keyring = Keyring(settings.keys)
        self._hosts = settings.answers_to
        self._limits = settings.limits
        self._rates = RateLimits()
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start_s = time.perf_counter()
        answer = _Answer(send, start_s)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        path, query = scope["path"], scope["query_string"].decode("latin-1")
        dialect = dialect_of(path, headers, query)
        state = scope.setdefault("state", {})
        state |= {"trace": answer.trace, "dialect": dialect, "key_name": ANONYMOUS}
        is_over = False
        try:
            check_host(headers.get("host", ""), self._hosts)
            key = None if is_open(path) else self._let_in(presented_key(headers, query))
            state["key_name"] = key.name if key else ANONYMOUS
            limit = self._body_limit(path, key)
            _check_length(headers.get("content-length"), limit)
            await self._app(scope, _capped(receive, limit), answer)
            is_over = True
        except OnesenseError as error:
            if answer.status:
                raise
            await error_response(error, dialect)(scope, receive, answer)
        except asyncio.CancelledError:  # the server's patience with a shutdown is over
            if not answer.status:
                going = Unavailable("the server is going down: try again, or ask another one")
                await error_response(going, dialect)(scope, receive, answer)
            raise
        finally:
            status = answer.status or (_CALLER_LEFT if is_over else _BUG)
            self._observe(scope, status, time.perf_counter() - start_s)

    def _let_in(self, secret: str | None) -> ApiKey | None:
        key = self._keyring.check(secret)
        own = key.requests_per_min if key else None
        self._rates.take(key.name if key else ANONYMOUS, own or self._limits.requests_per_min)
        return key

    def _body_limit(self, path: str, key: ApiKey | None) -> int:
        if path.startswith(_FILE_PREFIXES):
            return self._limits.max_file_bytes
        return (key.max_body_bytes if key else None) or self._limits.max_body_bytes


class _Answer:
    """The `send` of a request: notes the status and adds the timings to the head of the answer."""

    def __init__(self, send: Send, start_s: float) -> None:
        self._send = send
        self._start_s = start_s
        self.trace = Trace()
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.trace.stages["total"] = time.perf_counter() - self._start_s
            message["headers"] = [*message.get("headers", ()), (b"server-timing", self.trace.header().encode())]
        await self._send(message)


def _check_length(declared: str | None, limit: int) -> None:
    if declared is not None and declared.isdigit() and int(declared) > limit:
        raise too_big(limit)


def _capped(receive: Receive, limit: int) -> Receive:
    """Count the body as it comes in: its declared length may be missing."""
    n_bytes = 0

    async def counted() -> Any:
        nonlocal n_bytes
        message = await receive()
        if message["type"] == "http.request":
            n_bytes += len(message.get("body", b""))
            if n_bytes > limit:
                raise too_big(limit)
        return message

    return counted


def too_big(limit: int) -> MalformedRequest:
    """Google's words for a body above the limit."""
    return MalformedRequest(f"Request payload size exceeds the limit: {limit} bytes.")
