"""Parts, contents, tasks, locators, fingerprints."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from onesense.errors import EmptyInput, InvalidInput
from onesense.types import Batch, Content, Features, Hit, Locator, ModelInfo, Part, Task

INFO = ModelInfo("m", "1", "MIT", frozenset({"text"}), 8, (8, 4), 16)


@pytest.mark.parametrize("task", list(Task))
def test_a_task_is_read_by_value_by_name_and_as_itself(task: Task) -> None:
    assert Task.parse(task.value) is Task.parse(f" {task.name} ") is Task.parse(task) is task


@pytest.mark.parametrize("name", ["serch query", "", 5, ["search query"]])
def test_an_unknown_task_is_refused_with_the_list_of_those_that_exist(name: object) -> None:
    with pytest.raises(InvalidInput, match=r"`search query`.*`sentence similarity`"):
        Task.parse(name)  # type: ignore[arg-type]


def test_no_task_stays_none() -> None:
    assert Task.parse(None) is None


def test_a_text_that_names_a_file_is_still_text() -> None:
    assert Part.text("/etc/passwd").value == "/etc/passwd"
    assert Content("photo.jpg").parts[0].value == "photo.jpg"


def test_a_file_is_a_path_with_home_expanded() -> None:
    assert Part.file("~/a.jpg", "image/jpeg") == Part(Path.home() / "a.jpg", "image/jpeg")


@pytest.mark.parametrize("data", [bytearray(b"ab"), memoryview(b"ab"), b"ab"])
def test_bytes_are_copied_to_bytes(data: bytes) -> None:
    assert Part.bytes(data).value == b"ab"


def test_mixed_up_parts_are_refused_with_the_right_door() -> None:
    with pytest.raises(InvalidInput, match=r"Part\.text"):
        Part.bytes("text")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="bytes"):
        Part.text(b"bytes")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match=r"Part\.file"):
        Content(Path("a.jpg"))  # type: ignore[arg-type]


def test_a_content_keeps_the_order_of_its_parts_and_is_frozen() -> None:
    content = Content("a", Part.bytes(b"x"), "b", title="T")
    assert [part.value for part in content.parts] == ["a", b"x", "b"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        content.title = "other"  # type: ignore[misc]


def test_a_content_without_parts_is_refused() -> None:
    with pytest.raises(EmptyInput, match="at least one part"):
        Content()


def test_a_fingerprint_changes_with_each_of_its_ingredients() -> None:
    changes = {"name": "n", "revision": "2", "dtype_class": "int8", "preprocessing": "2"}
    others = [dataclasses.replace(INFO, **{k: v}).fingerprint(8, None) for k, v in changes.items()]
    others += [INFO.fingerprint(4, None), INFO.fingerprint(8, Task.CLUSTERING), INFO.fingerprint(8, None)]
    assert len(set(others)) == len(others)
    assert dataclasses.replace(INFO, description="new words").fingerprint(8, None) == INFO.fingerprint(8, None)


@pytest.mark.parametrize(
    ("locator", "words"),
    [
        (Locator(page=3), "page 3"),
        (Locator(start_s=61.5, end_s=70), "1:01.5–1:10.0"),
        (Locator(start_s=0.0), "0:00.0"),
        (Locator(start_char=0, end_char=9), "chars 0–9"),
        (Locator(), ""),
    ],
)
def test_a_locator_reads_well_and_survives_json(locator: Locator, words: str) -> None:
    assert str(locator) == words
    assert Locator.from_dict(json.loads(json.dumps(locator.to_dict()))) == locator


def test_a_locator_keeps_its_box_and_ignores_what_it_does_not_know() -> None:
    assert Locator.from_dict({"box": [0, 0, 1, 1], "from_the_future": 1}) == Locator(box=(0, 0, 1, 1))


def test_a_hit_becomes_json() -> None:
    hit = Hit("id", "a.pdf", Locator(page=2), "pdf", 0.5, None, "first line", {"year": 2026})
    assert json.loads(json.dumps(hit.to_dict()))["locator"] == {"page": 2}


def test_a_batch_counts_its_tokens() -> None:
    batch = Batch((Features(None, 3), Features(None, 4)))
    assert (len(batch), batch.n_tokens) == (2, 7)
