from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from onesense import Content, Embedder, Part
from onesense.errors import BackendError
from onesense.index import ingest, reading
from onesense.index.collection import Collection
from onesense.types import Image, Page, Video

LONG = "\n\n".join(f"Paragraph {i}. " + "word " * 200 for i in range(6))


def reasons(report) -> dict[str, str]:
    return {Path(failure.path).name: failure.code for failure in report.failed}


def test_unchanged_files_are_not_read_again(collection, library, monkeypatch):
    collection.add(library)
    monkeypatch.setattr("onesense.media.segments", lambda *a: pytest.fail("an unchanged file was read"))
    again = collection.add(library)
    assert len(again.unchanged) == 3 and not (again.added or again.updated or again.failed or again.n_segments)


def test_a_touched_file_is_hashed_once_and_not_embedded(collection, library, monkeypatch):
    collection.add(library)
    os.utime(library / "cat.txt", (1, 1))
    with monkeypatch.context() as patch:
        patch.setattr(Embedder, "try_embed", lambda self, contents, *a: pytest.fail() if contents else [])
        assert len(collection.add(library).unchanged) == 3
        patch.setattr("onesense.index.sources.File.digest", lambda self: pytest.fail("hashed again"))
        assert len(collection.add(library).unchanged) == 3
    assert {entry.mtime for entry in collection.files() if entry.path.endswith("cat.txt")} == {1.0}


def test_a_changed_file_replaces_all_its_rows(collection, library):
    path = library / "long.txt"
    path.write_text(LONG, encoding="utf-8")
    collection.add(library)
    many = collection.count()
    assert many > 4
    path.write_text("Short now, about giraffes.", encoding="utf-8")
    report = collection.add(library)
    assert [Path(p).name for p in report.updated] == ["long.txt"] and len(report.unchanged) == 3
    assert collection.count() == 4
    assert collection.search("giraffes short now", k=1)[0].preview == "Short now, about giraffes."


def test_a_half_written_file_is_done_again(collection, library):
    path = library / "long.txt"
    path.write_text(LONG, encoding="utf-8")
    collection.add(library)
    whole = collection.count()
    store = collection._store
    store.delete([next(id_ for id_, _ in store.rows({"path": str(path)}))])
    report = collection.add(library)
    assert [Path(p).name for p in report.updated] == ["long.txt"]
    assert collection.count() == whole


def test_files_that_are_gone_are_forgotten_only_when_asked_and_only_below_the_roots(collection, library, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text("Another file.", encoding="utf-8")
    sibling = tmp_path / "library-2.txt"
    sibling.write_text("Next to the library.", encoding="utf-8")
    collection.add([library, other, sibling, {"id": str(library / "record"), "content": "not a file"}])
    for path in (other, sibling, library / "cat.txt"):
        path.unlink()
    assert collection.add(library).removed == []
    report = collection.add(library, prune=True)
    assert report.removed == [str(library / "cat.txt")]
    assert collection.count() == 5
    assert collection.add(other, prune=True).removed == [str(other)]
    assert not collection.add(library, prune=True).removed


def test_bad_files_are_named_and_the_rest_is_indexed(collection, library, tmp_path):
    (library / "empty.txt").write_bytes(b"")
    (library / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00")
    (library / "archive.zip").write_bytes(b"PK\x03\x04" + bytes(100))
    (library / "random.bin").write_bytes(np.random.default_rng(0).bytes(3_000))
    (library / "broken-link").symlink_to(tmp_path / "nowhere")
    os.mkfifo(library / "pipe")
    report = collection.add([library, tmp_path / "missing"])
    assert reasons(report) == {
        "empty.txt": "empty_input",
        "cut.png": "cannot_decode",
        "archive.zip": "unsupported_media",
        "random.bin": "unsupported_media",
        "broken-link": "cannot_read",
        "pipe": "unsupported_media",
        "missing": "not_found",
    }
    assert all(failure.reason for failure in report.failed)
    assert len(report.added) == collection.count() == 3
    assert reasons(collection.add(library)).keys() == reasons(report).keys() - {"missing"}


def test_a_thousand_bad_files_among_good_ones(in_json, library):
    for i in range(1_000):
        (library / f"bad-{i:04d}.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes([i % 256]) * (i % 50))
    report = in_json.add(library)
    assert len(report.failed) == 1_000 and len({failure.path for failure in report.failed}) == 1_000
    assert len(report.added) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not let such a name be made")
def test_a_name_that_is_not_unicode_is_named(in_json, library):
    with open(os.fsencode(library) + b"/caf\xe9.txt", "wb") as file:
        file.write(b"coffee")
    seen: list[str] = []
    report = in_json.add(library, progress=lambda done, total, path: seen.append(path))
    assert [(Path(f.path).name, f.code) for f in report.failed] == [("caf\\udce9.txt", "invalid_input")]
    assert len(report.added) == 3 and all(path.encode() for path in seen)


def test_hidden_files_collections_and_loops_are_passed_over(library, tmp_path):
    (library / ".hidden.txt").write_text("secret", encoding="utf-8")
    (library / ".git").mkdir()
    (library / ".git" / "config.txt").write_text("secret", encoding="utf-8")
    (library / "deep" / "loop").symlink_to(library)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "linked.txt").write_text("Reached through a link.", encoding="utf-8")
    (library / "link").symlink_to(elsewhere)
    for name in ("inside.onesense", "inside.json"):
        with Collection.open(library / name, model="tiny", dim=64) as collection:
            report = collection.add(library)
            found = sorted(Path(path).name for path in report.added)
            assert [n for n in found if n != "inside.json"] == ["bike.md", "cat.txt", "linked.txt", "été.txt"]
            assert not report.failed
            assert len(collection.add(library).unchanged) == len(found)


def test_overlapping_roots_are_read_once(in_json, library):
    (library / ".named.txt").write_text("Hidden, but asked for by name.", encoding="utf-8")
    report = in_json.add([library, library / "deep", library / "cat.txt", str(library), library / ".named.txt"])
    assert len(report.added) == 4 and not report.unchanged


def test_a_record_that_comes_twice_counts_once_and_the_last_wins(collection):
    report = collection.add([{"id": "a", "content": "the first"}, {"id": "a", "content": "the second"}])
    assert (report.added, report.updated) == (["a"], ["a"])
    assert [hit.preview for hit in collection.search("the")] == ["the second"]


def test_an_unchanged_record_is_passed_over_and_new_metadata_is_not(collection):
    record = {
        "id": "a",
        "content": Content("text and", Part(Image(np.zeros((4, 4, 3), np.uint8)))),
        "metadata": {"n": 1},
    }
    collection.add(record)
    assert collection.add(record).unchanged == ["a"]
    assert collection.add({**record, "metadata": {"n": 2}}).updated == ["a"]
    assert collection.search("text")[0].metadata == {"n": 2}


def test_malformed_records_are_named(in_json):
    bad = [
        {"id": "x"},
        {"content": "no id"},
        {"id": "", "content": "x"},
        {"id": "extra", "content": "x", "meta": {}},
        {"id": "meta", "content": "x", "metadata": [1]},
        {"id": "nan", "content": "x", "metadata": {"v": float("nan")}},
        {"id": "none", "content": None},
        {"id": "blank", "content": ""},
    ]
    report = in_json.add([*bad, {"id": "good", "content": "x"}])
    named = ["x", "records[1]", "records[2]", "extra", "meta", "nan", "none", "blank"]
    assert sorted(f.path for f in report.failed) == sorted(named)
    assert report.added == ["good"]


def test_progress_counts_every_source(in_json, library):
    calls = []
    in_json.add([library, {"id": "r", "content": "x"}, library / "none"], progress=lambda *call: calls.append(call))
    assert [(done, total) for done, total, _ in calls] == [(i, 5) for i in range(1, 6)]


class Failing(Embedder):
    """Fails on inputs that hold a word."""

    def try_embed(self, contents, dim=None, task=None):
        broken = BackendError("the model broke")
        outcomes = super().try_embed(contents, dim, task)
        return [broken if "bicycle" in c.parts[0].value else o for c, o in zip(contents, outcomes, strict=True)]


def test_a_file_that_the_model_fails_on_is_tried_again(tmp_path, library):
    path = tmp_path / "c.json"
    with Failing("tiny") as failing, Collection.open(path, failing, dim=64) as collection:
        report = collection.add(library)
        assert reasons(report) == {"bike.md": "backend_failed"} and len(report.added) == 2
    with Collection.open(path) as collection:
        assert [Path(p).name for p in collection.add(library).added] == ["bike.md"]


def test_a_stopped_run_keeps_what_it_has_embedded(in_json, library):
    def stop(done: int, total: int, path: str) -> None:
        if done == 400:
            raise KeyboardInterrupt

    for i in range(400):
        (library / f"{i:03d}.txt").write_text(f"Note number {i}.", encoding="utf-8")
    with pytest.raises(KeyboardInterrupt):
        in_json.add(library, progress=stop)
    kept = in_json.count()
    assert kept >= 400 - ingest.BATCH_SEGMENTS
    report = in_json.add(library)
    assert len(report.unchanged) == kept and len(report.added) == 403 - kept


INDEX = """
import sys
from onesense import Collection
from onesense.index import ingest, reading
ingest.COMMIT_ROWS = 1
with Collection.open(sys.argv[1], model="tiny", dim=64) as collection:
    collection.add(sys.argv[2], progress=lambda done, total, path: print(done, flush=True))
"""


@pytest.mark.parametrize("name", ["c.onesense", "c.json"])
def test_a_killed_run_goes_on_where_it_was(tmp_path, name):
    folder = tmp_path / "notes"
    folder.mkdir()
    for i in range(1_000):
        (folder / f"{i:04d}.txt").write_text(f"Note number {i} tells of {i * i}.", encoding="utf-8")
    path = tmp_path / name
    run = subprocess.Popen([sys.executable, "-c", INDEX, str(path), str(folder)], stdout=subprocess.PIPE, text=True)
    for line in run.stdout:
        if int(line) == 300:
            run.send_signal(signal.SIGKILL)
            break
    run.stdout.close()
    run.wait(30)
    with Collection.open(path) as collection:
        kept = collection.count()
        assert kept >= 300 - 2 * ingest.BATCH_SEGMENTS
        report = collection.add(folder)
        assert len(report.unchanged) == kept and len(report.added) == 1_000 - kept and not report.failed
        assert collection.count() == 1_000
        assert collection.search("Note number 7 tells of 49", k=1)[0].path.endswith("0007.txt")


def test_media_in_the_buffer_are_counted_in_bytes():
    picture = Image(np.zeros((10, 20, 3), np.uint8))
    video = Video(np.zeros((2, 10, 20, 3), np.uint8), np.zeros(2, np.float32), None, 2.0)
    assert reading.held_bytes(Content("abc", Part(picture), Part(video), Part(Page(picture, "t", 1)))) == 3 + 600 * 4


def test_the_buffer_is_embedded_when_it_is_full(in_json, library, monkeypatch):
    sizes: list[int] = []
    embed = Embedder.try_embed
    monkeypatch.setattr(Embedder, "try_embed", lambda self, c, *a: (sizes.append(len(c)), embed(self, c, *a))[1])
    for i in range(200):
        (library / f"{i:03d}.txt").write_text(f"Note number {i}.", encoding="utf-8")
    in_json.add(library)
    assert sum(sizes) == 203 and max(sizes) == ingest.BATCH_SEGMENTS
    sizes.clear()
    monkeypatch.setattr(ingest, "BATCH_BYTES", 1)
    for path in library.glob("00*.txt"):
        path.write_text("Changed " + path.name, encoding="utf-8")
    in_json.add(library)
    assert max(sizes) == 1


def test_a_slow_model_commits_by_time(in_json, library, monkeypatch):
    monkeypatch.setattr(ingest, "COMMIT_SECONDS", 0.0)
    monkeypatch.setattr(ingest, "BATCH_SEGMENTS", 1)
    counts: list[int] = []
    in_json.add(library, progress=lambda *_: counts.append(in_json.count()))
    assert counts == [0, 1, 2]
