"""Words: the tokeniser and the 4-bit table that turns piece ids into vectors, outside the graph.

Because words are gathered here, the trunk's graph takes vectors, and every modality enters by the same door.
"""

from __future__ import annotations

import lzma
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ....types import Array

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BOS, PAD, EOS, UNK = 0, 1, 2, 3
BLOCK = 32

_PAIRS = np.stack([np.arange(256) & 15, np.arange(256) >> 4], -1).astype(np.float32) - 8.0
"""float32 [256, 2]: the two values that a byte holds, before scaling."""


class WordTable:
    """Rows of word embeddings in blocks of 32 four-bit values, memory-mapped: only rows that are asked for are read.

    Thread-safe: read only.
    """

    def __init__(self, nibbles: Array, scales: Array) -> None:
        self.nibbles = nibbles
        """uint8 [V, D / 2]: column 2i in the low half of byte i, column 2i + 1 in the high half."""
        self.scales = scales
        """float16 [V, D / 32]."""

    @classmethod
    def open(cls, folder: Path) -> WordTable:
        """Map `words.nibbles.npy` and `words.scales.npy` of a model folder."""
        parts = (np.load(folder / f"words.{name}.npy", mmap_mode="r") for name in ("nibbles", "scales"))
        return cls(*parts)

    def __call__(self, ids: Sequence[int] | Array) -> Array:
        """Float32 [n, D] rows of these ids."""
        ids = np.asarray(ids, np.int64)
        rows = _PAIRS[self.nibbles[ids]].reshape(len(ids), -1, BLOCK)
        rows *= self.scales[ids].astype(np.float32)[..., None]
        return rows.reshape(len(ids), -1)


def tokenizer(file: Path) -> Tokenizer:
    """The SentencePiece-like tokeniser of the model (`tokenizer.json` in xz), without padding or truncation."""
    from tokenizers import Tokenizer

    made = Tokenizer.from_str(lzma.decompress(file.read_bytes()).decode())
    made.no_padding()
    made.no_truncation()
    return made
