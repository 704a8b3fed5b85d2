"""A server of this machine that speaks OpenAI's chat completions, streaming too; the model's name says how it acts."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "right-key"


def said(body: dict[str, Any]) -> str:
    """All text of the last message."""
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else "\n".join(p["text"] for p in content if p["type"] == "text")


def kinds(body: dict[str, Any]) -> list[str]:
    """Types of the parts of the last message."""
    content = body["messages"][-1]["content"]
    return ["text"] if isinstance(content, str) else [part["type"] for part in content]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    def log_message(self, *_: Any) -> None:
        """Tests are quiet."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append({"body": body, "key": self.headers.get("Authorization", "")})  # type: ignore[attr-defined]
        getattr(self, f"_{body['model']}", self._missing)(body)

    def _missing(self, body: dict[str, Any]) -> None:
        self._fail(404, "model_not_found", f"The model `{body['model']}` does not exist")

    def _cites(self, body: dict[str, Any]) -> None:
        self._stream(["The shed costs ", "4200 euros [", "1]. It is", " green [9", "9]. Petra signs."])

    def _locked(self, body: dict[str, Any]) -> None:
        if self.headers.get("Authorization") != f"Bearer {KEY}":
            self._fail(401, "invalid_api_key", "Incorrect API key provided: sk-secret")
        else:
            self._stream(["Fine [1]."])

    def _blind(self, body: dict[str, Any]) -> None:
        if set(kinds(body)) != {"text"}:
            self._fail(400, "invalid_request", "this model takes text only")
        else:
            self._stream(["Read [1]."])

    def _hears_audio(self, body: dict[str, Any]) -> None:
        self._stream(["A tone [1]." if "input_audio" in kinds(body) else "Nothing to hear [1]."])

    def _unknowing(self, body: dict[str, Any]) -> None:
        self._stream(["NOT_IN", "_LIBRARY"])

    def _silent(self, body: dict[str, Any]) -> None:
        self._stream([])

    def _garbled(self, body: dict[str, Any]) -> None:
        self._raw(b"data: {this is not json\n\n" * 3)

    def _cut(self, body: dict[str, Any]) -> None:
        self._stream(["The shed costs 4200 euros [1]. And then"], is_whole=False)

    def _trickles(self, body: dict[str, Any]) -> None:
        """Cites early, then writes on for half a minute."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for n in range(1, 61):
            choice = {"index": 0, "delta": {"role": "assistant", "content": f"Word {n} [1]. "}}
            try:
                self.wfile.write(f"data: {json.dumps(_chunk('chat.completion.chunk', choice))}\n\n".encode())
            except OSError:  # whoever asked has hung up
                return
            time.sleep(0.5)

    def _slow(self, body: dict[str, Any]) -> None:
        time.sleep(3)

    def _rewrites(self, body: dict[str, Any]) -> None:
        if body.get("stream"):
            self._stream(["It is forty minutes [1]."])
        else:
            self._whole("How long is the sourdough bread baked?")

    def _whole(self, text: str) -> None:
        message = {"role": "assistant", "content": text}
        self._json(200, _chunk("chat.completion", {"index": 0, "message": message, "finish_reason": "stop"}))

    def _stream(self, pieces: list[str], *, is_whole: bool = True) -> None:
        chunks = [{"index": 0, "delta": {"role": "assistant", "content": piece}} for piece in pieces]
        lines = [_chunk("chat.completion.chunk", chunk) for chunk in chunks]
        lines += (
            [_chunk("chat.completion.chunk", {"index": 0, "delta": {}, "finish_reason": "stop"})] if is_whole else []
        )
        text = "".join(f"data: {json.dumps(line)}\n\n" for line in lines) + ("data: [DONE]\n\n" if is_whole else "")
        self._raw(text.encode(), 1 if is_whole else 1_000)

    def _raw(self, data: bytes, missing: int = 1) -> None:
        """Send; more is announced than comes where `missing` says so."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        if missing > 1:
            self.send_header("Content-Length", str(len(data) + missing))
        self.end_headers()
        self.wfile.write(data)

    def _fail(self, status: int, code: str, message: str) -> None:
        self._json(status, {"error": {"message": message, "type": "invalid_request_error", "code": code}})

    def _json(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _chunk(kind: str, choice: dict[str, Any]) -> dict[str, Any]:
    return {"id": "1", "object": kind, "created": 1, "model": "local", "choices": [{"finish_reason": None, **choice}]}


@contextmanager
def running() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Its base address, and what it was asked."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.seen = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", server.seen  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
