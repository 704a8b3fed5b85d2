"""`onesense eval`: run the development sets over a model and report the numbers with what they stand on."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from .. import __version__, plugins
from ..errors import InvalidInput, NotFound, OnesenseError
from . import overlap
from .encoder import Embeds, Encoder, Memory
from .packs import Packs
from .report import Report, TaskReport
from .task import DIMS, EvalTask, Result, Scope


@dataclass(frozen=True, slots=True)
class Step:
    """Where a run stands, for a progress bar."""

    task: str
    """Name of the task at work."""
    done: int
    """Tasks that are finished."""
    n_tasks: int
    n_embedded: int
    """Contents that went through the model so far, all tasks together."""


Progress = Callable[[Step], None]


def task_names() -> list[str]:
    """Names of all tasks, built-in and from other packages (entry-point group `onesense.tasks`), sorted."""
    return sorted(plugins.names("tasks"))


def load_task(name: str) -> EvalTask:
    """The task of this name.

    Raises:
        NotFound: no task has this name; the message lists those that exist.
        PluginError: it does not load.
    """
    task: EvalTask = plugins.load("tasks", name)
    return task


def evaluate(
    model: str | Embeds,
    data: str | Path | Packs | None = None,
    tasks: Sequence[str] | None = None,
    *,
    limit: int | None = None,
    dims: Sequence[int] = DIMS,
    seed: int = 0,
    progress: Progress | None = None,
    command: str | None = None,
) -> Report:
    """Measure a model on the development sets.

    Args:
        model: name of a model, or an embedder that is open already.
        data: the data folder; None takes the setting `ONESENSE_DATA`.
        tasks: names of tasks, all by default, measured in this order.
        limit: most items of a set, for a quick look; at least 2.
        dims: output sizes of the Matryoshka task; those above the model's are left out.
        seed: for what is drawn at random.
        progress: called as contents are embedded and tasks finish.
        command: how to run this again, for the report; the process's own command line by default.

    Returns:
        The report; its numbers depend on model, data, limit and seed only. A task that failed (a model without ears
        cannot be asked about sounds) stands in it with its reason, see `Report.failed`.

    Raises:
        NotFound: no such model, task or data folder, or the folder lacks a pack that a task reads.
        CorruptData: a pack is damaged.
        InvalidInput: the limit is too small, or a size is below 1.
    """
    started = datetime.now(UTC)
    scope = _scope(limit, dims, seed)
    chosen = [load_task(name) for name in (task_names() if tasks is None else tasks)]
    packs = data if isinstance(data, Packs) else Packs(data)
    _require_packs(chosen, packs)
    embedder = _open(model)
    try:
        runs = _Runs(embedder, packs, scope, progress)
        measured = runs.all(chosen)
    finally:
        if isinstance(model, str):
            _close(embedder)
    seen = overlap.count({m.task.name: m.texts for m in measured}, packs)
    reports = tuple(
        TaskReport(m.task, tuple(m.results), m.error, m.seconds, m.n_embedded, seen[m.task.name]) for m in measured
    )
    info = embedder.info
    line = command or shlex.join(["onesense", *sys.argv[1:]])
    return Report(info.name, info.revision, info.dim, __version__, line, seed, limit, reports, started)


@dataclass(frozen=True, slots=True)
class _Measured:
    """What is known of a task before the texts of all tasks are looked up among the training rows."""

    task: EvalTask
    results: list[Result]
    error: OnesenseError | None
    seconds: float
    n_embedded: int
    texts: set[str]


class _Runs:
    """Tasks over one memory, so that what two tasks share is embedded once."""

    def __init__(self, embedder: Embeds, packs: Packs, scope: Scope, progress: Progress | None) -> None:
        self.memory = Memory(embedder, lambda n: self._tell())
        self.packs, self.scope, self.progress = packs, scope, progress
        self.task, self.done, self.n_tasks = "", 0, 0

    def all(self, tasks: Sequence[EvalTask]) -> list[_Measured]:
        self.n_tasks = len(tasks)
        measured = []
        for self.done, task in enumerate(tasks):
            self.task = task.name
            self._tell()
            measured.append(self._one(task))
        self.done = len(tasks)
        self._tell()
        return measured

    def _one(self, task: EvalTask) -> _Measured:
        """Measure; a task that fails is reported with its reason, and the others go on."""
        self.memory.texts.clear()
        before, start = self.memory.n_embedded, time.perf_counter()
        results: list[Result] = []
        error = None
        try:
            results = task.run(Encoder(self.memory), self.packs, self.scope)
        except OnesenseError as reason:
            error = reason
        seconds = time.perf_counter() - start
        return _Measured(task, results, error, seconds, self.memory.n_embedded - before, set(self.memory.texts))

    def _tell(self) -> None:
        if self.progress is not None:
            self.progress(Step(self.task, self.done, self.n_tasks, self.memory.n_embedded))


def _scope(limit: int | None, dims: Sequence[int], seed: int) -> Scope:
    if limit is not None and limit < 2:
        raise InvalidInput(f"limit {limit} leaves nothing to measure: use 2 or more, or none for all")
    if not dims or min(dims) < 1:
        raise InvalidInput(f"sizes {tuple(dims)} are not output sizes: use whole numbers of 1 and more")
    return Scope(limit, tuple(sorted(set(dims), reverse=True)), seed)


def _require_packs(tasks: Sequence[EvalTask], packs: Packs) -> None:
    """Fail before the first minute of work rather than after the last."""
    listed = packs.names()
    for task in tasks:
        for pack in task.packs:
            if pack not in listed and not any(name.startswith(f"{pack}-") for name in listed):
                raise NotFound(
                    f"task `{task.name}` reads the pack `{pack}`, which {packs.folder} does not list: "
                    "choose other tasks or another data folder"
                )


def _open(model: str | Embeds) -> Embeds:
    if not isinstance(model, str):
        return model
    from ..engine.embedder import Embedder

    return Embedder(model)


def _close(embedder: Embeds) -> None:
    close = getattr(embedder, "close", None)
    if close is not None:
        close()
