"""The head: one rotation of the shared space so that its first dimensions say most (Matryoshka).

It starts at the principal axes of the vectors and is then learnt for a minute: cosines of every prefix are drawn to
those of the whole (similarity distillation), and translations stay nearest neighbours at every size.

Source: Kusupati et al. 2022 (arXiv:2205.13147) for nesting; the start and the mix of losses were measured (dev/LOG.md).
"""

from __future__ import annotations

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


def fit_rotation(left: Array, right: Array, steps: int = 300, batch: int = 512, seed: int = 0) -> Array:
    """Learn the map.

    Args:
        left: float32 [n, 384] joined vectors (before the head) of one side of pairs.
        right: float32 [n, 384] of the other side; row i belongs to row i.
        steps: of Adam, a cosine schedule from 2e-3.
        batch: pairs a step.
        seed: of the draws.

    Returns:
        float32 [384, 384], orthogonal: `x @ map` is the nested vector, and at full size nothing changes (the free map
        that was learnt first cost 0.6 points of STS-B; its nearest orthogonal one, by polar decomposition, costs none).
    """
    generator = torch.Generator().manual_seed(seed)
    a, b = (F.normalize(torch.from_numpy(x), dim=1) for x in (left, right))
    both = torch.cat([a, b])
    turn = torch.nn.Parameter(principal_axes(both[torch.randperm(len(both), generator=generator)[:8192]]))
    optimizer = torch.optim.Adam([turn], lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        rows = torch.randint(len(a), (batch,), generator=generator)
        loss = _loss(a[rows], b[rows], turn)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    left_axes, _, right_axes = torch.linalg.svd(turn.detach())
    out: Array = (left_axes @ right_axes).numpy()
    return out


def _loss(a: Tensor, b: Tensor, turn: Tensor) -> Tensor:
    full = torch.cat([a, b])
    target = full @ full.T
    turned_a, turned_b = a @ turn, b @ turn
    own = torch.arange(len(a))
    same = (a @ b.T) > (a * b).sum(1, keepdim=True) + 1e-4  # nearer than the own pair already: no negatives
    total = torch.zeros(())
    for size in SIZES:
        x, y = F.normalize(turned_a[:, :size], dim=1), F.normalize(turned_b[:, :size], dim=1)
        whole = torch.cat([x, y])
        total = total + 30 * ((whole @ whole.T - target) ** 2).mean()
        total = total + 0.1 * F.cross_entropy((x @ y.T / TEMPERATURE).masked_fill(same, -1e4), own)
    return total
