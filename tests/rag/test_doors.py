"""The adapters with the frameworks' own packages: `make test-doors`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import asked_library
from onesense.engine.embedder import Embedder
from onesense.index.collection import Collection

QUERY = "garden shed budget"


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    folder = tmp_path_factory.mktemp("doors")
    with Collection.open(asked_library.build(folder / "files", folder / "test.json")) as opened:
        yield opened


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return Embedder("tiny")


def check(text: str, metadata: dict) -> None:
    assert "4200 euros" in text
    assert Path(metadata["path"]).name == "budget.md"
    assert metadata["link"].startswith("onesense://test/")


def test_langchain(collection: Collection, embedder: Embedder) -> None:
    from langchain_core.runnables import RunnableLambda
    from langchain_core.vectorstores import InMemoryVectorStore

    from onesense.rag.doors.langchain import OnesenseEmbeddings, OnesenseRetriever

    retriever = OnesenseRetriever(collection=collection, k=3, modality=("text",))
    found = (retriever | RunnableLambda(list)).invoke(QUERY)
    check(found[0].page_content, found[0].metadata)
    store = InMemoryVectorStore(OnesenseEmbeddings(embedder, 128))
    store.add_texts(["the garden shed", "a train to Lisbon"])
    assert store.similarity_search("garden shed", 1)[0].page_content == "the garden shed"


def test_llamaindex(collection: Collection, embedder: Embedder) -> None:
    from llama_index.core import VectorStoreIndex
    from llama_index.core.schema import TextNode

    from onesense.rag.doors.llamaindex import OnesenseEmbedding, OnesenseRetriever

    found = OnesenseRetriever(collection, 3).retrieve(QUERY)
    check(found[0].node.text, found[0].node.metadata)
    nodes = [TextNode(text="the garden shed"), TextNode(text="a train to Lisbon")]
    index = VectorStoreIndex(nodes, embed_model=OnesenseEmbedding(embedder, 128))
    assert index.as_retriever(similarity_top_k=1).retrieve("garden shed")[0].node.text == "the garden shed"


def test_haystack(collection: Collection, embedder: Embedder) -> None:
    from haystack import Pipeline

    from onesense.rag.doors.haystack import OnesenseRetriever, OnesenseTextEmbedder

    pipeline = Pipeline()
    pipeline.add_component("retriever", OnesenseRetriever(collection, 3))
    pipeline.add_component("embedder", OnesenseTextEmbedder(embedder, 128))
    out = pipeline.run({"retriever": {"query": QUERY}, "embedder": {"text": QUERY}})
    first = out["retriever"]["documents"][0]
    check(first.content, first.meta)
    assert len(out["embedder"]["embedding"]) == 128
