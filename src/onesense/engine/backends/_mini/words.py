"""Words: the 4-bit table that turns piece ids into vectors, outside the graph.

Because words are gathered here, the trunk's graph takes vectors, and every modality enters by the same door.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ....types import Array
from .graph import unpack
from .package import Package

BOS, PAD, EOS, UNK = 0, 1, 2, 3


class WordTable:
    """Rows of word embeddings in blocks of 32 four-bit values, memory-mapped: only rows that are asked for are read.

    Thread-safe: read only.
    """

    def __init__(self, nibbles: Array, scales: Array, levels: Array) -> None:
        self.nibbles = nibbles
        """uint8 [V, D / 2]: two four-bit values a byte, see `graph.unpack`."""
        self.scales = scales
        """uint8 [V, D / 32]: which level scales each block of 32."""
        self.levels = levels
        """float32 [256]: the scales there are. A codebook costs half a percent of a scale and saves 2.5 MB."""

    @classmethod
    def open(cls, package: Package) -> WordTable:
        """Map the table of a model folder."""
        files = (package.file(f"words.{part}.npy") for part in ("nibbles", "scales", "levels"))
        return cls(*(np.load(file, mmap_mode="r") for file in files))

    def __call__(self, ids: Sequence[int] | Array) -> Array:
        """Float32 [n, D] rows of these ids."""
        ids = np.asarray(ids, np.int64)
        return unpack(self.nibbles[ids], self.levels[self.scales[ids]])
