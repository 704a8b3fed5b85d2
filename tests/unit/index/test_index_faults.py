"""What goes wrong around a collection: killed writers, full and read-only disks, vanished files, readers meanwhile."""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onesense.errors import CorruptData, NotFound, PermissionDenied, StorageFull
from onesense.index import ingest, reading
from onesense.index.collection import Collection
from onesense.index.stores import _snapshot, lance
from onesense.types import StoreSpec
from onesense.vectors import truncate_normalize

N_FILES = 60
DIM = 300
SUFFIXES = ["onesense", "json"]


# --- kill -9 ------------------------------------------------------------------------------------------------------


def small_steps() -> None:
    """Everything that a large collection does, with few rows."""
    ingest.COMMIT_ROWS = ingest.BATCH_SEGMENTS = 4
    _snapshot.EXACT_ROWS = 8
    lance.SPARE_FRAGMENTS = 5


def index_and_tell(path: str, folder: str, told: Any) -> None:
    """Index a folder; tell which rows were acknowledged, as soon as they were."""
    small_steps()
    with Collection.open(path, model="tiny", dim=DIM) as collection:
        upsert = collection._store.upsert

        def telling(ids, *rest):
            upsert(ids, *rest)
            told.send(list(ids))

        collection._store.upsert = telling
        told.send([])
        collection.add(folder)


@pytest.fixture
def in_small_steps(monkeypatch):
    for module, name in ((ingest, "COMMIT_ROWS"), (ingest, "BATCH_SEGMENTS"), (_snapshot, "EXACT_ROWS")):
        monkeypatch.setattr(module, name, getattr(module, name))
    monkeypatch.setattr(lance, "SPARE_FRAGMENTS", lance.SPARE_FRAGMENTS)
    small_steps()


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    for i in range(N_FILES):
        (folder / f"{i:03d}.txt").write_text(f"Note number {i} tells of {i * i}.", encoding="utf-8")
    return folder


def kill_at_random(path: Path, folder: Path, wait_s: float) -> tuple[list[str], bool]:
    """Index in another process and kill it so many seconds after it has begun.

    Returns:
        The acknowledged ids, and whether it was done before.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["onesense.index.collection", "onesense.index.search", "pyarrow"])
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=index_and_tell, args=(str(path), str(folder), theirs))
    process.start()
    theirs.close()
    ids: list[str] = []
    try:
        assert ours.poll(60) and ours.recv() == []
        process.join(wait_s)
        is_done = process.exitcode is not None
        process.kill()
        process.join(30)
        while ours.poll():
            ids += ours.recv()
    except EOFError:
        pass
    finally:
        ours.close()
        process.kill()
        process.join(30)
        process.close()
    return ids, is_done


def check_whole(path: Path, acknowledged: set[str]) -> dict[str, np.ndarray]:
    """Reopened, every row is whole, what was acknowledged is there, and it is found."""
    with Collection.open(path, model="tiny", dim=DIM) as collection:
        health = collection.verify()
        assert health.is_sound, health
        ids = [id_ for id_, _ in collection.rows()]
        assert set(ids) >= acknowledged and len(ids) == len(set(ids))
        vectors = dict(zip(ids, collection.vectors(ids), strict=True)) if ids else {}
        for id_ in ids[:: max(1, len(ids) // 5)]:
            found, score, payload = collection._store.search(vectors[id_], 1)[0]
            assert (found, payload["path"]) == (id_, id_.rpartition("#")[0]) and score > 0.999
        return vectors


def kill_often(tmp_path: Path, notes: Path, suffix: str, n_kills: int) -> None:
    path, draw = tmp_path / f"c.{suffix}", random.Random(n_kills)
    with Collection.open(tmp_path / f"whole.{suffix}", model="tiny", dim=DIM) as whole:
        start_s = time.monotonic()
        whole.add(notes)
        took_s = time.monotonic() - start_s
        reference = {Path(id_).name: whole.vectors([id_])[0] for id_, _ in whole.rows()}
    acknowledged: set[str] = set()
    n_interrupted = 0
    for _ in range(n_kills):
        ids, is_done = kill_at_random(path, notes, draw.uniform(0.0, took_s))
        acknowledged |= set(ids)
        held = check_whole(path, acknowledged)
        for id_, vector in held.items():
            np.testing.assert_allclose(vector, reference[Path(id_).name], atol=1e-6)
        n_interrupted += not is_done
        if len(held) == N_FILES:  # all is in: the next one has to begin anew
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            acknowledged.clear()
    assert n_interrupted >= n_kills // 2
    with Collection.open(path, model="tiny", dim=DIM) as collection:
        report = collection.add(notes)
        assert not report.failed and len(report.added) + len(report.unchanged) == N_FILES
    assert len(check_whole(path, {f"{file}#0" for file in notes.iterdir()})) == N_FILES


@pytest.mark.parametrize(("suffix", "n_kills"), [("onesense", 6), ("json", 5)])
def test_killed_at_random_moments_nothing_acknowledged_is_lost(tmp_path, notes, in_small_steps, suffix, n_kills):
    kill_often(tmp_path, notes, suffix, n_kills)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_killed_at_a_hundred_random_moments(tmp_path, notes, in_small_steps, suffix):
    kill_often(tmp_path, notes, suffix, 100)


# --- disks --------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("mounting a file system takes root on Linux")
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this container may not mount a file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


@pytest.fixture
def many(tmp_path: Path) -> Path:
    folder = tmp_path / "many"
    folder.mkdir()
    for i in range(300):
        (folder / f"{i:03d}.txt").write_text(f"Note number {i} tells of {i * i}. " * 20, encoding="utf-8")
    return folder


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_is_said_and_what_was_written_stays(small_disk, many, in_small_steps, suffix):
    path = small_disk / f"c.{suffix}"
    with Collection.open(path, model="tiny", dim=3072) as collection:
        with pytest.raises(StorageFull, match="room"):
            collection.add(many)
        n_kept = collection.count()
        assert 0 < n_kept < 300 and collection.verify().is_sound
        assert len(collection.search("Note number 3", k=3)) == 3
    with Collection.open(path) as again:
        assert again.count() == n_kept
        remount(small_disk, "size=200m")
        report = again.add(many)
        assert not report.failed and (len(report.unchanged), again.count()) == (n_kept, 300)
        assert again.verify().is_sound


FILL = """
import resource, signal, sys
from onesense import Collection, OnesenseError
with Collection.open(sys.argv[1], model="tiny", dim=3072) as collection:
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    try:
        collection.add(sys.argv[2])
    except OnesenseError as error:
        print(error.code, error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_that_may_not_grow_is_said_too(tmp_path, many, suffix):
    path = tmp_path / f"c.{suffix}"
    command = [sys.executable, "-c", FILL, str(path), str(many)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.startswith("storage_full"), done.stderr[-2_000:]
    with Collection.open(path) as collection:
        assert collection.verify().is_sound
        assert not collection.add(many).failed and collection.count() == 300
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


@pytest.fixture
def read_only(tmp_path: Path, request) -> Iterator[Any]:
    """Makes a folder read only: by its mode, or for root, whom modes do not stop, by its file system."""
    if sys.platform != "win32" and os.geteuid() != 0:
        folder = tmp_path / "locked"
        folder.mkdir()

        def lock() -> None:
            for place in [folder, *folder.rglob("*")]:
                place.chmod(place.stat().st_mode & ~0o222)

        yield folder, lock
        for place in [folder, *folder.rglob("*")]:
            place.chmod(place.stat().st_mode | 0o200)
    else:
        folder = request.getfixturevalue("small_disk")
        remount(folder, "size=50m")
        yield folder, lambda: remount(folder, "ro")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_read_only_folder_is_searched_and_not_written(read_only, notes, in_small_steps, suffix):
    folder, lock = read_only
    path = folder / f"c.{suffix}"
    with Collection.open(path, model="tiny", dim=DIM) as collection:
        collection.add(notes)
    lock()
    with Collection.open(path) as collection:
        assert collection.search("Note number 7 tells of 49", k=1)[0].path.endswith("007.txt")
        assert collection.verify().is_sound
        (notes / "new.txt").write_text("A new note.", encoding="utf-8")
        with pytest.raises(PermissionDenied, match="searched, not added to"):
            collection.add(notes)
        with pytest.raises(PermissionDenied, match="read only"):
            collection.delete(str(notes))
        assert collection.count() == N_FILES
    with pytest.raises(PermissionDenied):
        Collection.open(folder / f"other.{suffix}", model="tiny", dim=DIM)


# --- what vanishes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_files_that_vanish_while_they_are_indexed_are_named(tmp_path, notes, in_small_steps, monkeypatch, suffix):
    monkeypatch.setattr(ingest, "LOOKUP", 8)
    monkeypatch.setattr(reading, "AHEAD_SOURCES", 4)

    def take_away(done: int, total: int, path: str) -> None:
        if done == 20:
            for i in range(50, 55):
                (notes / f"{i:03d}.txt").unlink()

    with Collection.open(tmp_path / f"c.{suffix}", model="tiny", dim=DIM) as collection:
        report = collection.add(notes, progress=take_away)
        assert [Path(failure.path).name for failure in report.failed] == [f"{i:03d}.txt" for i in range(50, 55)]
        assert len(report.added) == N_FILES - 5 == collection.count()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_collection_that_vanishes_while_it_is_open_is_said_so(tmp_path, notes, suffix):
    path = tmp_path / f"c.{suffix}"
    with Collection.open(path, model="tiny", dim=DIM) as collection:
        collection.add(notes)
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        for attempt in (lambda: collection.search("note"), lambda: list(collection.rows()), collection.count):
            with pytest.raises(NotFound, match="gone"):
                attempt()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_collection_of_a_later_version_is_refused_and_left_alone(tmp_path, notes, suffix):
    path = tmp_path / f"c.{suffix}"
    with Collection.open(path, model="tiny", dim=DIM) as collection:
        collection.add(notes)
    file = path / lance.SPEC_FILE if path.is_dir() else path
    later = file.read_text(encoding="utf-8").replace("onesense.collection.v1", "onesense.collection.v9")
    file.write_text(later, encoding="utf-8")
    with pytest.raises(CorruptData, match=r"collection\.v9.*reads `onesense\.collection\.v1`"):
        Collection.open(path)
    assert file.read_text(encoding="utf-8") == later


# --- a reader during a writer -----------------------------------------------------------------------------------------


def rows_of(numbers: list[int], version: int) -> np.ndarray:
    return np.concatenate(
        [
            truncate_normalize(np.random.default_rng([n, version]).standard_normal((1, DIM)).astype(np.float32), DIM)
            for n in numbers
        ]
    )


SPEC = StoreSpec(DIM, "f0", "tiny", "1")


def write_on(path: str, told: Any) -> None:
    """Replace, delete and merge until somebody kills it."""
    small_steps()
    store = lance.Store.open(Path(path), SPEC)
    told.send("ready")
    for version in range(1, 100_000):
        numbers = [(version * 7 + i) % 40 for i in range(8)]
        store.upsert([str(n) for n in numbers], rows_of(numbers, version), [{"version": version}] * 8)
        store.delete([str((version * 11) % 40)])
        if version % 5 == 0:
            store.compact()


def test_a_reader_sees_rows_vectors_and_payloads_that_belong_together(tmp_path, in_small_steps):
    path = tmp_path / "c"
    store = lance.Store.open(path, SPEC)
    store.upsert([str(n) for n in range(40)], rows_of(list(range(40)), 0), [{"version": 0}] * 40)
    context = multiprocessing.get_context("forkserver")
    ours, theirs = context.Pipe(duplex=False)
    writer = context.Process(target=write_on, args=(str(path), theirs))
    writer.start()
    try:
        assert ours.poll(60) and ours.recv() == "ready"
        versions: set[int] = set()
        until_s = time.monotonic() + 3
        while time.monotonic() < until_s or len(versions) < 4:
            assert writer.is_alive() and time.monotonic() < until_s + 60
            query = rows_of([random.Random(len(versions)).randrange(40)], 0)[0]
            for id_, score, payload in store.search(query, 10):
                version = payload["version"]
                versions.add(version)
                assert score == pytest.approx(float(rows_of([int(id_)], version)[0] @ query), abs=1e-3)
    finally:
        writer.kill()
        writer.join(30)
        writer.close()
        ours.close()
        theirs.close()
    store.close()
