"""The agent, and what it cannot be talked into: the model here obeys whatever a document says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from onesense.errors import InvalidInput
from onesense.rag import llm
from onesense.rag.agent import MAX_STEPS, AgentConversation
from onesense.rag.library import Library


def returned(messages: list[ModelMessage]) -> list[Any]:
    """What the tools answered so far."""
    return [p.content for m in messages for p in m.parts if isinstance(p, ToolReturnPart)]


def calling(*calls: tuple[str, dict[str, Any]], say: str = "Done [1].") -> tuple[FunctionModel, list[Any]]:
    """A model that calls tools in turn and then answers; and what they returned."""
    seen: list[Any] = []

    def reply(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        seen[:] = returned(messages)
        n = sum(any(isinstance(p, ToolCallPart) for p in m.parts) for m in messages)
        if n < len(calls):
            name, arguments = calls[n]
            return ModelResponse(parts=[ToolCallPart(name, arguments)])
        return ModelResponse(parts=[TextPart(say)])

    return FunctionModel(reply), seen


def test_several_steps_are_cited_by_number(library: Library) -> None:
    model, seen = calling(
        ("search", {"query": "garden shed budget", "k": 1}),
        ("search", {"query": "sourdough bread", "kinds": ["text"], "k": 1}),
        ("collections", {}),
        say="It is 4200 euros [1], and the bread takes forty minutes [2]. Nothing else [3].",
    )
    answer = AgentConversation(library, llm=model).ask("What is the budget, and how long does bread take?")
    assert answer.text == "It is 4200 euros [1], and the bread takes forty minutes [2]. Nothing else."
    assert [Path(p.hit.path).name for p in answer.citations] == ["budget.md", "bread.txt"]
    assert any("[3]" in note for note in answer.notes)
    assert seen[2]["collections"][0]["name"] == "test"


def test_places_are_opened_looked_at_and_compared(library: Library) -> None:
    photo = library.search("x", 1, modality=["image"])[0][0].link
    note, bread = (library.search(q, 1)[0][0].link for q in ("garden shed budget", "sourdough bread"))
    model, seen = calling(
        ("open", {"address": note}), ("look", {"address": photo}), ("compare", {"one": note, "other": bread})
    )
    AgentConversation(library, llm=model).ask("What is there?")
    assert "4200 euros" in seen[0]["text"] and seen[0]["number"] == 1
    assert seen[1]["number"] == 2
    assert -1 <= seen[2]["cosine"] < 1 and "Sourdough" in seen[2]["texts"][1]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("open", {"address": "/etc/passwd"}),
        ("open", {"address": "file:///etc/passwd"}),
        ("open", {"address": "onesense://test/%2Fetc%2Fpasswd"}),
        ("look", {"address": "onesense://test/%2Fetc%2F..%2Fetc%2Fpasswd#page=1"}),
        ("search", {"query": "x", "collection": "../other"}),
    ],
)
def test_a_document_cannot_make_a_tool_leave_the_library(library: Library, name: str, arguments: dict) -> None:
    model, seen = calling(("search", {"query": "travel expenses"}), (name, arguments), say="I was told to.")
    answer = AgentConversation(library, llm=model).ask("What were the travel expenses?")
    assert set(seen[1]) == {"error"}
    assert "root:" not in str(seen)
    assert answer.text == "I was told to."
    assert any("cite no source" in note for note in answer.notes)


def test_a_document_cannot_make_the_agent_write(asked: Path) -> None:
    with Library.open([asked], roots=[asked.parent], is_read_only=False) as library:
        n_before = library.collection("test").count()
        model, _ = calling(("add", {"paths": ["/etc/passwd"]}), say="Added [1].")
        answer = AgentConversation(library, llm=model).ask("What were the travel expenses?")
        assert library.collection("test").count() == n_before
        assert not [p for p in answer.citations]


def test_an_agent_that_never_ends_is_stopped(library: Library) -> None:
    model, seen = calling(*[("search", {"query": f"budget {n}"}) for n in range(100)])
    answer = AgentConversation(library, llm=model).ask("What is the budget for the garden shed?")
    assert len(seen) <= MAX_STEPS
    assert answer.is_partial and "more steps" in answer.notes[0]
    assert "4200 euros" in answer.text


def test_a_search_is_narrowed_as_the_agent_says(library: Library) -> None:
    prefix = {"path": {"prefix": str(Path(library.collection("test").files()[0].path).parent / "b")}}
    model, seen = calling(
        ("search", {"query": "anything", "where": prefix}),
        ("search", {"query": "anything", "kinds": ["pdf"], "collection": "test"}),
        ("search", {"query": "anything", "where": {"path": {"smells": 1}}}),
    )
    AgentConversation(library, llm=model).ask("What is there?")
    assert {Path(r["place"].split()[0]).name for r in seen[0]["results"]} == {"budget.md", "bread.txt"}
    assert {r["kind"] for r in seen[1]["results"]} == {"pdf"}
    assert set(seen[2]) == {"error"}


@pytest.mark.parametrize(
    ("name", "word"), [("locked", "refused the key"), ("slow", "in time"), ("nobody", "no such model")]
)
def test_an_agent_s_model_that_fails_is_told_and_the_passages_stand_in(
    library: Library, chat: tuple[str, list], name: str, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONESENSE_LLM_KEY", "wrong-key")
    monkeypatch.setattr(llm, "FIRST_S", 0.5)
    answer = AgentConversation(library, llm=f"{chat[0]}#{name}").ask("What is the budget for the garden shed?")
    assert answer.is_partial and "4200 euros" in answer.text and answer.citations
    assert word in answer.notes[0]


def test_an_agent_needs_a_model(library: Library) -> None:
    with pytest.raises(InvalidInput, match="--llm"):
        AgentConversation(library).ask("anything")
