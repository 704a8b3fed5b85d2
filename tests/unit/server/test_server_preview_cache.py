"""What was drawn once is kept, up to a size, and drawn anew when its source has changed."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Thread

import pytest

from onesense.errors import DecodeError
from onesense.server.preview_cache import PreviewCache


class Drawing:
    """Writes as many bytes as it is told, and counts how often."""

    def __init__(self, n_bytes: int = 10) -> None:
        self.n_bytes, self.n_calls = n_bytes, 0

    def __call__(self, target: Path) -> None:
        self.n_calls += 1
        target.write_bytes(b"x" * self.n_bytes)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(b"one")
    return path


def test_a_thing_is_drawn_once_for_each_source_and_wish(tmp_path: Path, source: Path) -> None:
    cache, draw = PreviewCache(tmp_path / "kept", 1_000), Drawing()
    assert cache.get(source, "small", draw) == cache.get(source, "small", draw)
    assert draw.n_calls == 1
    cache.get(source, "large", draw)
    source.write_bytes(b"another one")
    cache.get(source, "small", draw)
    assert draw.n_calls == 3
    PreviewCache(tmp_path / "kept", 1_000).get(source, "small", draw)
    assert draw.n_calls == 3


def test_what_was_looked_at_last_stays(tmp_path: Path, source: Path) -> None:
    cache, draw = PreviewCache(tmp_path / "kept", 1_000), Drawing(200)
    for n in range(5):
        os.utime(cache.path(source, str(n), draw), (n, n))
    cache.path(source, "0", draw)  # looked at again
    cache.path(source, "5", draw)
    assert sum(file.stat().st_size for file in (tmp_path / "kept").iterdir()) <= 1_000
    before = draw.n_calls
    cache.path(source, "0", draw)
    assert draw.n_calls == before
    cache.path(source, "1", draw)
    assert draw.n_calls == before + 1


def test_a_drawing_that_fails_leaves_nothing(tmp_path: Path, source: Path) -> None:
    def fail(target: Path) -> None:
        target.write_bytes(b"half")
        raise DecodeError("damaged")

    cache = PreviewCache(tmp_path / "kept", 1_000)
    for _ in range(2):
        with pytest.raises(DecodeError):
            cache.get(source, "small", fail)
    assert list((tmp_path / "kept").iterdir()) == []
    assert cache.get(source, "small", Drawing()) == b"x" * 10


def test_many_who_want_the_same_wait_for_one(tmp_path: Path, source: Path) -> None:
    cache, draw = PreviewCache(tmp_path / "kept", 1_000), Drawing()
    threads = [Thread(target=cache.get, args=(source, "small", draw)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert draw.n_calls == 1
