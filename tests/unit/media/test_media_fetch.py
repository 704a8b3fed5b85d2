import os
from pathlib import Path

import pytest

from onesense.errors import EmptyInput, InvalidInput, NotFound, TooLarge
from onesense.media.fetch import fetch, head, read
from onesense.types import Limits


def test_a_regular_file_and_a_link_to_it_pass(tmp_path):
    file = tmp_path / "a.bin"
    file.write_bytes(b"abc" * 4000)
    link = tmp_path / "link"
    link.symlink_to(file)
    assert fetch(link) == link
    assert head(link) == (b"abc" * 4000)[:4096]
    assert read(file, 12_000) == b"abc" * 4000


def test_bytes_pass():
    assert fetch(b"abc") == b"abc"
    assert head(b"abc") == b"abc"


def test_what_is_no_file_is_named(tmp_path):
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    with pytest.raises(InvalidInput, match="a named pipe"):
        fetch(fifo)
    with pytest.raises(InvalidInput, match="a folder"):
        fetch(tmp_path)
    with pytest.raises(InvalidInput, match="a device"):
        fetch(Path("/dev/zero"))
    with pytest.raises(NotFound, match="does not exist"):
        fetch(tmp_path / "missing")
    with pytest.raises(InvalidInput, match="not a path"):
        fetch(Path("a\0b"))
    with pytest.raises(InvalidInput):
        fetch(Path("x" * 5000))


def test_a_link_to_itself_is_refused(tmp_path):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(InvalidInput):
        fetch(loop)


@pytest.mark.parametrize("url", ["https://example.com/a.png", "http://localhost/x", "file:///etc/passwd", "s3://b/k"])
def test_urls_are_refused(url):
    with pytest.raises(InvalidInput, match="URLs are not fetched"):
        fetch(Path(url))


def test_empty_and_oversized_are_named(tmp_path):
    empty = tmp_path / "empty.jpg"
    empty.touch()
    with pytest.raises(EmptyInput, match="is empty"):
        fetch(empty)
    with pytest.raises(EmptyInput):
        fetch(b"")
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(2 * 1024**3 + 1)
    with pytest.raises(TooLarge, match="2,147,483,649 bytes"):
        fetch(big)
    with pytest.raises(TooLarge):
        fetch(b"abcd", Limits(max_bytes=3))
    with pytest.raises(TooLarge, match="split it"):
        read(b"abcd", 3)
