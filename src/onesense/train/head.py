"""The head: one rotation of the shared space so that its first dimensions say most (Matryoshka).

It starts at the principal axes of the vectors and is then learnt for a minute: cosines of every prefix are drawn to
those of the whole (similarity distillation), and what belongs together (`matched`) stays nearest at every size.

Source: Kusupati et al. 2022 (arXiv:2205.13147) for nesting; the start and the mix of losses were measured (dev/LOG.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..types import Array

SIZES = (64, 128, 256, 384)
TEMPERATURE = 0.05


def principal_axes(vectors: Tensor) -> Tensor:
    """Orthogonal [D, D] whose columns are the principal axes of unit rows [n, D], strongest first; the mean counts."""
    _, _, axes = torch.linalg.svd(vectors, full_matrices=False)
    return axes.T.contiguous()


def fit_rotation(groups: Sequence[tuple[Array, Array]], steps: int = 300, batch: int = 512, seed: int = 0) -> Array:
    """Learn the map.

    Args:
        groups: kinds of pairs, each two unit arrays float32 [n, 384] of joined vectors (before the head); row i of the
            one belongs to row i of the other. By turns a batch comes from all rows and from one kind, so that a small
            kind counts.
        steps: of Adam, a cosine schedule from 2e-3.
        batch: pairs a step.
        seed: of the draws.

    Returns:
        float32 [384, 384], orthogonal: `x @ map` is the nested vector, and at full size nothing changes (the free map
        that was learnt first cost 0.6 points of STS-B). It is the principal axes times a Cayley transform, so that
        every step is a rotation.
    """
    generator = torch.Generator().manual_seed(seed)
    a, b = (torch.from_numpy(np.concatenate([group[side] for group in groups])) for side in (0, 1))
    ends = np.cumsum([0, *(len(left) for left, _ in groups)]).tolist()
    both = torch.cat([a, b])
    axes = principal_axes(both[torch.randperm(len(both), generator=generator)[:8192]])
    skew = torch.nn.Parameter(torch.zeros_like(axes))
    optimizer = torch.optim.Adam([skew], lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        kind = int(torch.randint(len(groups), (1,), generator=generator))
        low, high = (ends[kind], ends[kind + 1]) if step % 2 else (0, len(a))
        rows = torch.randint(low, high, (batch,), generator=generator)
        loss = _loss(a[rows], b[rows], axes @ cayley(skew), rows)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    out: Array = (axes @ cayley(skew.detach())).numpy()
    return out


def cayley(square: Tensor) -> Tensor:
    """The rotation [D, D] of any square matrix: (1 + A / 2)^-1 (1 - A / 2) with A its antisymmetric part."""
    half = (square - square.T) / 2
    one = torch.eye(len(square), dtype=square.dtype)
    return torch.linalg.solve(one + half, one - half)


def _loss(a: Tensor, b: Tensor, turn: Tensor, rows: Tensor) -> Tensor:
    full = torch.cat([a, b])
    target = full @ full.T
    turned_a, turned_b = a @ turn, b @ turn
    own = torch.arange(len(a))
    same = (a @ b.T) > (a * b).sum(1, keepdim=True) + 1e-4  # nearer than the own pair already: no negatives
    same |= rows[:, None] == rows[None, :]  # drawn twice
    same[own, own] = False
    total = torch.zeros(())
    for size in SIZES:
        x, y = F.normalize(turned_a[:, :size], dim=1), F.normalize(turned_b[:, :size], dim=1)
        whole = torch.cat([x, y])
        total = total + 30 * ((whole @ whole.T - target) ** 2).mean()
        total = total + 0.1 * F.cross_entropy((x @ y.T / TEMPERATURE).masked_fill(same, -1e4), own)
    return total
