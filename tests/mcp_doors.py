"""The MCP server in a process of its own, over stdio and HTTP, as its clients start it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters

_START = "import sys; from onesense.cli.main import main; main()"


def arguments(place: Path, *options: str) -> list[str]:
    """What Python is started with to serve the collection `test.json` of a folder."""
    return ["-c", _START, "mcp", "--collection", str(place / "test.json"), *options]


def environment() -> dict[str, str]:
    """Nothing of the caller's but what a program needs."""
    return {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "OMP_NUM_THREADS": "1"}


def over_stdio(place: Path, *options: str, **client: Any) -> Client:
    """The official client, which starts the server; `client` are options of it."""
    started = StdioServerParameters(command=sys.executable, args=arguments(place, *options), env=environment())
    return Client(started, read_timeout_seconds=60, **client)


@contextmanager
def http_server(place: Path, *options: str, **variables: str) -> Iterator[str]:
    """The address of a server over HTTP while it runs; `variables` of its environment."""
    command = [sys.executable, *arguments(place, "--http", "0", *options)]
    started = environment() | variables
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=started) as process:
        try:
            assert process.stderr is not None
            address = re.search(r"https?://\S+", process.stderr.readline())
            assert address is not None
            yield address[0]
        finally:
            process.terminate()
