"""Frames between processes: what is none is refused, and nothing in it can run."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onesense.media._wire import WireError, pack, unpack
from onesense.types import Image, Part

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.just(Path("a")) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)  # fmt: skip


def there_and_back(value: Any, max_bytes: int = 1 << 20) -> Any:
    return unpack(io.BytesIO(b"".join(pack(value))), max_bytes, may_name_files=True)


def frame(tree: Any, buffers: bytes = b"") -> io.BytesIO:
    text = json.dumps(tree).encode()
    return io.BytesIO(struct.pack("<Q", len(text)) + text + buffers)


@given(PLAIN)
def test_plain_values_come_back(value: Any) -> None:
    assert there_and_back(value) == value


@pytest.mark.parametrize("shape", [(0,), (3,), (2, 3, 4), (0, 4)])
def test_arrays_come_back(shape: tuple[int, ...]) -> None:
    for dtype in (np.uint8, np.float32):
        array = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
        found = there_and_back([array, array.T])
        assert found[0].dtype == dtype
        assert np.array_equal(found[0], array)
        assert np.array_equal(found[1], array.T)


@pytest.mark.parametrize(
    "tree",
    [
        {"array": ["object", [1]]},
        {"array": ["uint8", [-1]]},
        {"array": ["uint8", [1 << 40]]},
        {"array": ["uint8", "3"]},
        {"array": 5},
        {"path": "/etc/passwd"},
        {"bytes": 4},
        {"Popen": {"args": "ls"}},
        {"Image": {"pixels": 1, "more": 2}},
        {"Image": 1},
        {"tuple": 5},
        {},
        {"tuple": [], "dict": {}},
    ],
)
def test_what_is_no_answer_is_refused(tree: Any) -> None:
    with pytest.raises(WireError):
        unpack(frame(tree, b"1234"), 1 << 20, may_name_files=False)


@given(st.binary(max_size=200).map(lambda garbage: b"{" + garbage))
def test_garbage_is_refused(garbage: bytes) -> None:
    with pytest.raises((WireError, EOFError)):
        unpack(io.BytesIO(struct.pack("<Q", len(garbage)) + garbage + b"[" * 50), 100, may_name_files=False)


def test_deep_trees_and_long_ones_are_refused() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    with pytest.raises(WireError, match="Recursion"):
        unpack(io.BytesIO(struct.pack("<Q", len(deep)) + deep), 100, may_name_files=False)
    with pytest.raises(WireError, match="bytes"):
        unpack(io.BytesIO(struct.pack("<Q", 1 << 60)), 100, may_name_files=False)


def test_a_frame_that_breaks_off_is_its_end() -> None:
    whole = b"".join(pack([Image(np.zeros((2, 2, 3), np.uint8)), b"1234"]))
    for n in (0, 7, 20, len(whole) - 1):
        with pytest.raises(EOFError):
            unpack(io.BytesIO(whole[:n]), 1 << 20, may_name_files=True)


def test_all_buffers_together_stay_within_the_limit() -> None:
    with pytest.raises(WireError, match="more than"):
        there_and_back([b"x" * 600, b"y" * 600], 1_000)


def test_parts_with_bytes_and_files_go_one_way_only() -> None:
    for part in (Part(b"x"), Part(Path("x"))):
        assert there_and_back(part) == part
        with pytest.raises(WireError):
            unpack(io.BytesIO(b"".join(pack(part))), 100, may_name_files=False)
