"""The training loop: one recipe, several tasks, low-rank branches in the trunk, checkpoints that resume.

`onesense train stage_a_text --minutes 20 --out runs/text` (or `python -m onesense.train.run ...`). A step draws one
batch of every active task, adds their losses and moves the branches and the bridge (`model/bridge.py`) together.
"""

from __future__ import annotations

import argparse
import inspect
import json
import math
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from .. import __version__
from ..errors import BackendError, InvalidInput, NotFound
from . import checkpoint, losses
from . import device as devices
from .checkpoint import LAST
from .letters import Letters
from .model.bridge import Bridge
from .model.trunk import Trunk
from .recipe import Recipe as Recipe
from .recipe import load_recipe as load_recipe
from .text import TextEncoder, imported_trunk, pad

CPU = torch.device("cpu")
SAVE_STEPS, SAVE_S = 100, 300.0  # a checkpoint after so many steps or seconds, whichever comes first
LETTERS_RATE = 3.0  # of the bridge's: a row is met only where its piece is
OWN = {"pairs"}  # tasks that need no data folder
BUNDLED = "onesense-mini"  # `start` of a recipe: the branches and the bridge that are shipped
LETTERS = "bridge.values.letters"
"""May be lacking in a checkpoint that a run starts from: they begin at their closed form."""
PATHS = ("folder", "data", "cache")  # arguments of tasks that name files, relative to `Plan.root`


class Task(Protocol):
    """Draws a batch and turns it into a loss."""

    def loss(self, student: Student, rng: random.Random) -> Tensor:
        """Scalar loss of one fresh batch, on the student's device."""
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
    """Teacher vectors of texts met before, on the CPU."""

    @property
    def device(self) -> torch.device:
        """Where the student computes; what a task makes belongs there."""
        return self.mean.device

    def pooled(self, sequences: Sequence[Tensor]) -> Tensor:
        """Pooled states of raw token sequences [L_i, 384], float32 [B, 384]; short ones run together."""
        order = sorted(range(len(sequences)), key=lambda i: len(sequences[i]))
        out: list[Tensor | None] = [None] * len(sequences)
        for batch in _chunks([len(sequences[i]) for i in order], devices.chunk_tokens(self.device)):
            x, mask = pad([sequences[order[j]] for j in batch])
            with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bf16):
                states = self.trunk(x, mask)
            for j, row in zip(batch, states.float(), strict=True):
                out[order[j]] = row
        return torch.stack([row for row in out if row is not None])

    def centred(self, sequences: Sequence[Tensor]) -> Tensor:
        """Unit vectors without the mean, [B, 384]."""
        return losses.centred(self.pooled(sequences), self.mean)

    def text_sequence(self, text: str) -> Tensor:
        """Word rows of `<s> text </s>`; those of letters learn."""
        ids = self.teacher.tokenize([text])[0][:190]
        rows = torch.from_numpy(self.teacher.sequence(ids)).to(self.device)
        places = [i for i, piece in enumerate(ids) if piece >= self.teacher.first_letter]
        if not places or "letters" not in self.bridge.values:
            return rows
        own = self.bridge.values["letters"][[ids[i] - self.teacher.first_letter for i in places]]
        return rows.index_copy(0, torch.tensor(places, device=self.device) + 1, own)

    def texts(self, texts: Sequence[str]) -> Tensor:
        """The student's centred vectors of texts."""
        return self.centred([self.text_sequence(t) for t in texts])

    def targets(self, texts: Sequence[str]) -> Tensor:
        """The teacher's centred vectors of texts, no gradient."""
        new = sorted({t for t in texts if t not in self.cache})
        if new:
            encoded = torch.from_numpy(self.teacher.encode(new, bf16=self.bf16))
            for text, row in zip(new, encoded, strict=True):
                self.cache[text] = row
        vectors = torch.stack([self.cache[t] for t in texts]).to(self.device)
        if len(self.cache) > 300_000:
            self.cache.clear()
        return losses.centred(vectors, self.mean)


def _chunks(lengths: Sequence[int], most: int) -> list[list[int]]:
    chunks: list[list[int]] = [[]]
    for i, length in enumerate(lengths):  # ascending: the newest is the longest
        if chunks[-1] and (len(chunks[-1]) + 1) * length > most:
            chunks.append([])
        chunks[-1].append(i)
    return chunks


def text_mean(teacher: TextEncoder, sentences: Sequence[str]) -> Tensor:
    """Mean of the teacher's unit vectors over a bank of sentences, float32 [384]."""
    return torch.from_numpy(teacher.encode(list(sentences)).mean(0))


# --- what a run is told and tells ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Plan:
    """How long a run goes and where."""

    minutes: float = 20.0
    """Wall-clock budget of the whole run, earlier parts counted; the learning rate falls along a cosine to its end."""
    steps: int | None = None
    """Stop at this step instead."""
    device: str = "cpu"
    """One of `onesense.train.device.NAMES`."""
    threads: int = 0
    """CPU threads, 0 for torch's own choice, one a core."""
    keep: int = 0
    """How many of the newest snapshots (`step-000100.pt`, weights only) to keep for averaging."""
    root: Path = Path()
    """Folder that the relative paths of a recipe start from."""
    overlap: bool = True
    """Count development rows among the training rows first."""

    def share(self, step: int, seconds: float) -> float:
        """How much of the run is done, 0..1 and above."""
        return step / self.steps if self.steps is not None else seconds / (self.minutes * 60)

    def __post_init__(self) -> None:
        """Refuse budgets of nothing.

        Raises:
            InvalidInput: no minutes, no steps, or a negative number of snapshots.
        """
        if (self.steps is not None and self.steps < 1) or not self.minutes > 0 or self.keep < 0:
            raise InvalidInput("a run takes --steps of 1 or more, or --minutes of more than 0, and --keep of 0 or more")


def _silent(*_: object) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told."""

    line: Callable[[str], None] = _silent
    """Takes one line for the log: every tenth step and whatever happens on the way."""
    progress: Callable[[float, str], None] = _silent
    """Takes the share that is done, 0..1, and one line, after every step."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a run."""

    checkpoint: Path
    step: int
    seconds: float
    """Of training, all parts of the run together."""
    losses: dict[str, float]
    """Name of a task -> its loss, smoothed over about ten steps."""
    is_stopped: bool
    """True when it was asked to stop before its budget was used."""
    device: str


# --- the run --------------------------------------------------------------------------------------------------------


def train(recipe: Recipe, out: Path, plan: Plan | None = None, watch: Watch | None = None) -> Outcome:
    """Train, or go on with a run that was stopped.

    Args:
        recipe: what to do.
        out: folder of `last.pt` (resumed when it is there) and `log.jsonl`.
        plan: how long and where.
        watch: who is told.

    Raises:
        InvalidInput: a task or an argument that does not exist; a checkpoint of another recipe.
        CorruptData: the checkpoint is damaged.
        BackendError: a loss is not finite; the last checkpoint stays.
    """
    plan, watch = plan or Plan(), watch or Watch()
    if plan.threads:
        torch.set_num_threads(plan.threads)
    chosen = devices.choose(plan.device)
    check_tasks(recipe)
    _check_before(recipe, out / LAST)
    torch.manual_seed(recipe.seed)
    out.mkdir(parents=True, exist_ok=True)
    _tell_overlap(out, plan, watch)
    student, tasks = build(recipe, chosen, plan.root)
    run = _Run(recipe, student, out, plan.keep)
    rng = run.resume(watch)
    where = devices.describe(chosen, bf16=student.bf16)
    watch.line(f"{len(tasks)} tasks on {where}, from step {run.step}")
    run.log({"run": recipe.to_dict(), "device": where, "onesense": __version__, "torch": torch.__version__})
    with _stoppable(watch) as is_asked:
        _loop(run, tasks, rng, plan, watch, is_asked)
    run.save(rng)
    return Outcome(run.file, run.step, run.seconds, dict(run.running), plan.share(run.step, run.seconds) < 1, where)


def _loop(
    run: _Run, tasks: dict[str, Task], rng: random.Random, plan: Plan, watch: Watch, is_asked: Callable[[], bool]
) -> None:
    began = saved = time.monotonic() - run.seconds
    while (progress := plan.share(run.step, run.seconds)) < 1 and not is_asked():
        run.update({name: task.loss(run.student, rng) for name, task in tasks.items()}, progress)
        run.seconds = (now := time.monotonic()) - began
        watch.progress(min(1.0, plan.share(run.step, run.seconds)), run.line())
        if run.step % 10 == 0:
            watch.line(run.line())
        if run.step % SAVE_STEPS == 0 or now - saved > SAVE_S:
            run.save(rng)
            saved = now


@contextmanager
def _stoppable(watch: Watch) -> Iterator[Callable[[], bool]]:
    """Ctrl-C (or SIGTERM) asks the run to stop after its step; a second one stops it where it is."""
    asked = False

    def ask(number: int, frame: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        watch.line("stopping after this step and saving; once more stops at once, without saving")

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _check_before(recipe: Recipe, file: Path) -> None:
    """Refuse a checkpoint of another recipe before minutes go into reading data."""
    if file.is_file():
        checkpoint.check_recipe(file, checkpoint.read(file), recipe)


def _tell_overlap(out: Path, plan: Plan, watch: Watch) -> None:
    """Count leaks once a run; the table stands in `overlap.json` and in the log."""
    from ..evals import near
    from ..evals.packs import MANIFEST, Packs
    from . import sources

    file = out / "overlap.json"
    if not plan.overlap or file.is_file() or not (sources.data_root() / MANIFEST).is_file():
        return
    watch.line("looking for development rows among the training rows ...")
    report = near.check(Packs(sources.data_root()), most=near.QUICK_ROWS)
    file.write_text(json.dumps(report.to_dict(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for line in report.lines():
        watch.line(line)


def check_tasks(recipe: Recipe) -> None:
    """Refuse tasks and arguments that do not exist, naming those that do.

    Raises:
        InvalidInput: as said.
    """
    from .tasks import TASKS

    for name, arguments in recipe.tasks.items():
        if name not in TASKS:
            raise InvalidInput(f"no task is called `{name}`: there are {', '.join(sorted(TASKS))}")
        known = _parameters(TASKS[name])
        if unknown := sorted(set(arguments) - set(known)):
            raise InvalidInput(f"task `{name}` has no argument {', '.join(unknown)}: it has {', '.join(known)}")
        if missing := [k for k, p in known.items() if p.default is p.empty and k not in arguments]:
            raise InvalidInput(f"task `{name}` needs the argument {', '.join(missing)}")


def _parameters(task: Callable[..., Task]) -> dict[str, inspect.Parameter]:
    """Arguments that a recipe may give: all but the first two, the packs and the student."""
    return dict(list(inspect.signature(task).parameters.items())[2:])


def rooted(recipe: Recipe, root: Path) -> Recipe:
    """The recipe with its relative paths below another folder: cached features, own data, the start."""
    from .tasks import TASKS

    tasks = {}
    for name, arguments in recipe.tasks.items():
        paths = {k: arguments.get(k, p.default) for k, p in _parameters(TASKS[name]).items() if k in PATHS}
        tasks[name] = arguments | {k: str(root / v) for k, v in paths.items() if isinstance(v, str) and v}
    start = recipe.start if recipe.start in (None, BUNDLED) else str(root / recipe.start)
    letters = None if recipe.letters is None else str(root / recipe.letters)
    return replace(recipe, tasks=tasks, start=start, letters=letters)


SMALL = {"batch": 4, "edited": 2, "mixed": 2}


def smoke(recipe: Recipe) -> Recipe:
    """The same tasks with batches of a few rows: whether everything is there and fits, in seconds."""
    from .tasks import TASKS

    tasks = {}
    for name, arguments in recipe.tasks.items():
        given = {k: arguments.get(k, p.default) for k, p in _parameters(TASKS[name]).items() if k in SMALL}
        tasks[name] = arguments | {k: min(v, SMALL[k]) for k, v in given.items()}
    return replace(recipe, tasks=tasks)


def build(recipe: Recipe, device: torch.device = CPU, root: Path | None = None) -> tuple[Student, dict[str, Task]]:
    """The student and the tasks of a recipe, the start checkpoint loaded."""
    from ..evals.packs import MANIFEST, Packs
    from . import sources
    from .data import texts
    from .tasks import TASKS

    recipe = recipe if root is None else rooted(recipe, root)
    has_data = (sources.data_root() / MANIFEST).is_file()
    packs = Packs(sources.data_root()) if has_data or set(recipe.tasks) - OWN or not recipe.tasks else None
    teacher = TextEncoder(device=device)
    if recipe.letters:
        teacher.add(Letters.load(Path(recipe.letters)))
    bf16 = recipe.bf16 and devices.has_bf16(device)
    student = Student(imported_trunk(), Bridge(teacher), teacher, torch.zeros(384), bf16)
    mean = text_mean(teacher, texts.sentences(packs, 3000, seed=7)) if packs else bundled_mean()
    student.mean = mean.to(device)
    student.trunk.add_rank(recipe.rank)
    if recipe.start == BUNDLED:
        _put(_modules(student), bundled_weights(), Path(BUNDLED))
    elif recipe.start:
        load(student, Path(recipe.start))
    student.trunk.to(device)
    student.bridge.to(device)
    return student, {name: TASKS[name](packs, student, **arguments) for name, arguments in recipe.tasks.items()}


def load(student: Student, file: Path, which: str = "average") -> None:
    """Put a checkpoint's weights into a student: the moving `average`, or the `model` of the last step.

    Raises:
        NotFound: there is no such file, or it holds other weights.
        CorruptData: it is damaged.
    """
    _put(_modules(student), checkpoint.read(file)[which], file)


def bundled_weights() -> dict[str, Tensor]:
    """Branches and bridge of the bundled model, under the names of a checkpoint."""
    from ..engine.backends._mini.graph import widen
    from ..engine.backends._mini.package import Package

    package = Package()
    out = {}
    for key, value in package.arrays("trunk.npz").items():
        if key.startswith("layers.") and key.endswith((".weight.down", ".weight.up")):
            stem, branch = key.removesuffix(".down").removesuffix(".up"), key.rpartition(".")[2]
            out[f"trunk.{stem.removesuffix('.weight')}.{branch}_rank"] = torch.from_numpy(value.astype("float32"))
    for key, value in widen(package.arrays("bridge.npz")).items():
        if key.endswith((".prefix", ".gain", ".path", ".place")):
            out[f"bridge.values.{key.replace('.', '_')}"] = torch.from_numpy(value.astype("float32"))
    return out


def bundled_mean() -> Tensor:
    """The mean of text that the bundled model takes away, float32 [384]: for runs without a data folder."""
    from ..engine.backends._mini.package import Package

    return torch.from_numpy(Package().arrays("bridge.npz")["head.mean"].astype("float32"))


def _put(modules: nn.ModuleDict, weights: dict[str, Tensor], file: Path) -> None:
    own = dict(modules.named_parameters())
    trained = {k for k in own if k.endswith("_rank") or (k.startswith("bridge") and k != LETTERS)}
    lacking, unknown = sorted(trained - set(weights)), sorted(set(weights) - set(own))
    if lacking or unknown:
        raise NotFound(f"{file} does not fit this model: lacks {lacking[:2]}, has {unknown[:2]} too many")
    if wrong := [k for k, v in weights.items() if v.shape != own[k].shape]:
        there, here = list(weights[wrong[0]].shape), list(own[wrong[0]].shape)
        raise InvalidInput(f"{file} has `{wrong[0]}` of {there}, this recipe {here}: another `rank`?")
    modules.load_state_dict(weights, strict=False)


def _modules(student: Student) -> nn.ModuleDict:
    return nn.ModuleDict({"trunk": student.trunk, "bridge": student.bridge})


class _Run:
    """Optimiser, moving average and files of one run."""

    def __init__(self, recipe: Recipe, student: Student, out: Path, keep: int = 0) -> None:
        self.recipe, self.student, self.file, self.keep = recipe, student, out / LAST, keep
        self.modules = _modules(student)
        self.free = {k: p for k, p in self.modules.named_parameters() if p.requires_grad}
        branches = [p for k, p in self.free.items() if k.startswith("trunk")]
        bridge = [p for k, p in self.free.items() if k.startswith("bridge") and k != LETTERS]
        letters = [p for k, p in self.free.items() if k == LETTERS]
        decay = recipe.weight_decay
        groups = [
            {"params": branches, "lr": recipe.learning_rate, "weight_decay": decay},
            {"params": bridge, "lr": recipe.bridge_rate, "weight_decay": decay},
            {"params": letters, "lr": recipe.bridge_rate * LETTERS_RATE, "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW([g for g in groups if g["params"]])
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.average = {k: p.detach().clone() for k, p in self.free.items()}
        self.step, self.seconds = 0, 0.0
        self.running: dict[str, float] = {}

    def update(self, parts: dict[str, Tensor], progress: float) -> None:
        """One optimiser step on the sum of the losses."""
        values = {name: part.item() for name, part in parts.items()}
        if bad := [name for name, value in values.items() if not math.isfinite(value)]:
            raise BackendError(f"the loss of {', '.join(bad)} is not finite at step {self.step}: lower the rates")
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
        for name, value in values.items():
            self.running[name] = 0.9 * self.running.get(name, value) + 0.1 * value

    def line(self) -> str:
        """One line of progress."""
        shown = " ".join(f"{name} {value:.3f}" for name, value in self.running.items())
        return f"step {self.step} {self.seconds / 60:.1f} min {shown}"

    def save(self, rng: random.Random) -> None:
        """Write the checkpoint and, if wanted, a snapshot, and note the losses."""
        weights = {"model": {k: p.detach() for k, p in self.free.items()}, "average": self.average}
        at = {"recipe": self.recipe.to_dict(), "step": self.step, "seconds": self.seconds}
        going_on = {"optimizer": self.optimizer.state_dict(), "rng": checkpoint.rng_state(rng)}
        checkpoint.write(self.file, weights | at | going_on | {"running": self.running})
        if self.keep:
            checkpoint.write(self.file.parent / f"step-{self.step:06}.pt", weights | at)
            for old in checkpoint.snapshots(self.file.parent)[: -self.keep]:
                old.unlink()
        self.log({"step": self.step, "seconds": round(self.seconds), **self.running})

    def log(self, values: dict[str, Any]) -> None:
        """Add one line to `log.jsonl`."""
        with (self.file.parent / "log.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(values) + "\n")

    def resume(self, watch: Watch) -> random.Random:
        """Go on from `last.pt` where there is one; the generator that batches are drawn with."""
        rng = random.Random(self.recipe.seed)
        if not self.file.is_file():
            return rng
        state = checkpoint.read(self.file)
        checkpoint.check_recipe(self.file, state, self.recipe)
        _put(self.modules, state["model"], self.file)
        self.average = {k: v.to(self.student.device) for k, v in state["average"].items()}
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]
        self.running = dict(state.get("running", {}))
        if "rng" in state:
            checkpoint.restore_rng(rng, state["rng"])
        else:
            rng.seed(self.recipe.seed + self.step)
            watch.line(f"{self.file} says neither its recipe nor its draws (an older file): taken as it is")
        return rng


def main() -> None:
    """Command line of one run; `onesense train` has more."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=devices.NAMES, default="cpu")
    parser.add_argument("--no-overlap", action="store_true")
    options = parser.parse_args()

    def line(text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    plan = Plan(options.minutes, options.steps, options.device, options.threads, overlap=not options.no_overlap)
    train(load_recipe(options.recipe), options.out, plan, Watch(line))


if __name__ == "__main__":
    main()
