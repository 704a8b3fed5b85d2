"""The engine of the server: many requests, one owner of the device.

contents -> prepare (threads: cache, decode, tokenise) -> fair queue -> rounds under a token budget -> device thread.
A round takes what waits at that moment, one item of each request in turn; it never waits for more than 2 ms, and only
while something is being prepared. An item that fails is the outcome of its own place.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from onesense.engine.batcher import MAX_ITEMS
from onesense.engine.cache import VectorCache
from onesense.engine.embedder import MEDIA_WEIGHT, Embedder, Outcome, Prepared
from onesense.engine.faults import guarded
from onesense.errors import Busy, NotFound, OnesenseError, TooLarge, Unavailable
from onesense.media.sandbox import Sandbox, SandboxLimits
from onesense.types import Content, Features, ModelInfo, Task
from onesense.vectors import check_dim

from .fair_queue import FairQueue
from .settings import Settings
from .sources import without_paths
from .trace import Trace

GATHER_S = 0.002  # longest wait for inputs that are being prepared, so that they share a batch
_CHUNK = 16  # texts prepared by one call of a thread: the hop costs about as much as one short text
_AHEAD = 2  # chunks of one request that are prepared at once, so that others get their turn
_QUICK_LETTERS = 2_000  # about 500 tokens, tokenised in under a millisecond
_MAX_WORKERS = 4  # threads that prepare; more only fight with the model for the cores
_SLOWEST_RATE = 1.0  # weight per second assumed before anything was measured

_Out = TypeVar("_Out")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """One vector that is wanted."""

    content: Content
    dim: int | None = None
    """Output size; all of it when None."""
    task: Task | None = None
    auto_truncate: bool = True
    """False: an input that is longer than the model reads is refused instead of cut."""


@dataclass(eq=False, slots=True)
class _Item:
    """A job on its way."""

    job: Job
    dim: int
    prepared: Prepared | None = None
    outcome: Outcome | None = None
    ready_s: float = 0.0
    """When it was prepared, on the clock of `time.perf_counter`."""
    waited_s: float = 0.0
    ran_s: float = 0.0


@dataclass(eq=False, slots=True)
class _Request:
    """The items of one call, and how many of them are still without an outcome."""

    embedder: Embedder
    items: list[_Item]
    n_open: int
    done: asyncio.Event = field(default_factory=asyncio.Event)
    is_gone: bool = False

    def settle(self, item: _Item, outcome: Outcome) -> None:
        """Note an outcome; the last one wakes the caller."""
        item.outcome = outcome
        self.n_open -= 1
        if self.n_open == 0:
            self.done.set()


class Engine:
    """Embeds for many callers at once. `start` it in the event loop that it is used in; `close` drains it.

    Args:
        settings: which models, and the limits of queue and batches.
        embedders: of every model of the settings, closed with the engine; made by name when None.

    Raises:
        NotFound: a model of the settings does not exist.
    """

    def __init__(self, settings: Settings, embedders: Mapping[str, Embedder] | None = None) -> None:
        self._limits = settings.limits
        self._names = settings.names
        self._default = settings.model
        self.cache = VectorCache(settings.cache_path, max_items=settings.cache_items) if _caches(settings) else None
        """Vectors of earlier requests, None where none are kept."""
        self.sandbox = _sandbox(settings)
        """Processes that decode media, None where the server does so itself."""
        self._embedders = embedders or {
            name: Embedder(name, cache=self.cache, sandbox=self.sandbox) for name in settings.models
        }
        self._queues: dict[Embedder, FairQueue[tuple[_Request, _Item]]] = {
            embedder: FairQueue() for embedder in self._embedders.values()
        }
        workers = min(_MAX_WORKERS, os.cpu_count() or 1)
        self._preparing = ThreadPoolExecutor(workers, thread_name_prefix="onesense-prepare")
        self._reading = ThreadPoolExecutor(workers, thread_name_prefix="onesense-read")  # media, so texts pass them
        self._device = ThreadPoolExecutor(1, thread_name_prefix="onesense-device")
        self._arrived = asyncio.Event()
        self._warm = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._fault: OnesenseError | None = None
        self._is_closing = False
        self._n_preparing = 0
        self._in_flight: set[_Request] = set()
        self._weight = 0
        self._rate = _SLOWEST_RATE
        self.on_round: Callable[[int, int, float], None] | None = None
        """Called after each round with its items, tokens and seconds."""

    # --- life -------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin to serve, and load the models in the background; `ready` tells when that is done."""
        self._tasks = [asyncio.create_task(self._warm_up()), asyncio.create_task(self._run())]

    async def ready(self) -> None:
        """Wait until the models are loaded.

        Raises:
            OnesenseError: they could not be.
        """
        await self._warm.wait()
        if self._fault is not None:
            raise self._fault

    @property
    def is_ready(self) -> bool:
        """Whether the models are loaded and requests are taken."""
        return self._warm.is_set() and self._fault is None and not self._is_closing

    async def close(self) -> None:
        """Take no more, finish what is in flight, and free threads and cache. Calling it twice is fine."""
        self._is_closing = True
        with suppress(TimeoutError):
            async with asyncio.timeout(self._limits.shutdown_s):
                for request in tuple(self._in_flight):
                    await request.done.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await asyncio.to_thread(self._free)

    def _free(self) -> None:
        if self.sandbox is not None:
            self.sandbox.close()  # first, for threads that wait for it
        self._preparing.shutdown(cancel_futures=True)
        self._reading.shutdown(cancel_futures=True)
        self._device.shutdown(cancel_futures=True)
        for embedder in self._embedders.values():
            embedder.close()
        if self.cache is not None:
            self.cache.close()

    async def _warm_up(self) -> None:
        """Load every model and send a word through it, so that the first request finds everything in memory."""
        try:
            for embedder in self._embedders.values():
                await self._on(self._device, embedder.embed, "warm")
        except OnesenseError as error:
            self._fault = error
            _log.error("no request can be answered: %s", error)
        self._warm.set()

    # --- what callers ask ---------------------------------------------------------------------------------------------

    def info(self, model: str | None = None) -> ModelInfo:
        """The record of the model behind a name.

        Raises:
            NotFound: this server has no such name.
        """
        return self._embedder(model).info

    @property
    def waiting(self) -> int:
        """Items that are prepared and wait for the model."""
        return sum(len(queue) for queue in self._queues.values())

    @property
    def in_flight(self) -> int:
        """Calls of `embed` that are not answered yet."""
        return len(self._in_flight)

    async def embed(
        self, contents: Sequence[Content], *, model: str | None, dim: int | None = None, task: Task | None = None
    ) -> list[Outcome]:
        """Embed contents; error i belongs to content i. Arguments and errors as `embed_jobs`."""
        return await self.embed_jobs([Job(content, dim, task) for content in contents], model=model)

    async def embed_jobs(self, jobs: Sequence[Job], *, model: str | None, trace: Trace | None = None) -> list[Outcome]:
        """Embed contents, each with a size and a task of its own.

        Cancelling the call drops whatever of it has not begun.

        Args:
            jobs: one vector each.
            model: any name that this server answers; None for its first model.
            trace: notes how long each stage took.

        Returns:
            One outcome a job, in order.

        Raises:
            NotFound: this server has no such model.
            DimError: the model cannot give a size that is asked for.
            Busy: too much is waiting.
            Unavailable: the server is going down.
        """
        embedder = self._embedder(model)
        items = [_Item(job, embedder.info.dim if job.dim is None else job.dim) for job in jobs]
        for item in items:
            check_dim(item.dim, embedder.info.dim)
        if not items:
            return []
        request = _Request(embedder, items, len(items))
        start_s = time.perf_counter()
        async with self._admitted([job.content for job in jobs]):
            self._in_flight.add(request)
            try:
                await self.ready()
                await self._prepare_all(request)
                await request.done.wait()
            finally:
                self._leave(request)
        if trace is not None:
            _note(trace, request, start_s)
        return [_outcome(item) for item in items]

    async def count_tokens(
        self, contents: Sequence[Content], *, model: str | None, task: Task | None = None
    ) -> list[Features | OnesenseError]:
        """Tokens by modality of each content, and whether it would be cut; an error takes the place of its content.

        Raises:
            NotFound: this server has no such model.
            Busy: too much is waiting.
            Unavailable: the server is going down.
        """
        embedder = self._embedder(model)

        def count(content: Content) -> Features | OnesenseError:
            try:
                return embedder.count_tokens(content, task)[0]
            except OnesenseError as error:
                return without_paths(error, content)

        async with self._admitted(contents):
            await self.ready()
            return [await self._on(self._pool_of(content), count, content) for content in contents]

    def _embedder(self, model: str | None) -> Embedder:
        name = plain_name(model) if model else self._default
        if name not in self._names:
            raise unknown_model(name)
        return self._embedders[self._names[name]]

    # --- admission ----------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _admitted(self, contents: Sequence[Content]) -> AsyncIterator[None]:
        """Count contents while they are worked on.

        Raises:
            Busy: too much is waiting.
            Unavailable: the server is going down.
        """
        self._refuse_closing()
        weight = sum(map(_weight, contents))
        self._refuse_full(weight)
        self._weight += weight
        try:
            yield
        finally:
            self._weight -= weight

    def _leave(self, request: _Request) -> None:
        """Forget a request; one that was cancelled leaves nothing behind."""
        self._in_flight.discard(request)
        request.is_gone = True
        request.done.set()
        self._queues[request.embedder].drop(request)

    def _refuse_closing(self) -> None:
        if self._is_closing:
            raise Unavailable("the server is going down: try again, or ask another one")

    def _refuse_full(self, weight: int) -> None:
        """Refuse what does not fit; a request that is larger than the whole queue gets in when nothing else waits."""
        if self._weight and self._weight + weight > self._limits.max_waiting:
            wait_s = min(60.0, max(1.0, self._weight / self._rate))
            error = Busy(f"The model is overloaded: {self._weight} units of work wait. Please retry in {wait_s:.0f}s.")
            error.retry_after_s = wait_s
            raise error

    # --- preparing ----------------------------------------------------------------------------------------------------

    async def _prepare_all(self, request: _Request) -> None:
        chunks = list(_chunks(request.items))
        if len(chunks) == 1:
            await self._prepare(request, chunks[0])
            return
        turns = asyncio.Semaphore(_AHEAD)

        async def in_turn(chunk: Sequence[_Item]) -> None:
            async with turns:
                await self._prepare(request, chunk)

        async with asyncio.TaskGroup() as group:
            for chunk in chunks:
                group.create_task(in_turn(chunk))

    async def _prepare(self, request: _Request, chunk: Sequence[_Item]) -> None:
        """Prepare a few items; those that the model must read join the queue, the others are done."""
        self._n_preparing += 1
        try:
            if self.in_flight == 1 and _is_quick(chunk):
                found = _prepare_chunk(request, chunk)
            else:
                found = await self._on(self._pool_of(chunk[0].job.content), _prepare_chunk, request, chunk)
        finally:
            self._n_preparing -= 1
        for item, prepared in zip(chunk, found, strict=True):
            item.ready_s = time.perf_counter()
            if isinstance(prepared, Prepared):
                item.prepared = prepared
                self._queues[request.embedder].put(request, (request, item))
            else:
                request.settle(item, prepared)
        self._arrived.set()

    # --- the model ----------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        """Take rounds for ever, one model after the other."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self.waiting:
                await self._gather()
                for embedder, queue in self._queues.items():
                    await self._round(embedder, queue)

    async def _gather(self) -> None:
        """Let inputs that are almost prepared join this round."""
        deadline = time.perf_counter() + GATHER_S
        while self._n_preparing and (left := deadline - time.perf_counter()) > 0:
            self._arrived.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._arrived.wait()

    async def _round(self, embedder: Embedder, queue: FairQueue[tuple[_Request, _Item]]) -> None:
        taken = queue.take(self._limits.batch_tokens, MAX_ITEMS, _cost)
        if not taken:
            return
        start_s = time.perf_counter()
        prepared = [item.prepared for _, item in taken if item.prepared is not None]
        try:
            with guarded(embedder.info.name, f"embedding {len(taken)} inputs"):
                outcomes = await self._on(self._device, embedder.embed_prepared, prepared, [i.dim for _, i in taken])
        except OnesenseError as error:  # the rounds go on whatever happens in one of them
            outcomes = [error] * len(taken)
        ran_s = time.perf_counter() - start_s
        for (request, item), outcome in zip(taken, outcomes, strict=True):
            item.waited_s, item.ran_s = start_s - item.ready_s, ran_s
            request.settle(item, outcome)
        self._learn(taken, ran_s)

    def _learn(self, taken: Sequence[tuple[_Request, _Item]], ran_s: float) -> None:
        """Keep a running mean of the weight done per second: what a client that has to wait is told."""
        done = sum(_weight(item.job.content) for _, item in taken) / max(ran_s, 1e-6)
        self._rate = done if self._rate == _SLOWEST_RATE else 0.8 * self._rate + 0.2 * done
        if self.on_round is not None:
            self.on_round(len(taken), sum(_cost(entry) for entry in taken), ran_s)

    def _pool_of(self, content: Content) -> ThreadPoolExecutor:
        return self._preparing if _weight(content) == 1 else self._reading

    async def _on(self, pool: ThreadPoolExecutor, work: Callable[..., _Out], *arguments: Any) -> _Out:
        return await asyncio.get_running_loop().run_in_executor(pool, work, *arguments)


def plain_name(model: str) -> str:
    """The name of a model without `models/`, `publishers/google/models/`, or a Vertex project before it."""
    return model.strip().removeprefix("/").rpartition("models/")[2]


def unknown_model(model: str, version: str = "v1", method: str = "embedContent") -> NotFound:
    """A name that this server does not answer, or not for this method, in Google's words."""
    return NotFound(
        f"models/{plain_name(model)} is not found for API version {version}, or is not supported for {method}. "
        "Call ListModels to see the list of available models and their supported methods."
    )


def _caches(settings: Settings) -> bool:
    return settings.cache_items > 0 or settings.cache_path is not None


def _sandbox(settings: Settings) -> Sandbox | None:
    limits = settings.limits
    if settings.decoders == 0:
        return None
    seconds = float(limits.decode_s)
    taken = SandboxLimits(memory_bytes=limits.decode_bytes, cpu_s=seconds, wall_s=seconds)
    return Sandbox(settings.decoders, taken)


def _prepare_chunk(request: _Request, chunk: Sequence[_Item]) -> list[Prepared | Outcome]:
    return [_prepare_one(request, item) for item in chunk]


def _prepare_one(request: _Request, item: _Item) -> Prepared | Outcome:
    """Runs in a thread. What the cache knows needs no model, so it is finished here."""
    if request.is_gone:
        return Unavailable("the caller has left")
    embedder = request.embedder
    try:
        prepared = embedder.prepare(item.job.content, item.job.task)
        if prepared.is_truncated and not item.job.auto_truncate:
            limit = embedder.info.max_tokens
            return TooLarge(f"longer than the {limit} tokens that `{embedder.info.name}` reads; allow `autoTruncate`")
    except OnesenseError as error:
        return without_paths(error, item.job.content)
    if prepared.cached is not None:
        return embedder.embed_prepared([prepared], [item.dim])[0]
    return prepared


def _chunks(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    """Texts sixteen at a time, anything with media alone."""
    chunk: list[_Item] = []
    for item in items:
        if _weight(item.job.content) > 1:
            yield [item]
            continue
        chunk.append(item)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _is_quick(chunk: Sequence[_Item]) -> bool:
    """One short text: where nobody else is served, the way to a thread and back takes longer than to tokenise it."""
    parts = chunk[0].job.content.parts
    return len(chunk) == len(parts) == 1 and isinstance(parts[0].value, str) and len(parts[0].value) < _QUICK_LETTERS


def _weight(content: Content) -> int:
    return 1 if all(isinstance(part.value, str) for part in content.parts) else MEDIA_WEIGHT


def _cost(entry: tuple[_Request, _Item]) -> int:
    prepared = entry[1].prepared
    return 0 if prepared is None else prepared.n_tokens


def _outcome(item: _Item) -> Outcome:
    return item.outcome or Unavailable("the server went down before this input was embedded")


def _note(trace: Trace, request: _Request, start_s: float) -> None:
    """How the item that came last spent its time; the stages add up to the whole."""
    last = max(request.items, key=lambda item: item.ready_s + item.waited_s + item.ran_s)
    trace.add("prepare", last.ready_s - start_s)
    trace.add("queue", last.waited_s)
    trace.add("model", last.ran_s)
