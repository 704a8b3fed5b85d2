"""Decoding in processes of its own, so that a crash, a hang or a bomb costs one item and nothing else.

A worker is a fresh interpreter, never a fork. It runs one call at a time under limits of memory, processor time, wall
time, output and open files; on Linux it also loses the network, the right to write files and to start programs. It is
replaced when it dies, and after `max_tasks` calls.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Any, BinaryIO, TypeVar, cast

from .. import errors
from ..errors import DecodeError, OnesenseError, TooLarge, Unavailable
from ._wire import WireError, pack, unpack

_Out = TypeVar("_Out")

_MAX_WORKERS = 4  # as many as threads decode elsewhere; more only fight with the model for the cores
_LAST_WORDS_S = 5.0  # for a worker whose pipes are closed to end and say why
_START_S = 60.0  # for an interpreter to come up on a machine that is busy
_STARTED = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from onesense.media._worker import main; main()"
_KEPT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "LANG", "LC_ALL", "PYTHONHOME")
"""What a worker sees of the environment; keys and tokens are not among it."""
_FRUGAL = {"MALLOC_ARENA_MAX": "2", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
_PIPE_BYTES = 1 << 20  # Linux gives 64 KB, which costs a change of process each


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """What one call may take."""

    memory_bytes: int = 2 << 30
    """Address space of a worker beyond its start. A picture of 120 MP in 16 bits takes 1.5 GB on its way."""
    cpu_s: float = 300.0
    """Seconds of processor time."""
    wall_s: float = 300.0
    """Seconds that the caller waits, for each item of a stream."""
    output_bytes: int = 512 << 20
    """Decoded media in one answer: an hour of sound takes 230 MB, 100 pages the same."""
    open_files: int = 64
    max_tasks: int = 500
    """Calls until a worker is replaced, so that what its libraries leak ends with it."""


@dataclass(frozen=True, slots=True)
class _Call:
    frame: list[bytes | memoryview]
    is_stream: bool


class _Lost(Exception):
    """A worker died, or was ended, over a call."""

    def __init__(self, error: OnesenseError, *, is_limit: bool = False) -> None:
        super().__init__(str(error))
        self.error = error
        self.is_limit = is_limit
        """A limit was reached: another attempt would end the same way."""


class Sandbox:
    """A pool of processes that decode. Thread-safe; whoever made it closes it.

    Workers start when they are needed, at most `n_workers`. A function that is handed in is named by its module, so it
    stands at the top of one; its arguments and its answer are made of None, numbers, str, bytes, `Path`, uint8 and
    float32 arrays, the nouns of `types`, and lists, tuples and dicts of these. An answer holds no bytes and no paths.
    A call must be repeatable: where a worker that has served before dies, a fresh one tries once more, because an
    earlier input may be to blame.

    Args:
        n_workers: processes at most; one a core, up to 4, when None.
        limits: of each call.
    """

    def __init__(self, n_workers: int | None = None, limits: SandboxLimits | None = None) -> None:
        self.limits = limits or SandboxLimits()
        self.n_workers = n_workers or min(_MAX_WORKERS, os.cpu_count() or 1)
        self._slots: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        for _ in range(self.n_workers):
            self._slots.put(None)
        self._live: set[_Worker] = set()
        self._lock = threading.Lock()
        self._is_closed = False

    def run(self, function: Callable[..., _Out], *arguments: Any) -> _Out:
        """`function(*arguments)`, worked out in a worker; waits while all of them are busy.

        Raises:
            OnesenseError: as the function raised it.
            DecodeError: the call crashed its worker.
            TooLarge: it took more memory or time, or its answer is larger, than the limits allow.
            Unavailable: the sandbox is closed, a worker does not start, or somebody killed it.
        """
        with closing(self._answers(_call(function, arguments, is_stream=False))) as answers:
            answer = next(answers, None)
            for _ in answers:
                raise _nonsense("two answers")
            return answer  # type: ignore[return-value]  # the codec knows nothing of types

    def stream(self, function: Callable[..., Iterator[_Out]], *arguments: Any) -> Iterator[_Out]:
        """The items of an iterator, as they come; the worker waits while the caller is slow.

        Closing the iterator early ends the worker. Raises as `run`, after the items that came before.
        """
        return self._answers(_call(function, arguments, is_stream=True))

    def close(self) -> None:
        """End every worker; calls in flight raise Unavailable. Calling it twice is fine."""
        with self._lock:
            self._is_closed = True
            live, self._live = self._live, set()
        for worker in live:
            worker.end()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answers(self, call: _Call) -> Generator[Any, None, None]:
        wants_fresh = False
        while True:
            with self._borrowed(fresh=wants_fresh) as worker:
                was_fresh, n_items = worker.n_tasks == 0, 0
                try:
                    for item in worker.answers(call):
                        n_items += 1
                        yield item
                    return
                except _Lost as lost:
                    if self._is_closed:
                        raise _closed() from None
                    if lost.is_limit or was_fresh or n_items:
                        raise lost.error from None
                    wants_fresh = True

    @contextmanager
    def _borrowed(self, *, fresh: bool) -> Iterator[_Worker]:
        """A worker for one call; it goes back to the others, or ends where it is spent or in the middle of something.

        Raises:
            Unavailable: the sandbox is closed, or no worker starts.
        """
        worker = self._slots.get()
        try:
            if worker is not None and (fresh or not worker.is_usable):
                self._end(worker)
                worker = None
            worker = worker or self._begun()
            yield worker
        finally:
            if worker is not None and not worker.is_usable:
                self._end(worker)
                worker = None
            self._slots.put(worker)

    def _begun(self) -> _Worker:
        with self._lock:
            if self._is_closed:
                raise _closed()
            worker = _Worker(self.limits)
            self._live.add(worker)
        return worker

    def _end(self, worker: _Worker) -> None:
        worker.end()
        with self._lock:
            self._live.discard(worker)


class _Worker:
    """One process. Used by one thread at a time, but for `end`."""

    def __init__(self, limits: SandboxLimits) -> None:
        self.n_tasks = 0
        self._limits = limits
        self._is_idle = False
        self._is_overdue = False
        self._is_ready = False
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ} | _FRUGAL
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _STARTED, json.dumps(sys.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment,
            )
        except OSError as cause:
            raise Unavailable(f"no process can be started to read this input: {cause}") from cause
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._calls: IO[bytes] = self._process.stdin
        self._results = cast(BinaryIO, self._process.stdout)
        for pipe in (self._calls, self._results):
            _widen(pipe)

    @property
    def is_usable(self) -> bool:
        """It waits for a call, and is not spent."""
        return self._is_idle and self.n_tasks < self._limits.max_tasks and self._process.poll() is None

    def answers(self, call: _Call) -> Iterator[Any]:
        """What a call yields. Raises what it raised, or _Lost."""
        self._begin()
        self._is_idle = False
        with self._watched(self._limits.wall_s):
            self._write(call.frame)
        while True:
            kind, value = self._read(self._limits.wall_s)
            if kind == "item":
                yield value
                continue
            self._is_idle = True
            self.n_tasks += 1
            if kind == "error":
                raise _error(*value)
            return

    def end(self) -> None:
        """Kill it, and wait until it is gone."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._calls, self._results):
            with suppress(OSError):  # what was still to be written has no reader any more
                pipe.close()

    def _begin(self) -> None:
        """Wait until it has started."""
        if self._is_ready:
            return
        limits = self._limits
        with self._watched(_START_S):
            self._write(
                pack(
                    {
                        "memory_bytes": limits.memory_bytes,
                        "open_files": limits.open_files,
                        "cpu_s": limits.cpu_s,
                        "wall_s": limits.wall_s,
                        "output_bytes": limits.output_bytes,
                    }
                )
            )
        try:
            self._read(_START_S)
        except _Lost as lost:
            advice = "its own words are in the log"
            raise Unavailable(f"a process that reads media does not start ({lost.error}): {advice}") from None
        self._is_ready = self._is_idle = True

    def _write(self, frame: list[bytes | memoryview]) -> None:
        try:
            for piece in frame:
                self._calls.write(piece)
            self._calls.flush()
        except (OSError, ValueError):
            raise self._lost() from None

    def _read(self, timeout_s: float) -> tuple[str, Any]:
        try:
            with self._watched(timeout_s):
                message = unpack(self._results, self._limits.output_bytes, may_name_files=False)
        except (OSError, EOFError, ValueError):
            raise self._lost() from None
        except WireError as cause:
            raise _Lost(_nonsense(str(cause)), is_limit=True) from None
        match message:
            case ["ready" | "item" | "end" as kind, value]:
                return kind, value
            case ["error", [str(), str()] as told]:
                return "error", told
        raise _Lost(_nonsense("a message of another form"), is_limit=True)

    @contextmanager
    def _watched(self, timeout_s: float) -> Iterator[None]:
        """Kill the process if the block takes longer."""
        timer = threading.Timer(timeout_s, self._expire)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _expire(self) -> None:
        self._is_overdue = True
        self._process.kill()

    def _lost(self) -> _Lost:
        """Why it died, for the caller whose call it was."""
        with suppress(subprocess.TimeoutExpired):  # its pipes close before it is gone
            self._process.wait(_LAST_WORDS_S)
        self._process.kill()
        code = self._process.wait()
        name = signal.Signals(-code).name if -code in signal.valid_signals() else f"exit code {code}"
        if self._is_overdue or name == "SIGALRM":
            return _Lost(_too_long(f"{self._limits.wall_s:g} s"), is_limit=True)
        if name == "SIGXCPU":
            return _Lost(_too_long(f"{self._limits.cpu_s:g} s of the processor"), is_limit=True)
        if name in ("SIGKILL", "SIGTERM"):
            why = "was killed, perhaps because this machine ran out of memory"
            return _Lost(Unavailable(f"the process that read this input {why}: try again"))
        return _Lost(DecodeError(f"this input crashed its decoder ({name}): it is damaged, or made to do harm"))


def _call(function: Callable[..., Any], arguments: tuple[Any, ...], *, is_stream: bool) -> _Call:
    module, name = function.__module__, function.__qualname__
    if "<" in name:
        raise TypeError(f"`{module}.{name}` has no name that another process could find it by")
    return _Call(pack([module, name, list(arguments), is_stream]), is_stream)


def _error(name: str, message: str) -> OnesenseError:
    """An error that a worker reports; the list of classes is closed."""
    found = getattr(errors, name, None)
    known = isinstance(found, type) and issubclass(found, OnesenseError)
    return found(message) if known else OnesenseError(message)  # type: ignore[misc]  # it is a class where it is known


def _too_long(limit: str) -> TooLarge:
    return TooLarge(f"reading this input takes more than {limit}: send a shorter stretch of it, or raise the limit")


def _nonsense(what: str) -> DecodeError:
    return DecodeError(f"the decoder of this input answered nonsense ({what}): it is damaged, or made to do harm")


def _closed() -> Unavailable:
    return Unavailable("the processes that read media were ended while this input waited")


def _widen(pipe: IO[bytes]) -> None:
    if sys.platform == "linux":
        import fcntl

        with suppress(OSError):  # beyond what one user may have
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
