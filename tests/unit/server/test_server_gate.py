"""What stands before every route, without a server: sizes, keys, counters."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from onesense.errors import NotFound
from onesense.server.access import ANONYMOUS, ApiKey
from onesense.server.gate import Gate
from onesense.server.settings import ServerLimits, Settings

ALICE = ApiKey.of("alice", "alice's secret", max_body_bytes=5)
BOB = ApiKey.of("bob", "bob's own secret")
LIMITS = ServerLimits(max_body_bytes=10, max_file_bytes=100)


class Room:
    """An application that reads the whole body and answers its length and what the gate noted."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        n_bytes, more = 0, True
        while more:
            message = await receive()
            n_bytes, more = n_bytes + len(message.get("body", b"")), message.get("more_body", False)
        if scope["path"] == "/lost":
            raise NotFound("lost")
        if scope["path"] == "/bug":
            raise RuntimeError("bug")
        if scope["path"] == "/gone":
            return
        scope["state"]["trace"].add("read", 0.001)
        body = json.dumps({"n_bytes": n_bytes, "key": scope["state"]["key_name"]}).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})


class Call:
    """One request through the gate."""

    def __init__(
        self, path: str, body: bytes = b"", *, settings: Settings, declared: bool = True, **headers: str
    ) -> None:
        self.observed: list[int] = []
        self.messages: list[Message] = []
        gate = Gate(Room(), settings, lambda scope, status, seconds: self.observed.append(status))
        pairs = {"host": "localhost", **{k.replace("_", "-"): v for k, v in headers.items()}}
        if declared:
            pairs["content-length"] = str(len(body))
        pieces = [body[i : i + 4] for i in range(0, len(body), 4)] or [b""]
        waiting = [{"type": "http.request", "body": p, "more_body": p is not pieces[-1]} for p in pieces]

        async def receive() -> Message:
            return waiting.pop(0)

        async def send(message: Message) -> None:
            self.messages.append(message)

        scope = {
            "type": "http",
            "path": path,
            "query_string": b"",
            "method": "POST",
            "headers": [(k.encode(), v.encode()) for k, v in pairs.items()],
        }
        asyncio.run(gate(scope, receive, send))

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"])

    @property
    def json(self) -> Any:
        return json.loads(self.messages[1]["body"])


KEYED = Settings(keys=(ALICE, BOB), limits=LIMITS)
OPEN = Settings(limits=LIMITS)


def test_a_request_passes_with_its_key_name_and_its_times() -> None:
    call = Call("/v1/x", b"12345", settings=KEYED, x_goog_api_key="alice's secret")
    assert (call.status, call.json) == (200, {"n_bytes": 5, "key": "alice"})
    timing = dict(call.messages[0]["headers"])[b"server-timing"].decode()
    assert timing.startswith("read;dur=1.00, total;dur=")
    assert call.observed == [200]
    assert Call("/v1/x", settings=OPEN).json["key"] == ANONYMOUS


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize(
    ("path", "secret", "n_bytes", "is_fine"),
    [
        ("/v1/x", "alice's secret", 5, True),
        ("/v1/x", "alice's secret", 6, False),
        ("/v1/x", "bob's own secret", 10, True),
        ("/v1/x", "bob's own secret", 11, False),
        ("/upload/v1/files", "alice's secret", 100, True),
        ("/upload/v1/files", "alice's secret", 101, False),
    ],
)
def test_each_key_and_each_route_has_its_size(
    path: str, secret: str, n_bytes: int, is_fine: bool, declared: bool
) -> None:
    call = Call(path, b"x" * n_bytes, settings=KEYED, declared=declared, x_goog_api_key=secret)
    assert call.status == (200 if is_fine else 400)
    if not is_fine:
        assert "Request payload size exceeds the limit" in call.json["error"]["message"]


def test_health_and_upload_sessions_need_no_key_and_all_else_does() -> None:
    assert Call("/healthz", settings=KEYED).status == 200
    assert Call("/upload-session/secret", settings=KEYED).status == 200
    assert Call("/metrics", settings=KEYED).status == 403
    assert Call("/v1/embeddings", settings=KEYED).json["error"]["code"] == "missing_key"
    assert Call("/v2/embed", settings=KEYED, authorization="Bearer x").status == 401


def test_a_local_server_answers_to_local_names() -> None:
    assert Call("/v1/x", settings=OPEN, host="evil.org").status == 403
    assert Call("/v1/x", settings=Settings(allowed_hosts=("evil.org",)), host="evil.org:80").status == 200


def test_what_happened_is_counted() -> None:
    assert Call("/lost", settings=OPEN).observed == [404]
    assert Call("/gone", settings=OPEN).observed == [499]
    counted: list[int] = []
    gate = Gate(Room(), OPEN, lambda scope, status, seconds: counted.append(status))

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(message: Message) -> None:
        raise AssertionError

    scope = {"type": "http", "path": "/bug", "query_string": b"", "headers": [(b"host", b"localhost")]}
    with pytest.raises(RuntimeError, match="bug"):
        asyncio.run(gate(scope, receive, send))
    assert counted == [500]
