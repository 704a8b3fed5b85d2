"""The wrapper driven by mteb itself, on tasks that live in memory."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from onesense.errors import InvalidInput, UnsupportedModality
from onesense.evals import mteb as ours
from onesense.types import Task

pytestmark = pytest.mark.filterwarnings("ignore")  # of mteb and what it imports

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    mteb = pytest.importorskip("mteb", reason="the extra [eval]")
    from mteb.mocks import mock_tasks


class Watched(ours.Encoder):
    """Notes what it was asked for."""

    def __init__(self, model: str) -> None:
        super().__init__(model)
        self.asked: list[tuple[str, Task | None]] = []

    def encode(self, inputs, *, task_metadata, prompt_type=None, **kwargs):
        batches = list(inputs)
        self.asked.append((str(sorted(batches[0])), ours.task_of(task_metadata, prompt_type and prompt_type.value)))
        return super().encode(batches, task_metadata=task_metadata, prompt_type=prompt_type, **kwargs)


def score(encoder, task) -> float:
    results = mteb.evaluate(encoder, task, cache=None, show_progress_bar=False, co2_tracker=False)
    return results.task_results[0].get_score()


def retrieval(corpus: dict[str, str], queries: dict[str, str], right: dict[str, str]):
    """A retrieval task of mteb's own class, with our rows."""
    from datasets import Dataset

    class Own(mock_tasks.MockRetrievalTask):
        def load_data(self, **_):
            split = {
                "corpus": Dataset.from_list([{"id": k, "text": v, "title": ""} for k, v in corpus.items()]),
                "queries": Dataset.from_list([{"id": k, "text": v} for k, v in queries.items()]),
                "relevant_docs": {q: {d: 1} for q, d in right.items()},
                "top_ranked": None,
            }
            self.dataset = {"default": dict.fromkeys(self.metadata.eval_splits, split)}
            self.data_loaded = True

    return Own()


def test_mteb_measures_search_with_the_bundled_model():
    corpus = {
        "a": "Photosynthesis turns light, water and carbon dioxide into sugar in the leaves of plants.",
        "b": "The Treaty of Rome was signed in 1957 and founded the European Economic Community.",
        "c": "A violin has four strings, usually tuned in perfect fifths.",
        "d": "Basalt is a dark rock that forms when lava cools quickly.",
    }
    queries = {"1": "how do plants make their food?", "2": "¿cuántas cuerdas tiene un violín?"}
    encoder = Watched("onesense-mini")
    assert score(encoder, retrieval(corpus, queries, {"1": "a", "2": "c"})) == pytest.approx(1.0)
    assert {task for _, task in encoder.asked} == {Task.SEARCH_QUERY, Task.SEARCH_DOCUMENT}


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("MockSTSTask", Task.SENTENCE_SIMILARITY),
        ("MockClassificationTask", Task.CLASSIFICATION),
        ("MockBitextMiningTask", Task.SENTENCE_SIMILARITY),
        ("MockImageClassificationTask", None),
        ("MockAny2AnyRetrievalT2ITask", None),
    ],
)
def test_mteb_measures_other_types(name, task):
    encoder = Watched("tiny")
    assert np.isfinite(score(encoder, getattr(mock_tasks, name)()))
    assert {asked for _, asked in encoder.asked} == {task}


def test_the_record_is_one_that_mteb_takes_and_loads():
    meta = ours.meta()
    assert meta.name == "onesense/onesense-mini" and "image" in meta.modalities
    loaded = ours.meta("tiny", dim=64).load_model()
    assert loaded.mteb_model_meta.name == "onesense/tiny" and loaded.dim == 64
    from mteb.models import EncoderProtocol

    assert isinstance(loaded, EncoderProtocol)


def test_tasks_that_we_have_trained_on_have_names_that_mteb_knows():
    known = set(mteb.tasks.__dict__) | {task.metadata.name for task in mteb.get_tasks(exclude_superseded=False)}
    assert known >= ours.TRAINED_ON


def test_sounds_go_through_the_decoder():
    wave = np.sin(np.arange(44_100) * 440 * 2 * np.pi / 44_100).astype(np.float32)
    (content,) = ours.contents({"audio": [{"array": np.stack([wave, wave]), "sampling_rate": 44_100}]})
    from onesense.media import decode

    kind, sound = decode(content.parts[0])
    assert kind == "audio" and sound.duration_s == pytest.approx(1.0, abs=0.01)


def test_what_is_not_read_is_refused():
    with pytest.raises(UnsupportedModality, match="video"):
        ours.contents({"video": [object()]})
    with pytest.raises(InvalidInput, match="expected one of"):
        ours.contents({"words": ["x"]})
    with pytest.raises(InvalidInput, match="revision"):
        ours.Encoder("tiny", "of another day")
    with pytest.raises(InvalidInput, match="no task or benchmark"):
        ours.run("tiny", ["NoSuchTask"])
