"""New rows for a concept table: labelled pictures become classes beside the teacher's own.

The teacher's rows stay as they are. New rows compete with them in one softmax, so that a picture of a new thing
moves its mass there and a picture of an old thing leaves it where it was. The latter is taught without pictures of
the old classes: *class-edited* features are real features pushed along a teacher row until that row wins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..types import Array

_SPREAD = 0.3  # of the standardised features: keeps Adam's steps small against the teacher's logits
_NOISE = 0.03
_START = -2.0  # bias of a new row before training: quiet until it has learnt something
_DECAY = 2e-4
_MAX_FEATURE = 6.0  # ReLU6
_MASKED = -1e4


@dataclass(frozen=True, slots=True)
class RowsRun:
    """How rows are fitted."""

    steps: int = 300
    batch: int = 256
    rate: float = 3e-3
    seed: int = 0
    offset: float = -1.0
    """Added to the new rows' bias afterwards: labelled sets are small and their rows too sure of themselves."""


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """Pictures with labels, as features."""

    features: Array
    """float32 [n, 1280], pooled, 0..6."""
    labels: Array
    """int64 [n], index of a new concept."""
    near: Array
    """bool [K_new, K_teacher]: teacher classes that mean nearly the same, neither right nor wrong."""


def fit_rows(teacher: tuple[Array, Array], labelled: Labelled, run: RowsRun | None = None) -> tuple[Array, Array]:
    """Fit new softmax rows.

    Args:
        teacher: weight float32 [K_teacher, 1280] and bias [K_teacher].
        labelled: pictures of the new concepts.
        run: how; the defaults take about 25 s on one core for 6,000 pictures and 180 concepts.

    Returns:
        Weight float32 [K_new, 1280] and bias [K_new] for raw features, offset included.
    """
    run = run or RowsRun()
    generator = torch.Generator().manual_seed(run.seed)
    fit = _Fit(teacher, labelled)
    optimizer = torch.optim.Adam([fit.weight, fit.bias], run.rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, run.steps)
    for _ in range(run.steps):
        optimizer.zero_grad()
        loss = fit.labelled_loss(run.batch, generator) + fit.edited_loss(run.batch // 2, generator)
        (loss + _DECAY * (fit.weight**2).sum() / len(fit.weight)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return fit.raw_rows(run.offset)


class _Fit:
    """State of one fit: features, their scale, the teacher and the rows."""

    def __init__(self, teacher: tuple[Array, Array], labelled: Labelled) -> None:
        self.features = torch.from_numpy(labelled.features)
        self.labels = torch.from_numpy(labelled.labels)
        self.near = torch.from_numpy(labelled.near)
        self.centre = self.features.mean(0)
        self.scale = _SPREAD / (self.features.std(0) + 1e-3)
        self.teacher = torch.from_numpy(teacher[0]), torch.from_numpy(teacher[1])
        contrast = self.teacher[0] - self.teacher[0].mean(0)
        self.direction = F.normalize(contrast, dim=-1)
        self.gain = (self.direction * contrast).sum(1)  # how fast the own logit leaves the mean one
        n_new = len(labelled.near)
        self.weight = torch.zeros(n_new, self.features.shape[1], requires_grad=True)
        self.bias = torch.full((n_new,), _START, requires_grad=True)

    def _new_logits(self, x: Tensor) -> Tensor:
        return (x - self.centre) * self.scale @ self.weight.T + self.bias

    def _teacher_logits(self, x: Tensor) -> Tensor:
        return x @ self.teacher[0].T + self.teacher[1]

    def labelled_loss(self, n: int, generator: torch.Generator) -> Tensor:
        """Cross-entropy over teacher and new rows, near teacher rows left out."""
        rows = torch.randint(0, len(self.features), (n,), generator=generator)
        x, label = self.features[rows], self.labels[rows]
        noise = _NOISE * torch.randn(x.shape, generator=generator) / self.scale
        old = self._teacher_logits(x).masked_fill(self.near[label], _MASKED)
        logits = torch.cat([old, self._new_logits(x + noise)], 1)
        return F.cross_entropy(logits, old.shape[1] + label)

    def edited_loss(self, n: int, generator: torch.Generator) -> Tensor:
        """Cross-entropy that keeps features of old classes with their old rows."""
        x, label = self._edited(n, generator)
        return F.cross_entropy(torch.cat([self._teacher_logits(x), self._new_logits(x)], 1), label)

    def _edited(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Features [n, 1280] pushed along a random teacher row until it wins by 0 to 6, and that row's index."""
        label = torch.randint(0, len(self.direction), (n,), generator=generator)
        base = self.features[torch.randint(0, len(self.features), (n,), generator=generator)]
        x = (base + self.centre) / 2
        logits = self._teacher_logits(x)
        behind = logits.max(1).values - logits.gather(1, label[:, None])[:, 0]
        step = (behind.clamp(min=0) + 6 * torch.rand(n, generator=generator)) / self.gain[label]
        return (x + 1.1 * step[:, None] * self.direction[label]).clamp(0, _MAX_FEATURE), label

    def raw_rows(self, offset: float) -> tuple[Array, Array]:
        """The rows for features that are not standardised."""
        weight = self.weight.detach() * self.scale
        bias = self.bias.detach() - weight @ self.centre + offset
        return weight.numpy().astype(np.float32), bias.numpy().astype(np.float32)
