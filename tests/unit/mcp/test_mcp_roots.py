"""Roots of a client, with the official client, over stdio and HTTP, in the protocol of today and of before."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp_types import ErrorData, ListRootsResult, Root

import asked_library
from mcp_doors import http_server, over_stdio
from onesense.mcp import roots
from onesense.mcp.roots import both, folders, root_of
from onesense.mcp.server import Server
from onesense.rag.library import Library


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A server's folder `media` with the client's `media/mine` and somebody else's `media/theirs` in it."""
    asked_library.build(tmp_path / "media" / "mine", tmp_path / "test.json")
    (tmp_path / "media" / "theirs").mkdir()
    for folder in ("mine", "theirs"):
        (tmp_path / "media" / folder / "new.txt").write_text(f"The zeppelin is {folder}.", encoding="utf-8")
    (tmp_path / "media" / "mine" / "out").mkdir()
    (tmp_path / "media" / "mine" / "out" / "link.txt").symlink_to(tmp_path / "media" / "theirs" / "new.txt")
    (tmp_path / "elsewhere").mkdir()
    return tmp_path


def naming(*paths: Path) -> dict[str, Any]:
    """Options of a client that has these roots."""

    async def named(context: Any) -> ListRootsResult:
        del context
        return ListRootsResult(roots=[Root(uri=path.as_uri()) for path in paths])

    return {"list_roots_callback": named}


@contextmanager
def connected(way: str, place: Path, **client: Any) -> Iterator[Client]:
    options = ("--allow-add", "--root", str(place / "media"))
    if way == "stdio":
        yield over_stdio(place, *options, **client)
    else:
        with http_server(place, *options) as address:
            yield Client(address, read_timeout_seconds=60, **client)


WAYS = [(way, mode) for way in ("stdio", "http") for mode in ("auto", "legacy")]


@pytest.mark.parametrize(("way", "mode"), WAYS)
def test_the_client_s_roots_are_kept_to(way: str, mode: str, place: Path) -> None:
    mine, theirs = place / "media" / "mine", place / "media" / "theirs"

    async def talk(client: Client) -> None:
        async with client:
            listed = await client.call_tool("collections", {})
            assert listed.structured_content["add_from"] == [str(mine)]
            for refused in (theirs / "new.txt", mine / ".." / "theirs" / "new.txt", mine / "out", place / "elsewhere"):
                answer = await client.call_tool("add", {"paths": [str(refused)]})
                assert answer.is_error and "outside the folders" in answer.content[0].text, refused
            assert str(place / "media") in answer.content[0].text  # the server's own come first
            answer = await client.call_tool("add", {"paths": [str(mine / "new.txt")]})
            assert answer.structured_content["added"] == [str(mine / "new.txt")]
            found = await client.call_tool("search", {"query": "zeppelin", "k": 1})
            place_found = found.structured_content["results"][0]
            assert place_found["root"] == str(mine) and place_found["excerpt"] == "The zeppelin is mine."
            opened = await client.call_tool("open", {"address": place_found["address"]})
            assert opened.structured_content["root"] == str(mine)
            alike = await client.call_tool("similar", {"address": place_found["address"], "k": 1})
            assert alike.structured_content["results"][0]["root"] == str(mine)

    with connected(way, place, mode=mode, **naming(mine, place / "elsewhere")) as client:
        anyio.run(talk, client)


async def refused_and_found(client: Client, path: Path) -> tuple[Any, Any]:
    async with client:
        answer = await client.call_tool("add", {"paths": [str(path)]})
        return answer, await client.call_tool("search", {"query": "garden shed budget", "k": 1})


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_client_that_names_no_root_has_opened_none(mode: str, place: Path) -> None:
    new = place / "media" / "mine" / "new.txt"
    added, found = anyio.run(refused_and_found, over_stdio(place, *adding(place), mode=mode, **naming()), new)
    assert added.is_error and "there are none" in added.content[0].text
    assert found.structured_content["results"][0]["root"] is None


def test_a_client_that_fails_to_answer_has_opened_none(place: Path) -> None:
    async def fails(context: Any) -> ErrorData:
        del context
        return ErrorData(code=-32603, message="no idea")

    client = over_stdio(place, *adding(place), mode="legacy", list_roots_callback=fails)
    added, found = anyio.run(refused_and_found, client, place / "media" / "mine" / "new.txt")
    assert added.is_error and "there are none" in added.content[0].text
    assert found.structured_content["results"][0]["excerpt"]


def test_a_client_that_never_answers_keeps_nobody_waiting(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def sleeps(context: Any) -> ListRootsResult:
        del context
        await anyio.sleep_forever()
        raise AssertionError

    monkeypatch.setattr(roots, "ANSWER_S", 0.2)
    with Library.open([place / "test.json"], roots=[place / "media"], is_read_only=False) as library:
        client = Client(Server(library), mode="legacy", list_roots_callback=sleeps)
        added, found = anyio.run(refused_and_found, client, place / "media" / "mine" / "new.txt")
    assert added.is_error and "there are none" in added.content[0].text
    assert found.structured_content["results"][0]["excerpt"]


def test_without_roots_of_the_client_those_of_the_server_hold(place: Path) -> None:
    new = place / "media" / "theirs" / "new.txt"
    added, found = anyio.run(refused_and_found, over_stdio(place, *adding(place)), new)
    assert added.structured_content["added"] == [str(new)]
    assert found.structured_content["results"][0]["root"] is None


def adding(place: Path) -> tuple[str, ...]:
    return ("--allow-add", "--root", str(place / "media"))


def test_a_root_is_read_as_the_path_that_it_names(tmp_path: Path) -> None:
    (tmp_path / "mit Leerzeichen é").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "mit Leerzeichen é")
    real = os.path.realpath(tmp_path / "mit Leerzeichen é")
    declared = ListRootsResult(roots=[Root(uri=(tmp_path / "link").as_uri()), Root(uri=Path(real).as_uri())])
    assert folders(declared) == [real, real]
    assert folders(None) is None


def test_the_smaller_folder_counts() -> None:
    assert both(["/media"], None) == ["/media"]
    assert both(["/media"], ["/media/mine", "/home"]) == ["/media/mine"]
    assert both(["/media/a", "/media/b"], ["/media"]) == ["/media/a", "/media/b"]
    assert both(["/media"], ["/media"]) == ["/media"]
    assert both(["/media"], ["/mediation"]) == []
    assert root_of("/media/x", ["/media"]) == "/media" and root_of("/x", ["/media"]) is None is root_of("/x", None)
