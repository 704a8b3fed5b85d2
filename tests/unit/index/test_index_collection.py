from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from onesense import Content, Embedder, Part
from onesense.errors import CorruptData, DimError, FingerprintMismatch, InvalidInput, NotFound
from onesense.index.collection import Collection, store_name
from onesense.types import Hit, Image, Locator


def names(hits) -> list[str]:
    return [Path(hit.path).name for hit in hits]


def test_files_are_found_by_what_they_say(collection, library):
    report = collection.add(library)
    assert sorted(map(names_of, report.added)) == ["bike.md", "cat.txt", "été.txt"]
    assert (report.failed, report.n_segments, collection.count()) == ([], 3, 3)
    best = collection.search("a cat purrs on the sofa", k=2)
    assert names(best)[0] == "cat.txt" and len(best) == 2
    assert best[0] == Hit(
        id=f"{library / 'cat.txt'}#0",
        path=str(library / "cat.txt"),
        locator=Locator(start_char=0, end_char=29),
        modality="text",
        score=best[0].score,
        confidence=best[0].confidence,
        preview="A cat purrs on the warm sofa.",
        facts={"mime": "text/plain", "language": "en"},
        words=("a", "cat", "purrs", "on", "the", "sofa"),
    )
    assert best[0].score > best[1].score


def names_of(path: str) -> str:
    return Path(path).name


def test_the_score_is_the_cosine_of_query_and_segment(collection, library):
    collection.add(library)
    with Embedder("tiny") as embedder:
        a, b = embedder.embed(["a cat", "A cat purrs on the warm sofa."], dim=256)
    hit = next(h for h in collection.search("a cat", k=3) if h.path.endswith("cat.txt"))
    assert hit.score == pytest.approx(float(a @ b), abs=1e-5)


def test_a_query_is_text_a_file_a_part_or_a_mix(collection, library):
    collection.add(library)
    path = library / "deep" / "bike.md"
    for query in (path, Part.file(path), Content(Part.file(path)), Content("the", Part.file(path))):
        assert names(collection.search(query, k=1)) == ["bike.md"]
    as_text = collection.search(str(path), k=3)
    assert max(hit.score for hit in as_text) < 0.99  # a string that names a file is still text


def test_records_are_found_and_filtered_by_their_metadata(collection):
    records = [
        {"id": "a", "content": "the red bicycle", "metadata": {"author": "O'Hara", "year": 2001}},
        {"id": "b", "content": "the red car", "metadata": {"author": "Bo", "year": 1999}},
        {"id": "c", "content": Content("the red", Part(Image(np.full((8, 8, 3), 200, np.uint8))))},
    ]
    assert collection.add(records).added == ["a", "b", "c"]
    assert [h.path for h in collection.search("red bicycle", where={"author": "O'Hara"})] == ["a"]
    assert [h.path for h in collection.search("red", where={"year": {"lte": 2000}})] == ["b"]
    assert [h.path for h in collection.search("red", modality="mixed")] == ["c"]
    assert collection.search("red bicycle", k=1)[0].metadata == records[0]["metadata"]


def test_hits_of_one_modality(collection, library):
    collection.add([library, {"id": "grey", "content": Part(Image(np.full((8, 8, 3), 128, np.uint8)))}])
    assert [h.path for h in collection.search("grey", modality="image")] == ["grey"]
    assert len(collection.search("grey", modality=["image", "text"])) == 4
    assert len(collection.search("grey", modality="text", where={"path": {"prefix": str(library / "deep")}})) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        {"query": ""},
        {"query": 7},
        {"query": "x", "k": 0},
        {"query": "x", "modality": "smell"},
        {"query": "x", "modality": "text", "where": {"modality": "text"}},
        {"query": "x", "where": {"a": {"like": "b"}}},
    ],
)
def test_an_impossible_search_is_refused(in_json, library, arguments):
    in_json.add(library)
    with pytest.raises(InvalidInput):
        in_json.search(**arguments)


def test_it_reopens_with_what_it_was_made_of(tmp_path, library):
    for name in ("a.json", "a.onesense"):
        path = tmp_path / name
        with Collection.open(path, model="tiny", dim=128, task="search document") as made:
            made.add(library)
            info = made.info
        assert (info.dim, info.model, info.task) == (128, "tiny", "search document")
        with Collection.open(path, create=False, preload=True) as again:
            assert again.info == info
            assert names(again.search("warm sofa cat", k=1)) == ["cat.txt"]


@pytest.mark.parametrize("other", [{"dim": 64}, {"task": "clustering"}, {"model": "other"}])
def test_it_refuses_another_model_size_or_task(collection, tiny_copy, other):
    wanted = {"model": tiny_copy} if "model" in other else other
    with pytest.raises(FingerprintMismatch, match="new collection"):
        Collection.open(collection.path, **wanted)


@pytest.fixture
def tiny_copy():
    from dataclasses import replace

    from onesense.engine.backends.tiny import Backend

    class Retrained(Backend):
        info = replace(Backend.info, revision="seed-1")

    return Retrained()


def test_what_cannot_be_opened(tmp_path):
    with pytest.raises(NotFound, match="onesense index"):
        Collection.open(tmp_path / "none.onesense", create=False)
    with pytest.raises(NotFound, match="no store"):
        Collection.open(tmp_path / "x", model="tiny", store="nothing")
    with pytest.raises(NotFound, match="no model"):
        Collection.open(tmp_path / "x", model="nobody")
    with pytest.raises(DimError):
        Collection.open(tmp_path / "x", model="tiny", dim=4_000)
    (tmp_path / "plain").write_text("hello", encoding="utf-8")
    with pytest.raises(CorruptData):
        Collection.open(tmp_path / "plain", model="tiny")
    assert [p.name for p in tmp_path.iterdir()] == ["plain"]


def test_the_suffix_names_the_store():
    assert store_name(Path("a.json")) == "json"
    assert {store_name(Path(name)) for name in ("a.onesense", "a", "a.b", "json", "a.json.d")} == {"lance"}


def test_deleting_files_folders_and_records(collection, library):
    collection.add([library, {"id": "r", "content": "a record"}])
    assert collection.delete(library / "deep") == 2
    assert collection.delete(["r", "unknown"]) == 1
    assert [entry.path for entry in collection.files()] == [str(library / "cat.txt")]
    assert (library / "deep" / "bike.md").exists()


def test_files_tells_what_is_in_it(collection, library):
    collection.add([library / "cat.txt", {"id": "r", "content": "a record"}])
    record, file = sorted(collection.files(), key=lambda entry: entry.size is not None)
    assert (record.path, record.mtime, record.n_segments) == ("r", None, 1)
    status = (library / "cat.txt").stat()
    assert (file.size, file.mtime, file.modalities) == (status.st_size, status.st_mtime, ("text",))


def test_only_paths_and_records_are_added(in_json):
    with pytest.raises(InvalidInput, match="bytes"):
        in_json.add([b"abc"])


def test_importing_and_reading_a_spec_loads_no_database(tmp_path, library):
    path = tmp_path / "c.onesense"
    with Collection.open(path, model="tiny") as made:
        made.add(library)
    program = (
        "import sys, pathlib; from onesense import Collection; from onesense.index.stores.lance import Store;"
        f"assert Store.read_spec(pathlib.Path({str(path)!r})).model == 'tiny';"
        "heavy = {'lancedb', 'torch', 'onnxruntime', 'pyarrow', 'av', 'PIL'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)
