"""Who may come in over HTTP: keys, hosts, origins; and what is refused before anything is served."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from typer.testing import CliRunner

import asked_library
from mcp_doors import arguments, environment, http_server
from onesense.cli.main import app

SECRET = "a-secret-of-ann"
BEARER = {"Authorization": f"Bearer {SECRET}"}
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
ACCEPT = {"Accept": "application/json, text/event-stream"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mcp_http")
    asked_library.build(folder / "files", folder / "test.json")
    return folder


def post(address: str, **headers: str) -> httpx.Response:
    return httpx.post(address, json=LIST, headers=ACCEPT | headers, trust_env=False)


async def budget(address: str, headers: dict[str, str]) -> Any:
    async with (
        httpx.AsyncClient(headers=headers, trust_env=False) as http,
        Client(streamable_http_client(address, http_client=http), read_timeout_seconds=60) as client,
    ):
        found = await client.call_tool("search", {"query": "garden shed budget", "k": 1})
        return found.structured_content["results"][0]["excerpt"]


@pytest.mark.parametrize("headers", [BEARER, {"x-goog-api-key": SECRET}])
def test_the_real_client_comes_in_with_a_key(place: Path, headers: dict[str, str]) -> None:
    with http_server(place, ONESENSE_API_KEYS=f"ann={SECRET}") as address:
        assert "4200 euros" in anyio.run(budget, address, headers)


def test_nobody_comes_in_without_the_right_key(place: Path, tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    file.write_text(f'[ann]\nkey = "{SECRET}"\nrequests_per_min = 2\n', encoding="utf-8")
    with http_server(place, "--key-file", str(file)) as address:
        for headers, code in (({}, "missing_key"), ({"Authorization": "Bearer wrong-secret"}, "bad_key")):
            answer = post(address, **headers)
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, code)
            assert SECRET not in answer.text
        with pytest.raises(ExceptionGroup) as caught:
            anyio.run(budget, address, {"Authorization": "Bearer wrong-secret"})
        assert caught.group_contains(MCPError, match="error response")
        assert [post(address, **BEARER).status_code == 429 for _ in range(3)] == [False, False, True]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1.evil.example:80"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_no_web_page_asks_in_somebody_s_name(keyed: str, headers: dict[str, str], status: int) -> None:
    assert post(keyed, **BEARER, **headers).status_code == status


@pytest.fixture(scope="module")
def keyed(place: Path) -> Any:
    with http_server(
        place, "--api-key", f"ann={SECRET}", "--allow-host", "127.0.0.1", "--allow-host", "box"
    ) as address:
        yield address


def test_hosts_that_are_allowed_are_answered(keyed: str) -> None:
    for headers in ({}, {"Host": "box"}, {"Host": "box:8443", "Origin": "https://box:8443"}):
        assert post(keyed, **BEARER, **headers).status_code not in (401, 403, 421), headers
    assert post(keyed, **BEARER, Host="localhost").status_code == 403  # only those that were named


def test_a_server_of_the_network_answers_with_a_key(place: Path) -> None:
    with http_server(place, "--host", "0.0.0.0", "--api-key", f"ann={SECRET}") as address:
        here = address.replace("0.0.0.0", "127.0.0.1")
        assert post(here).status_code == 401
        assert "4200 euros" in anyio.run(budget, here, BEARER)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--http", "0", "--host", "0.0.0.0"), "there is no key"),
        (("--http", "0", "--host", "::"), "there is no key"),
        (("--http", "0", "--api-key", "ann=short"), "fewer than 8 characters"),
        (("--http", "0", "--key-file", "/nowhere.toml"), "cannot be read"),
        (("--http", "0", "--tls-cert", "x.pem"), "belong together"),
        (("--http", "0", "--host", "203.0.113.9", "--api-key", f"ann={SECRET}"), "cannot be listened on"),
        (("--host", "127.0.0.1"), "give --http PORT"),
        (("--api-key", f"ann={SECRET}"), "give --http PORT"),
    ],
)
def test_wrong_set_ups_are_told_in_one_line(place: Path, options: tuple[str, ...], word: str) -> None:
    run = CliRunner().invoke(app, ["mcp", "--collection", str(place / "test.json"), *options])
    assert run.exit_code == 2
    assert word in run.stderr and "Traceback" not in run.output


def test_it_ends_soon_with_a_client_connected(place: Path) -> None:
    command = [sys.executable, *arguments(place, "--http", "0")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment()) as process:
        assert process.stderr is not None
        found = re.search(r"http://\S+", process.stderr.readline())
        assert found is not None
        start_s = anyio.run(stopped_while_connected, found[0], process)
        process.wait(timeout=20)
    assert time.monotonic() - start_s < 10


async def stopped_while_connected(address: str, process: subprocess.Popen[str]) -> float:
    async with Client(address, mode="legacy", read_timeout_seconds=60) as client:
        await client.call_tool("collections", {})
        process.send_signal(signal.SIGTERM)
        start_s = time.monotonic()
        await anyio.to_thread.run_sync(lambda: process.wait(timeout=30))
        return start_s
