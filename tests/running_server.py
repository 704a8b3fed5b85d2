"""A started server for tests: the real application behind a real port of this machine."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from onesense.server.access import ApiKey
from onesense.server.app import create_app
from onesense.server.settings import Settings

START_S = 60.0
KEYS = (ApiKey.of("ann", "ann-secret"), ApiKey.of("bob", "bob-secret"))
ANN, BOB = {"x-goog-api-key": "ann-secret"}, {"x-goog-api-key": "bob-secret"}
PLAIN = httpx.Client(timeout=30, trust_env=False, verify=False)  # no TLS: a context for it takes 45 ms a client
"""For any address of this machine; thread-safe, closed by tests/http/conftest.py."""


@contextmanager
def running(data_dir: Path, **settings: Any) -> Iterator[str]:
    """Start a server; its address while it runs.

    Args:
        data_dir: where it keeps files and batches.
        settings: fields of `Settings`; the model is `tiny` unless one is named.
    """
    chosen = Settings(**({"models": ("tiny",), "data_dir": data_dir} | settings))
    config = uvicorn.Config(create_app(chosen), host="127.0.0.1", port=0, log_level="warning", lifespan="on")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield f"http://127.0.0.1:{_port(server, thread)}"
    finally:
        server.should_exit = True
        thread.join()


def _port(server: uvicorn.Server, thread: threading.Thread) -> int:
    deadline_s = time.monotonic() + START_S
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline_s:
            raise RuntimeError("the server did not start")
        time.sleep(0.01)
    port: int = server.servers[0].sockets[0].getsockname()[1]
    return port


def until(what: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for something that is about to be true."""
    deadline_s = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def error_of(answer: httpx.Response, status: int, word: str) -> str:
    """The message of an error in Google's shape, which it has to have."""
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["status"]) == (status, word)
    assert "Traceback" not in answer.text
    message: str = error["message"]
    return message
