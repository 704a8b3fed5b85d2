"""ONNX Runtime sessions whose weights are handed over in memory.

A graph file holds structure only; its weights lie beside it in a compact form (4-bit blocks with a low-rank branch,
int8 rows, fp16) and are widened to float32 when the session is made. Small on disk, exact and fast in use: with
float32 arithmetic none of the neighbours changes, and it is as quick as 4-bit kernels on a CPU (bench/RESULTS.md). The
eye's convolutions are the exception: its network is made for 8 bits, so they stay integers.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ....errors import CorruptData
from ....types import Array
from . import eightbit


class Graph:
    """One session. `run` may be called from several threads; the weights live as long as the object."""

    def __init__(self, file: Path, weights: Mapping[str, Array], threads: int = 0) -> None:
        """Make the session.

        Args:
            file: the graph; every initialiser that it marks as external must be in `weights`, and no other.
            weights: arrays by initialiser name: float32, integers for what the graph computes in 8 bits.
            threads: intra-op threads, 0 for one a core that this process may use.

        Raises:
            CorruptData: graph and weights do not fit together.
        """
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads or cores()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting threads leave the core
        if any(w.dtype.kind == "i" for w in weights.values()) and not eightbit.is_exact():
            options.add_session_config_entry("session.x64quantprecision", "1")  # slower products in their place
        self._kept = {k: np.ascontiguousarray(v, _dtype(v)) for k, v in weights.items()}
        values = [ort.OrtValue.ortvalue_from_numpy(v) for v in self._kept.values()]
        options.add_external_initializers(list(self._kept), values)
        try:
            self._session = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        except RuntimeError as cause:
            raise CorruptData(f"the graph {file.name} and its weights do not fit together: {cause}") from cause

    def run(self, **inputs: Array) -> list[Any]:
        """All outputs for these named inputs."""
        outputs: list[Any] = self._session.run(None, inputs)
        return outputs


def _dtype(weight: Array) -> Any:
    return weight.dtype if weight.dtype.kind == "i" else np.float32


def cores() -> int:
    """Cores that this process may use; ONNX Runtime itself would count all of the machine."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def widen(stored: Mapping[str, Array]) -> dict[str, Array]:
    """Float32 weights from their stored form.

    Args:
        stored: for a weight `w` one of: `w` (float16 or float32); `w.int8` with `w.scale`, float16, that broadcasts
            against it; or `w.nibbles` uint8 [rows, cols / 2] with `w.scales` float16 [rows, cols / 32], four-bit
            blocks, to which a low-rank branch may be added: `w.down` [cols, r] and `w.up` [r, rows].

    Returns:
        name -> float32 array; integers that are no weights (indices) stay as they are.
    """
    out: dict[str, Array] = {}
    for key, value in stored.items():
        name, _, form = key.rpartition(".")
        if form == "int8":
            out[name] = value.astype(np.float32) * stored[f"{name}.scale"].astype(np.float32)
        elif form == "nibbles":
            out[name] = unpack(value, stored[f"{name}.scales"].astype(np.float32), _branch(name, stored))
        elif not _belongs(name, form, stored):
            out[key] = value if value.dtype.kind in "iu" else value.astype(np.float32)
    return out


def _branch(name: str, stored: Mapping[str, Array]) -> tuple[Array, Array] | None:
    """Float32 [rows, r] and [r, cols] of a weight's branch."""
    if f"{name}.down" not in stored:
        return None
    return stored[f"{name}.up"].T.astype(np.float32), stored[f"{name}.down"].T.astype(np.float32)


def _belongs(name: str, form: str, stored: Mapping[str, Array]) -> bool:
    """Whether `name.form` is a piece of another weight's stored form."""
    whole = {"scale": "int8", "scales": "nibbles", "down": "nibbles", "up": "nibbles"}.get(form)
    return whole is not None and f"{name}.{whole}" in stored


_ROWS = 32  # rows unpacked at a time: the pieces stay in the cache, and no page of memory is asked for twice;
# a branch's product of so few rows is below the size at which OpenBLAS wakes its threads, which would spin
_PAIRS = np.stack([np.arange(256) & 15, np.arange(256) >> 4], -1).astype(np.float32) - 8.0
"""float32 [256, 2]: the two values that a byte holds, before scaling."""
_PAIRS_AS_ONE = _PAIRS.view(np.float64).ravel()
"""The same bits as 256 items of eight bytes, so that one look-up brings both values."""


def unpack(nibbles: Array, scales: Array, branch: tuple[Array, Array] | None = None) -> Array:
    """Rows in blocks of 32 four-bit values: value = (nibble - 8) * scale.

    Args:
        nibbles: uint8 [n, D / 2]: column 2i in the low half of byte i, column 2i + 1 in the high half.
        scales: float32 [n, D / 32].
        branch: float32 [n, r] and [r, D], whose product is added, None without.

    Returns:
        float32 [n, D].
    """
    n, n_blocks = scales.shape
    out = np.empty((n, n_blocks, 2 * nibbles.shape[1] // n_blocks), np.float32)  # [n, blocks, 32]
    flat = out.reshape(n, -1)
    pairs = flat.view(np.float64)  # [n, D / 2]
    for start in range(0, n, _ROWS):
        part = slice(start, start + _ROWS)
        np.take(_PAIRS_AS_ONE, nibbles[part], out=pairs[part], mode="clip")
        out[part] *= scales[part, :, None]
        if branch is not None:
            flat[part] += branch[0][part] @ branch[1]
    return flat
