"""Work on collections that takes longer than a request: one job after the other, watched and cancelled by its id."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from typing import Any

from ..errors import Busy, NotFound, OnesenseError
from ..index.pace import Pace

_KEPT = 50  # jobs that are over and can still be looked at
_WAITING = 100
_log = logging.getLogger(__name__)


class State(StrEnum):
    """Where a job is in its life."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Cancelled(Exception):
    """Raised out of a job's progress, so that the work stops at the next file."""


class Job:
    """One piece of work. Written by its thread, read by requests; `version` grows with every change."""

    def __init__(self, collection: str, kind: str, work: Callable[[Job], Any]) -> None:
        self.id = secrets.token_hex(8)
        self.collection = collection
        self.kind = kind
        self.state = State.WAITING
        self.version = 0
        self._work = work
        self._pace = Pace()
        self._progress: dict[str, Any] = {
            "done": 0,
            "total": None,
            "path": None,
            "files_per_s": 0,
            "seconds_left": None,
        }
        self._result: Any = None
        self._error: OnesenseError | None = None
        self._created_s = time.time()
        self._ended_s: float | None = None
        self._wants_cancel = threading.Event()

    def progress(self, n_done: int, n_total: int, path: str) -> None:
        """What indexing calls after each file.

        Raises:
            Cancelled: somebody asked for it.
        """
        per_s, left_s = self._pace.at(n_done, n_total)
        told = {"done": n_done, "total": n_total, "path": path, "files_per_s": round(per_s, 2), "seconds_left": left_s}
        self._change(progress=told)
        if self._wants_cancel.is_set():
            raise Cancelled

    def cancel(self) -> None:
        """Stop at the next file; what is indexed by then stays."""
        self._wants_cancel.set()
        if self.state is State.WAITING:
            self._change(state=State.CANCELLED)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state not in (State.WAITING, State.RUNNING)

    def run(self) -> None:
        """Do the work; every outcome is noted, none is raised."""
        if self.is_over:
            return
        self._change(state=State.RUNNING)
        try:
            self._change(result=self._work(self), state=State.DONE)
        except Cancelled:
            self._change(state=State.CANCELLED)
        except OnesenseError as error:
            self._change(error=error, state=State.FAILED)
        except OSError as error:
            told = OnesenseError(f"the server could not read or write: {error.strerror or type(error).__name__}")
            self._change(error=told, state=State.FAILED)
        finally:
            if not self.is_over:  # a bug: its traceback is the thread's own, but nobody waits for ever
                self._change(error=OnesenseError("an internal error; the server's log says more"), state=State.FAILED)

    def to_dict(self) -> dict[str, Any]:
        """What a watcher sees."""
        error = self._error
        return {
            "id": self.id,
            "collection": self.collection,
            "kind": self.kind,
            "state": self.state.value,
            "created_s": self._created_s,
            "ended_s": self._ended_s,
            "progress": self._progress,
            "result": self._result,
            "error": {"code": error.code, "message": str(error)} if error else None,
        }

    def _change(self, **fields: Any) -> None:
        if "state" in fields and fields["state"] is not State.RUNNING:
            self._ended_s = time.time()
        for name, value in fields.items():
            setattr(self, name if name == "state" else f"_{name}", value)
        self.version += 1


class Jobs:
    """The jobs of a server, in one thread, in the order they came. `close` stops them."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._lock = threading.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="onesense-jobs")

    def submit(self, collection: str, kind: str, work: Callable[[Job], Any]) -> Job:
        """Line up a job; `work` gets it, reports to its `progress`, and returns what JSON can hold.

        Raises:
            Busy: too many wait.
        """
        job = Job(collection, kind, work)
        with self._lock:
            over = [j.id for j in self._jobs.values() if j.is_over]
            for id_ in over[: max(0, len(over) - _KEPT)]:
                del self._jobs[id_]
            if len(self._jobs) - len(over) >= _WAITING:
                raise Busy(f"{_WAITING} jobs wait already: try again when some are done")
            self._jobs[job.id] = job
        self._thread.submit(self._run, job)
        return job

    def get(self, id_: str) -> Job:
        """One job.

        Raises:
            NotFound: it never was, or is forgotten.
        """
        job = self._jobs.get(id_)
        if job is None:
            raise NotFound(f"there is no job `{id_[:40]}`: it ended a while ago, or the server was started anew")
        return job

    def of(self, collection: str) -> list[Job]:
        """The jobs of a collection, newest first."""
        with self._lock:
            return [job for job in reversed(self._jobs.values()) if job.collection == collection]

    def close(self) -> None:
        """Cancel everything and wait for what runs."""
        for job in list(self._jobs.values()):
            if not job.is_over:
                job.cancel()
        self._thread.shutdown(cancel_futures=True)

    @staticmethod
    def _run(job: Job) -> None:
        try:
            job.run()
        finally:
            _log.info("job %s (%s of `%s`) is %s", job.id, job.kind, job.collection, job.state.value)
