"""OpenAI's token numbers, turned back into texts."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from onesense.errors import InvalidInput, NotFound
from onesense.server.openai_tokens import TokenTable

PIECES = ["a", " cat", " purr", "ing"]


def write(path: Path, pieces: list[bytes]) -> Path:
    path.write_bytes(b"".join(b"%s %d\n" % (base64.b64encode(piece), n) for n, piece in enumerate(pieces)))
    return path


def test_tokens_become_their_text(tmp_path: Path) -> None:
    table = TokenTable.read(write(tmp_path / "small.tiktoken", [*(p.encode() for p in PIECES), b"\xc3", b"\xa9"]))
    assert table.text([0, 1, 2, 3]) == "a cat purring"
    assert table.text([4, 5]) == "é"
    assert table.text([0, 4]) == "a\N{REPLACEMENT CHARACTER}"


def test_a_number_of_another_vocabulary_is_refused(tmp_path: Path) -> None:
    table = TokenTable.read(write(tmp_path / "small.tiktoken", [b"a"]))
    for wrong in (1, -1, 10**20):
        with pytest.raises(InvalidInput, match=f"token {wrong} is none of the 1"):
            table.text([0, wrong])


@pytest.mark.parametrize("content", [b"not a table\n", b"YQ==\n", b"YQ== one\n", b"\xff 1\n", b"YQ== 1 2\n"])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(InvalidInput, match="no table of tokens"):
        TokenTable.read(tmp_path / "file")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="does not exist"):
        TokenTable.read(tmp_path / "nothing")
    with pytest.raises(InvalidInput, match="no table"):
        TokenTable.read(tmp_path)
