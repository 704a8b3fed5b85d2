"""How mteb's rows and task types become ours; mteb itself drives the wrapper in tests/train."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from onesense.errors import MissingExtra
from onesense.evals import mteb
from onesense.types import Audio, Content, Part, Task


def metadata(kind: str, name: str = "X", modalities=("text",), domains=None) -> SimpleNamespace:
    return SimpleNamespace(type=kind, name=name, modalities=list(modalities), domains=domains)


@pytest.mark.parametrize(
    ("record", "prompt", "task"),
    [
        (metadata("Retrieval"), "query", Task.SEARCH_QUERY),
        (metadata("Retrieval"), "document", Task.SEARCH_DOCUMENT),
        (metadata("Retrieval", domains=["Programming"]), "query", Task.CODE_RETRIEVAL),
        (metadata("Retrieval", name="ClimateFEVER"), "query", Task.FACT_CHECKING),
        (metadata("Clustering"), None, Task.CLUSTERING),
        (metadata("STS"), None, Task.SENTENCE_SIMILARITY),
        (metadata("Any2AnyRetrieval", modalities=("text", "image")), "query", None),
    ],
)
def test_task_types(record, prompt, task):
    assert mteb.task_of(record, prompt) is task


def test_rows_become_contents():
    assert mteb.contents({"text": ["a", "b"]}) == [Content("a"), Content("b")]
    assert mteb.contents({"text": ["t b"], "title": ["t"], "body": ["b"]}) == [Content("b", title="t")]
    sound = {"array": np.zeros(8_000, np.float32), "sampling_rate": 8_000}
    (both,) = mteb.contents({"text": ["with words"], "audio": [sound]})
    assert both.parts[0].mime_type == "audio/wav" and both.parts[1] == Part.text("with words")
    from onesense.media import decode

    kind, value = decode(both.parts[0])
    assert kind == "audio" and isinstance(value, Audio) and len(value.samples) == 16_000


def test_the_wrapper_embeds_in_order_and_cuts(oracle):
    encoder = object.__new__(mteb.Encoder)
    encoder.embedder, encoder.dim = oracle, 64
    batches = [{"text": ["thing1", "thing2"]}, {"text": ["thing1"]}]
    vectors = encoder.encode(batches, task_metadata=metadata("STS"))
    assert vectors.shape == (3, 64) and np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.allclose(encoder.similarity(vectors, vectors)[0], [1, vectors[0] @ vectors[1], 1], atol=1e-5)
    assert encoder.similarity_pairwise(vectors[:1], vectors[2:])[0] == pytest.approx(1, abs=1e-5)
    assert {task for _, task in oracle.calls} == {Task.SENTENCE_SIMILARITY}


def test_without_mteb_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(mteb, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"onesense\[eval\]"):
        mteb.meta("tiny")
