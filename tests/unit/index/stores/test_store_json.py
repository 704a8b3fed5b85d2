from __future__ import annotations

import json
import os

import numpy as np
import pytest

from onesense.errors import CorruptData, NotFound, StorageFull
from onesense.index.stores import _disk
from onesense.index.stores.json import Store
from onesense.types import StoreSpec

SPEC = StoreSpec(4, "f0", "tiny", "1", "clustering")
ROWS = np.eye(4, dtype=np.float32)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "c.json"


def test_anyone_can_read_the_file(path):
    store = Store.open(path, SPEC)
    store.upsert(["b", "猫"], ROWS[:2], [{"path": "x"}, {"note": "ein Ünicode"}])
    text = path.read_text(encoding="utf-8")
    assert json.loads(text) == {
        "format": "onesense.collection.v1",
        "spec": {
            "dim": 4,
            "fingerprint": "f0",
            "model": "tiny",
            "revision": "1",
            "task": "clustering",
            "format": "onesense.collection.v1",
            "dtype": "float32",
        },
        "rows": [
            {"id": "b", "payload": {"path": "x"}, "vector": [1.0, 0.0, 0.0, 0.0]},
            {"id": "猫", "payload": {"note": "ein Ünicode"}, "vector": [0.0, 1.0, 0.0, 0.0]},
        ],
    }
    assert len(text.splitlines()) == 4  # the head, a row a line, the end


def test_a_file_that_another_program_has_laid_out_is_read(path):
    Store.open(path, SPEC).upsert(["a"], ROWS[:1], [{}])
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")), indent=4), encoding="utf-8")
    assert Store.open(path, SPEC).search(ROWS[0], 1) == [("a", 1.0, {})]


@pytest.mark.parametrize("row", ['{"id": "a"}', '{"id": "a", "payload": {}, "vector": [1, 2]}', "7", '{"id": 1}'])
def test_a_damaged_row_is_refused(path, row):
    Store.open(path, SPEC)
    path.write_text(path.read_text(encoding="utf-8").replace('"rows": [', '"rows": [' + row), encoding="utf-8")
    with pytest.raises(CorruptData, match=r"c\.json"):
        Store.open(path, SPEC)


def test_a_file_of_a_later_format_is_refused(path):
    Store.open(path, SPEC)
    path.write_text(path.read_text(encoding="utf-8").replace("collection.v1", "collection.v9"), encoding="utf-8")
    with pytest.raises(CorruptData, match=r"collection\.v9"):
        Store.read_spec(path)


def test_a_failed_write_changes_nothing(path, monkeypatch):
    store = Store.open(path, SPEC)
    store.upsert(["a"], ROWS[:1], [{}])

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(_disk.os, "replace", full_disk)
        with pytest.raises(StorageFull, match="no room"):
            store.upsert(["b"], ROWS[1:2], [{}])
    assert [id_ for id_, _ in store.rows()] == ["a"]
    assert os.listdir(path.parent) == ["c.json"]
    store.upsert(["c"], ROWS[2:3], [{}])
    assert [id_ for id_, _ in Store.open(path, SPEC).rows()] == ["a", "c"]


def test_two_writers_lose_nothing(path):
    first, second = Store.open(path, SPEC), Store.open(path, SPEC)
    first.upsert(["a"], ROWS[:1], [{}])
    second.upsert(["b"], ROWS[1:2], [{}])
    first.upsert(["c"], ROWS[2:3], [{}])
    assert [id_ for id_, _ in second.rows()] == ["a", "b", "c"]


def test_a_file_that_vanishes_is_missed(path):
    store = Store.open(path, SPEC)
    path.unlink()
    with pytest.raises(NotFound, match="gone"):
        store.count()
