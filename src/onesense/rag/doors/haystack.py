"""Haystack: a retriever and a text embedder for its pipelines (`pip install haystack-ai`).

The meta of a document are those of the passage: path, link, page or seconds, confidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from haystack import Document, component

from onesense.engine.embedder import Embedder
from onesense.index.collection import Collection
from onesense.types import Task, Where

from . import _passages


@component
class OnesenseRetriever:
    """Passages of a collection as documents, diverse, best first; their score is the confidence."""

    def __init__(
        self, collection: Collection, k: int = 8, *, modality: Sequence[str] = (), where: Where | None = None
    ) -> None:
        self._collection, self._k, self._modality, self._where = collection, k, modality, where

    @component.output_types(documents=list[Document])
    def run(self, query: str) -> dict[str, Any]:
        """Find the passages for a query."""
        found = _passages.of(self._collection, query, self._k, self._modality, self._where)
        return {"documents": [Document(id=f.id, content=f.text, meta=f.metadata, score=f.score) for f in found]}


@component
class OnesenseTextEmbedder:
    """The vector of a text, for a query unless another task is named."""

    def __init__(self, embedder: Embedder, dim: int | None = None, task: Task = Task.SEARCH_QUERY) -> None:
        self._embedder, self._dim, self._task = embedder, dim, task

    @component.output_types(embedding=list[float])
    def run(self, text: str) -> dict[str, Any]:
        """Embed a text."""
        return {"embedding": _passages.vectors(self._embedder, [text], self._dim, self._task)[0]}
