"""The training loop: one recipe, several tasks, low-rank branches in the trunk, checkpoints that resume.

`python -m onesense.train.run stage_a_text --minutes 20 --out runs/text`. A step draws one batch of every active task,
adds their losses and moves the branches and the bridge (`model/bridge.py`) together.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ..errors import NotFound
from . import losses
from .model.bridge import Bridge
from .model.trunk import Trunk
from .text import TextEncoder, imported_trunk, pad


@dataclass(frozen=True, slots=True)
class Recipe:
    """Plain values of a run. Unknown keys are refused by construction."""

    tasks: dict[str, dict[str, Any]]
    """Name of a task in `onesense.train.tasks` -> its arguments."""
    rank: int = 16
    learning_rate: float = 1e-3
    bridge_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup_steps: int = 20
    clip: float = 1.0
    seed: int = 0
    bf16: bool = True
    start: str | None = None
    """Checkpoint to start from (branches and bridge), None for the imported trunk."""
    average: float = 0.99
    """Decay of the moving average of weights that is exported; 0 keeps the last weights."""


class Task(Protocol):
    """Draws a batch and turns it into a loss."""

    def loss(self, student: Student, rng: random.Random) -> Tensor:
        """Scalar loss of one fresh batch."""
        ...


@dataclass(slots=True)
class Student:
    """The model in training, with its frozen teacher beside it."""

    trunk: Trunk
    bridge: Bridge
    teacher: TextEncoder
    mean: Tensor
    """float32 [384]: mean of the teacher's unit vectors, taken away before vectors are compared."""
    bf16: bool = True
    cache: dict[str, Tensor] = field(default_factory=dict)
    """Teacher vectors of texts met before."""

    def pooled(self, sequences: Sequence[Tensor]) -> Tensor:
        """Pooled states of raw token sequences [L_i, 384], float32 [B, 384]; short ones run together."""
        order = sorted(range(len(sequences)), key=lambda i: len(sequences[i]))
        out: list[Tensor | None] = [None] * len(sequences)
        for batch in _chunks([len(sequences[i]) for i in order]):
            x, mask = pad([sequences[order[j]] for j in batch])
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bf16):
                states = self.trunk(x, mask)
            for j, row in zip(batch, states.float(), strict=True):
                out[order[j]] = row
        return torch.stack([row for row in out if row is not None])

    def centred(self, sequences: Sequence[Tensor]) -> Tensor:
        """Unit vectors without the mean, [B, 384]."""
        return losses.centred(self.pooled(sequences), self.mean)

    def text_sequence(self, text: str) -> Tensor:
        """Word rows of `<s> text </s>`."""
        return torch.from_numpy(self.teacher.sequence(self.teacher.tokenize([text])[0][:190]))

    def texts(self, texts: Sequence[str]) -> Tensor:
        """The student's centred vectors of texts."""
        return self.centred([self.text_sequence(t) for t in texts])

    def targets(self, texts: Sequence[str]) -> Tensor:
        """The teacher's centred vectors of texts, no gradient."""
        new = sorted({t for t in texts if t not in self.cache})
        if new:
            for text, row in zip(new, torch.from_numpy(self.teacher.encode(new)), strict=True):
                self.cache[text] = row
        vectors = torch.stack([self.cache[t] for t in texts])
        if len(self.cache) > 300_000:
            self.cache.clear()
        return losses.centred(vectors, self.mean)


CHUNK_TOKENS = 768  # padded tokens a forward pass: long and short texts together cost three times as much (dev/LOG.md)


def _chunks(lengths: Sequence[int]) -> list[list[int]]:
    chunks: list[list[int]] = [[]]
    for i, length in enumerate(lengths):  # ascending: the newest is the longest
        if chunks[-1] and (len(chunks[-1]) + 1) * length > CHUNK_TOKENS:
            chunks.append([])
        chunks[-1].append(i)
    return chunks


def text_mean(teacher: TextEncoder, sentences: Sequence[str]) -> Tensor:
    """Mean of the teacher's unit vectors over a bank of sentences, float32 [384]."""
    return torch.from_numpy(teacher.encode(list(sentences)).mean(0))


def load_recipe(name: str) -> Recipe:
    """The recipe of `onesense.train.recipes.NAME`.

    Raises:
        NotFound: there is none of this name.
    """
    try:
        recipe: Recipe = import_module(f"onesense.train.recipes.{name}").recipe
    except ModuleNotFoundError as cause:
        raise NotFound(f"no recipe `{name}` in onesense/train/recipes") from cause
    return recipe


def train(
    recipe: Recipe, out: Path, minutes: float, steps: int | None = None, log: Callable[[str], None] = print
) -> Path:
    """Train for so many minutes (or steps) and return the checkpoint.

    Args:
        recipe: what to do.
        out: folder of `last.pt` (resumed when it is there) and `log.jsonl`.
        minutes: wall-clock budget of the whole run; the learning rate falls along a cosine to its end.
        steps: stop after so many steps instead, for smoke runs.
        log: takes one line of progress.
    """
    torch.manual_seed(recipe.seed)
    out.mkdir(parents=True, exist_ok=True)
    student, tasks = build(recipe)
    run = _Run(recipe, student, out)
    run.resume()
    rng = random.Random(recipe.seed + run.step)
    began = time.monotonic() - run.seconds
    while (run.step < steps) if steps is not None else (time.monotonic() - began < minutes * 60):
        progress = run.step / steps if steps is not None else (time.monotonic() - began) / (minutes * 60)
        parts = {name: task.loss(student, rng) for name, task in tasks.items()}
        run.update(parts, progress)
        run.seconds = time.monotonic() - began
        if run.step % 10 == 0:
            log(run.line(parts))
        if run.step % 100 == 0:
            run.save()
    run.save()
    return out / "last.pt"


def build(recipe: Recipe) -> tuple[Student, dict[str, Task]]:
    """The student and the tasks of a recipe, the start checkpoint loaded."""
    from ..evals.packs import Packs
    from . import sources
    from .data import texts
    from .tasks import TASKS

    packs = Packs(sources.data_root())
    teacher = TextEncoder()
    student = Student(imported_trunk(), Bridge(teacher), teacher, torch.zeros(384), recipe.bf16)
    student.mean = text_mean(teacher, texts.sentences(packs, 3000, seed=7))
    student.trunk.add_rank(recipe.rank)
    if recipe.start:
        load(student, Path(recipe.start))
    return student, {name: TASKS[name](packs, student, **arguments) for name, arguments in recipe.tasks.items()}


def load(student: Student, file: Path, which: str = "average") -> None:
    """Put a checkpoint's weights into a student: the moving `average`, or the `model` of the last step."""
    state = torch.load(file, weights_only=True)  # noqa: TID251  our own checkpoint, tensors only
    missing, unexpected = _modules(student).load_state_dict(state[which], strict=False)
    frozen = [k for k in missing if k.endswith("_rank") or k.startswith("bridge")]
    if frozen or unexpected:
        raise NotFound(f"{file} does not fit this model: lacks {frozen[:2]}, has {list(unexpected)[:2]} too many")


def _modules(student: Student) -> nn.ModuleDict:
    return nn.ModuleDict({"trunk": student.trunk, "bridge": student.bridge})


class _Run:
    """Optimiser, moving average and files of one run."""

    def __init__(self, recipe: Recipe, student: Student, out: Path) -> None:
        self.recipe, self.student, self.file = recipe, student, out / "last.pt"
        self.modules = _modules(student)
        self.free = {k: p for k, p in self.modules.named_parameters() if p.requires_grad}
        branches = [p for k, p in self.free.items() if k.startswith("trunk")]
        bridge = [p for k, p in self.free.items() if k.startswith("bridge")]
        groups = [{"params": branches, "lr": recipe.learning_rate}, {"params": bridge, "lr": recipe.bridge_rate}]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=recipe.weight_decay)
        self.rates = [recipe.learning_rate, recipe.bridge_rate]
        self.average = {k: p.detach().clone() for k, p in self.free.items()}
        self.step, self.seconds = 0, 0.0
        self.running: dict[str, float] = {}

    def update(self, parts: dict[str, Tensor], progress: float) -> None:
        """One optimiser step on the sum of the losses."""
        warm = min(1.0, (self.step + 1) / self.recipe.warmup_steps)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * warm * max(0.02, 0.5 + 0.5 * math.cos(math.pi * min(1.0, progress)))
        self.optimizer.zero_grad(set_to_none=True)
        torch.stack(list(parts.values())).sum().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(list(self.free.values()), self.recipe.clip)
        self.optimizer.step()
        self.step += 1
        decay = min(self.recipe.average, self.step / (self.step + 10))
        for name, parameter in self.free.items():
            self.average[name].lerp_(parameter.detach(), 1 - decay)
        for name, part in parts.items():
            self.running[name] = 0.9 * self.running.get(name, part.item()) + 0.1 * part.item()

    def line(self, parts: dict[str, Tensor]) -> str:
        """One line of progress."""
        shown = " ".join(f"{name} {self.running[name]:.3f}" for name in parts)
        return f"step {self.step} {self.seconds / 60:.1f} min {shown}"

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        state = {
            "format": "onesense.checkpoint.v1",
            "model": {k: p.detach() for k, p in self.free.items()},
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        partial = self.file.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self.file)
        with (self.file.parent / "log.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"step": self.step, "seconds": round(self.seconds), **self.running}) + "\n")

    def resume(self) -> None:
        """Go on from `last.pt` where there is one."""
        if not self.file.is_file():
            return
        state = torch.load(self.file, weights_only=True)  # noqa: TID251  our own checkpoint, tensors only
        self.modules.load_state_dict(state["model"], strict=False)
        self.average = state["average"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]


def main() -> None:
    """Command line of one run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    def log(line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    train(load_recipe(options.recipe), options.out, options.minutes, options.steps, log)


if __name__ == "__main__":
    main()
