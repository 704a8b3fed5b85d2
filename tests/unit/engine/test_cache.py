"""The cache of vectors and its key."""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from onesense.engine.cache import Cached, VectorCache, cache_key
from onesense.errors import CorruptData, NotFound
from onesense.types import Audio, Content, Document, Image, ModelInfo, Page, Part, Task, Video

INFO = ModelInfo("m", "1", "MIT", frozenset({"text"}), 8, (8,), 16)
ROW = np.arange(8, dtype=np.float32)
PIXELS = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
SOUND = Audio(np.arange(5, dtype=np.float32))
TIMES = np.zeros(1, np.float32)


def _key(*parts: str | Part, title: str | None = None, info: ModelInfo = INFO, task: Task | None = None) -> str:
    return cache_key(Content(*parts, title=title), task, info)


def test_a_key_is_stable() -> None:
    assert _key("a", Part.bytes(b"x", "image/png")) == _key("a", Part.bytes(b"x", "image/png"))


def test_every_ingredient_changes_the_key() -> None:
    clip = Part(b"x", "video/mp4", 1.0, 2.0, 3.0, (1,))
    keys = [
        _key("a"),
        _key("a", info=replace(INFO, name="n")),
        _key("a", info=replace(INFO, revision="2")),
        _key("a", info=replace(INFO, dtype_class="int8")),
        _key("a", info=replace(INFO, preprocessing="2")),
        _key("a", info=replace(INFO, dim=4)),
        _key("a", task=Task.CLUSTERING),
        _key("a", title="T"),
        _key("a", title=""),
        _key("b"),
        _key("a", "b"),
        _key("b", "a"),
        _key("ab"),
        _key("a", ""),
        _key(Part.bytes(b"a")),
        _key(clip),
        *(_key(replace(clip, **change)) for change in CHANGES),
    ]
    assert len(set(keys)) == len(keys)


CHANGES: list[dict[str, object]] = [
    {"value": b"y"},
    {"mime_type": "video/webm"},
    {"mime_type": None},
    {"start_s": 1.5},
    {"end_s": 2.5},
    {"fps": 1.0},
    {"pages": (2,)},
    {"pages": None},
    {"sound": False},
]


def test_canonical_media_differ_by_every_field() -> None:
    page = Page(Image(PIXELS), "text", 1)
    film = Video(PIXELS[None], TIMES, SOUND, 1.0)
    values = [
        Image(PIXELS),
        Image(PIXELS + np.uint8(1)),
        Image(PIXELS.reshape(1, 4, 3)),
        Image(PIXELS.reshape(4, 1, 3)),
        SOUND,
        Audio(SOUND.samples * 2),
        film,
        replace(film, sound=None),
        replace(film, times_s=TIMES + 1),
        replace(film, duration_s=2.0),
        page,
        replace(page, text="other"),
        replace(page, number=2),
        Document((page,)),
        Document((page, page)),
    ]
    assert len({_key(Part(v)) for v in values}) == len(values)  # type: ignore[arg-type]


def test_a_file_counts_by_its_bytes(tmp_path: Path) -> None:
    one, other = tmp_path / "a.png", tmp_path / "b.png"
    one.write_bytes(b"x")
    other.write_bytes(b"x")
    assert _key(Part.file(one)) == _key(Part.file(other)) == _key(Part.bytes(b"x"))
    other.write_bytes(b"y")
    assert _key(Part.file(one)) != _key(Part.file(other))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"gone\.png"):
        _key(Part.file(tmp_path / "gone.png"))


def test_the_last_used_stay_in_memory() -> None:
    cache = VectorCache(max_items=2)
    for key in ("a", "b"):
        cache.put(key, Cached(ROW, {"text": 1}, truncated=False))
    cache.get("a")
    cache.put("c", Cached(ROW, {"text": 1}, truncated=False))
    assert [cache.get(key) is not None for key in "abc"] == [True, False, True]
    assert (cache.hits, cache.misses, len(cache)) == (3, 1, 2)


def test_what_is_on_disk_outlives_the_process_and_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "vectors.sqlite"
    with VectorCache(path, max_items=1) as cache:
        cache.put("a", Cached(ROW, {"text": 2, "image": 1}, truncated=True, words="Room 7"))
        cache.put("b", Cached(ROW * 2, {"text": 1}, truncated=False))
    cache.close()
    with VectorCache(path) as cache:
        found = cache.get("a")
        assert found is not None
        assert (found.row.tolist(), found.usage, found.truncated) == (ROW.tolist(), {"text": 2, "image": 1}, True)
        assert found.words == "Room 7"
        assert len(cache) == 2
        cache.clear()
        assert (cache.get("a"), len(cache)) == (None, 0)


def test_two_processes_may_share_a_file(tmp_path: Path) -> None:
    with VectorCache(tmp_path / "v") as one, VectorCache(tmp_path / "v") as other:
        one.put("a", Cached(ROW, {}, truncated=False))
        assert other.get("a") is not None


def test_a_damaged_file_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "v"
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(CorruptData, match="delete the file"):
        VectorCache(path)


def test_a_damaged_row_is_no_vector(tmp_path: Path) -> None:
    path = tmp_path / "v"
    with VectorCache(path) as cache:
        cache.put("a", Cached(ROW, {}, truncated=False))
    disk = sqlite3.connect(path)
    with disk:
        disk.execute("UPDATE answers SET vector = ?", (b"abc",))
    disk.close()
    with VectorCache(path) as cache, pytest.raises(CorruptData, match="delete the file"):
        cache.get("a")


def test_many_threads_may_use_it(tmp_path: Path) -> None:
    with VectorCache(tmp_path / "v", max_items=3) as cache:

        def work(n: int) -> None:
            for i in range(20):
                cache.put(f"{n}-{i}", Cached(ROW + n, {}, truncated=False))
                found = cache.get(f"{n}-{i}")
                assert found is not None
                assert found.row[0] == n

        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(cache) == 80
