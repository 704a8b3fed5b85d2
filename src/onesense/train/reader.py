"""Trains the two networks that read print, on pictures drawn by code, and writes them as the package holds them.

    python -m onesense.train.reader runs/reader lines --minutes 50
    python -m onesense.train.reader runs/reader finder --minutes 26

A run goes on where one was stopped. The learning rate falls with time, not with steps, so that any number
of minutes is a whole schedule.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..engine.backends._mini.printed import decode
from ..evals.packs import Packs
from ..types import Array
from . import checkpoint, graphs, sources
from .compact import compact, half
from .data import print as drawn
from .device import has_bf16
from .features import decode_picture
from .model.reader import STEP, Finder, LineReader

LINES = 64  # a batch
PAGES, SIDE = 6, 416
CHUNK = 12  # batches that one job of a drawing process makes; of them lines of like width share a batch
TIMES = 2
EMA = 0.998
PEAK = 2e-3
WARM = 0.03  # share of the time
CHECK_S = 120.0
N_PHOTOS = 600


@dataclass(frozen=True, slots=True)
class Lines:
    """A batch of lines of print."""

    pixels: Array
    """uint8 [B, 32, W], the last column of narrower ones repeated."""
    widths: list[int]
    texts: list[str]


@cache
def _material() -> tuple[drawn.Words, list[drawn.Face]]:
    return drawn.Words(Packs(sources.data_root())), drawn.faces()


@cache
def _photos() -> list[Array]:
    """Grey photographs of the training side, without print as far as they go."""
    from PIL import Image

    found = []
    for sample in Packs(sources.data_root()).samples("images/caltech101", lambda _, meta: meta["split"] == "train"):
        found.append(np.asarray(Image.fromarray(decode_picture(sample)).convert("L")))
        if len(found) == N_PHOTOS:
            break
    return found


def draw_lines(seed: int, fonts: Sequence[drawn.Face] | None = None) -> list[Lines]:
    """`CHUNK` batches, of like widths each."""
    words, own = _material()
    rng = random.Random(seed)
    made = [_line(words, fonts or own, rng) for _ in range(CHUNK * LINES)]
    made.sort(key=lambda item: item[0].shape[1])
    batches = [_together(made[i : i + LINES]) for i in range(0, len(made), LINES)]
    rng.shuffle(batches)
    return batches


def _line(words: drawn.Words, fonts: Sequence[drawn.Face], rng: random.Random) -> tuple[Array, str]:
    while True:
        text, face = words.draw(rng), drawn.choose(fonts, rng)
        if face.has.issuperset(text):
            return drawn.line(text, face, rng), text


def _together(made: Sequence[tuple[Array, str]]) -> Lines:
    widest = max(pixels.shape[1] for pixels, _ in made)
    padded = [np.pad(pixels, ((0, 0), (0, widest - pixels.shape[1])), mode="edge") for pixels, _ in made]
    return Lines(np.stack(padded), [pixels.shape[1] for pixels, _ in made], [text for _, text in made])


def draw_pages(seed: int) -> list[list[drawn.Page]]:
    """`CHUNK` batches of pages."""
    words, fonts = _material()
    rng = random.Random(seed)
    make = partial(drawn.page, SIDE, words, fonts, _photos(), rng)
    return [[make() for _ in range(PAGES)] for _ in range(CHUNK)]


def _drawn(draw: Any, seed: int, ahead: int = 3) -> Iterator[Any]:
    """Batches without end, drawn by another process; each is used `TIMES`, as drawing costs as much as learning."""
    with ProcessPoolExecutor(1, initializer=_stand_back) as pool:
        waiting: deque[Future[list[Any]]] = deque()
        while True:
            while len(waiting) < ahead:
                waiting.append(pool.submit(draw, seed))
                seed += 1
            batches = waiting.popleft().result()
            for _ in range(TIMES):
                yield from batches


def _stand_back() -> None:
    """The drawing process runs when nobody else wants to, on any core that the system allows."""
    os.nice(10)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, range(os.cpu_count() or 1))


def lines_loss(model: LineReader, batch: Lines) -> Tensor:
    """CTC, a mean over lines of the loss a letter."""
    scores = model(torch.from_numpy(batch.pixels).float() / 255)
    places = {letter: i + 1 for i, letter in enumerate(drawn.ALPHABET)}
    targets = torch.tensor([places[c] for text in batch.texts for c in text])
    lengths = torch.tensor([len(text) for text in batch.texts])
    steps = torch.tensor([min(scores.shape[1], -(-w // STEP)) for w in batch.widths])
    return F.ctc_loss(scores.transpose(0, 1), targets, steps, lengths, zero_infinity=True)


def pages_loss(model: Finder, pages: Sequence[drawn.Page]) -> Tensor:
    """Cross-entropy and Dice (Milletari et al. 2016): bands are a tenth of a page."""
    pixels = torch.from_numpy(np.stack([p.pixels for p in pages])).float() / 255
    wanted = torch.from_numpy(np.stack([p.mask for p in pages]))
    logits = model.logits(pixels)
    found = torch.sigmoid(logits)
    overlap = 2 * (found * wanted).sum() / (found.sum() + wanted.sum() + 1)
    return F.binary_cross_entropy_with_logits(logits, wanted) + 1 - overlap


def read(model: LineReader, batches: Sequence[Lines]) -> dict[str, float]:
    """Share of letters that are wrong, and of lines that are wholly right."""
    wrong, letters, right, n = 0, 0, 0, 0
    with torch.inference_mode():
        for batch in batches:
            scores = model(torch.from_numpy(batch.pixels).float() / 255).numpy()
            for row, width, text in zip(scores, batch.widths, batch.texts, strict=True):
                said, _ = decode(np.exp(row[: -(-width // STEP)]), drawn.ALPHABET)
                wrong, letters = wrong + edit_distance(said, text), letters + len(text)
                right, n = right + (said == text), n + 1
    return {"letters wrong": wrong / letters, "lines right": right / n}


def edit_distance(a: str, b: str) -> int:
    """Letters to add, drop or change from one to the other (Levenshtein 1966)."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


def find(model: Finder, batches: Sequence[Sequence[drawn.Page]]) -> dict[str, float]:
    """Overlap of what is found and what is there, in cells over a half; and the share found where nothing is."""
    both, either, false, empty = 0.0, 0.0, 0.0, 0.0
    with torch.inference_mode():
        for pages in batches:
            found = model(torch.from_numpy(np.stack([p.pixels for p in pages])).float() / 255).numpy() > 0.5
            there = np.stack([p.mask for p in pages]) > 0.5
            both, either = both + (found & there).sum(), either + (found | there).sum()
            bare = ~there.any((1, 2))
            false, empty = false + found[bare].sum(), empty + found[bare].size
    return {"overlap": float(both / either), "false cells": float(false / max(1.0, empty))}


@dataclass(slots=True)
class _Run:
    """A network on its way: what a checkpoint holds."""

    model: Any
    average: Any
    """Running average of the weights; it is what is checked and shipped."""
    optimizer: Any
    file: Path
    spent_s: float = 0.0
    n: int = 0

    @classmethod
    def open(cls, kind: str, out: Path) -> _Run:
        """A new run, or the one that was stopped."""
        model = new(kind).to(memory_format=torch.channels_last)  # half the time on a CPU
        average = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=_drift, use_buffers=True)
        run = cls(model, average, torch.optim.AdamW(model.parameters(), PEAK, weight_decay=0.01), out / f"{kind}.pt")
        if run.file.exists():
            held = checkpoint.read(run.file)
            model.load_state_dict(held["model"])
            average.load_state_dict(held["average"])
            run.optimizer.load_state_dict(held["optimizer"])
            run.spent_s, run.n = held["spent_s"], held["n"]
        return run

    def save(self) -> None:
        parts = {"model": self.model, "average": self.average, "optimizer": self.optimizer}
        states = {name: part.state_dict() for name, part in parts.items()}
        checkpoint.write(self.file, states | {"spent_s": self.spent_s, "n": self.n})

    def step(self, loss: Tensor, rate: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimizer.step()
        self.average.update_parameters(self.model)
        self.n += 1


def _drift(averages: Sequence[Tensor], values: Sequence[Tensor], n: Tensor | int) -> None:
    """Move the averages towards the values, in large steps while there are few."""
    share = 1 - min(EMA, (1 + int(n)) / (10 + int(n)))
    for average, value in zip(averages, values, strict=True):
        if average.is_floating_point():
            average.lerp_(value, share)
        else:
            average.copy_(value)


def new(kind: str) -> Any:
    """The network of this name, untrained."""
    return LineReader(len(drawn.ALPHABET)) if kind == "lines" else Finder()


_KINDS: dict[str, tuple[Any, Any, Any]] = {
    "lines": (lines_loss, draw_lines, read),
    "finder": (pages_loss, draw_pages, find),
}
"""Network -> its loss on a batch, how batches are drawn, and how it is checked."""


def fit(kind: str, minutes: float, out: Path, seed: int = 0) -> None:
    """Train one of the two networks for some minutes; checkpoints go to `out`."""
    loss_of, draw, check = _KINDS[kind]
    out.mkdir(parents=True, exist_ok=True)
    run = _Run.open(kind, out)
    bf16 = has_bf16(torch.device("cpu"))
    unseen = draw(10**6)[:6]
    total, losses, started, checked = (
        minutes * 60,
        deque[float](maxlen=100),
        time.monotonic() - run.spent_s,
        run.spent_s,
    )
    for batch in _drawn(draw, seed + run.n):
        run.spent_s = time.monotonic() - started
        run.model.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = loss_of(run.model, batch)
        run.step(loss, PEAK * _rate(min(1.0, run.spent_s / total)))
        losses.append(float(loss.detach()))
        is_over = run.spent_s >= total
        if run.spent_s - checked > CHECK_S or is_over:
            checked = run.spent_s
            run.save()
            found = {k: round(v, 4) for k, v in check(run.average.module.eval(), unseen).items()}
            sys.stdout.write(f"{checked / 60:.1f} min, {run.n} steps, loss {np.mean(losses):.4f}, {found}\n")
            sys.stdout.flush()
        if is_over:
            return


def _rate(at: float) -> float:
    """Share of the peak rate at a share of the time: up, then down as a cosine."""
    return at / WARM if at < WARM else 0.5 * (1 + math.cos(math.pi * (at - WARM) / (1 - WARM))) + 1e-3


def write(runs: Path, to: Path) -> None:
    """Write `reader.onnx`, `reader.npz`, `finder.onnx` and `finder.npz` into a model folder.

    Args:
        runs: where both networks were trained.
        to: the model folder; its manifest is then to be written anew.
    """
    axes = {"lines": {0: "B", 2: "W"}, "scores": {0: "B", 1: "T"}}
    weights = graphs.traced(_trained("lines", runs), (torch.zeros(1, 32, 64),), to / "reader.onnx", axes, ["scores"])
    letters = np.array([ord(c) for c in drawn.ALPHABET], np.int32)
    np.savez_compressed(to / "reader.npz", letters=letters, **cast(Any, half(compact(weights))))
    axes = {"pixels": {0: "B", 1: "H", 2: "W"}, "band": {0: "B", 1: "h", 2: "w"}}
    weights = graphs.traced(_trained("finder", runs), (torch.zeros(1, 64, 64),), to / "finder.onnx", axes, ["band"])
    np.savez_compressed(to / "finder.npz", **cast(Any, half(compact(weights))))


def _trained(kind: str, runs: Path) -> Any:
    """The network with its averaged weights."""
    model = new(kind)
    held = checkpoint.read(runs / f"{kind}.pt")["average"]
    model.load_state_dict({k.removeprefix("module."): v for k, v in held.items() if k.startswith("module.")})
    return model


def main() -> None:
    """The commands above."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("what", choices=["lines", "finder"])
    parser.add_argument("--minutes", type=float, default=50)
    options = parser.parse_args()
    fit(options.what, options.minutes, options.out)


if __name__ == "__main__":
    main()
