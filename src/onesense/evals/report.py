"""The report of an evaluation: for programs (JSON) and for people (a Markdown table)."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from os import cpu_count
from typing import Any

from ..errors import OnesenseError
from .task import EvalTask, Result

FORMAT = "onesense.eval.v1"


@dataclass(frozen=True, slots=True)
class TaskReport:
    """What one task measured."""

    task: EvalTask
    results: tuple[Result, ...]
    """The main one first; empty where the task failed."""
    error: OnesenseError | None
    """Why the task failed, None where it did not."""
    seconds: float
    """Wall-clock time, embedding included."""
    n_embedded: int
    """Contents that went through the model for this task; what an earlier task embedded is not counted again."""
    overlap: tuple[int, int]
    """Texts of three words and more that also stand in training rows, and all such texts."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "name": self.task.name,
            "measures": self.task.measures,
            "split": self.task.split,
            "prompts": list(self.task.prompts),
            "seconds": round(self.seconds, 2),
            "n_embedded": self.n_embedded,
            "overlap": {"in_training_rows": self.overlap[0], "texts": self.overlap[1]},
            "error": self.error and {"code": self.error.code, "message": str(self.error)},
            "results": [result.to_dict() for result in self.results],
        }


@dataclass(frozen=True, slots=True)
class Report:
    """What a run measured, and everything that is needed to run it again."""

    model: str
    revision: str
    dim: int
    """Output size of all results but those of the Matryoshka task."""
    version: str
    """Of this package."""
    command: str
    seed: int
    limit: int | None
    """Most items of a set; a number measured under a limit is not comparable with a full one."""
    tasks: tuple[TaskReport, ...]
    started: datetime

    @property
    def failed(self) -> tuple[TaskReport, ...]:
        """The tasks that could not be measured."""
        return tuple(report for report in self.tasks if report.error is not None)

    @property
    def seconds(self) -> float:
        """Wall-clock time of all tasks."""
        return sum(report.seconds for report in self.tasks)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "format": FORMAT,
            "model": self.model,
            "revision": self.revision,
            "dim": self.dim,
            "version": self.version,
            "command": self.command,
            "seed": self.seed,
            "limit": self.limit,
            "started": self.started.astimezone(UTC).isoformat(timespec="seconds"),
            "machine": machine(),
            "seconds": round(self.seconds, 1),
            "tasks": [report.to_dict() for report in self.tasks],
        }

    def to_json(self) -> str:
        """The report as indented JSON."""
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False)

    def to_markdown(self) -> str:
        """A table with a row a result, and below it where the numbers come from."""
        lines = ["| task | what | metric | value | chance | n |", "|---|---|---|---:|---:|---:|"]
        lines += [_row(report.task.name, result) for report in self.tasks for result in report.results]
        limited = f", at most {self.limit} items of a set: **not comparable with a full run**" if self.limit else ""
        lines += [
            "",
            f"Model `{self.model}` (revision `{self.revision}`), {self.dim} dimensions{limited}; seed {self.seed}; "
            f"{self.started:%Y-%m-%d}; onesense {self.version}; {machine()}; {self.seconds:.0f} s.",
            f"Command: `{self.command}`.",
            "",
        ]
        lines += [_sources(report) for report in self.tasks]
        return "\n".join(lines) + "\n"


def machine() -> str:
    """One line on the machine that measured."""
    return f"{platform.machine()}, {cpu_count()} cores, Python {platform.python_version()}"


def _row(task: str, result: Result) -> str:
    chance = "" if result.chance is None else _number(result.chance, result.metric)
    value = _number(result.value, result.metric)
    return f"| {task} | {result.name} | {result.metric} | {value} | {chance} | {result.n:,} |"


def _number(value: float, metric: str) -> str:
    """Shares and correlations as hundredths, counts as they are."""
    if metric == "count":
        return f"{value:.0f}"
    return f"{value:+.1f}" if metric.endswith("points") else f"{100 * value:.1f}"


def _sources(report: TaskReport) -> str:
    if report.error is not None:
        return f"- **{report.task.name}** was not measured: {report.error}"
    seen = f"; {report.overlap[0]} of {report.overlap[1]} texts also stand in training rows"
    prompts = ", ".join(f"`{prompt}`" for prompt in report.task.prompts)
    split = f"- **{report.task.name}**: {report.task.split}; prompts {prompts}; {report.n_embedded:,} embedded"
    return f"{split} in {report.seconds:.0f} s{seen}."
