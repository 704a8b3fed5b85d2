"""A model that cannot be used here, for a collection whose vectors came from elsewhere: it can be read, not asked."""

from __future__ import annotations

from typing import NoReturn

from onesense.errors import MissingExtra
from onesense.types import Array, Batch, Content, Features, ModelInfo, StoreSpec

REVISION = "imported"
"""Revision of a model whose vectors were imported."""


def info(name: str, dim: int) -> ModelInfo:
    """A record for a model of which only the name and the size of its vectors are known."""
    return ModelInfo(name, REVISION, "unknown", frozenset(), dim, (dim,), 0)


class Absent:
    """A `Backend` in whose place nothing stands: browsing, "more like this", filters and export need no model."""

    def __init__(self, spec: StoreSpec) -> None:
        self.info = info(spec.model, spec.dim)

    def prepare(self, content: Content) -> Features:
        """Refuse. Raises MissingExtra."""
        del content
        self._refuse()

    def embed(self, batch: Batch) -> Array:
        """Refuse. Raises MissingExtra."""
        del batch
        self._refuse()

    def close(self) -> None:
        """Nothing is held."""

    def _refuse(self) -> NoReturn:
        name = self.info.name
        raise MissingExtra(
            f"this collection holds vectors of `{name}`, which is not installed here, so a new text or file cannot be "
            f"embedded for it: search with `like` an item that is in it, or embed its files with a model that is here "
            f"(`onesense reembed`)"
        )
