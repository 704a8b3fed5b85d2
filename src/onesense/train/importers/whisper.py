"""The encoder of Whisper base from a CTranslate2 `model.bin` (MIT).

The file: version, name and revision of the specification, a count, then the variables, each with its name, shape,
dtype and bytes, then aliases. The decoder is read over and left out.

Source: Radford et al. 2022 (arXiv:2212.04356); layout as OpenNMT/CTranslate2 `python/ctranslate2/specs/model_spec.py`.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np

from ...errors import CorruptData
from ...types import Array

VERSION, SPEC, REVISION = 6, "WhisperSpec", 3
LAYERS, WIDTH, MELS, POSITIONS = 6, 512, 80, 1500
_DTYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
_LINEAR = {
    "qkv": "self_attention/linear_0",
    "out": "self_attention/linear_1",
    "up": "ffn/linear_0",
    "down": "ffn/linear_1",
}
_NORM = {"norm1": "self_attention/layer_norm", "norm2": "ffn/layer_norm"}


class _Reader:
    def __init__(self, file: Path) -> None:
        self.file = file
        self.content = file.read_bytes()
        self.at = 0

    def take(self, form: str, n: int = 1) -> tuple[int, ...]:
        """The next `n` little-endian integers."""
        form = f"<{n}{form}"
        if self.at + struct.calcsize(form) > len(self.content):
            raise CorruptData(f"{self.file} ends early: a CTranslate2 file was expected, or a part is missing")
        values = struct.unpack_from(form, self.content, self.at)
        self.at += struct.calcsize(form)
        return values

    def text(self) -> str:
        """A string with its length in front."""
        (length,) = self.take("H")
        raw = self.bytes(length)
        return raw.rstrip(b"\0").decode("utf-8", "replace")

    def bytes(self, length: int) -> bytes:
        """The next `length` bytes."""
        if self.at + length > len(self.content):
            raise CorruptData(f"{self.file} ends early: {length} bytes were expected at {self.at}")
        self.at += length
        return self.content[self.at - length : self.at]


def read(file: Path) -> dict[str, Array]:
    """Read the encoder's weights.

    Returns:
        Float32 arrays by the names of `onesense.train.model.ear.Encoder`: `conv{1,2}.{weight,bias}`, `position`,
        `layers.{i}.{norm1,qkv,out,norm2,up,down}.{weight,bias}`, `norm.{weight,bias}`. Linear weights are [out, in],
        `qkv` holds query, key and value in that order; convolutions are [out, in, 3].

    Raises:
        CorruptData: another format, version or network, or a variable that is missing or of unexpected shape.
    """
    stored = _variables(file)
    names = _names()
    weights: dict[str, Array] = {}
    for ours, (theirs, shape) in names.items():
        found = stored.get(f"encoder/{theirs}")
        if found is None or found.shape != shape:
            came = "missing" if found is None else f"of shape {list(found.shape)}"
            raise CorruptData(f"{file}: `encoder/{theirs}` is {came}, Whisper base has {list(shape)}")
        weights[ours] = found.astype(np.float32)
    unread = {k for k in stored if k.startswith("encoder/")} - {f"encoder/{t}" for t, _ in names.values()}
    if unread - {"encoder/num_heads"}:
        raise CorruptData(f"{file}: unexpected variable `{min(unread)}`; this is not Whisper base")
    return weights


def _variables(file: Path) -> dict[str, Array]:
    """Every variable of the file, views on its bytes."""
    reader = _Reader(file)
    (version,) = reader.take("I")
    spec = reader.text() if version == VERSION else "?"
    if (version, spec) != (VERSION, SPEC):
        raise CorruptData(f"{file} is version {version} of `{spec}`, expected version {VERSION} of `{SPEC}`")
    revision, count = reader.take("I", 2)
    if revision != REVISION:
        raise CorruptData(f"{file} has revision {revision} of {SPEC}, expected {REVISION}")
    variables = dict(_variable(reader) for _ in range(count))
    for _ in range(reader.take("I")[0]):
        alias, target = reader.text(), reader.text()
        variables[alias] = variables[target]
    if reader.at != len(reader.content):
        raise CorruptData(f"{file} holds {len(reader.content) - reader.at} bytes behind its last variable")
    return variables


def _variable(reader: _Reader) -> tuple[str, Array]:
    name = reader.text()
    (rank,) = reader.take("B")
    shape = reader.take("I", rank)
    (code,) = reader.take("B")
    (size,) = reader.take("I")
    dtype = np.dtype(_DTYPES.get(code, np.void))
    if size != math.prod(shape) * dtype.itemsize:
        raise CorruptData(f"{reader.file}: `{name}` has {size} bytes, which is not {list(shape)} of {dtype}")
    return name, np.frombuffer(reader.bytes(size), dtype).reshape(shape)


def _names() -> dict[str, tuple[str, tuple[int, ...]]]:
    """Our name -> the file's name and shape."""
    names: dict[str, tuple[str, tuple[int, ...]]] = {
        "conv1.weight": ("conv1/weight", (WIDTH, MELS, 3)),
        "conv1.bias": ("conv1/bias", (WIDTH,)),
        "conv2.weight": ("conv2/weight", (WIDTH, WIDTH, 3)),
        "conv2.bias": ("conv2/bias", (WIDTH,)),
        "position": ("position_encodings/encodings", (POSITIONS, WIDTH)),
        "norm.weight": ("layer_norm/gamma", (WIDTH,)),
        "norm.bias": ("layer_norm/beta", (WIDTH,)),
    }
    sizes = {"qkv": (3 * WIDTH, WIDTH), "out": (WIDTH, WIDTH), "up": (4 * WIDTH, WIDTH), "down": (WIDTH, 4 * WIDTH)}
    for i in range(LAYERS):
        for ours, theirs in _LINEAR.items():
            names[f"layers.{i}.{ours}.weight"] = (f"layer_{i}/{theirs}/weight", sizes[ours])
            names[f"layers.{i}.{ours}.bias"] = (f"layer_{i}/{theirs}/bias", sizes[ours][:1])
        for ours, theirs in _NORM.items():
            names[f"layers.{i}.{ours}.weight"] = (f"layer_{i}/{theirs}/gamma", (WIDTH,))
            names[f"layers.{i}.{ours}.bias"] = (f"layer_{i}/{theirs}/beta", (WIDTH,))
    return names
