from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import pytest

from onesense.index.stores import lance
from onesense.types import StoreSpec
from onesense.vectors import truncate_normalize

DIM = 320  # more than the 256 that the codes hold
N = 3_000
SPEC = StoreSpec(DIM, "f0", "tiny", "1")


def matryoshka(n: int, seed: int) -> np.ndarray:
    """Vectors whose first components carry most, as a Matryoshka model's do."""
    scale = 1.0 / np.sqrt(1.0 + np.arange(DIM))
    return truncate_normalize(np.random.default_rng(seed).standard_normal((n, DIM)).astype(np.float32) * scale, DIM)


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A table above `EXACT_ROWS`, so that it is searched through the codes; row i has n = i."""
    store = lance.Store.open(tmp_path_factory.mktemp("lance") / "large.onesense", SPEC)
    rows = matryoshka(N, seed=0)
    payloads = [{"path": f"/p/{i}", "modality": "text" if i % 3 else "image", "metadata": {"n": i}} for i in range(N)]
    store.upsert([f"{i:05d}" for i in range(N)], rows, payloads)
    yield store, rows
    store.close()


def exact(rows: np.ndarray, query: np.ndarray, k: int, keep: np.ndarray) -> np.ndarray:
    return np.sort((rows @ query)[keep])[::-1][:k]


@pytest.mark.parametrize("where", [None, {"modality": "image"}, {"n": {"gte": 2_500}}, {"path": ["/p/7", "/p/8"]}])
def test_the_funnel_finds_what_brute_force_finds(large, where):
    store, rows = large
    numbers = np.arange(N)
    keep = {
        "None": numbers >= 0,
        "modality": numbers % 3 == 0,
        "n": numbers >= 2_500,
        "path": np.isin(numbers, [7, 8]),
    }[next(iter(where)) if where else "None"]
    k = min(10, int(keep.sum()))
    for query in matryoshka(20, seed=1):
        found = store.search(query, 10, where)
        np.testing.assert_allclose(
            [rows[int(id_)] @ query for id_, _, _ in found], exact(rows, query, k, keep), atol=2e-5
        )
        np.testing.assert_allclose([score for _, score, _ in found], exact(rows, query, k, keep), atol=2e-5)
        assert all(keep[int(id_)] for id_, _, _ in found)


def test_it_maps_codes_and_holds_no_vectors(large):
    store, _ = large
    store.search(matryoshka(1, seed=2)[0], 5)
    assert store._snapshot.whole is None and not store._snapshot.codes.flags.owndata
    assert store._snapshot.codes.shape == (N, 256) and store._snapshot.codes.dtype == np.int8


def test_many_hits_ask_for_more_candidates(large):
    store, rows = large
    query = matryoshka(1, seed=3)[0]
    found = [id_ for id_, _, _ in store.search(query, 500)]
    worst = exact(rows, query, 500, np.ones(N, bool))[-1]
    assert len(set(found)) == 500 and sum(rows[int(id_)] @ query >= worst - 2e-5 for id_ in found) >= 490


def test_small_writes_are_merged(tmp_path, monkeypatch):
    monkeypatch.setattr(lance, "SPARE_FRAGMENTS", 4)
    store = lance.Store.open(tmp_path / "c.onesense", SPEC)
    rows = matryoshka(30, seed=4)
    for i, row in enumerate(rows):
        store.upsert([f"{i:02d}"], row[None], [{"i": i}])
        assert store._table.stats()["fragment_stats"]["num_fragments"] <= 5
    assert [id_ for id_, _, _ in store.search(rows[7], 1)] == ["07"]
    np.testing.assert_allclose(store.vectors([f"{i:02d}" for i in range(30)]), rows, atol=1e-7)
    store.close()


def test_the_catalogue_client_that_is_put_off_still_works_afterwards():
    program = (
        "from onesense.index.stores import _lancedb; import sys;"
        "loaded = _lancedb.load();"
        "assert 'lance_namespace_urllib3_client.api' not in sys.modules;"
        "assert loaded is _lancedb.load();"
        "from lance_namespace_urllib3_client import TableApi;"
        "from lance_namespace_urllib3_client.models import CreateTableRequest as Request;"
        "assert Request(id=['a', 'b']).model_dump(exclude_none=True) == {'id': ['a', 'b']};"
        "from pydantic import BaseModel; assert not BaseModel.model_config.get('defer_build')"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_an_open_collection_sees_the_one_that_takes_its_place(tmp_path):
    path = tmp_path / "replaced.onesense"
    vectors = matryoshka(8, seed=2)

    def filled(tag: str) -> lance.Store:
        store = lance.Store.open(path, SPEC)
        store.upsert([f"{tag}{i}" for i in range(8)], vectors, [{"path": f"/{tag}/{i}"} for i in range(8)])
        return store

    reader = filled("old")
    assert reader.search(vectors[0], 1)[0][0] == "old0"
    shutil.rmtree(path)
    filled("new").close()  # counts its versions as the first one did
    assert reader.search(vectors[0], 1)[0][0] == "new0"
