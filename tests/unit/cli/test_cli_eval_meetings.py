"""The made-up meetings and `onesense eval rag`, on them and on questions of one's own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

import asked_library
from onesense import media
from onesense.cli import eval_meetings
from onesense.cli.main import app
from onesense.errors import NotFound
from onesense.rag.evaluate import read_questions
from onesense.types import Document, Part, Video

needs_espeak = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="the meetings are spoken by espeak-ng")
N_QUESTIONS = sum(len(meeting.asked) for meeting in eval_meetings.MEETINGS) + len(eval_meetings.UNANSWERED)


def test_every_question_names_a_place_that_exists() -> None:
    for meeting in eval_meetings.MEETINGS:
        for question, kind, n in meeting.asked:
            assert n < len(getattr(meeting, kind)), question
        assert {kind for _, kind, _ in meeting.asked} == {"said", "slides", "filmed", "notes"}


@needs_espeak
def test_a_library_is_written_with_its_questions(tmp_path: Path) -> None:
    questions = read_questions(eval_meetings.build(tmp_path))
    assert len(questions) == N_QUESTIONS
    assert [q.kind for q in questions if not q.gold] == ["absent"] * len(eval_meetings.UNANSWERED)
    for question in questions:
        for place in question.gold:
            path = tmp_path / "meetings" / place.path
            _, value = media.decode(Part.file(path))
            if place.page is not None:
                assert isinstance(value, Document) and place.page <= len(value.pages)
            if place.t is not None:
                assert 0 <= place.t[0] < place.t[1] <= value.duration_s + 0.3  # type: ignore[union-attr]
    slides = media.decode(Part.file(tmp_path / "meetings" / "garden" / "slides.pdf"))[1]
    assert isinstance(slides, Document) and "4200 euros" in slides.pages[1].text


@needs_espeak
def test_sentences_are_spoken_one_after_the_other(tmp_path: Path) -> None:
    spans = eval_meetings.speak(("Good morning.", "This is a longer sentence than the first."), tmp_path / "a.wav")
    (first, second) = spans
    assert first[0] == 0 and second[0] == pytest.approx(first[1] + eval_meetings.PAUSE_S, abs=0.01)
    assert second[1] - second[0] > first[1] - first[0] > 0.3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav"]


def test_a_film_shows_one_board_after_the_other(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(eval_meetings.film(("One", "Two")))
    _, film = media.decode(Part.file(tmp_path / "film.mp4"))
    assert isinstance(film, Video)
    assert film.duration_s == pytest.approx(2 * eval_meetings.SCENE_S, abs=0.5)
    assert abs(film.frames[0].mean((0, 1)) - film.frames[-1].mean((0, 1))).max() > 5  # another colour


def test_without_espeak_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotFound, match="apt install espeak-ng"):
        eval_meetings.build(tmp_path / "x")


@needs_espeak
def test_the_command_measures_the_meetings() -> None:
    run = CliRunner().invoke(app, ["eval", "rag", "--model", "tiny", "--llm", "none", "--json"])
    assert run.exit_code == 0, run.output
    found = json.loads(run.stdout)
    assert found["n"] == N_QUESTIONS and found["llm"] is None
    assert set(found["by_kind"]) == {"said", "slides", "filmed", "notes", "absent"}
    assert found["by_kind"]["notes"]["recall@8"] == 1.0


# --- one's own questions ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    asked_library.build(folder / "files", folder / "test.json")
    questions = [
        {"question": "What is the budget for the garden shed?", "gold": [{"path": "budget.md"}], "kind": "notes"},
        {"question": "Revenue grew by seven percent", "gold": [{"path": "slides.pdf", "page": 1}], "kind": "slides"},
        {"question": "Sourdough bread rise overnight", "gold": [{"path": "cat.txt"}], "kind": "notes"},
        {"question": "quantum chromodynamics lattice gauge", "gold": []},
    ]
    (folder / "mine.jsonl").write_text("\n".join(map(json.dumps, questions)), encoding="utf-8")
    return folder


def test_the_command_measures_your_own_questions(place: Path) -> None:
    options = ["--in", str(place / "test.json"), "--questions", str(place / "mine.jsonl"), "--llm", "none"]
    found = json.loads(CliRunner().invoke(app, ["eval", "rag", *options, "--json"]).stdout)
    assert found["n"] == 4
    assert found["all"]["recall@1"] == pytest.approx(2 / 3, abs=1e-3)
    assert found["all"]["refused_right"] == 1.0
    assert found["by_kind"]["slides"]["cites_right"] == 1.0
    assert [outcome["n_right"] > 0 for outcome in found["outcomes"]] == [True, True, False, False]
    table = CliRunner().invoke(app, ["eval", "rag", *options]).stdout
    assert table.startswith("4 questions, no language model") and "| recall@1 | 0.67 | 0.50 | 1.00 |" in table


@pytest.mark.parametrize(
    ("lines", "options", "word"),
    [
        (None, ("--questions", "{file}"), "belong together"),
        (None, ("--in", "{library}"), "belong together"),
        (None, ("--questions", "{file}", "--in", "{library}"), "does not exist"),
        ('{"question": "x"}', ("--questions", "{file}", "--in", "{library}"), "line 1"),
        ("", ("--questions", "{file}", "--in", "{library}"), "holds no questions"),
        ('{"question": "x", "gold": []}', ("--questions", "{file}", "--in", "/nowhere.json"), "onesense index"),
    ],
)
def test_mistakes_are_told_in_one_line(
    place: Path, tmp_path: Path, lines: str | None, options: tuple[str, ...], word: str
) -> None:
    if lines is not None:
        (tmp_path / "q.jsonl").write_text(lines, encoding="utf-8")
    names = {"file": tmp_path / "q.jsonl", "library": place / "test.json"}
    run = CliRunner().invoke(app, ["eval", "rag", *(option.format(**names) for option in options)])
    assert run.exit_code == 2, run.output
    assert word in run.stderr and "Traceback" not in run.output
