"""The embedder: shapes, order, failures, threads, memory, cache."""

from __future__ import annotations

import sys
import threading
import time
import types
from collections.abc import Iterator

import numpy as np
import pytest

import onesense
from onesense.engine import embedder as room
from onesense.engine.cache import VectorCache
from onesense.engine.embedder import Embedder
from onesense.errors import BackendError, DimError, EmptyInput, InvalidInput, NotFound, OnesenseError, UnsupportedMedia
from onesense.types import Array, Batch, Content, Embedding, Features, Image, ModelInfo, Part, Task
from onesense.vectors import truncate_normalize

TEXTS = ["a cat purring", "a red bicycle", "the revenue of the third quarter", "x", "ein Hund " * 50]


class Probe:
    """A backend whose vector tells what it read, and that fails on command."""

    info = ModelInfo("probe", "1", "MIT", frozenset({"text"}), 4, (4, 2), 100, prompts={Task.CLUSTERING: "<{text}>"})

    def __init__(self) -> None:
        self.read: list[str] = []
        self.batches: list[int] = []
        self.n_inside = 0
        self.most_inside = 0
        self.n_closed = 0

    def prepare(self, content: Content) -> Features:
        text = " ".join(str(part.value) for part in content.parts)
        self.read.append(text)
        if text == "prepare fails":
            raise KeyError("no such row")
        if text == "unreadable":
            raise UnsupportedMedia("no modality reads this")
        return Features(text, max(len(text.split()), 1), {"text": max(len(text.split()), 1)}, text.endswith("..."))

    def embed(self, batch: Batch) -> Array:
        self.n_inside += 1
        self.most_inside = max(self.most_inside, self.n_inside)
        self.batches.append(len(batch))
        time.sleep(0.001)  # lets another thread in, if nothing keeps it out
        try:
            return self._rows([f.payload for f in batch.features])
        finally:
            self.n_inside -= 1

    def _rows(self, texts: list[str]) -> Array:
        faults = {"runtime": RuntimeError, "value": ValueError, "memory": MemoryError, "type": TypeError}
        for text in texts:
            if text in faults:
                raise faults[text]("inside the model")
            if text == "interrupt":
                raise KeyboardInterrupt
        rows = np.array([[len(t), sum(map(ord, t)) % 97 + 1, ord(t[0]), 1] for t in texts], np.float32)
        rows[[t == "nan" for t in texts]] = np.nan
        rows[[t == "zero" for t in texts]] = 0
        if "wide" in texts:
            return rows[:, :3]
        return rows.astype(np.float64) if "double" in texts else rows

    def close(self) -> None:
        self.n_closed += 1


@pytest.fixture
def probe() -> Probe:
    return Probe()


@pytest.fixture(scope="module")
def tiny() -> Iterator[Embedder]:
    with Embedder("tiny") as embedder:
        yield embedder


# --- shapes and order ---


@pytest.mark.parametrize("dim", [1, 2, 100, 768, 1536, 3072, None])
def test_rows_are_unit_float32_of_any_size(tiny: Embedder, dim: int | None) -> None:
    rows = tiny.embed(TEXTS, dim)
    assert rows.shape == (len(TEXTS), dim or 3072)
    assert rows.dtype == np.float32
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)


def test_a_small_vector_is_the_head_of_the_large_one(tiny: Embedder) -> None:
    assert np.allclose(tiny.embed(TEXTS, 256), truncate_normalize(tiny.embed(TEXTS), 256), atol=1e-6)


@pytest.mark.parametrize("one", ["a cat", Part("a cat"), Content("a cat"), {"text": "a cat"}])
def test_a_single_content_is_one_row(tiny: Embedder, one: object) -> None:
    assert np.allclose(tiny.embed(one), tiny.embed(["a cat"]), atol=1e-6)
    assert tiny.embed(one).shape == (1, 3072)


def test_nothing_gives_no_rows(tiny: Embedder) -> None:
    assert tiny.embed([], 64).shape == (0, 64)
    assert tiny.embed_detailed([]) == []


def test_a_content_of_many_parts_is_one_row(tiny: Embedder) -> None:
    assert tiny.embed([Content("my bike, ", Part(Image(np.zeros((4, 4, 3), np.uint8)))), "b"]).shape[0] == 2


def test_order_is_kept_across_batches_and_windows(tiny: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"{'word ' * (i * 7 % 40)}{i}" for i in range(60)]
    straight = tiny.embed(texts)
    monkeypatch.setattr(room, "WINDOW_WEIGHT", 7)
    assert np.allclose(tiny.embed(texts), straight, atol=1e-5)
    assert np.allclose(tiny.embed(texts[::-1])[::-1], straight, atol=1e-5)
    assert np.allclose(np.concatenate([tiny.embed(t) for t in texts]), straight, atol=1e-5)


def test_details_tell_tokens_and_truncation(tiny: Embedder) -> None:
    short, long = tiny.embed_detailed(["a cat", "cat " * 2_000])
    assert (short.n_tokens, short.usage, short.truncated) == (2, {"text": 2}, False)
    assert (long.n_tokens, long.truncated) == (512, True)


def test_texts_are_packed_by_length(probe: Probe) -> None:
    Embedder(probe).embed(["w " * 90, "w"] * 40)
    assert len(probe.batches) == 3  # 22 + 18 long, then 22 and 40 short ones at most 128 a batch


# --- tasks ---


def test_a_task_reaches_the_model_as_its_prompt(probe: Probe) -> None:
    embedder = Embedder(probe)
    embedder.embed(["a", "task: clustering | query: b"], task="clustering")
    embedder.embed("c", task="CLUSTERING")
    embedder.embed("d")
    assert sorted(probe.read) == ["<a>", "<b>", "<c>", "d"]


# --- faults of the caller ---


@pytest.mark.parametrize("dim", [0, 3073, -1, 1.5, True])
def test_a_size_that_is_not_possible_is_refused_before_any_work(probe: Probe, dim: int) -> None:
    with pytest.raises(DimError, match="1 to 4"):
        Embedder(probe).embed(["a"], dim)
    assert probe.read == []


def test_an_unknown_task_is_refused(tiny: Embedder) -> None:
    with pytest.raises(InvalidInput, match="unknown task `dance`"):
        tiny.embed(["a"], task="dance")


def test_an_unknown_model_is_refused_at_once_with_those_that_exist() -> None:
    with pytest.raises(NotFound, match="`tiny`"):
        Embedder("tinny")


@pytest.mark.parametrize(
    ("bad", "error"), [("  ", EmptyInput), (5, InvalidInput), (b"x", InvalidInput), ([], EmptyInput)]
)
def test_a_bad_input_is_named_by_its_index(tiny: Embedder, bad: object, error: type[OnesenseError]) -> None:
    with pytest.raises(error, match=r"^contents\[1\]: ") as caught:
        tiny.embed(["fine", bad])
    assert caught.value.index == 1


def test_a_single_bad_input_has_no_index(tiny: Embedder) -> None:
    with pytest.raises(EmptyInput, match=r"^this text") as caught:
        tiny.embed("  ")
    assert caught.value.index is None


def test_a_set_has_no_order(tiny: Embedder) -> None:
    with pytest.raises(InvalidInput, match="not set"):
        tiny.embed({"a", "b"})


# --- faults of the model ---


@pytest.mark.parametrize("fault", ["runtime", "value", "memory", "type", "prepare fails", "nan", "wide", "double"])
def test_what_a_model_raises_becomes_a_backend_error_of_the_item_alone(probe: Probe, fault: str) -> None:
    outcomes = Embedder(probe).try_embed(["a", fault, "b"])
    assert [type(o) for o in outcomes] == [Embedding, BackendError, Embedding]
    assert "probe" in str(outcomes[1])


def test_an_error_of_ours_stays_what_it_is(probe: Probe) -> None:
    outcomes = Embedder(probe).try_embed(["a", "unreadable"])
    assert isinstance(outcomes[1], UnsupportedMedia)


def test_a_vector_without_length_is_refused(probe: Probe) -> None:
    with pytest.raises(InvalidInput, match=r"contents\[1\]: a vector of zero length"):
        Embedder(probe).embed(["a", "zero"])


def test_an_interrupt_is_not_swallowed(probe: Probe) -> None:
    with pytest.raises(KeyboardInterrupt):
        Embedder(probe).embed(["a", "interrupt"])


def test_exceptions_of_onnxruntime_count_as_faults(probe: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    class Fail(Exception):
        pass

    native = types.ModuleType("onnxruntime.capi.onnxruntime_pybind11_state")
    native.Fail = Fail  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, native.__name__, native)
    monkeypatch.setattr(probe, "embed", lambda batch: (_ for _ in ()).throw(Fail("bad node")))
    with pytest.raises(BackendError, match="Fail: bad node"):
        Embedder(probe).embed("a")


def test_after_a_fault_the_next_call_works(probe: Probe) -> None:
    embedder = Embedder(probe)
    with pytest.raises(BackendError):
        embedder.embed(["memory"])
    assert embedder.embed(["a"]).shape == (1, 4)


# --- streams and threads ---


def test_a_stream_takes_no_more_than_a_window_ahead(probe: Probe) -> None:
    n_taken = 0

    def endless() -> Iterator[str]:
        nonlocal n_taken
        while True:
            n_taken += 1
            yield f"text {n_taken}"

    outcomes = Embedder(probe).stream(endless(), dim=2)
    assert isinstance(next(outcomes), Embedding)
    assert n_taken == room.WINDOW_WEIGHT
    for _ in range(room.WINDOW_WEIGHT):
        next(outcomes)
    assert n_taken == 2 * room.WINDOW_WEIGHT


def test_media_weigh_more_than_texts() -> None:
    picture = Part(Image(np.zeros((1, 1, 3), np.uint8)))
    windows = [len(w) for w in room._windows([picture] * 100)]
    assert windows == [32, 32, 32, 4]


def test_a_stream_checks_its_arguments_before_the_first_item(tiny: Embedder) -> None:
    with pytest.raises(DimError):
        tiny.stream(["a"], dim=0)


def test_many_threads_get_their_own_answers_and_the_model_one_batch_at_a_time(probe: Probe) -> None:
    embedder = Embedder(probe)
    expected = {t: embedder.embed(t)[0].tolist() for t in TEXTS}
    wrong: list[str] = []

    def work() -> None:
        for _ in range(10):
            for text, row in zip(TEXTS, embedder.embed(TEXTS).tolist(), strict=True):
                if row != expected[text]:
                    wrong.append(text)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert probe.most_inside == 1


def test_embedders_of_one_name_share_one_model() -> None:
    one, other = Embedder("tiny"), Embedder("models/tiny")
    one.embed("a")
    other.embed("a")
    assert one._loaded() is other._loaded()
    one.close()
    assert other.embed("a").shape == (1, 3072)


def test_closing_ends_the_threads_and_a_backend_of_ones_own(probe: Probe) -> None:
    with Embedder(probe) as embedder:
        embedder.embed(["a", "b"])
    embedder.close()
    assert probe.n_closed >= 1
    assert not [t for t in threading.enumerate() if t.name.startswith("onesense-prepare") and embedder._pool]
    with pytest.raises(InvalidInput, match="closed"):
        embedder.embed("a")


# --- cache and counting ---


def test_a_cached_answer_is_the_same_answer_at_every_size(probe: Probe) -> None:
    cache = VectorCache()
    embedder = Embedder(probe, cache=cache)
    texts = ["one", "two...", "three"]
    first = embedder.embed_detailed(texts)
    n_read = len(probe.read)
    again = embedder.embed_detailed(texts)
    assert len(probe.read) == n_read
    for old, new in zip(first, again, strict=True):
        assert (old.values.tolist(), old.n_tokens, old.truncated) == (new.values.tolist(), new.n_tokens, new.truncated)
    assert np.allclose(embedder.embed(texts, 2), Embedder(Probe()).embed(texts, 2))
    assert len(probe.read) == n_read
    embedder.embed(texts, task="clustering")
    assert len(probe.read) == n_read + 3


def test_a_failure_is_not_cached(probe: Probe) -> None:
    cache = VectorCache()
    embedder = Embedder(probe, cache=cache)
    embedder.try_embed(["nan", "runtime", "unreadable"])
    assert len(cache) == 0


def test_the_cache_tells_models_apart(probe: Probe) -> None:
    cache = VectorCache()
    a, b = Embedder("tiny", cache=cache).embed("a"), Embedder(probe, cache=cache).embed("a")
    assert (a.shape, b.shape) == ((1, 3072), (1, 4))


def test_tokens_are_counted_without_embedding(probe: Probe) -> None:
    counted = Embedder(probe).count_tokens(["one two", "three..."])
    assert [(f.n_tokens, f.truncated, f.payload) for f in counted] == [(2, False, None), (1, True, None)]
    assert probe.batches == []
    with pytest.raises(EmptyInput, match=r"contents\[1\]"):
        Embedder(probe).count_tokens(["a", ""])


def test_the_public_name_is_this_class() -> None:
    assert onesense.Embedder is Embedder
