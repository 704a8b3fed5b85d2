"""A backend of your own: one file, one class `Backend`.

This one adds up a random direction for every word (feature hashing), which is no great model but a whole one. Put the
file into a package and announce it in that package's pyproject.toml; `onesense models` lists it from then on:

    [project.entry-points."onesense.backends"]
    hashed-words = "hashed_words:Backend"

Then `onesense.Embedder("hashed-words")`, `onesense index --model hashed-words` and all other doors take it.
"""

from __future__ import annotations

import re
import zlib

import numpy as np

from onesense.engine import pieces
from onesense.errors import EmptyInput
from onesense.types import Array, Batch, Content, Features, ModelInfo, Task

DIM = 512
MAX_TOKENS = 1_024


class Backend:
    """Feature hashing. Holds no weights, so there is nothing to load and nothing to free."""

    info = ModelInfo(
        name="hashed-words",
        revision="1",  # change it whenever a vector changes: collections refuse to mix revisions
        licence="Apache-2.0",
        modalities=frozenset({"text"}),  # anything else is refused by `pieces.decode`
        dim=DIM,
        mrl_dims=(512, 256),
        max_tokens=MAX_TOKENS,
        description="a random direction for every word, added up",
        prompts={Task.SEARCH_DOCUMENT: "{title} {text}"},
    )

    def prepare(self, content: Content) -> Features:
        """Words of all parts as row numbers. Runs on several threads, so it keeps nothing."""
        text = " ".join(str(value) for _, value in pieces.decode(content, self.info))
        words = re.findall(r"\w+|[^\w\s]", text.lower())
        if not words:
            raise EmptyInput("there is no word in this text")
        seeds = [zlib.crc32(word.encode()) for word in words[:MAX_TOKENS]]
        return Features(seeds, len(seeds), {"text": len(seeds)}, truncated=len(words) > MAX_TOKENS)

    def embed(self, batch: Batch) -> Array:
        """Float32 [B, 512], not normalised; the house cuts and normalises."""
        return np.stack([self._sum(features.payload) for features in batch.features])

    def close(self) -> None:
        """Nothing to free."""

    def _sum(self, seeds: list[int]) -> Array:
        directions = [np.random.RandomState(seed).standard_normal(DIM) for seed in seeds]
        return np.asarray(np.sum(directions, axis=0), np.float32)
