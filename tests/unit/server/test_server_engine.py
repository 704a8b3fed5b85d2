"""Many callers, one device: order, fairness, back-pressure, departures, failures, shutdown."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from onesense import Content, Embedder, Part
from onesense.engine.backends.tiny import Backend as Tiny
from onesense.engine.cache import VectorCache
from onesense.errors import (
    BackendError,
    Busy,
    DimError,
    EmptyInput,
    InvalidInput,
    NotFound,
    OnesenseError,
    TooLarge,
    Unavailable,
)
from onesense.server.engine import Engine, Job
from onesense.server.settings import ServerLimits, Settings
from onesense.server.trace import Trace
from onesense.types import Array, Batch, Embedding, Features, Image, Task


class Slow(Tiny):
    """`tiny`, which can be held back, and notes what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.open = threading.Event()
        self.open.set()
        self.rounds: list[int] = []
        self.prepared = 0

    def prepare(self, content: Content) -> Features:
        self.prepared += 1
        return super().prepare(content)

    def embed(self, batch: Batch) -> Array:
        assert self.open.wait(20)
        self.rounds.append(len(batch))
        if any(f.n_tokens == 13 for f in batch.features):
            raise BackendError("thirteen")
        return super().embed(batch)


Test = Callable[[Engine, Slow], Awaitable[None]]


def run(test: Test, *, cache: VectorCache | None = None, **limits: int) -> None:
    """Run a test with a started engine."""

    async def inside() -> None:
        backend = Slow()
        settings = Settings(models=("tiny",), limits=ServerLimits(**limits))
        engine = Engine(settings, {"tiny": Embedder(backend, cache=cache)})
        await engine.start()
        await engine.ready()
        backend.rounds.clear()
        backend.prepared = 0
        try:
            await test(engine, backend)
        finally:
            backend.open.set()
            await engine.close()

    asyncio.run(asyncio.wait_for(inside(), 30))


async def until(what: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 10
    while not what():
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0.005)


def values(outcomes: list[Embedding | OnesenseError]) -> Array:
    for outcome in outcomes:
        assert isinstance(outcome, Embedding), outcome
    return np.array([outcome.values for outcome in outcomes if isinstance(outcome, Embedding)])


TEXTS = [f"{'word ' * (i % 7)} number {i}" for i in range(40)]


def test_many_callers_at_once_each_get_what_the_embedder_gives() -> None:
    async def test(engine: Engine, backend: Slow) -> None:
        answers = await asyncio.gather(*(engine.embed([Content(t)], model=None, dim=64) for t in TEXTS))
        with Embedder("tiny") as embedder:
            np.testing.assert_allclose(
                np.concatenate([values(a) for a in answers]), embedder.embed(TEXTS, 64), atol=1e-5
            )
        assert len(backend.rounds) < len(TEXTS)

    run(test)


def test_one_call_keeps_its_order_with_sizes_and_tasks_of_their_own() -> None:
    async def test(engine: Engine, backend: Slow) -> None:
        jobs = [Job(Content(t), 1 + i) for i, t in enumerate(TEXTS)]
        jobs.append(Job(Content("x", title="T"), 8, Task.SEARCH_DOCUMENT))
        found = await engine.embed_jobs(jobs, model="gemini-embedding-2")
        with Embedder("tiny") as embedder:
            for job, one in zip(jobs, found, strict=True):
                assert isinstance(one, Embedding)
                expected = embedder.embed(job.content, job.dim, job.task)[0]
                np.testing.assert_allclose(one.values, expected, atol=1e-5)

    run(test)


def test_an_item_that_fails_leaves_its_error_in_its_place() -> None:
    async def test(engine: Engine, backend: Slow) -> None:
        contents = [
            Content("fine"),
            Content(" "),
            Content(Part.bytes(b"\x00\x01", "image/png")),
            Content("w " * 13),
            Content("good"),
        ]
        found = await engine.embed(contents, model=None, dim=4)
        assert [type(f) for f in found] == [Embedding, EmptyInput, type(found[2]), BackendError, Embedding]
        assert isinstance(found[2], InvalidInput)

    run(test)


def test_texts_do_not_wait_for_media_that_are_being_read() -> None:
    reading = threading.Event()

    class Reads(Slow):
        def prepare(self, content: Content) -> Features:
            if not isinstance(content.parts[0].value, str):
                assert reading.wait(20)
            return super().prepare(content)

    async def inside() -> None:
        engine = Engine(Settings(models=("tiny",)), {"tiny": Embedder(Reads())})
        await engine.start()
        picture = Content(Part(Image(np.zeros((8, 8, 3), np.uint8))))
        media = asyncio.create_task(engine.embed([picture] * 12, model=None))
        await until(lambda: engine.in_flight == 1)
        values(await engine.embed([Content("a text")], model=None))
        assert not media.done()
        reading.set()
        assert len(values(await media)) == 12
        await engine.close()

    asyncio.run(asyncio.wait_for(inside(), 30))


def test_a_small_call_is_answered_while_a_large_one_goes_on() -> None:
    async def test(engine: Engine, backend: Slow) -> None:
        backend.open.clear()
        large = asyncio.create_task(engine.embed([Content(f"{i} word") for i in range(64)], model=None))
        await until(lambda: engine.waiting >= 40)
        small = asyncio.create_task(engine.embed([Content("small")], model=None))
        await until(lambda: backend.prepared == 65)
        done: list[str] = []
        large.add_done_callback(lambda _: done.append("large"))
        small.add_done_callback(lambda _: done.append("small"))
        backend.open.set()
        values(await small)
        values(await large)
        assert done == ["small", "large"]

    run(test, batch_tokens=16)


def test_rounds_stay_within_the_budget() -> None:
    async def test(engine: Engine, backend: Slow) -> None:
        backend.open.clear()
        contents = [Content("three words here") for _ in range(20)]
        call = asyncio.create_task(engine.embed(contents, model=None))
        await until(lambda: backend.prepared == 20)
        backend.open.set()
        values(await call)
        assert max(backend.rounds) <= 10

    run(test, batch_tokens=30)


def test_too_much_waiting_is_refused_with_a_delay_and_nothing_is_lost() -> None:
    async def test(engine: Engine, backend: Slow) -> None:
        backend.open.clear()
        calls = [asyncio.create_task(engine.embed([Content(f"n {i}")] * 4, model=None)) for i in range(2)]
        await until(lambda: engine.in_flight == 2)
        with pytest.raises(Busy, match="Please retry in") as caught:
            await engine.embed([Content("one more")], model=None)
        assert 1 <= caught.value.retry_after_s <= 60
        backend.open.set()
        for call in calls:
            assert len(values(await call)) == 4
        values(await engine.embed([Content("now")] * 100, model=None))  # alone, larger than the queue

    run(test, max_waiting=8)


def test_who_leaves_takes_what_has_not_begun_with_him() -> None:
    async def test(engine: Engine, backend: Slow) -> None:
        backend.open.clear()
        first = asyncio.create_task(engine.embed([Content("first")], model=None))
        await until(lambda: backend.prepared == 1 and engine.waiting == 0)
        gone = asyncio.create_task(engine.embed([Content(f"gone {i}") for i in range(50)], model=None))
        await until(lambda: engine.waiting == 50)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        assert engine.waiting == 0
        backend.open.set()
        values(await first)
        values(await engine.embed([Content("after")], model=None))
        assert sum(backend.rounds) == 2
        assert engine.in_flight == 0

    run(test)


def test_faults_of_a_call_are_raised_before_anything_is_done() -> None:
    async def test(engine: Engine, backend: Slow) -> None:
        with pytest.raises(NotFound, match="models/other is not found"):
            await engine.embed([Content("x")], model="other")
        for dim in (0, -1, 3073):
            with pytest.raises(DimError):
                await engine.embed([Content("x")], model=None, dim=dim)
        assert await engine.embed([], model=None) == []
        assert backend.rounds == []

    run(test)


def test_what_is_too_long_is_refused_where_the_caller_wants_no_cut() -> None:
    async def test(engine: Engine, backend: Slow) -> None:
        long = Content("word " * 600)
        cut, refused = await engine.embed_jobs([Job(long), Job(long, auto_truncate=False)], model=None)
        assert isinstance(cut, Embedding)
        assert cut.truncated
        assert isinstance(refused, TooLarge)

    run(test)


def test_the_cache_answers_without_the_model_and_in_any_size() -> None:
    async def test(engine: Engine, backend: Slow) -> None:
        first = await engine.embed([Content("again")], model=None)
        n_rounds = len(backend.rounds)
        second = await engine.embed([Content("again")], model=None, dim=16)
        assert len(backend.rounds) == n_rounds
        cut = values(first)[0, :16]
        np.testing.assert_allclose(values(second)[0], cut / np.linalg.norm(cut), atol=1e-6)

    run(test, cache=VectorCache())


def test_tokens_are_counted_and_faults_stay_in_their_place() -> None:
    async def test(engine: Engine, backend: Slow) -> None:
        found = await engine.count_tokens([Content("a b c"), Content(" ")], model=None)
        assert isinstance(found[0], Features)
        assert (found[0].n_tokens, found[0].usage) == (3, {"text": 3})
        assert isinstance(found[1], EmptyInput)
        assert backend.rounds == []

    run(test)


def test_the_stages_of_a_call_add_up_to_its_time() -> None:
    async def test(engine: Engine, backend: Slow) -> None:
        trace = Trace()
        start_s = time.perf_counter()
        await engine.embed_jobs([Job(Content(t)) for t in TEXTS], model=None, trace=trace)
        assert list(trace.stages) == ["prepare", "queue", "model"]
        assert 0 < sum(trace.stages.values()) <= time.perf_counter() - start_s

    run(test, batch_tokens=16)


def test_closing_finishes_what_is_in_flight_and_takes_nothing_new() -> None:
    async def test(engine: Engine, backend: Slow) -> None:
        backend.open.clear()
        call = asyncio.create_task(engine.embed([Content("in flight")], model=None))
        await until(lambda: engine.in_flight == 1)
        closing = asyncio.create_task(engine.close())
        await asyncio.sleep(0.05)
        assert not engine.is_ready
        with pytest.raises(Unavailable):
            await engine.embed([Content("late")], model=None)
        with pytest.raises(Unavailable):
            await engine.count_tokens([Content("late")], model=None)
        backend.open.set()
        values(await call)
        await closing

    run(test)


def test_a_fault_that_nobody_foresaw_ends_its_round_only(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(engine: Engine, backend: Slow) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Embedder, "embed_prepared", lambda *_: [][0])
            (found,) = await engine.embed([Content("x")], model=None)
        assert isinstance(found, BackendError)
        values(await engine.embed([Content("x")], model=None))

    run(test)


def test_a_model_that_does_not_load_is_told_to_everybody(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Tiny):
        def embed(self, batch: Batch) -> Array:
            raise RuntimeError("no weights")

    async def inside() -> None:
        engine = Engine(Settings(models=("tiny",)), {"tiny": Embedder(Broken())})
        await engine.start()
        with pytest.raises(BackendError, match="no weights"):
            await engine.embed([Content("x")], model=None)
        assert not engine.is_ready
        await engine.close()

    asyncio.run(inside())
    assert "no weights" in caplog.text


def test_a_name_is_known_with_and_without_what_stands_before_it() -> None:
    async def test(engine: Engine, backend: Slow) -> None:
        names = [
            None,
            "tiny",
            "models/tiny",
            "gemini-embedding-001",
            "publishers/google/models/gemini-embedding-2",
            "projects/p/locations/l/publishers/google/models/tiny",
        ]
        for name in names:
            assert engine.info(name).name == "tiny"

    run(test)
