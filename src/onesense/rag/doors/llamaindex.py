"""LlamaIndex: a retriever and an embedding (`pip install llama-index-core`).

The metadata of a node are those of the passage: path, link, page or seconds, confidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

from onesense.engine.embedder import Embedder
from onesense.index.collection import Collection
from onesense.types import Task, Where

from . import _passages


class OnesenseRetriever(BaseRetriever):
    """Passages of a collection as nodes, diverse, best first; their score is the confidence."""

    def __init__(
        self, collection: Collection, k: int = 8, *, modality: Sequence[str] = (), where: Where | None = None
    ) -> None:
        self._collection, self._k, self._modality, self._where = collection, k, modality, where
        super().__init__()

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        found = _passages.of(self._collection, query_bundle.query_str, self._k, self._modality, self._where)
        return [NodeWithScore(node=TextNode(id_=f.id, text=f.text, metadata=f.metadata), score=f.score) for f in found]


class OnesenseEmbedding(BaseEmbedding):
    """Vectors of an embedder, texts and queries for their own tasks."""

    _embedder: Any = PrivateAttr()
    _dim: int | None = PrivateAttr()

    def __init__(self, embedder: Embedder, dim: int | None = None, **options: Any) -> None:
        super().__init__(model_name=embedder.info.name, **options)
        self._embedder, self._dim = embedder, dim

    def _get_query_embedding(self, query: str) -> list[float]:
        return _passages.vectors(self._embedder, [query], self._dim, Task.SEARCH_QUERY)[0]

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_query_embedding(query)

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return _passages.vectors(self._embedder, texts, self._dim, Task.SEARCH_DOCUMENT)
