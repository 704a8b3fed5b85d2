"""`/api/ask` over a real port: events in their order, access, faults."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import asked_library
import chat_server
from onesense.rag.llm import open_model
from running_server import ANN, KEYS, PLAIN, running

QUESTION = {"question": "What is the budget for the garden shed?", "collections": ["test"]}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ask")
    return asked_library.build(folder / "files", folder / "test.json")


@pytest.fixture(scope="module")
def served(place: Path) -> Iterator[str]:
    open_model("http://127.0.0.1:9/v1#any")  # pydantic-ai takes seconds to load, which are not the server's
    with (
        chat_server.running() as (chat, _),
        running(place.parent / "data", collections=(place,), keys=KEYS, llm=f"{chat}#cites") as address,
    ):
        yield address


def events(address: str, body: dict[str, Any]) -> list[tuple[str, Any]]:
    answer = PLAIN.post(f"{address}/api/ask", json=body, headers=ANN)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    blocks = [block for block in answer.text.split("\n\n") if block and not block.startswith(":")]
    pairs = [block.split("\n", 1) for block in blocks]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in pairs]


def test_passages_come_first_then_words_then_the_answer(served: str) -> None:
    found = events(served, QUESTION)
    names = [name for name, _ in found]
    assert names[0] == "passages" and names[-1] == "answer" and set(names[1:-1]) == {"delta"}
    passage = found[0][1]["passages"][0]
    assert passage["path"].endswith("budget.md") and passage["collection"] == "test"
    assert passage["link"].startswith("onesense://test/") and passage["studio"].startswith("/#/ask?c=test&id=")
    answer = found[-1][1]
    assert answer["text"] == "".join(data["text"] for name, data in found if name == "delta").strip()
    assert answer["llm"] == "openai:cites" and answer["citations"][0]["number"] == 1
    assert "[99]" not in answer["text"]


def test_without_the_model_on_request(served: str) -> None:
    answer = events(served, {**QUESTION, "use_llm": False})[-1][1]
    assert answer["llm"] is None and "4200 euros" in answer["text"]


def test_what_is_not_there(served: str) -> None:
    answer = events(served, {**QUESTION, "question": "quantum chromodynamics lattice gauge", "use_llm": False})[-1][1]
    assert answer["is_found"] is False and answer["text"] == "Not in your library."


def test_earlier_turns_come_along(served: str) -> None:
    turns = [{"question": "garden shed budget", "answer": "4200 euros [1]"}]
    body = {**QUESTION, "question": "zzz qqq xxy", "conversation": turns, "use_llm": False}
    assert events(served, body)[0][1]["searched"] == "garden shed budget zzz qqq xxy"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"question": " "}, 400),
        ({"question": "x" * 5_000}, 400),
        ({"collections": []}, 400),
        ({"collections": ["other"]}, 404),
        ({"collections": ["../test"]}, 404),
        ({"modality": ["smell"]}, 400),
        ({"k": 0}, 400),
        ({"llm": "http://127.0.0.1:1/v1#x"}, 400),
    ],
)
def test_faults_are_ordinary_answers(served: str, change: dict[str, Any], status: int) -> None:
    answer = PLAIN.post(f"{served}/api/ask", json={**QUESTION, **change}, headers=ANN)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["message"]


def test_only_with_a_key_and_not_for_other_pages(served: str) -> None:
    assert PLAIN.post(f"{served}/api/ask", json=QUESTION).status_code == 401
    assert PLAIN.get(f"{served}/api/ask").status_code == 401
    foreign = PLAIN.post(f"{served}/api/ask", json=QUESTION, headers={**ANN, "Origin": "https://evil.example"})
    assert foreign.status_code == 403


def test_the_studio_learns_what_answers(served: str) -> None:
    assert PLAIN.get(f"{served}/api/ask", headers=ANN).json() == {"llm": "openai:cites"}
    assert PLAIN.get(f"{served}/api/status", headers=ANN).json()["can"]["ask"] is True
