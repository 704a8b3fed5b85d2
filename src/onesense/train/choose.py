"""Choose the constants of the head on the development sets: how strong concepts are, how much is detail, how centred.

    python -m onesense.train.choose FOLDER --data ../shared/data --limit 400

embeds every development input once and measures each pair of constants on the same states. FOLDER is a model folder;
it is not changed: pass the choice to `onesense.train.export --skip S --detail D`, or let `apply` write it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..engine import tasks as prompts
from ..engine.backends._mini import compose
from ..engine.backends._mini.package import Package
from ..engine.backends.onesense_mini import Backend
from ..evals.encoder import content_key
from ..types import Array, Content, ModelInfo, Task
from ..vectors import truncate_normalize
from .export import Choice, write_manifest

TASKS = ("captions", "caltech101", "sounds", "stories", "composed", "tables", "sts", "matryoshka")
SKIPS = (0.0, 0.15, 0.3, 0.45, 0.6)
DETAILS = (0.0, 0.05, 0.1, 0.2)
CENTRINGS = (0.0, 0.25, 0.75, 1.0)


class Remembering:
    """The model with its states kept, so that another head costs nothing."""

    def __init__(self, backend: Backend) -> None:
        self.backend, self.choice = backend, Choice()
        self.info: ModelInfo = backend.info
        self._known: dict[bytes, tuple[Array, Any]] = {}

    def embed(self, contents: Sequence[Content], *, dim: int | None = None, task: Task | str | None = None) -> Array:
        """Unit vectors with the present choice, float32 [n, dim]."""
        keys = [content_key(c, task) for c in contents]
        new = [(k, c) for k, c in zip(keys, contents, strict=True) if k not in self._known]
        for start in range(0, len(new), 32):
            chunk = new[start : start + 32]
            ready = [prompts.apply(c, Task.parse(task), self.info) for _, c in chunk]
            items = [self.backend.prepare(c).payload for c in ready]
            for (key, _), item, row in zip(chunk, items, self.backend._pool(items), strict=True):
                self._known[key] = row, item
        return truncate_normalize(self._head([self._known[k] for k in keys]), dim or self.info.dim)  # type: ignore[no-any-return]

    def _head(self, known: Sequence[tuple[Array, Any]]) -> Array:
        bridge = self.backend._bridge | {"head.skip": np.float32(self.choice.skip)}
        bridge["head.centring"] = np.float32(self.choice.centring)
        pooled, items = np.stack([row for row, _ in known]), [item for _, item in known]
        skip, share = np.stack([i.concept for i in items]), np.array([[i.share] for i in items], np.float32)
        senses = np.stack([i.senses for i in items])
        joined = compose.joined(pooled, skip, share, senses, bridge) @ bridge["head.map"]
        joined /= np.linalg.norm(joined, axis=1, keepdims=True)
        portion = self.choice.detail
        fine = np.stack([i.detail for i in items])
        out: Array = np.concatenate([joined * (1 - portion) ** 0.5, fine * portion**0.5], 1)
        return out


def apply(folder: Path, choice: Choice) -> None:
    """Write a choice into a model folder."""
    with np.load(folder / "bridge.npz") as stored:
        bridge = dict(stored)
    bridge["head.skip"], bridge["head.detail"] = np.float32(choice.skip), np.float32(choice.detail)
    bridge["head.centring"] = np.float32(choice.centring)
    np.savez(folder / "bridge.npz", **bridge)
    write_manifest(folder)


def main() -> None:
    """Print one line of measures a choice."""
    from ..evals.run import evaluate

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=300)
    parser.add_argument("--tasks", nargs="*", default=TASKS)
    options = parser.parse_args()
    model = Remembering(Backend(Package(options.folder)))
    usual = Choice()
    choices = [replace(usual, skip=s) for s in SKIPS] + [replace(usual, detail=d) for d in DETAILS]
    choices += [replace(usual, centring=c) for c in CENTRINGS]
    for choice in choices:
        model.choice = choice
        report = evaluate(model, options.data, options.tasks, limit=options.limit)
        values = [f"{t.task.name}:{r.name}:{r.metric}={r.value:.3f}" for t in report.tasks for r in t.results]
        sys.stdout.write(
            f"skip {choice.skip} detail {choice.detail} centring {choice.centring} "
            + " ".join(values).replace(" ", "_")
            + "\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
