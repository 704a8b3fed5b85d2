"""A reader for quantised TFLite files: just the tensors and operators, no interpreter, no schema package.

A FlatBuffer is a tree of tables; a table starts with a signed offset to its vtable, which says where each field
stands. Field numbers below are the order of the fields in the schema.

Source: tensorflow/lite/schema/schema.fbs (version 3) and the FlatBuffers internals page.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import CorruptData
from ...types import Array

_IDENTIFIER = b"TFL3"
_DTYPES = {0: np.float32, 2: np.int32, 3: np.uint8, 9: np.int8}  # TensorType
_OPERATORS = {
    3: "CONV_2D", 4: "DEPTHWISE_CONV_2D", 6: "DEQUANTIZE", 9: "FULLY_CONNECTED", 14: "LOGISTIC", 22: "RESHAPE",
    40: "MEAN", 49: "SPLIT", 114: "QUANTIZE",
}  # fmt: skip
_ACTIVATION_FIELD = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 4, "FULLY_CONNECTED": 0}
_ACTIVATIONS = {0: "", 1: "RELU", 3: "RELU6"}


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of the graph; `values` is None where it is computed at run time."""

    name: str
    values: Array | None
    """As stored: int8 or int32 codes."""
    scales: Array
    """float32 [1] or [channels]; empty when not quantised."""
    zero_points: Array
    """int64, as many as scales."""
    axis: int
    """The axis that the scales run along."""

    def dequantize(self) -> Array:
        """Stored codes as float32.

        Raises:
            CorruptData: the tensor has no stored values.
        """
        if self.values is None:
            raise CorruptData(f"the tensor `{self.name}` is computed, it has no weights to read")
        if not self.scales.size:
            return self.values.astype(np.float32)
        shape = [1] * self.values.ndim
        shape[self.axis if self.scales.size > 1 else 0] = -1
        return (self.values.astype(np.float32) - self.zero_points.reshape(shape)) * self.scales.reshape(shape)


@dataclass(frozen=True, slots=True)
class Operator:
    """One step: its name and the indices of its tensors."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    activation: str
    """What is fused to a weighted step: `RELU`, `RELU6` or nothing."""


@dataclass(frozen=True, slots=True)
class Graph:
    """The first subgraph of a file."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]


class _Table:
    """One table of the buffer; fields are addressed by their number."""

    def __init__(self, buffer: bytes, at: int) -> None:
        self.buffer, self.at = buffer, at
        self.vtable = at - self._unpack("<i", at)

    def _unpack(self, code: str, at: int) -> int:
        return int(struct.unpack_from(code, self.buffer, at)[0])

    def _field(self, number: int) -> int | None:
        size = self._unpack("<H", self.vtable)
        slot = 4 + 2 * number
        offset = self._unpack("<H", self.vtable + slot) if slot < size else 0
        return self.at + offset if offset else None

    def scalar(self, number: int, code: str, default: int = 0) -> int:
        at = self._field(number)
        return default if at is None else self._unpack(code, at)

    def _vector(self, number: int) -> tuple[int, int]:
        """Position of the first element and their number; (0, 0) for a field left out."""
        at = self._field(number)
        if at is None:
            return 0, 0
        start = at + self._unpack("<I", at)
        return start + 4, self._unpack("<I", start)

    def array(self, number: int, dtype: type[np.generic]) -> Array:
        start, length = self._vector(number)
        return np.frombuffer(self.buffer, dtype, length, start) if length else np.zeros(0, dtype)

    def table(self, number: int) -> _Table | None:
        at = self._field(number)
        return None if at is None else _Table(self.buffer, at + self._unpack("<I", at))

    def tables(self, number: int) -> list[_Table]:
        start, length = self._vector(number)
        places = range(start, start + 4 * length, 4)
        return [_Table(self.buffer, place + self._unpack("<I", place)) for place in places]


def read(path: Path) -> Graph:
    """Read a TFLite file.

    Raises:
        CorruptData: not a TFLite 3 file, cut short, or with an operator or type that the importers do not know.
    """
    content = path.read_bytes()
    if content[4:8] != _IDENTIFIER:
        raise CorruptData(f"`{path.name}` is not a TFLite file: bytes 4-8 are {content[4:8]!r}, not {_IDENTIFIER!r}")
    try:
        return _graph(content)
    except (struct.error, ValueError, KeyError, IndexError) as fault:
        raise CorruptData(f"`{path.name}` is cut short or uses a feature that this reader does not know") from fault


def _graph(content: bytes) -> Graph:
    model = _Table(content, struct.unpack_from("<I", content)[0])
    codes = [max(code.scalar(0, "<b"), code.scalar(3, "<i")) for code in model.tables(1)]
    subgraph = model.tables(2)[0]
    buffers = [buffer.array(0, np.uint8) for buffer in model.tables(4)]
    operators = tuple(_operator(step, _OPERATORS[codes[step.scalar(0, "<I")]]) for step in subgraph.tables(3))
    return Graph(tuple(_tensor(table, buffers) for table in subgraph.tables(0)), operators)


def _operator(step: _Table, name: str) -> Operator:
    options, field = step.table(4), _ACTIVATION_FIELD.get(name)
    activation = 0 if options is None or field is None else options.scalar(field, "<b")
    inputs, outputs = step.array(1, np.int32), step.array(2, np.int32)
    return Operator(name, tuple(inputs.tolist()), tuple(outputs.tolist()), _ACTIVATIONS[activation])


def _tensor(table: _Table, buffers: list[Array]) -> Tensor:
    shape = table.array(0, np.int32)
    raw = buffers[table.scalar(2, "<I")]
    values = raw.view(_DTYPES[table.scalar(1, "<b")]).reshape(shape) if raw.size else None
    quantization = table.table(4)
    if quantization is None:
        return Tensor(_name(table), values, np.zeros(0, np.float32), np.zeros(0, np.int64), 0)
    scales, zero_points = quantization.array(2, np.float32), quantization.array(3, np.int64)
    return Tensor(_name(table), values, scales, zero_points, quantization.scalar(6, "<i"))


def _name(table: _Table) -> str:
    return table.array(3, np.uint8).tobytes().decode()
