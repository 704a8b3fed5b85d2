"""The background work of batches: one batch at a time, a few lines at a time, whenever nobody else waits.

A line that fails is a result with an error; the batch goes on. The state on the disk is always that of the last settled
line, so the work survives a restart, a deleted input file and `kill -9`.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import orjson

from ..engine.faults import faults
from ..errors import Busy, InvalidInput, MalformedRequest, NotFound, OnesenseError, StorageFull, Unavailable
from ..types import Embedding
from ..vectors import check_dim
from . import gemini_wire as wire
from .batchstore import BatchRow, BatchStore, settled
from .engine import Engine, Job, plain_name
from .filestore import FileSpec, FileStore
from .gemini import obeys_tasks, read_one
from .protojson import read
from .settings import Settings
from .sources import Sources
from .uploads import DISK_FULL

GROUP_LINES = 32  # lines between two settled states; one round of the model or two
GROUP_BYTES = 4 << 20  # of lines that are held at once, save one that alone is longer
_YIELD_S = 5.0  # longest wait for a quiet moment: a busy server still gets its batches done
_POLL_S = 0.01
_IDLE_S = 1.0  # between two looks for work of another process, or for a lock that it holds
_FULL_S = 5.0  # between two attempts on a full disk
_GIVE_UP = 2  # attempts at a single line that the server died of

_Out = TypeVar("_Out")
_log = logging.getLogger(__name__)

RPC_CODES = {
    "CANCELLED": 1, "UNKNOWN": 2, "INVALID_ARGUMENT": 3, "DEADLINE_EXCEEDED": 4, "NOT_FOUND": 5, "ALREADY_EXISTS": 6,
    "PERMISSION_DENIED": 7, "RESOURCE_EXHAUSTED": 8, "FAILED_PRECONDITION": 9, "ABORTED": 10, "OUT_OF_RANGE": 11,
    "UNIMPLEMENTED": 12, "INTERNAL": 13, "UNAVAILABLE": 14, "DATA_LOSS": 15, "UNAUTHENTICATED": 16,
}  # fmt: skip
"""Numbers of google.rpc.Code, which stand in a failed line's `error.code`."""


@dataclass(frozen=True, slots=True)
class _Line:
    """One request of a batch."""

    label: dict[str, Any]
    """`key` or `metadata`, which come back with the result."""
    wanted: wire.Wanted | OnesenseError


class Worker:
    """Works through the batches of a store. `run` is a task of the server's event loop; `wake` tells it of a new one.

    Args:
        store: the batches.
        files: where result files go.
        engine: embeds.
        sources: opens the files that requests name.
        settings: of the server.
    """

    def __init__(
        self, store: BatchStore, files: FileStore, engine: Engine, sources: Sources, settings: Settings
    ) -> None:
        self._store = store
        self._files = files
        self._engine = engine
        self._sources = sources
        self._settings = settings
        self._new = asyncio.Event()
        self._begun = ("", 0)  # batch and line that this process began last

    def wake(self) -> None:
        """Look for work now."""
        self._new.set()

    async def run(self) -> None:
        """Work for ever; only one process does, however many serve the same folder."""
        lock = _Lock(self._store.folder / "worker.lock")
        try:
            while not lock.take():  # noqa: ASYNC110  # another process holds it, and no event comes from there
                await asyncio.sleep(_IDLE_S)
            while True:
                if await self._step():
                    continue
                self._new.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._new.wait(), _IDLE_S)
        finally:
            lock.release()

    async def _step(self) -> bool:
        """Work on the next batch, if there is one; whether it could be worked on."""
        try:
            batch = self._store.next()
            if batch is not None:
                await self._work(batch)
        except (
            OnesenseError
        ) as error:  # a full disk, or a database that cannot be written: nobody's request is to blame
            _log.warning("the batches wait: %s", error)
            await asyncio.sleep(_FULL_S)
            return False
        return batch is not None

    async def _work(self, batch: BatchRow) -> None:
        """Bring one batch to its end, or to where it is stopped."""
        try:
            await self._lines(batch)
        except NotFound:  # it was deleted meanwhile; or the model is gone, and then it still stands there
            with suppress(NotFound):
                self._store.fail(self._store.get(batch.owner, batch.id), *_told(_model_gone(batch)))
        except asyncio.CancelledError:
            self._store.pause(batch)
            raise
        except Unavailable:  # the server goes down: `run` is cancelled next
            self._store.pause(batch)
            await asyncio.sleep(_IDLE_S)
        except StorageFull:
            raise
        except OnesenseError as error:
            self._store.fail(batch, *_told(error))
        except OSError as error:
            if error.errno in DISK_FULL:
                raise StorageFull("the disk of the server is full: free some space") from error
            self._store.fail(batch, *_told(StorageFull(f"the disk of the server failed: {error.strerror}")))
        except faults():  # a bug of ours ends one batch, not all that come after it
            _log.exception("batches/%s failed", batch.id)
            bug = OnesenseError("an internal error occurred; the server's log says more")
            self._store.fail(batch, *_told(bug))

    async def _lines(self, batch: BatchRow) -> None:
        width = self._engine.info(batch.model).dim
        if not (batch.n_done == batch.n_requests and not batch.output.exists()):
            settled(batch.output, batch.written_bytes)
            with batch.input.open("rb") as source, batch.output.open("ab") as target:
                source.seek(batch.read_bytes)
                while batch.n_done < batch.n_requests:
                    place = (batch.id, batch.n_done)
                    batch = self._store.attempt(batch, is_again=place == self._begun)
                    self._begun = place
                    if not batch.state.is_open:
                        return
                    texts = await asyncio.to_thread(_read_group, source, self._limit, 1 if batch.is_careful else None)
                    if not texts:
                        raise InvalidInput(f"the input ends after {batch.n_done} of {batch.n_requests} requests")
                    results = await self._results(batch, texts, width)
                    batch = await _whole(self._settle, batch, source, target, results)
        if batch.input_file:
            await _whole(self._publish, batch)
        else:
            self._store.succeed(batch)

    @property
    def _limit(self) -> int:
        return self._settings.limits.max_body_bytes

    async def _results(self, batch: BatchRow, texts: Sequence[bytes], width: int) -> list[dict[str, Any]]:
        """A result a line, in order."""
        if batch.is_careful and batch.n_attempts > _GIVE_UP:
            died = InvalidInput("the server died twice while it read this request: it was left out")
            return [_result(_label(_loaded(texts[0], self._limit)), died)]
        lines = await asyncio.to_thread(_parse, texts, batch, self._limit, width)
        await self._give_way()
        outcomes = await self._embed(batch, lines)
        return [_result(line.label, outcome) for line, outcome in zip(lines, outcomes, strict=True)]

    async def _give_way(self) -> None:
        """Wait for a moment in which nobody waits for an answer, but not for ever."""
        for _ in range(int(_YIELD_S / _POLL_S)):
            if not self._engine.in_flight:
                return
            await asyncio.sleep(_POLL_S)

    async def _embed(self, batch: BatchRow, lines: Sequence[_Line]) -> list[Embedding | OnesenseError]:
        honours = obeys_tasks(self._settings, batch.model)
        refs = [ref for line in lines if isinstance(line.wanted, wire.Wanted) for ref in line.wanted.refs]
        async with self._sources.opened(refs, batch.owner) as opened:
            parts = iter(opened)
            jobs: list[Job | OnesenseError] = []
            for line in lines:
                if isinstance(line.wanted, OnesenseError):
                    jobs.append(line.wanted)
                    continue
                own = [next(parts) for _ in line.wanted.refs]
                fault = next((part for part in own if isinstance(part, OnesenseError)), None)
                good = [part for part in own if not isinstance(part, OnesenseError)]
                jobs.append(fault or line.wanted.job(good, honours_task=honours))
            found = iter(await self._embed_jobs(batch, [job for job in jobs if isinstance(job, Job)]))
            return [next(found) if isinstance(job, Job) else job for job in jobs]

    async def _embed_jobs(self, batch: BatchRow, jobs: Sequence[Job]) -> Sequence[Embedding | OnesenseError]:
        while True:
            try:
                outcomes = await self._engine.embed_jobs(jobs, model=plain_name(batch.model))
            except Busy as busy:
                await asyncio.sleep(busy.retry_after_s)
                continue
            if down := next((o for o in outcomes if isinstance(o, Unavailable)), None):
                raise down
            return outcomes

    def _settle(
        self, batch: BatchRow, source: BinaryIO, target: BinaryIO, results: Sequence[dict[str, Any]]
    ) -> BatchRow:
        """Append results, then note that they are there."""
        for result in results:
            target.write(orjson.dumps(result, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE))
        target.flush()
        os.fsync(target.fileno())
        n_failed = sum("error" in result for result in results)
        return self._store.settle(
            batch,
            n_done=batch.n_done + len(results),
            n_failed=batch.n_failed + n_failed,
            read_bytes=source.tell(),
            written_bytes=target.tell(),
        )

    def _publish(self, batch: BatchRow) -> None:
        """Make the output a file that can be downloaded; done before, when the server died in between."""
        spec = FileSpec(f"batch{batch.id}", f"Results of batches/{batch.id}", "application/jsonl")
        if batch.output.exists():
            self._files.adopt(batch.output, batch.owner, spec, batch.base, is_generated=True)
        self._store.succeed(batch, f"files/{spec.id}")


async def _whole(work: Callable[..., _Out], *arguments: Any) -> _Out:
    """Run something in a thread to its end, also when the server goes down meanwhile."""
    doing = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        return await asyncio.shield(doing)
    except asyncio.CancelledError:
        await doing
        raise


def status(error: OnesenseError) -> dict[str, Any]:
    """A google.rpc.Status: what stands in the `error` of a failed line."""
    code, message = _told(error)
    return {"code": code, "message": message}


def _told(error: OnesenseError) -> tuple[int, str]:
    return RPC_CODES[error.gemini_status], str(error)


def _model_gone(batch: BatchRow) -> NotFound:
    return NotFound(f"this server no longer has the model `{batch.model}`")


def _result(label: dict[str, Any], outcome: Embedding | OnesenseError) -> dict[str, Any]:
    if isinstance(outcome, OnesenseError):
        return label | {"error": status(outcome)}
    return label | {"response": {"tokenCount": str(outcome.n_tokens), "embedding": wire.embedding(outcome)}}


def _read_group(source: BinaryIO, limit: int, n_lines: int | None) -> list[bytes]:
    """The next lines that are not blank; of one beyond the limit only its beginning."""
    texts: list[bytes] = []
    size = 0
    while len(texts) < (n_lines or GROUP_LINES) and size < GROUP_BYTES:
        text = source.readline(limit + 1)
        if not text:
            break
        rest = text
        while rest and not rest.endswith(b"\n"):
            rest = source.readline(limit + 1)
        if text.strip():
            texts.append(text)
            size += len(text)
    return texts


def _parse(texts: Sequence[bytes], batch: BatchRow, limit: int, width: int) -> list[_Line]:
    found = []
    for place, text in enumerate(texts):
        loaded = _loaded(text, limit)
        label = _label(loaded)
        try:
            found.append(_Line(label, _wanted(loaded, batch.model, width)))
        except OnesenseError as error:
            where = f"line {batch.n_done + place + 1}: " if batch.input_file else f"requests[{batch.n_done + place}]: "
            found.append(_Line(label, type(error)(where + str(error))))
    return found


def _loaded(text: bytes, limit: int) -> Any:
    if len(text) > limit:
        return MalformedRequest(f"a request has at most {limit:,} bytes, and this one has more")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as cause:
        return MalformedRequest(f"not JSON: {cause}")


def _label(loaded: Any) -> dict[str, Any]:
    return {name: loaded[name] for name in ("key", "metadata") if name in loaded} if isinstance(loaded, dict) else {}


def _wanted(loaded: Any, model: str, width: int) -> wire.Wanted:
    """One request.

    Raises:
        InvalidInput: it is none, or asks for something that cannot be.
    """
    if isinstance(loaded, OnesenseError):
        raise loaded
    if not isinstance(loaded, dict) or not isinstance(loaded.get("request"), dict):
        raise MalformedRequest('an object with a `request` was expected: `{"key": …, "request": {"content": …}}`')
    wanted = read_one(read(wire.EMBED_REQUEST, loaded["request"], "request"), model)
    if wanted.dim is not None:
        check_dim(wanted.dim, width)
    return wanted


class _Lock:
    """Held by one process at a time, and let go by the system when that one dies."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")

    def take(self) -> bool:
        try:
            import fcntl
        except ImportError:  # Windows: there one process per folder is the owner's concern
            return True
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        self._file.close()
