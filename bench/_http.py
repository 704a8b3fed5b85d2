"""HTTP written by hand, so that a load generator costs less than the server that it measures."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from typing import Any

START_S = 900.0  # torch and its weights take 20 s of the processor, which a busy machine gives in minutes
_LENGTH = re.compile(rb"content-length: (\d+)", re.I)


def post(path: str, value: Any) -> bytes:
    """A whole request; bytes are sent as they are, anything else as JSON."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> tuple[int, bytes, bytes]:
    """Send a request over an open connection; its status, head and body."""
    writer.write(request)
    await writer.drain()
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    return int(head[9:12]), head, await reader.readexactly(int(length[1]) if length else 0)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, is_alive: Any = lambda: True) -> None:
    """Return when a server says that it is ready.

    Raises:
        SystemExit: it does not within START_S, or its process has ended.
    """
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and is_alive():
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as line:
                line.sendall(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                if b"200" in line.recv(64):
                    return
        except OSError:
            pass
        time.sleep(0.3)
    raise SystemExit(f"nothing became ready on port {port}")
