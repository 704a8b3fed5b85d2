import csv
import json

import numpy as np
import pytest

from onesense.errors import InvalidInput
from onesense.index import analysis
from onesense.index.collection import Collection
from onesense.types import Content


@pytest.fixture
def collection(tmp_path):
    """Three groups of four directions each, one row that is like nothing, and a twin."""
    with Collection.open(tmp_path / "c.json", model="tiny", dim=32) as opened:
        rng = np.random.default_rng(3)
        centres = np.linalg.qr(rng.standard_normal((32, 4)))[0].T
        rows = [centres[i % 3] + 0.08 * rng.standard_normal(32) for i in range(12)] + [centres[3]]
        rows.append(rows[0])
        vectors = np.array([row / np.linalg.norm(row) for row in rows], np.float32)
        names = [f"r{i:02}" for i in range(14)]
        payloads = [{"path": name, "modality": "text", "preview": name, "locator": {}} for name in names]
        opened._store.upsert([f"{name}#0" for name in names], vectors, payloads)
        yield opened


def test_clusters_are_the_groups_and_the_same_every_time(collection):
    found = analysis.cluster(collection, 4, seed=1)
    assert [r.id for r in found] == [r.id for r in analysis.cluster(collection, 4, seed=1)]
    groups: dict[str, set[int]] = {}
    for row in found:
        groups.setdefault(row.label, set()).add(int(row.path[1:]))
    assert {frozenset(g) for g in groups.values()} == {
        frozenset({0, 3, 6, 9, 13}), frozenset({1, 4, 7, 10}), frozenset({2, 5, 8, 11}), frozenset({12})
    }  # fmt: skip
    assert [len(groups[f"cluster {n}"]) for n in (1, 2, 3, 4)] == [5, 4, 4, 1]


def test_twins_are_found(collection):
    (group,) = analysis.duplicates(collection, 0.999)
    assert [row.path for row in group] == ["r00", "r13"] and group[1].score == pytest.approx(1)


def test_what_stands_alone_comes_first(collection):
    assert [row.path for row in analysis.outliers(collection, 1)] == ["r12"]


def test_labels_by_name_and_by_example(tmp_path):
    with Collection.open(tmp_path / "c.json", model="tiny", dim=64) as opened:
        opened.add([{"id": name, "content": name} for name in ("a cat purrs", "a cat sleeps", "a train leaves")])
        found = analysis.classify(opened, {"animal": ["a cat"], "railway": ["a train", Content("train station")]})
        assert [(row.path, row.label) for row in found] == [
            ("a cat purrs", "animal"), ("a cat sleeps", "animal"), ("a train leaves", "railway"),
        ]  # fmt: skip
        assert all(0.5 < row.score <= 1 for row in found)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_tables_hold_every_row(collection, tmp_path, suffix):
    rows = analysis.cluster(collection, 2)
    path = tmp_path / f"table{suffix}"
    analysis.write_table(rows, path)
    if suffix == ".csv":
        read = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    elif suffix == ".jsonl":
        read = [json.loads(line) for line in path.read_text().splitlines()]
    else:
        from pyarrow import parquet

        read = parquet.read_table(path).to_pylist()
    assert [(r["id"], r["label"]) for r in read] == [(row.id, row.label) for row in rows]


def test_what_is_not_possible_is_refused(collection, tmp_path):
    for wrong in (
        lambda: analysis.cluster(collection, 15),
        lambda: analysis.duplicates(collection, 0.0),
        lambda: analysis.outliers(collection, 0),
        lambda: analysis.classify(collection, ["one"]),
        lambda: analysis.classify(collection, {"a": ["x"], "b": []}),
        lambda: analysis.write_table([], tmp_path / "t.xlsx"),
    ):
        with pytest.raises(InvalidInput):
            wrong()
