"""Somebody's own pairs and labels are read, or the fault names its line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from onesense.errors import InvalidInput, NotFound
from onesense.train.data.examples import MIN_ROWS, read

PAIRS = [{"query": f"question {i}", "document": f"answer {i}"} for i in range(MIN_ROWS)]
LABELS = [{"item": f"thing {i}", "label": "ab"[i % 2]} for i in range(MIN_ROWS)]


def written(folder: Path, rows: list) -> Path:
    file = folder / "mine.jsonl"
    file.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return file


def test_pairs_of_a_file_and_of_rows_are_the_same(tmp_path: Path) -> None:
    found = read(written(tmp_path, PAIRS))
    assert (found.kind, found.n, found.n_repeated) == ("pairs", MIN_ROWS, 0)
    assert found.digest() == read(PAIRS).digest() == read(PAIRS[::-1]).digest() != read([*PAIRS[1:], EXTRA]).digest()


EXTRA = {"query": "one more", "document": "answer"}


def test_other_names_negatives_and_repeated_rows(tmp_path: Path) -> None:
    rows = [
        *PAIRS,
        {"query": "QUESTION  3", "positive": "answer 3"},
        {"query": "question 4", "document": "another", "negative": "answer 5"},
        {"query": "question 5", "positive": "answer 5", "negatives": ["answer 6", ["answer", "7"]]},
    ]
    found = read(rows)
    assert (found.n, found.n_repeated) == (MIN_ROWS + 1, 2)
    assert found.negatives.tolist() == [[4, 5], [5, 6], [5, MIN_ROWS + 1]]


def test_files_are_read_beside_the_list_and_are_the_same_by_their_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text("the same", encoding="utf-8")
    rows = [*PAIRS, *({"query": "where?", "document": {"file": f"{name}.txt"}} for name in "ab")]
    found = read(written(tmp_path, rows))
    assert found.n == MIN_ROWS + 1 and found.documents.contents[-1].parts[0].value == tmp_path / "a.txt"


def test_a_folder_of_classes(tmp_path: Path) -> None:
    for row, place in zip(LABELS, range(len(LABELS)), strict=True):
        file = tmp_path / row["label"] / "deep" / f"{place}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(row["item"], encoding="utf-8")
    (tmp_path / ".hidden").mkdir()
    found = read(tmp_path)
    assert (found.kind, found.n, sorted(found.links[:, 1].tolist())) == ("labels", 20, [0] * 10 + [1] * 10)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([], "nothing to learn from"),
        (PAIRS[:-1], f"{MIN_ROWS - 1} distinct queries are too few.*{MIN_ROWS} or more"),
        (LABELS[:-1], f"{MIN_ROWS - 1} distinct items are too few"),
        ([{"item": f"thing {i}", "label": "a"} for i in range(30)], "one label only, 'a'"),
        ([*PAIRS, '{"query": "a",'], "mine.jsonl line 21 is no JSON"),
        ([*PAIRS, "\udcff"], "mine.jsonl line 21 is no JSON"),
        ([*PAIRS, "3"], "line 21 is int"),
        ([*PAIRS, {"query": "a"}], "line 21 has no `document`"),
        ([*PAIRS, {"query": "a", "document": "b", "colour": 1}], "line 21 has `colour`"),
        ([*PAIRS, {"query": "a", "document": "b", "positive": "c"}], "line 21 says one side under two names"),
        ([*PAIRS, {"query": " ", "document": "b"}], "line 21: an empty text"),
        ([*PAIRS, {"query": "a", "document": 3}], "line 21: expected a text"),
        ([*PAIRS, {"query": "a", "document": "b", "negatives": "c"}], "line 21: `negatives` is a list"),
        ([*PAIRS, {"query": "question 1", "document": "x", "negative": "answer 1"}], "line 21 says.*line 2 that it"),
        ([*PAIRS, LABELS[0]], "line 21 has a label and .* line 20 has none"),
        ([*LABELS, {"item": "Thing 0", "label": "b"}], "line 21 gives the item of .* line 1 another label"),
        ([*LABELS, {"item": "x", "label": ""}], "line 21: a label is a text"),
        ([*LABELS, {"item": "x", "label": "a", "query": "y"}], "line 21 has `query`"),
    ],
)
def test_faults_name_their_line(tmp_path: Path, rows: list, told: str) -> None:
    file = tmp_path / "mine.jsonl"
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    file.write_bytes("\n".join(lines).encode("utf-8", "surrogateescape"))
    with pytest.raises(InvalidInput, match=told):
        read(file)


def test_missing_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"line 21: .*gone\.png.*No such file"):
        read(written(tmp_path, [*PAIRS, {"query": "a", "document": {"file": "gone.png"}}]))
    with pytest.raises(NotFound, match="nothing at"):
        read(tmp_path / "none.jsonl")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match="no row, no file"):
        read(tmp_path / "empty")
