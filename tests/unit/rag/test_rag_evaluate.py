import json
from pathlib import Path

import pytest

from onesense.errors import InvalidInput, NotFound
from onesense.rag.evaluate import Place, Question, evaluate, read_questions
from onesense.rag.library import Library
from onesense.types import Hit, Locator


def hit(path: str, place: Locator) -> Hit:
    return Hit("x", path, place, "any", 0.5, 0.5, "")


@pytest.mark.parametrize(
    ("place", "path", "locator", "holds"),
    [
        (Place("a.pdf"), "/x/a.pdf", Locator(page=7), True),
        (Place("a.pdf", page=2), "/x/a.pdf", Locator(page=2), True),
        (Place("a.pdf", page=2), "/x/a.pdf", Locator(page=3), False),
        (Place("a.pdf"), "/x/ba.pdf", Locator(), False),
        (Place("y/a.pdf"), "/x/a.pdf", Locator(), False),
        (Place("a.wav", t=(5, 9)), "/x/a.wav", Locator(start_s=8.0, end_s=12.0), True),
        (Place("a.wav", t=(5, 9)), "/x/a.wav", Locator(start_s=9.0, end_s=12.0), False),
        (Place("a.wav", t=(5, 9)), "/x/a.wav", Locator(), False),
    ],
)
def test_a_place_holds_a_hit(place: Place, path: str, locator: Locator, holds: bool) -> None:
    assert place.holds(hit(path, locator)) is holds


def test_recall_citations_and_refusals_are_counted(library: Library) -> None:
    questions = [
        Question("What is the budget for the garden shed?", (Place("budget.md"),), "notes"),
        Question("Sourdough bread rise overnight fridge", (Place("slides.pdf", page=1),), "slides"),
        Question("quantum chromodynamics lattice gauge", ()),
    ]
    report = evaluate(library, questions, llm="none")
    measures = report.measures()
    assert measures["recall@1"] == 0.5
    assert measures["cites_right"] == 0.5
    assert measures["refused_right"] == 1.0
    assert measures["refused_wrong"] == 0.0
    assert report.measures("notes")["recall@1"] == 1.0
    assert report.measures("notes")["refused_right"] is None
    assert json.loads(json.dumps(report.to_dict()))["n"] == 3


def test_questions_are_read(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text('{"question": "a", "gold": [{"path": "x.wav", "t": [1, 2]}]}\n\n{"question": "b", "gold": []}\n')
    assert read_questions(path) == [Question("a", (Place("x.wav", None, (1.0, 2.0)),)), Question("b", ())]


@pytest.mark.parametrize("line", ["no json", "[]", '{"question": "a"}', '{"question": "a", "gold": [{"t": [1]}]}'])
def test_a_line_that_is_no_question_is_told_by_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "q.jsonl"
    path.write_text('{"question": "b", "gold": []}\n' + line)
    with pytest.raises(InvalidInput, match="line 2"):
        read_questions(path)
    with pytest.raises(NotFound):
        read_questions(tmp_path / "none")
    with pytest.raises(InvalidInput, match="no questions"):
        evaluate(None, [])  # type: ignore[arg-type]
