"""`onesense ask`, as a person and as a program use it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import asked_library
from onesense.cli.ask import conversation_file
from onesense.cli.main import app

BUDGET = "What is the budget for the garden shed?"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ask")
    return asked_library.build(folder / "files", folder / "test.json")


def ask(place: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["ask", *words, "--in", str(place)])


def test_an_answer_has_its_sources_below(place: Path) -> None:
    run = ask(place, BUDGET)
    assert run.exit_code == 0, run.output
    assert "4200 euros.” [1]" in run.stdout
    sources = run.stdout.split("Sources:")[1]
    assert "[1]" in sources and "budget.md" in sources
    assert "no language model is set up" in run.stderr


def test_a_program_gets_one_document(place: Path) -> None:
    found = json.loads(ask(place, BUDGET, "--json").stdout)
    assert found["is_found"] is True and found["llm"] is None
    assert found["citations"][0]["link"].startswith("onesense://test/")
    assert found["passages"][0]["path"].endswith("budget.md")


def test_what_is_not_there_is_exit_code_4(place: Path) -> None:
    run = ask(place, "quantum chromodynamics lattice gauge")
    assert run.exit_code == 4
    assert run.stdout.startswith("Not in your library.")
    assert "The nearest that there is:" in run.stdout


def test_a_follow_up_knows_what_was_said(place: Path) -> None:
    assert ask(place, "anything", "--continue").exit_code == 2
    ask(place, "garden shed budget")
    run = ask(place, "zzz qqq xxy", "--continue", "--json")
    assert json.loads(run.stdout)["passages"][0]["path"].endswith("budget.md")
    assert conversation_file().stat().st_mode & 0o077 == 0
    assert len(json.loads(conversation_file().read_text())["turns"]) == 2


def test_filters_are_obeyed(place: Path) -> None:
    run = ask(place, "revenue", "--modality", "pdf", "-k", "1", "--json")
    assert [p["modality"] for p in json.loads(run.stdout)["passages"]] == ["pdf"]


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--llm", "gpt"), "names no language model"),
        (("--llm", "openai:gpt-5"), "OPENAI_API_KEY"),
        (("--agent",), "needs a language model"),
        (("--modality", "smell"), "unknown modality"),
        (("--in", "/nowhere.json"), "onesense index"),
    ],
)
def test_mistakes_are_told_in_one_line(place: Path, options: tuple[str, ...], word: str) -> None:
    run = ask(place, "anything", *options)
    assert run.exit_code == 2
    assert word in run.stderr and "Traceback" not in run.output
