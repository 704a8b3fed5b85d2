"""A started server for tests: the real application behind a real port of this machine."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from onesense.server.app import create_app
from onesense.server.settings import Settings

START_S = 60.0


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
