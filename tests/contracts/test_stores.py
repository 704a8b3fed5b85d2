"""The contract of a store, run against every plug-in that is found: built-ins, and the finished example."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onesense import plugins
from onesense.errors import CorruptData, FingerprintMismatch, InvalidInput, NotFound, OnesenseError
from onesense.index import words
from onesense.types import Noted, Sampling, Sectioned, Store, StoreSpec, Versioned, Worded
from onesense.vectors import truncate_normalize

DIM = 64
SPEC = StoreSpec(DIM, "f0", "tiny", "1")
EXAMPLE = Path(__file__).parents[2] / "examples" / "plugins" / "sqlite_store.py"


def _sqlite() -> Any:
    spec = spec_from_file_location("example_store", EXAMPLE)
    module = module_from_spec(spec)
    sys.modules["example_store"] = module
    spec.loader.exec_module(module)
    return module.Store


STORES = {**dict.fromkeys(plugins.names("stores")), "sqlite": _sqlite}


@pytest.fixture(params=sorted(STORES))
def store_class(request):
    make = STORES[request.param]
    return make() if make else plugins.load("stores", request.param)


@pytest.fixture
def path(store_class, tmp_path, request):
    return tmp_path / f"test.{request.node.callspec.params['store_class']}"


@pytest.fixture
def store(store_class, path):
    with_rows = store_class.open(path, SPEC)
    yield with_rows
    with_rows.close()


def unit(n: int, seed: int = 0, dim: int = DIM) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)
    return truncate_normalize(rows, dim)


def ids_of(hits) -> list[str]:
    return [hit[0] for hit in hits]


def put(store: Store, *ids: str, seed: int = 1, **payload: Any) -> np.ndarray:
    rows = unit(len(ids), seed)
    store.upsert(ids, rows, [payload] * len(ids))
    return rows


def test_it_keeps_the_contract(store, path, store_class):
    assert isinstance(store, Store)
    assert isinstance(store.features, frozenset)
    assert store_class.read_spec(path) == SPEC
    assert store_class.read_spec(path.with_name("none" + path.suffix)) is None


def test_the_ten_nearest_are_those_of_brute_force(store):
    rows, queries = unit(1_000), unit(20, seed=9)
    names = [f"row-{i:04d}" for i in range(1_000)]
    store.upsert(names, rows, [{"n": i} for i in range(1_000)])
    for query in queries:
        exact = rows @ query
        nearest = np.argsort(-exact, kind="stable")[:10]
        hits = store.search(query, 10)
        assert ids_of(hits) == [names[i] for i in nearest]
        np.testing.assert_allclose([score for _, score, _ in hits], exact[nearest], atol=1e-6)
        assert [payload["n"] for _, _, payload in hits] == nearest.tolist()


def test_an_empty_store_finds_nothing(store):
    assert store.search(unit(1)[0], 5) == []
    assert store.search(unit(1)[0], 5, {"path": "x"}) == []
    assert (store.count(), list(store.rows())) == (0, [])
    assert store.vectors([]).shape == (0, DIM)
    store.upsert([], np.zeros((0, DIM), np.float32), [])
    store.delete([])


def test_an_upsert_replaces_the_row(store):
    put(store, "a", "b", note="old")
    rows = put(store, "a", seed=2, note="new")
    assert store.count() == 2
    assert dict(store.rows())["a"] == {"note": "new"}
    np.testing.assert_allclose(store.vectors(["a"]), rows, atol=1e-7)
    assert store.search(rows[0], 1)[0][0] == "a"


def test_an_id_that_comes_twice_counts_once_and_the_last_wins(store):
    store.upsert(["a", "a"], unit(2), [{"v": 1}, {"v": 2}])
    assert list(store.rows()) == [("a", {"v": 2})]


def test_deleted_rows_are_not_found(store):
    rows = put(store, "a", "b", "c")
    store.search(rows[0], 3)
    store.delete(["a", "unknown", "it's"])
    assert ids_of(store.search(rows[0], 3)) == sorted(["b", "c"], key=lambda i: -float(rows["abc".index(i)] @ rows[0]))
    with pytest.raises(NotFound, match="`a`"):
        store.vectors(["b", "a"])


def test_rows_outlive_the_store(store, store_class, path):
    rows = put(store, "a", "b", colour="blue")
    store.close()
    store.close()
    again = store_class.open(path, SPEC)
    assert again.count() == 2
    np.testing.assert_allclose(again.vectors(["b", "a"]), rows[::-1], atol=1e-7)
    assert again.search(rows[1], 1)[0][2] == {"colour": "blue"}
    again.close()


def test_more_hits_than_rows(store):
    put(store, "a", "b")
    assert len(store.search(unit(1)[0], 100)) == 2


def test_unicode_and_quotes_in_ids_and_payloads(store):
    names = ["猫", "O'Brien", '"; DROP TABLE rows; --', "tab\tline\nend", "back\\slash", "%_*", "🐈‍⬛", "a' OR 'a'='a"]
    payloads = [{"path": name, "note": {"deep": [name, 1, None, True]}} for name in names]
    rows = unit(len(names))
    store.upsert(names, rows, payloads)
    for name, row, payload in zip(names, rows, payloads, strict=True):
        assert store.search(row, 5, {"path": name})[0] == (name, pytest.approx(1.0, abs=1e-5), payload)
        assert ids_of(store.search(row, 5, {"path": {"prefix": name[:3]}}))[0] == name
    assert store.search(rows[0], 5, {"path": "' OR 1=1 --"}) == []
    store.delete([names[7]])
    assert store.count() == len(names) - 1


FILTERS = [
    ({"path": "/a/1"}, [1]),
    ({"path": ["/a/1", "/b/2", "none"]}, [1, 2]),
    ({"path": []}, []),
    ({"path": {"prefix": "/a/"}}, [1, 3]),
    ({"path": {"prefix": "/%"}}, []),
    ({"path": 7}, []),
    ({"path": None}, [4]),
    ({"modality": "text", "path": {"prefix": "/a"}}, [1]),
    ({"size": {"gte": 20, "lte": 30}}, [2, 3]),
    ({"size": {"gte": "20"}}, []),
    ({"size": True}, []),
    ({"mtime": {"gte": 2.5}}, [3]),
    ({"author": "Ann"}, [1, 2]),
    ({"metadata.author": "Ann"}, [1, 2]),
    ({"author": ["Bob", None]}, [3, 4]),
    ({"year": {"gte": 2001}}, [2, 3]),
    ({"year": {"gte": 2001}, "modality": "image"}, [3]),
    ({"tags": "red"}, [1, 3]),
    ({"absent": 1}, []),
]


@pytest.fixture
def filled(store):
    rows = [
        {"path": "/a/1", "modality": "text", "size": 10, "mtime": 1.5, "metadata": {"author": "Ann", "year": 2000}},
        {"path": "/b/2", "modality": "text", "size": 20, "mtime": 2.0, "metadata": {"author": "Ann", "year": 2001}},
        {"path": "/a/3", "modality": "image", "size": 30, "mtime": 2.5, "metadata": {"author": "Bob", "year": 2002}},
        {"note": "bare"},
    ]
    rows[0]["metadata"]["tags"] = ["red", "blue"]
    rows[2]["metadata"]["tags"] = "red"
    store.upsert(["1", "2", "3", "4"], unit(4), rows)
    return store


@pytest.mark.parametrize(("where", "expected"), FILTERS, ids=[json.dumps(w) for w, _ in FILTERS])
def test_filters(filled, where, expected):
    names = [str(n) for n in expected]
    assert sorted(id_ for id_, _ in filled.rows(where)) == names
    assert sorted(ids_of(filled.search(unit(1)[0], 10, where))) == names


@pytest.mark.parametrize("where", ["path = 1", {"path": {"regex": "x"}}, {"a": {}}, {"": 1}, {"a": b"x"}, {1: 2}])
def test_a_malformed_filter_is_refused(filled, where):
    with pytest.raises(InvalidInput):
        filled.search(unit(1)[0], 10, where)
    with pytest.raises(InvalidInput):
        list(filled.rows(where))


def test_equal_scores_come_by_id_each_time(store):
    same = np.repeat(unit(1), 50, axis=0)
    names = [f"n{i:02d}" for i in range(50)]
    shuffled = np.random.default_rng(0).permutation(names).tolist()
    for part in (shuffled[:20], shuffled[20:]):
        store.upsert(part, same[: len(part)], [{}] * len(part))
    assert [ids_of(store.search(same[0], 10)) for _ in range(3)] == [names[:10]] * 3


@pytest.mark.parametrize(
    "row",
    [np.ones((1, DIM + 1)) / 8, np.full((1, DIM), np.nan), np.zeros((1, DIM)), np.ones((1, DIM)), np.ones(DIM) / 8],
)
def test_wrong_vectors_are_refused_and_nothing_is_written(store, row):
    with pytest.raises(InvalidInput):
        store.upsert(["a"], row.astype(np.float32), [{}])
    assert store.count() == 0


def test_wrong_arguments_are_refused(store):
    good = unit(1)
    for ids, payloads in [([""], [{}]), ([7], [{}]), (["\ud800"], [{}]), (["a"], []), (["a"], [{"x": {1, 2}}])]:
        with pytest.raises(InvalidInput):
            store.upsert(ids, good, payloads)
    for vector, k in [(good, 1), (unit(1, dim=8)[0], 1), (good[0], 0), (good[0], True), (np.full(DIM, np.inf), 1)]:
        with pytest.raises(InvalidInput):
            store.search(vector, k)


@pytest.mark.parametrize("other", [replace(SPEC, fingerprint="f1", model="other"), replace(SPEC, dim=32)])
def test_another_model_is_refused_with_what_to_do(store, store_class, path, other):
    put(store, "a")
    with pytest.raises(FingerprintMismatch) as raised:
        store_class.open(path, other)
    message = str(raised.value)
    assert "`tiny`" in message and f"`{other.model}`" in message and "new collection" in message
    assert store.count() == 1


def test_what_is_no_collection_is_refused(store_class, path):
    path.write_text("{'not': json", encoding="utf-8")
    with pytest.raises(CorruptData):
        store_class.open(path, SPEC)
    assert path.read_text(encoding="utf-8") == "{'not': json"


def test_a_reader_sees_what_a_writer_adds(store, store_class, path):
    rows = put(store, "a", "b")
    reader = store_class.open(path, SPEC)
    assert ids_of(reader.search(rows[0], 5)) == ids_of(store.search(rows[0], 5))
    more = put(store, "c", seed=5)
    store.delete(["a"])
    assert reader.count() == 2
    assert ids_of(reader.search(more[0], 1)) == ["c"]
    assert sorted(id_ for id_, _ in reader.rows()) == ["b", "c"]
    reader.close()


def test_a_reader_is_never_disturbed_by_a_writer(store, store_class, path):
    rows = unit(200)
    names = [f"n{i:03d}" for i in range(200)]
    store.upsert(names[:10], rows[:10], [{}] * 10)
    faults: list[OnesenseError | AssertionError] = []
    done = threading.Event()

    def read() -> None:
        reader = store_class.open(path, SPEC)
        try:
            while not done.is_set():
                hits = reader.search(rows[3], 10)
                assert hits[0][0] == "n003" and len(hits) == 10
        except (OnesenseError, AssertionError) as fault:
            faults.append(fault)
        finally:
            reader.close()

    thread = threading.Thread(target=read)
    thread.start()
    for start in range(10, 200, 10):
        store.upsert(names[start : start + 10], rows[start : start + 10], [{}] * 10)
    done.set()
    thread.join(60)
    assert not faults
    assert store.count() == 200


# --- what a store may do beyond that ---------------------------------------------------------------------------------


@pytest.fixture
def worded(store):
    return _able(store, Worded)


@pytest.fixture
def noted(store):
    return _able(store, Noted)


@pytest.fixture
def sampling(store):
    return _able(store, Sampling)


@pytest.fixture
def sectioned(store):
    return _able(store, Sectioned)


@pytest.fixture
def versioned(store):
    return _able(store, Versioned)


def _able(store: Store, ability: type) -> Any:
    if not isinstance(store, ability):
        pytest.skip(f"this store is not {ability.__name__}, which is its choice")
    return store


@pytest.mark.parametrize("name", ["json", "lance"])
def test_the_stores_of_the_house_can_do_everything(name):
    made = plugins.load("stores", name)
    assert "text" in made.features
    for ability in (Worded, Noted, Sampling, Versioned):
        methods = [method for method in vars(ability) if not method.startswith("_")]
        assert methods and all(callable(getattr(made, method, None)) for method in methods)


def test_a_version_is_another_one_after_every_write_and_only_then(versioned, store_class, path):
    seen = [versioned.version()]
    other = store_class.open(path, SPEC)
    for write in (
        lambda: versioned.upsert(["a"], unit(1), [{}]),
        lambda: other.upsert(["a"], unit(1, 1), [{"n": 1}]),
        lambda: other.delete(["a"]),
    ):
        write()
        seen.append(versioned.version())
    other.close()
    assert len(set(seen)) == 4
    list(versioned.rows())
    versioned.search(unit(1)[0], 3)
    assert versioned.version() == versioned.version()


def test_a_store_says_that_it_finds_words(store):
    assert ("text" in store.features) is isinstance(store, Worded)


SAYINGS = {
    "été.txt": "Un été à la mer",
    "kyoto.txt": "東京から京都へ行く",
    "cats.txt": "cats and dogs and cats",
    "dogs.txt": "dogs bark and bark at the many other dogs of the long street",
    "IMG_2041.jpg": "",
}


@pytest.fixture
def sayings(worded):
    payloads = [
        {"path": f"/media/{name}", "modality": "text", "size": 10 * i, "text": text, "metadata": {"n": i}}
        for i, (name, text) in enumerate(SAYINGS.items())
    ]
    worded.upsert(list(SAYINGS), unit(len(SAYINGS)), payloads)
    return worded


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("ETE", {"été.txt"}),
        ("京都", {"kyoto.txt"}),
        ("cats", {"cats.txt"}),
        ("img_2041", {"IMG_2041.jpg"}),
        ("dogs", {"cats.txt", "dogs.txt"}),
        ("cats mer", {"cats.txt", "été.txt"}),
        ("and", {"cats.txt", "dogs.txt"}),
        ("giraffe", set()),
        ("", set()),
    ],
)
def test_words_are_found_as_they_are_folded(sayings, asked, expected):
    assert set(ids_of(sayings.find_words(words.asked(asked), 10))) == expected


def test_the_most_words_come_first(sayings):
    found = sayings.find_words(["cats", "dogs"], 10)
    assert ids_of(found) == ["cats.txt", "dogs.txt"]  # more of them, in fewer words
    assert found[0][1] > found[1][1] > 0
    assert found[0][2]["text"] == SAYINGS["cats.txt"]
    assert ids_of(sayings.find_words(["cats", "dogs"], 1)) == ["cats.txt"]


def test_words_that_a_query_language_would_read_are_words(sayings):
    sayings.upsert(["odd"], unit(1, seed=3), [{"path": "/odd", "text": "or not near title:x 5.5"}])
    for word in words.asked("or not near title 5.5"):
        assert "odd" in ids_of(sayings.find_words([word], 10))


@pytest.mark.parametrize(
    ("where", "expected"),
    [({"n": 3}, ["dogs.txt"]), ({"size": {"lte": 20}}, ["cats.txt"]), ({"path": {"prefix": "/other"}}, [])],
)
def test_words_are_found_among_what_passes_a_filter(sayings, where, expected):
    assert ids_of(sayings.find_words(["dogs"], 10, where)) == expected


def test_a_filter_leaves_no_words_behind_those_that_do_not_pass(worded):
    payloads = [{"path": f"/{i}", "text": "tram " * (40 - i), "metadata": {"last": i == 39}} for i in range(40)]
    worded.upsert([f"{i:02}" for i in range(40)], unit(40), payloads)
    assert ids_of(worded.find_words(["tram"], 3, {"last": True})) == ["39"]


def test_words_follow_what_is_written_and_deleted(sayings, store_class, path):
    sayings.upsert(["cats.txt"], unit(1, seed=4), [{"path": "/media/x.txt", "text": "a giraffe"}])
    sayings.delete(["dogs.txt"])
    assert sayings.find_words(["cats", "dogs"], 10) == []
    sayings.close()
    again = store_class.open(path, SPEC)
    assert ids_of(again.find_words(["giraffe"], 10)) == ["cats.txt"]
    again.close()


def test_notes_are_kept_beside_the_rows(noted, store_class, path):
    note = {"format": "x.v1", "名": ["é", 1.5, None, {"deep": True}]}
    assert noted.read_note("plan") is None
    noted.write_note("plan", {"old": 1})
    noted.write_note("plan", note)
    noted.write_note("other", {})
    put(noted, "a")
    reader = store_class.open(path, SPEC)
    assert (reader.read_note("plan"), reader.read_note("other")) == (note, {})
    noted.write_note("plan", {"new": 2})
    assert reader.read_note("plan") == {"new": 2}
    assert [id_ for id_, _ in reader.rows()] == ["a"]
    reader.close()


def test_a_sample_is_counted_and_evenly_spread(sampling, store_class, path):
    assert dict(sampling.sample(5)) == {}
    names = [f"n{i:02}" for i in range(40)]
    for part in (names[1::2], names[::2]):
        sampling.upsert(part, unit(20, seed=len(part[0])), [{"modality": "text"}] * 20)
    sampling.upsert(["p", "bare"], unit(2), [{"modality": "image"}, {}])
    found = sampling.sample(5)
    assert found["text"] == (40, ["n00", "n10", "n20", "n29", "n39"])
    assert (found["image"], found[""]) == ((1, ["p"]), (1, ["bare"]))
    sampling.delete(names[20:])
    assert sampling.sample(100)["text"] == (20, names[:20])
    again = store_class.open(path, SPEC)
    assert again.sample(5) == sampling.sample(5)
    again.close()


@pytest.mark.parametrize("n", [60, 1_500])  # Lance holds small tables whole
def test_each_modality_is_searched_as_if_alone(sectioned, n):
    rows, names = unit(n), ["text", "image", "audio"]
    payloads = [{"modality": names[i % 3], "size": i} if i else {"size": i} for i in range(n)]
    sectioned.upsert([f"{i:04}" for i in range(n)], rows, payloads)
    for where in ({}, {"size": {"gte": n // 2}}):
        found = sectioned.search_each(rows[5], 4, ["text", "audio", "smell"], where)
        alone = [sectioned.search(rows[5], 4, {**where, "modality": name}) for name in ("text", "audio")]
        assert sorted(ids_of(found)) == sorted(ids_of(alone[0]) + ids_of(alone[1]))
        assert [score for _, score, _ in found] == sorted((score for _, score, _ in found), reverse=True)
    sectioned.upsert(["0001"], rows[5:6], [{"modality": "text"}])  # was an image
    assert "0001" in ids_of(sectioned.search_each(rows[5], 4, ["text"]))
    assert "0001" not in ids_of(sectioned.search_each(rows[5], 4, ["image"]))
    assert sectioned.search_each(rows[5], 4, []) == []


WRITER = """
import importlib, sys
import numpy as np
from pathlib import Path
from test_stores import SPEC, STORES, unit
from onesense import plugins
name, path = sys.argv[1], Path(sys.argv[2])
make = STORES[name]
store = (make() if make else plugins.load("stores", name)).open(path, SPEC)
for i in range(10_000):
    store.upsert([f"{i:05d}-{j}" for j in range(3)], unit(3, seed=i), [{"i": i}] * 3)
    print(i, flush=True)
"""


def test_a_killed_writer_loses_no_acknowledged_row(store_class, path, request):
    name = request.node.callspec.params["store_class"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    command = [sys.executable, "-c", WRITER, name, str(path)]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    acknowledged = -1
    for line in writer.stdout:
        acknowledged = int(line)
        if acknowledged == 8:
            writer.send_signal(signal.SIGKILL)
            break
    rest = [int(line) for line in writer.stdout.read().split()]
    writer.stdout.close()
    writer.wait(30)
    acknowledged = max([acknowledged, *rest])
    assert acknowledged >= 8
    store = store_class.open(path, SPEC)
    by_call: dict[int, int] = {}
    for _, payload in store.rows():
        by_call[payload["i"]] = by_call.get(payload["i"], 0) + 1
    assert set(by_call) >= set(range(acknowledged + 1))
    assert set(by_call.values()) == {3}  # a call is there whole or not at all
    np.testing.assert_allclose(store.vectors(["00003-1"]), unit(3, seed=3)[1:2], atol=1e-7)
    put(store, "after")
    assert store.count() == 3 * len(by_call) + 1
    store.close()
