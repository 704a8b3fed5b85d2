"""The MCP server as its clients see it: the real client of the official SDK, over stdio and over HTTP."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

import asked_library
from mcp_doors import http_server, over_stdio

READS = {"search", "open", "similar", "embed", "collections"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mcp")
    asked_library.build(folder / "files", folder / "test.json")
    return folder


async def every_tool(client: Client) -> None:
    """List and call all tools that read."""
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert set(tools) == READS
    for tool in tools.values():
        assert tool.description and tool.output_schema and tool.annotations and tool.annotations.read_only_hint
        assert "roots" not in tool.input_schema["properties"]

    found = await client.call_tool("search", {"query": "garden shed budget", "k": 3})
    results = found.structured_content["results"]
    assert results[0]["path"].endswith("budget.md")
    assert "4200 euros" in results[0]["excerpt"]
    resource_links = [block for block in found.content if block.type == "resource_link"]
    assert [str(block.uri) for block in resource_links] == [result["address"] for result in results]
    assert json.loads(found.content[0].text) == found.structured_content

    opened = await client.call_tool("open", {"address": results[0]["address"]})
    assert opened.structured_content["text"].endswith("on Monday.")
    read = await client.read_resource(results[0]["address"])
    assert "Petra signs" in read.contents[0].text

    alike = await client.call_tool("similar", {"address": results[0]["address"], "kinds": ["text"], "k": 2})
    assert len(alike.structured_content["results"]) == 2
    assert results[0]["address"] not in [result["address"] for result in alike.structured_content["results"]]

    vector = (await client.call_tool("embed", {"text": "shed"})).structured_content
    assert vector["dim"] == len(vector["values"]) == 256
    listed = (await client.call_tool("collections", {})).structured_content
    assert listed["can_add"] is False and listed["add_from"] == []
    assert listed["collections"][0]["by_modality"] == {"audio": 1, "image": 1, "pdf": 1, "text": 12, "video": 1}


async def media_come_as_content(client: Client) -> None:
    """Pictures, pages, sounds and clips are handed over as what they are."""
    kinds = {}
    for kind in ("image", "audio", "pdf", "video"):
        found = await client.call_tool("search", {"query": "anything", "kinds": [kind], "k": 1})
        address = found.structured_content["results"][0]["address"]
        opened = await client.call_tool("open", {"address": address})
        kinds[kind] = opened.content[-1]
        if kind == "video":
            frame = await client.call_tool("open", {"address": address, "at_s": 1.0})
            assert base64.b64decode(frame.content[-1].data).startswith(b"\xff\xd8")
    assert kinds["image"].type == kinds["pdf"].type == "image"
    assert base64.b64decode(kinds["image"].data).startswith(b"\xff\xd8")
    assert kinds["audio"].type == "audio"
    assert base64.b64decode(kinds["audio"].data).startswith(b"RIFF")
    assert base64.b64decode(kinds["video"].resource.blob)[4:8] == b"ftyp"


async def wrong_calls(client: Client) -> None:
    """A mistake is told to the model in words that help it; nothing outside the collection is read."""
    for address in ("/etc/passwd", "file:///etc/passwd", "onesense://test/%2Fetc%2Fpasswd", "onesense://other/x"):
        answer = await client.call_tool("open", {"address": address})
        assert answer.is_error
        assert "root:" not in answer.content[0].text
        assert "onesense" in answer.content[0].text or "there is no collection" in answer.content[0].text
        with pytest.raises(MCPError):
            await client.read_resource(address)
    assert (await client.call_tool("search", {"query": "x", "kinds": ["smell"]})).is_error
    assert (await client.call_tool("search", {"query": "x", "k": 0})).is_error
    refused = await client.call_tool("add", {"paths": ["/etc/passwd"]})
    assert refused.is_error


async def everything(client: Client) -> None:
    async with client:
        await every_tool(client)
        await media_come_as_content(client)
        await wrong_calls(client)


def test_over_stdio(place: Path) -> None:
    anyio.run(everything, over_stdio(place))


def test_over_http(place: Path) -> None:
    with http_server(place) as address:
        anyio.run(everything, Client(address, read_timeout_seconds=60))
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        accept = {"Accept": "application/json, text/event-stream"}
        foreign = httpx.post(address, json=body, headers={**accept, "Origin": "https://evil.example"}, trust_env=False)
        assert foreign.status_code == 403
        rebound = httpx.post(address, json=body, headers={**accept, "Host": "evil.example"}, trust_env=False)
        assert rebound.status_code == 403
        assert "--allow-host evil.example" in rebound.json()["error"]["message"]


async def adding(client: Client, place: Path) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    async with client:
        assert {tool.name for tool in (await client.list_tools()).tools} == READS | {"add"}
        inside, outside = place / "inbox" / "new.txt", place / "secret.txt"
        for name, path in {"inside": inside, "outside": outside, "link": place / "inbox" / "link.txt"}.items():
            answers[name] = await client.call_tool("add", {"paths": [str(path)]})
        answers["up"] = await client.call_tool("add", {"paths": [str(place / "inbox" / ".." / "secret.txt")]})
        answers["folder"] = await client.call_tool("add", {"paths": [str(place / "inbox")]})
        answers["found"] = await client.call_tool("search", {"query": "zeppelin", "k": 1})
    return answers


def test_adding_stays_inside_the_roots(tmp_path: Path) -> None:
    asked_library.build(tmp_path / "inbox", tmp_path / "test.json")
    (tmp_path / "inbox" / "new.txt").write_text("The zeppelin lands at dawn.", encoding="utf-8")
    (tmp_path / "secret.txt").write_text("The password is swordfish.", encoding="utf-8")
    (tmp_path / "inbox" / "link.txt").symlink_to(tmp_path / "secret.txt")
    answers = anyio.run(adding, over_stdio(tmp_path, "--allow-add", "--root", str(tmp_path / "inbox")), tmp_path)
    assert not answers["inside"].is_error
    assert answers["inside"].structured_content["added"] == [str(tmp_path / "inbox" / "new.txt")]
    for name in ("outside", "link", "up", "folder"):
        assert answers[name].is_error, name
        assert "outside the folders" in answers[name].content[0].text
    assert "zeppelin" in answers["found"].structured_content["results"][0]["excerpt"]


async def open_photo(client: Client) -> Any:
    async with client:
        found = await client.call_tool("search", {"query": "x", "kinds": ["image"], "k": 1})
        return await client.call_tool("open", {"address": found.structured_content["results"][0]["address"]})


def test_a_file_that_became_a_link_is_not_followed(tmp_path: Path) -> None:
    asked_library.build(tmp_path / "files", tmp_path / "test.json")
    (tmp_path / "secret").mkdir()
    (tmp_path / "files" / "photo.png").rename(tmp_path / "secret" / "photo.png")
    (tmp_path / "files" / "photo.png").symlink_to(tmp_path / "secret" / "photo.png")
    answer = anyio.run(open_photo, over_stdio(tmp_path))
    assert answer.is_error
    assert "leads out of" in answer.content[0].text


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    asked_library.build(tmp_path / "files", tmp_path / "test.json")
    (tmp_path / "files" / "photo.png").unlink()
    answer = anyio.run(open_photo, over_stdio(tmp_path))
    assert answer.is_error
    assert "was moved" in answer.content[0].text


def test_wrong_set_ups_are_told(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from onesense.cli.main import app

    run = CliRunner().invoke
    assert "--root" in run(app, ["mcp", "--allow-add"]).output
    missing = run(app, ["mcp", "--collection", str(tmp_path / "none.json")])
    assert missing.exit_code == 2
    assert "onesense index" in missing.output
