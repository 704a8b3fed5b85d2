"""A small HTTP server for tests that answers what it is told: a reply a request, in order, the last one for ever."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Reply:
    """What is answered."""

    body: Any = ""
    """Text, or what becomes JSON; a function is given the request's JSON."""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0


@dataclass
class Answering:
    """The server as its test sees it."""

    url: str = ""
    replies: list[Reply] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    """Requests so far: path, headers in lower case, body."""

    def next(self) -> Reply:
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


@contextmanager
def answering(*replies: Reply | Callable[[Any], Any]) -> Iterator[Answering]:
    """Start the server; a bare function stands for a reply of status 200."""
    state = Answering(replies=[r if isinstance(r, Reply) else Reply(r) for r in replies])
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("content-length") or 0))
            asked = json.loads(raw) if raw else {}
            with lock:
                headers = {name.lower(): value for name, value in self.headers.items()}
                state.asked.append({"path": self.path, "headers": headers, "body": asked})
                reply = state.next()
            time.sleep(reply.delay_s)
            body = reply.body(asked) if callable(reply.body) else reply.body
            encoded = (body if isinstance(body, str) else json.dumps(body)).encode()
            try:
                self.send_response(reply.status)
                kind = "text/html" if isinstance(body, str) else "application/json"
                for name, value in ({"content-type": kind} | reply.headers).items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(encoded)))
                self.end_headers()
                self.wfile.write(encoded)
            except OSError:  # the client did not wait
                return

        do_GET = do_POST

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
