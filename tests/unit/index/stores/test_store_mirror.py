"""The mirror: searches are answered out of it, and whatever becomes of it, they are right."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import lancedb
import numpy as np
import pyarrow as pa
import pytest

from onesense.index.stores import _columns, _lancedb, _mirror, _snapshot, lance
from onesense.index.stores._dtypes import DTYPES
from onesense.types import StoreSpec
from onesense.vectors import truncate_normalize

DIM = 300  # more than the 256 that the codes hold
N = 200
SPEC = StoreSpec(DIM, "f0", "tiny", "1")
NEAR = 2e-5  # the mirror holds 16 bits a component, the largest near 0.5


@pytest.fixture(autouse=True)
def _all_tables_are_large(monkeypatch):
    monkeypatch.setattr(_snapshot, "EXACT_ROWS", 0)
    monkeypatch.setattr(_snapshot, "CANDIDATES", 100)


def unit(n: int, seed: int = 0) -> np.ndarray:
    scale = 1.0 / np.sqrt(1.0 + np.arange(DIM))
    return truncate_normalize(np.random.default_rng(seed).standard_normal((n, DIM)).astype(np.float32) * scale, DIM)


ROWS = unit(N)
NAMES = [f"{i:04d}" for i in range(N)]


def filled(path: Path, spec: StoreSpec = SPEC) -> lance.Store:
    store = lance.Store.open(path, spec)
    for at in range(0, N, 50):
        store.upsert(NAMES[at : at + 50], ROWS[at : at + 50], [{"n": i} for i in range(at, at + 50)])
    return store


def reopened(path: Path) -> lance.Store:
    return lance.Store.open(path, SPEC)


def check(store: lance.Store, rows: dict[str, np.ndarray] | None = None) -> None:
    """Ten nearest of several queries, ids and scores, against brute force; what is equal within rounding may swap."""
    held = rows if rows is not None else dict(zip(NAMES, ROWS, strict=True))
    matrix = np.stack(list(held.values()))
    for query in unit(5, seed=9):
        exact = np.sort(matrix @ query)[::-1][:10]
        found = store.search(query, 10)
        assert len({id_ for id_, _, _ in found}) == 10
        np.testing.assert_allclose([score for _, score, _ in found], exact, atol=NEAR)
        np.testing.assert_allclose([held[id_] @ query for id_, _, _ in found], exact, atol=NEAR)


@pytest.fixture
def reads(monkeypatch):
    """How many vectors were fetched from the table, and how many codes were read out of it."""
    counts = {"vectors": 0, "codes": 0}
    fetch, codes = lance.Store._vectors_at, _snapshot._missing_codes

    def counted_fetch(self, row_ids):
        counts["vectors"] += len(row_ids)
        return fetch(self, row_ids)

    def counted_codes(table, row_ids, *rest):
        counts["codes"] += len(row_ids)
        return codes(table, row_ids, *rest)

    monkeypatch.setattr(lance.Store, "_vectors_at", counted_fetch)
    monkeypatch.setattr(_snapshot, "_missing_codes", counted_codes)
    return counts


def test_a_search_reads_no_vector_and_no_code_from_the_table(tmp_path, reads):
    with_rows = filled(tmp_path / "c")
    check(with_rows)
    with_rows.close()
    check(reopened(tmp_path / "c"))
    assert reads == {"vectors": 0, "codes": 0}


def test_rows_that_are_replaced_or_deleted_are_passed_over(tmp_path, reads):
    store = filled(tmp_path / "c")
    fresh = unit(20, seed=5)
    store.upsert(NAMES[:20], fresh, [{}] * 20)
    store.delete(NAMES[100:120])
    held = dict(zip(NAMES, ROWS, strict=True)) | dict(zip(NAMES[:20], fresh, strict=True))
    for name in NAMES[100:120]:
        del held[name]
    check(store, held)
    store.compact()
    assert len(_mirror.Mirror(tmp_path / "c", SPEC).keys) == 180
    check(store, held)
    assert reads == {"vectors": 0, "codes": 0}


@pytest.mark.parametrize("modality", [None, "image"])
def test_filters_and_modalities_go_through_it(tmp_path, reads, modality):
    store = lance.Store.open(tmp_path / "c", SPEC)
    payloads = [{"modality": ("text", "image")[i % 2], "size": i} for i in range(N)]
    store.upsert(NAMES, ROWS, payloads)
    query = unit(1, seed=9)[0]
    where = {"size": {"gte": 60}} | ({"modality": modality} if modality else {})
    kept = [i for i in range(60, N) if modality is None or i % 2]
    nearest = sorted(kept, key=lambda i: -float(ROWS[i] @ query))[:7]
    assert [id_ for id_, _, _ in store.search(query, 7, where)] == [NAMES[i] for i in nearest]
    assert reads == {"vectors": 0, "codes": 0}


def _drop(folder: Path) -> None:
    shutil.rmtree(folder)


def _cut(name: str, share: float):
    def cut(folder: Path) -> None:
        raw = (folder / name).read_bytes()
        (folder / name).write_bytes(raw[: int(len(raw) * share)])

    return cut


def _zero(name: str):
    def zero(folder: Path) -> None:
        raw = bytearray((folder / name).read_bytes())
        raw[len(raw) // 3 :] = bytes(len(raw) - len(raw) // 3)
        (folder / name).write_bytes(raw)

    return zero


def _shift(folder: Path) -> None:
    raw = (folder / _mirror.VECTORS).read_bytes()
    (folder / _mirror.VECTORS).write_bytes(raw[DIM * 2 :] + raw[: DIM * 2])  # by one row


DAMAGE = {
    "gone": _drop,
    "entries cut": _cut(_mirror.ENTRIES, 0.5),
    "codes cut": _cut(_mirror.CODES, 0.3),
    "vectors cut": _cut(_mirror.VECTORS, 0.501),
    "all empty": _cut(_mirror.ENTRIES, 0),
    "entries zeroed": _zero(_mirror.ENTRIES),
    "codes zeroed": _zero(_mirror.CODES),
    "vectors zeroed": _zero(_mirror.VECTORS),
    "vectors of other rows": _shift,
}


@pytest.mark.parametrize("name", DAMAGE)
def test_whatever_becomes_of_it_answers_are_right_and_compacting_mends_it(tmp_path, reads, name):
    path = tmp_path / "c"
    filled(path).close()
    DAMAGE[name](path / _mirror.FOLDER)
    store = reopened(path)
    check(store)
    assert sum(reads.values()) > 0
    store.upsert(["new"], unit(1, seed=7), [{}])  # written behind what is damaged
    assert store.search(unit(1, seed=7)[0], 1)[0][0] == "new"
    store.delete(["new"])
    store.compact()
    reads.update(vectors=0, codes=0)
    check(store)
    check(reopened(path))
    assert reads == {"vectors": 0, "codes": 0}


def test_one_of_another_collection_is_of_no_use_and_no_harm(tmp_path, reads):
    filled(tmp_path / "a").close()
    other = lance.Store.open(tmp_path / "b", SPEC)
    other.upsert(NAMES, unit(N, seed=3), [{}] * N)
    other.close()
    shutil.rmtree(tmp_path / "b" / _mirror.FOLDER)
    shutil.copytree(tmp_path / "a" / _mirror.FOLDER, tmp_path / "b" / _mirror.FOLDER)
    check(reopened(tmp_path / "b"), dict(zip(NAMES, unit(N, seed=3), strict=True)))
    assert reads["codes"] == N


def test_two_that_append_at_once_do_not_mix_their_rows(tmp_path):
    store = filled(tmp_path / "c")
    with _mirror._only_writer(tmp_path / "c" / _mirror.FOLDER) as is_alone:
        assert is_alone
        store.upsert(["late"], unit(1, seed=7), [{}])
    assert len(_mirror.Mirror(tmp_path / "c", SPEC).keys) == N
    assert store.search(unit(1, seed=7)[0], 1)[0][0] == "late"
    check(store, dict(zip(NAMES, ROWS, strict=True)) | {"late": unit(1, seed=7)[0]})


def test_a_disk_that_takes_no_mirror_takes_no_row_away(tmp_path, monkeypatch):
    monkeypatch.setattr(_mirror, "_write", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    store = filled(tmp_path / "c")
    store.compact()
    check(store)


def test_a_reader_keeps_the_mirror_that_it_has_open(tmp_path):
    writer, reader = filled(tmp_path / "c"), reopened(tmp_path / "c")
    check(reader)
    held = reader._snapshot
    writer.delete(NAMES[:50])
    writer.compact()
    nearest, _ = held.nearest(ROWS[3], 1, [held.rows], reader._vectors_at)[0]  # an answer that was under way
    assert nearest.tolist() == [3]
    check(reader, dict(zip(NAMES[50:], ROWS[50:], strict=True)))


@pytest.mark.parametrize(("dtype", "worst"), [("float16", 1e-3), ("int8", 0.02), ("binary", 0.45)])
def test_it_holds_what_the_collection_holds(tmp_path, reads, dtype, worst):
    spec = StoreSpec(DIM, "f0", "tiny", "1", dtype=dtype)
    store = filled(tmp_path / "c", spec)
    kept = store.vectors(NAMES)
    for query in unit(5, seed=9):
        for id_, score, _ in store.search(query, 5):
            assert score == pytest.approx(
                float(kept[int(id_)] @ query), abs=3e-4
            )  # float16 and int8 are rounded once for each
            assert abs(score - float(ROWS[int(id_)] @ query)) < worst
    assert reads == {"vectors": 0, "codes": 0} and len(DTYPES) == 4


def test_a_table_of_an_earlier_version_gets_keys_and_then_a_mirror(tmp_path, reads):
    path = tmp_path / "c"
    filled(path).close()
    shutil.rmtree(path / _mirror.FOLDER)
    table = lancedb.connect(path).open_table(lance.TABLE)
    table.drop_columns([_columns.KEY])
    store = reopened(path)
    keys = store._table.to_arrow()[_columns.KEY]
    assert len(set(keys.to_pylist())) == N and min(keys.to_pylist()) > 0
    check(store)
    store.compact()
    reads.update(vectors=0, codes=0)
    check(store)
    assert reads == {"vectors": 0, "codes": 0}


def test_keys_ascend_even_when_the_clock_does_not(monkeypatch):
    monkeypatch.setattr(_columns.time, "time_ns", lambda: 100)
    assert _columns.new_keys(3, 0).tolist() == [100, 101, 102]
    assert _columns.new_keys(2, 102).tolist() == [103, 104]
    assert _columns.keys(pa.chunked_array([pa.array([1, None])])).tolist() == [1, 0]
    assert _lancedb.load() is lancedb


def test_rows_are_read_where_they_are_asked_for_and_zero_behind_the_end(tmp_path, monkeypatch):
    wanted = np.random.default_rng(0).integers(-9, 9, (20, 6)).astype(np.int16)
    (tmp_path / "rows").write_bytes(wanted.tobytes())
    slots = np.array([3, 19, 3, 0])
    read = _mirror._Rows(tmp_path / "rows", 20, 12, np.dtype(np.int16))
    np.testing.assert_array_equal(read[slots], wanted[slots])
    monkeypatch.delattr(_mirror.os, "preadv", raising=False)
    mapped = _mirror._Rows(tmp_path / "rows", 20, 12, np.dtype(np.int16))
    np.testing.assert_array_equal(mapped[slots], wanted[slots])
    monkeypatch.undo()
    os.truncate(tmp_path / "rows", 19 * 12 + 5)
    np.testing.assert_array_equal(read[slots][1], np.zeros(6))
    np.testing.assert_array_equal(read[slots][0], wanted[3])
