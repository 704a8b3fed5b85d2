"""The two small networks that read print: one finds lines, the other writes down what stands in a line.

Depthwise separable convolutions throughout (Howard et al. 2017, arXiv:1704.04861). The reader ends in CTC (Graves et
al. 2006); the finder predicts the middle band of each line, like PSENet's smallest kernel (Wang et al. 2019,
arXiv:1903.12473).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDE = 176
STEP = 4  # px of a line, after stretching, that one output of the reader stands for


def _conv(n_in: int, n_out: int, kernel: Any, stride: Any = 1, groups: int = 1, dilation: int = 1) -> nn.Sequential:
    kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
    padding = tuple(dilation * (k // 2) for k in kernel)
    conv = nn.Conv2d(n_in, n_out, kernel, stride, padding, dilation, groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(n_out))


class Block(nn.Module):
    """Depthwise, then pointwise; a residual where the shape stays."""

    def __init__(self, n_in: int, n_out: int, kernel: Any = 3, stride: Any = 1, dilation: int = 1) -> None:
        super().__init__()
        self.deep = _conv(n_in, n_in, kernel, stride, groups=n_in, dilation=dilation)
        self.point = _conv(n_in, n_out, 1)
        self.is_residual = n_in == n_out and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        """Float32 [B, n_in, H, W] -> [B, n_out, H', W']."""
        y = self.point(F.relu(self.deep(x)))
        return F.relu(x + y if self.is_residual else y)


class LineReader(nn.Module):
    """Float32 [B, 32, W], 0..1 -> log probabilities [B, W / 4, letters + 1], the blank first."""

    def __init__(self, n_letters: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _conv(1, 24, 3, 2), nn.ReLU(),
            Block(24, 56, 3, 2), Block(56, 56),
            Block(56, 96, 3, (2, 1)), Block(96, 96), Block(96, 96),
        )  # fmt: skip
        self.fold = nn.Sequential(nn.Conv2d(96, WIDE, (4, 1), bias=False), nn.BatchNorm2d(WIDE), nn.ReLU())
        self.along = nn.Sequential(*[Block(WIDE, WIDE, (1, 9)) for _ in range(5)])
        self.out = nn.Conv2d(WIDE, n_letters + 1, 1)

    def forward(self, lines: Tensor) -> Tensor:
        """See the class."""
        x = self.along(self.fold(self.body(lines[:, None] - 0.5)))
        return F.log_softmax(self.out(x)[:, :, 0].transpose(1, 2).float(), -1)


class Finder(nn.Module):
    """Float32 [B, H, W], 0..1, sides divisible by 16 -> [B, H/4, W/4], how likely 4 x 4 px lie in a line's band."""

    def __init__(self) -> None:
        super().__init__()
        self.quarter = nn.Sequential(_conv(1, 12, 3, 2), nn.ReLU(), Block(12, 24, 3, 2), Block(24, 24))
        self.eighth = nn.Sequential(Block(24, 40, 3, 2), Block(40, 40), Block(40, 40, 3, 1, 2))
        self.sixteenth = nn.Sequential(Block(40, 64, 3, 2), Block(64, 64, 3, 1, 2), Block(64, 64, (3, 7)))
        self.from_sixteenth, self.from_eighth = _conv(64, 40, 1), _conv(40, 24, 1)
        self.last = nn.Sequential(Block(24, 24, (3, 5)), Block(24, 24), nn.Conv2d(24, 1, 1))

    def logits(self, pixels: Tensor) -> Tensor:
        """Before the sigmoid."""
        a = self.quarter(pixels[:, None] - 0.5)
        b = self.eighth(a)
        b = F.relu(b + F.interpolate(self.from_sixteenth(self.sixteenth(b)), scale_factor=2.0, mode="nearest"))
        a = F.relu(a + F.interpolate(self.from_eighth(b), scale_factor=2.0, mode="nearest"))
        out: Tensor = self.last(a)[:, 0].float()
        return out

    def forward(self, pixels: Tensor) -> Tensor:
        """See the class."""
        return torch.sigmoid(self.logits(pixels))
