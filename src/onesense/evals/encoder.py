"""An embedder that remembers: each content goes through the model once, at full size, whatever asks for it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..errors import EmptyInput
from ..types import Array, Content, ModelInfo, Part, Task
from ..vectors import truncate_normalize

CHUNK = 256
"""Contents per call of the embedder: progress moves, and the embedder can pack texts of one length."""


class Embeds(Protocol):
    """The part of `onesense.Embedder` that evaluation needs."""

    @property
    def info(self) -> ModelInfo:
        """The model's record."""
        ...

    def embed(self, contents: Sequence[Content], *, dim: int | None = None, task: Task | str | None = None) -> Array:
        """Float32 [n, dim], unit rows, in the order of the contents."""
        ...


class Memory:
    """Full-size vectors by content and task, and the model that makes the missing ones. Not thread-safe.

    25,000 contents of 3072 numbers take about 300 MB.
    """

    def __init__(self, embedder: Embeds, on_embed: Callable[[int], None] | None = None) -> None:
        """Wrap an embedder; `on_embed` is told how many contents each call of the model took."""
        self.embedder = embedder
        self.n_embedded = 0
        """Contents that went through the model."""
        self.texts: set[str] = set()
        """Texts that were asked for since this set was last emptied."""
        self._on_embed = on_embed
        self._vectors: dict[bytes, Array] = {}

    def vectors(self, contents: Sequence[Content], task: Task | str | None) -> Array:
        """Float32 [n, D] at full size, in order."""
        keys = [content_key(content, task) for content in contents]
        new = {key: content for key, content in zip(keys, contents, strict=True) if key not in self._vectors}
        self._learn(list(new.items()), task)
        self.texts.update(p.value for c in contents for p in c.parts if isinstance(p.value, str))
        return np.stack([self._vectors[key] for key in keys])

    def _learn(self, new: list[tuple[bytes, Content]], task: Task | str | None) -> None:
        for start in range(0, len(new), CHUNK):
            chunk = new[start : start + CHUNK]
            embedded = self.embedder.embed([content for _, content in chunk], task=task)
            self._vectors.update((key, vector) for (key, _), vector in zip(chunk, embedded, strict=True))
            self.n_embedded += len(chunk)
            if self._on_embed is not None:
                self._on_embed(len(chunk))


class Encoder:
    """A memory of vectors, read at one output size."""

    def __init__(self, memory: Memory, dim: int | None = None) -> None:
        """Read a memory at `dim`, at the model's full size by default."""
        self.memory = memory
        self.dim = memory.embedder.info.dim if dim is None else dim

    def at(self, dim: int) -> Encoder:
        """The same memory at another size; a size that the model lacks raises DimError at the first use."""
        return Encoder(self.memory, dim)

    def embed(self, items: Iterable[str | Part | Content], task: Task | str | None = None) -> Array:
        """Unit vectors of these items.

        Args:
            items: texts, parts or whole contents.
            task: what the vectors are for, see `Task`.

        Returns:
            float32 [n, dim] in the order of the items.

        Raises:
            EmptyInput: there are no items: a development set came out empty.
            OnesenseError: what the embedder raises.
        """
        contents = [item if isinstance(item, Content) else Content(item) for item in items]
        if not contents:
            raise EmptyInput("nothing to embed: this development set is empty in the data folder at hand")
        full = self.memory.vectors(contents, task)
        return np.asarray(truncate_normalize(full, self.dim), np.float32)


def content_key(content: Content, task: Task | str | None) -> bytes:
    """Digest of everything in a content that may change its vector: parts in order, options, title and task."""
    digest = hashlib.sha256(repr((task and str(task), content.title)).encode())
    for part in content.parts:
        _feed(digest, part)
    return digest.digest()


def _feed(digest: Any, value: Any) -> None:
    """Add a value to a digest, type and length first so that neighbours cannot run together."""
    if isinstance(value, np.ndarray):
        digest.update(f"array {value.dtype} {value.shape} ".encode())
        digest.update(np.ascontiguousarray(value).data)
    elif is_dataclass(value):
        digest.update(f"{type(value).__name__} ".encode())
        for item in fields(value):
            _feed(digest, getattr(value, item.name))
    elif isinstance(value, tuple):
        digest.update(f"tuple {len(value)} ".encode())
        for item in value:
            _feed(digest, item)
    else:
        raw = value if isinstance(value, bytes) else value.read_bytes() if isinstance(value, Path) else None
        raw = repr(value).encode() if raw is None else raw
        digest.update(f"{type(value).__name__} {len(raw)} ".encode())
        digest.update(raw)
