"""Lines of a batch: whatever stands in them is a request or an error of its own."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onesense.errors import OnesenseError
from onesense.server import batchworker
from onesense.server import gemini_wire as wire
from onesense.server.batchstore import BatchRow, State

GOOD = {"content": {"parts": [{"text": "a"}]}}
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["key", "metadata", "request", "content", "parts", "text", "outputDimensionality", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def row(input_file: str = "files/a") -> BatchRow:
    return BatchRow(
        id="b", owner="ann", model="models/tiny", display_name="", priority=0, base="", input_file=input_file,
        state=State.RUNNING, created_s=0, updated_s=0, ended_s=None, n_requests=9, n_done=4, n_failed=0, read_bytes=0,
        written_bytes=0, n_attempts=1, is_careful=False, output_file="", error_code=0, error="", folder=Path("nowhere"),
    )  # fmt: skip


def parse(line: bytes, limit: int = 10_000, input_file: str = "files/a") -> batchworker._Line:
    (found,) = batchworker._parse([line], row(input_file), limit, 3072)
    return found


@given(st.binary(max_size=60) | ANY_JSON.map(lambda value: json.dumps(value).encode()))
def test_any_line_is_a_request_or_an_error(line: bytes) -> None:
    found = parse(line)
    assert isinstance(found.wanted, wire.Wanted | OnesenseError)
    if isinstance(found.wanted, OnesenseError):
        assert batchworker.status(found.wanted)["code"] in batchworker.RPC_CODES.values()
        assert str(found.wanted).startswith("line 5: ")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"request": {"content": {}}}, "contents is not specified"),
        ({"request": GOOD | {"outputDimensionality": 4_000}}, "4000"),
        ({"request": GOOD | {"model": "models/other"}}, "models/other"),
        ({"request": [GOOD]}, "a `request`"),
        (GOOD, "a `request`"),
    ],
)
def test_what_is_wrong_is_said(line: Any, said: str) -> None:
    found = parse(json.dumps(line).encode(), input_file="")
    assert said in str(found.wanted)
    assert str(found.wanted).startswith("requests[4]: ")


def test_key_and_metadata_come_back_even_with_an_error() -> None:
    assert parse(b'{"key": 7, "metadata": {"a": "b"}, "request": 1}').label == {"key": 7, "metadata": {"a": "b"}}


def test_a_line_beyond_the_limit_is_an_error_and_the_next_one_is_read() -> None:
    source = io.BytesIO(b"x" * 500 + b"\n\n" + b'{"request": 1}\n' + b"last")
    texts = batchworker._read_group(source, 100, None)
    assert [len(text) for text in texts] == [101, 15, 4]
    assert "at most 100 bytes" in str(parse(texts[0], limit=100).wanted)


def test_a_group_holds_so_many_lines() -> None:
    source = io.BytesIO(b"{}\n" * 50)
    assert len(batchworker._read_group(source, 100, 1)) == 1
    assert source.tell() == 3
    assert len(batchworker._read_group(source, 100, None)) == batchworker.GROUP_LINES
