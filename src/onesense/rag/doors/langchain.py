"""LangChain: a retriever and embeddings (`pip install langchain-core`).

The metadata of a document are those of the passage: path, link, page or seconds, confidence.
"""

from __future__ import annotations

from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever

from onesense.engine.embedder import Embedder
from onesense.index.collection import Collection
from onesense.types import Task

from . import _passages


class OnesenseRetriever(BaseRetriever):
    """Passages of a collection as documents, diverse, best first. The collection stays its owner's."""

    collection: Any
    """An open `Collection`."""
    k: int = 8
    modality: tuple[str, ...] = ()
    """Only these kinds; all when empty."""
    where: dict[str, Any] | None = None
    """Filter, as in `Collection.search`."""

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        del run_manager
        assert isinstance(self.collection, Collection)
        found = _passages.of(self.collection, query, self.k, self.modality, self.where)
        return [Document(id=f.id, page_content=f.text, metadata=f.metadata) for f in found]


class OnesenseEmbeddings(Embeddings):
    """Vectors of an embedder, documents and queries for their own tasks."""

    def __init__(self, embedder: Embedder, dim: int | None = None) -> None:
        self._embedder, self._dim = embedder, dim

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Unit vectors, one a text."""
        return _passages.vectors(self._embedder, texts, self._dim, Task.SEARCH_DOCUMENT)

    def embed_query(self, text: str) -> list[float]:
        """A unit vector."""
        return _passages.vectors(self._embedder, [text], self._dim, Task.SEARCH_QUERY)[0]
