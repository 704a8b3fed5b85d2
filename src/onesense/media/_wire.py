"""How a process that decodes and the one that asked exchange values: JSON for the tree, raw bytes for what is big.

Nothing is ever unpickled, so that a decoder which was taken over can answer with wrong values and with nothing else.
A frame is 8 bytes of length, the tree, and the buffers one after another.
"""

from __future__ import annotations

import dataclasses
import json
import math
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..types import Audio, Content, Document, Image, Limits, Locator, Page, Part, Segment, Video

_NOUNS: Mapping[str, type] = {
    noun.__name__: noun for noun in (Audio, Content, Document, Image, Limits, Locator, Page, Part, Segment, Video)
}
_DTYPES = {"uint8", "float32"}  # of canonical media
_LENGTH = struct.Struct("<Q")
_MAX_TREE_BYTES = 512 << 20  # a text of 64 MB, its escapes and more


class WireError(Exception):
    """A frame that is none, or is larger than it may be."""


def pack(value: Any) -> list[bytes | memoryview]:
    """The pieces of a frame, to be written one after another.

    Args:
        value: None, bool, number, str, bytes, `Path`, array of uint8 or float32, noun of `types`, or list, tuple or
            dict with text keys of these.

    Raises:
        TypeError: something else is in it.
    """
    buffers: list[bytes | memoryview] = []
    tree = json.dumps(_tree(value, buffers), ensure_ascii=False).encode("utf-8", "surrogatepass")
    return [_LENGTH.pack(len(tree)), tree, *buffers]


def unpack(stream: BinaryIO, max_bytes: int, *, may_name_files: bool) -> Any:
    """Read one frame.

    Args:
        stream: where it comes from, blocking.
        max_bytes: most that all its buffers may hold together.
        may_name_files: whether it may hold paths and encoded bytes; the answer of a decoder may not.

    Raises:
        EOFError: the stream ended.
        WireError: this is no frame, or it is too large.
    """
    (length,) = _LENGTH.unpack(_exactly(stream, _LENGTH.size))
    if length > _MAX_TREE_BYTES:
        raise WireError(f"a tree of {length:,} bytes")
    text = _exactly(stream, length)
    try:
        tree = json.loads(text.decode("utf-8", "surrogatepass"))
        return _Reader(stream, max_bytes, may_name_files=may_name_files).value(tree)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as cause:
        raise WireError(f"{type(cause).__name__}: {cause}") from cause


def _tree(value: Any, buffers: list[bytes | memoryview]) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, list):
        return [_tree(item, buffers) for item in value]
    if isinstance(value, tuple):
        return {"tuple": [_tree(item, buffers) for item in value]}
    if isinstance(value, dict):
        return {"dict": {key: _tree(item, buffers) for key, item in value.items()}}
    if isinstance(value, Path):
        return {"path": str(value)}
    if isinstance(value, bytes):
        buffers.append(value)
        return {"bytes": len(value)}
    if isinstance(value, np.ndarray):
        flat = np.ascontiguousarray(value)
        buffers.append(memoryview(flat.reshape(-1).view(np.uint8)))  # type: ignore[arg-type]  # numpy's stubs
        return {"array": [str(value.dtype), list(value.shape)]}
    if isinstance(value, np.generic):
        return value.item()
    name = type(value).__name__
    if not dataclasses.is_dataclass(value) or _NOUNS.get(name) is not type(value):
        raise TypeError(f"{name} does not travel between processes")
    return {name: {f.name: _tree(getattr(value, f.name), buffers) for f in dataclasses.fields(value)}}


class _Reader:
    """Turns a tree back into the value; buffers come from the stream in the order in which the tree names them."""

    def __init__(self, stream: BinaryIO, max_bytes: int, *, may_name_files: bool) -> None:
        self._stream = stream
        self._left = max_bytes
        self._kinds: dict[str, Callable[[Any], Any]] = {"tuple": self._tuple, "dict": self._dict, "array": self._array}
        if may_name_files:
            self._kinds |= {"path": Path, "bytes": self._bytes}

    def value(self, tree: Any) -> Any:
        if isinstance(tree, list):
            return [self.value(item) for item in tree]
        if not isinstance(tree, dict):
            return tree
        ((kind, inner),) = tree.items()
        if kind in self._kinds:
            return self._kinds[kind](inner)
        fields = {name: self.value(item) for name, item in inner.items()}
        if kind == "Content":
            return Content(*fields["parts"], title=fields["title"])
        return _NOUNS[kind](**fields)

    def _tuple(self, items: list[Any]) -> tuple[Any, ...]:
        return tuple(self.value(item) for item in items)

    def _dict(self, items: dict[str, Any]) -> dict[str, Any]:
        return {key: self.value(item) for key, item in items.items()}

    def _bytes(self, length: int) -> bytes:
        return bytes(_exactly(self._stream, self._taken(length)))

    def _array(self, described: list[Any]) -> Any:
        dtype, shape = described
        if dtype not in _DTYPES:
            raise WireError(f"an array of {dtype}")
        buffer = bytearray(self._taken(math.prod(shape) * np.dtype(dtype).itemsize))
        _fill(self._stream, memoryview(buffer))
        return np.frombuffer(buffer, dtype).reshape(shape)

    def _taken(self, length: int) -> int:
        if not 0 <= length <= self._left:
            raise WireError(f"more than {self._left:,} bytes")
        self._left -= length
        return length


def _exactly(stream: BinaryIO, length: int) -> bytes:
    found = stream.read(length)
    if len(found) < length:
        raise EOFError
    return found


def _fill(stream: BinaryIO, buffer: memoryview) -> None:
    while len(buffer):
        n_read = stream.readinto(buffer)  # type: ignore[attr-defined]  # typeshed leaves it out of BinaryIO
        if not n_read:
            raise EOFError
        buffer = buffer[n_read:]
