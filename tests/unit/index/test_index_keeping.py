"""What looks after a collection: moves, failures, the lock, dry runs, health, watching, in and out, another model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from onesense import Embedder
from onesense.errors import AlreadyExists, Busy, FingerprintMismatch, InvalidInput, MissingKey
from onesense.index import portable, reembed, registry, writer
from onesense.index.collection import Collection
from onesense.index.pace import Pace


def test_a_moved_folder_is_not_embedded_again_and_a_copy_neither(collection, library, monkeypatch):
    collection.add(library)
    before = {Path(p["path"]).name: collection.vectors([id_])[0] for id_, p in collection.rows()}
    os.rename(library / "deep", library / "moved")
    (library / "copy.txt").write_bytes((library / "cat.txt").read_bytes())
    monkeypatch.setattr(Embedder, "try_embed", lambda self, contents, *a: pytest.fail() if contents else [])
    report = collection.add(library, prune=True)
    assert sorted(Path(p).name for p in report.moved) == ["bike.md", "été.txt"]
    assert [Path(p).name for p in report.added] == ["copy.txt"] and not report.removed and not report.failed
    assert collection.count() == 4
    for id_, payload in collection.rows():
        name = Path(payload["path"]).name.replace("copy", "cat")
        np.testing.assert_allclose(collection.vectors([id_])[0], before[name], atol=1e-6)
        assert os.path.exists(payload["path"])


def test_the_same_bytes_under_another_ending_are_read_anew(collection, library):
    (library / "page.html").write_text("<p>A &amp; B</p>", encoding="utf-8")
    collection.add(library)
    (library / "page.txt").write_bytes((library / "page.html").read_bytes())
    assert collection.add(library).n_segments == 1


def test_what_failed_is_kept_and_tried_again(collection, library):
    (library / "empty.txt").write_bytes(b"")
    (library / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00")
    collection.add(library)
    kept = {Path(f.path).name: f for f in collection.failed()}
    assert kept.keys() == {"empty.txt", "cut.png"} and kept["cut.png"].code == "cannot_decode"
    assert abs(kept["cut.png"].at_s - time.time()) < 600
    (library / "empty.txt").write_text("Not empty any more.", encoding="utf-8")
    (library / "cut.png").unlink()
    report = collection.retry_failed()
    assert [Path(p).name for p in report.added] == ["empty.txt"] and not report.unchanged
    assert collection.failed() == []


def test_one_writer_at_a_time(collection, library):
    program = (
        "import sys, pathlib; from onesense.index import writer\n"
        "with writer.exclusive(pathlib.Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(collection.path)]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "held\n"
    with pytest.raises(Busy, match=f"process {other.pid}"):
        collection.add(library)
    assert list(collection.search("cat")) == []
    other.kill()
    other.wait(30)
    other.stdin.close()
    other.stdout.close()
    assert len(collection.add(library).added) == 3
    assert writer.lock_file(collection.path).exists()


def test_a_dry_run_counts_and_writes_nothing(collection, library):
    collection.add(library / "cat.txt")
    (library / "cat.txt").write_text("Changed.", encoding="utf-8")
    (library / "broken.zip").write_bytes(b"PK\x03\x04" + bytes(50))
    plan = collection.plan(library)
    assert (plan.n_new, plan.n_changed, plan.n_unchanged) == (2, 1, 0)
    assert plan.by_modality["text"].n_files == 3 and plan.by_modality["text"].n_bytes > 60
    assert plan.estimated_s is not None and plan.estimated_s > 0
    assert [Path(f.path).name for f in plan.failed] == ["broken.zip"]
    assert collection.count() == 1


def test_pace():
    now = [0.0]
    pace = Pace(lambda: now[0])
    assert pace.at(0, 100) == (0.0, None)
    now[0] = 10.0
    assert pace.at(20, 100) == (2.0, 40.0)
    for second in range(11, 100):  # what is long past does not count
        now[0] = float(second)
        pace.at(20 + (second - 10) * 10, 10_000)
    assert pace.at(920, 10_000)[0] == pytest.approx(10, rel=0.05)


def test_damage_is_found_and_mended(collection, library):
    (library / "long.txt").write_text("\n\n".join(f"Part {i}. " + "word " * 200 for i in range(5)), encoding="utf-8")
    collection.add(library)
    assert collection.verify().is_sound
    whole = collection.count()
    victim = next(id_ for id_, p in collection.rows() if p["path"].endswith("long.txt"))
    collection._store.delete([victim])
    broken = next(id_ for id_, p in collection.rows() if p["path"].endswith("cat.txt"))
    collection._store.upsert([broken], collection.vectors([broken]), [{"path": str(library / "cat.txt")}])
    (library / "deep" / "bike.md").unlink()
    found = collection.verify()
    assert not found.is_sound and found.bad_rows.keys() == {broken}
    assert [Path(p).name for p in found.missing] == ["bike.md"]
    assert {Path(p).name for p in found.partial} == {"long.txt", "cat.txt"}
    _, report = collection.repair()
    assert {Path(p).name for p in report.added} == {"long.txt", "cat.txt"}
    assert collection.verify().is_sound and collection.count() == whole


def test_watching_takes_up_what_happens(in_json, library):
    stop, reports, seen = threading.Event(), [], threading.Event()

    def on_report(report):
        reports.append(report)
        seen.set()

    thread = threading.Thread(target=in_json.watch, args=([library], on_report, stop))
    thread.start()
    try:
        assert seen.wait(60) and len(reports[0].added) == 3
        seen.clear()
        os.rename(library / "cat.txt", library / "tom.txt")
        (library / "deep" / "bike.md").unlink()
        (library / "new.txt").write_text("A new note.", encoding="utf-8")
        until = time.monotonic() + 60
        while time.monotonic() < until and len({p for _, r in in_json.rows() for p in [r["path"]]} ^ wanted(library)):
            time.sleep(0.1)
    finally:
        stop.set()
        thread.join(60)
    assert {p["path"] for _, p in in_json.rows()} == wanted(library)
    assert [Path(p).name for r in reports for p in r.moved] == ["tom.txt"]


def wanted(library: Path) -> set[str]:
    return {str(path) for path in library.rglob("*") if path.is_file()}


@pytest.mark.parametrize("suffix", portable.SUFFIXES)
def test_out_and_in_again(collection, library, tmp_path, suffix):
    collection.add([library, {"id": "r", "content": "a record", "metadata": {"n": [1, None]}}])
    file = tmp_path / f"out{suffix}"
    assert collection.export(file) == 4
    with pytest.raises(AlreadyExists):
        collection.export(file)
    assert portable.load(file, tmp_path / "again.onesense") == 4
    with Collection.open(tmp_path / "again.onesense") as again:
        assert dict(again.rows()) == dict(collection.rows()) and again.info == collection.info
        ids = [id_ for id_, _ in again.rows()]
        np.testing.assert_allclose(again.vectors(ids), collection.vectors(ids), atol=1e-6)
        assert again.search("a record", k=1)[0].path == "r"


def test_vectors_of_gemini_come_in_and_say_what_they_need(tmp_path):
    rows = [
        {"id": f"g{i}", "values": [float(i + 1), 2.0, 0.5, 1.0], "metadata": {"text": f"note {i}"}} for i in range(5)
    ]
    file = tmp_path / "g.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    assert portable.load(file, tmp_path / "g.onesense") == 5
    with Collection.open(tmp_path / "g.onesense", create=False) as opened:
        assert opened.info.model == portable.GEMINI and opened.info.dim == 4
        assert opened.search(like=["g2"], k=2)[0].id in {"g1", "g2", "g3"}
        with pytest.raises(MissingKey, match="GEMINI_API_KEY"):  # with a key it could be asked
            opened.search("a note")
    for broken, word in [
        ({"values": [1, 2]}, "2 numbers"),
        ({"values": [1, 2, 3, float("nan")]}, "NaN"),
        ({}, "values"),
    ]:
        file.write_text("\n".join(json.dumps(row) for row in [*rows, broken]), encoding="utf-8")
        with pytest.raises(InvalidInput, match=word):
            portable.load(file, tmp_path / f"{word}.onesense")
        assert not (tmp_path / f"{word}.onesense").exists()


@pytest.mark.parametrize("name", ["c.onesense", "c.json"])
def test_another_model_takes_over_when_all_is_there(tmp_path, library, name):
    path = tmp_path / name
    with Collection.open(path, model="tiny", dim=64) as collection:
        collection.add([library, {"id": "r", "content": "a record", "metadata": {"n": 1}}])
    hidden = library / "cat.txt"
    os.rename(hidden, tmp_path / "cat.txt")
    change = reembed.reembed(path, "tiny", dim=128)
    assert not change.is_switched and [Path(f.path).name for f in change.lost] == ["cat.txt"]
    with Collection.open(path) as old:
        assert old.info.dim == 64
    os.rename(tmp_path / "cat.txt", hidden)
    change = reembed.reembed(path, "tiny", dim=128)
    assert change.is_switched and len(change.report.unchanged) == 3 and len(change.report.added) == 1
    with Collection.open(path) as new:
        assert new.info.dim == 128 and new.count() == 4
        assert new.search("a record", k=1)[0].metadata == {"n": 1}
    with Collection.open(change.kept_as) as old:
        assert old.info.dim == 64 and old.count() == 4


@pytest.mark.parametrize(("dtype", "worst"), [("float16", 1e-3), ("int8", 0.02), ("binary", 0.4)])
def test_storage_dtypes(tmp_path, library, dtype, worst):
    with Collection.open(tmp_path / "whole", model="tiny", dim=250) as whole:
        whole.add(library)
        exact = {h.path: h.score for h in whole.search("cat")}
    path = tmp_path / "small"
    with Collection.open(path, model="tiny", dim=250, dtype=dtype) as small:
        small.add(library)
        ids = [id_ for id_, _ in small.rows()]
        np.testing.assert_allclose(np.linalg.norm(small.vectors(ids), axis=1), 1, atol=1e-5)
        for hit in small.search("cat"):
            assert abs(hit.score - exact[hit.path]) < worst
        kept = small.vectors(ids)
        small._store.upsert(ids, kept, [p for _, p in small.rows()])
        np.testing.assert_allclose(small.vectors(ids), kept, atol=1e-3)
    with Collection.open(path) as again:
        assert again.info.dtype == dtype
    with pytest.raises(FingerprintMismatch, match=dtype):
        Collection.open(path, dtype="float32")
    with pytest.raises(InvalidInput, match="float32 only"):
        Collection.open(tmp_path / "x.json", model="tiny", dtype=dtype)
    with pytest.raises(InvalidInput, match="float64"):
        Collection.open(tmp_path / "y", model="tiny", dtype="float64")


def test_the_list_of_collections(tmp_path, monkeypatch):
    monkeypatch.setenv(registry.VARIABLE, str(tmp_path / "list" / "c.json"))
    assert registry.entries() == []
    (tmp_path / "a").mkdir()
    registry.register(tmp_path / "a")
    registry.register(tmp_path / "b")
    assert {Path(e.path).name: e.is_there for e in registry.entries()} == {"a": True, "b": False}
    assert registry.forget(tmp_path / "b") and not registry.forget(tmp_path / "b")
    registry.file().write_text("{broken", encoding="utf-8")
    assert registry.entries() == []
