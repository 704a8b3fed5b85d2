"""The eye: EfficientNet-lite in plain operations, batch normalisation already folded into its convolutions.

Axes: `B` pictures, `C` channels, `h w` cells of the feature map, `R` pixels of a side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EYE_WIDTH = 1280  # channels of the head, the same in every size ("fix_head_stem")
STEM_WIDTH = 32
PIXEL_MEAN, PIXEL_SCALE = 127.0, 128.0  # the lite models' own normalisation: (byte - 127) / 128

# kernel, stride, expansion, channels out, repeats: EfficientNet-B0 without squeeze-and-excitation.
# Source: Tan and Le 2019 (arXiv:1905.11946), table 1; tensorflow/tpu efficientnet/lite for what "lite" leaves out.
_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
_WIDTH_STEP = 8
GRID = 3  # cells of a side that soft words are made for; each covers 3 x 3 of the 7 x 7 map, neighbours overlap by one
_MOST_SHRINK = 0.9  # rounding may not take more than a tenth of the channels


@dataclass(frozen=True, slots=True)
class EyeConfig:
    """Size of an EfficientNet-lite."""

    name: str
    """Name in `onesense.train.sources`."""
    width: float
    """Multiplier of the channels, stem and head excepted."""
    depth: float
    """Multiplier of the repeats, first and last stage excepted."""
    resolution: int
    """Pixels of a side that the network was trained with."""


LITE0 = EyeConfig("eye_lite0", 1.0, 1.0, 224)
LITE2 = EyeConfig("eye_lite2", 1.1, 1.2, 260)


@dataclass(frozen=True, slots=True)
class BlockConfig:
    """One inverted residual block."""

    kernel: int
    stride: int
    expansion: int
    channels_in: int
    channels_out: int

    @property
    def is_residual(self) -> bool:
        """Whether the block's input is added to its output."""
        return self.stride == 1 and self.channels_in == self.channels_out


def _scaled_width(channels: int, factor: float) -> int:
    exact = channels * factor
    rounded = max(_WIDTH_STEP, int(exact + _WIDTH_STEP / 2) // _WIDTH_STEP * _WIDTH_STEP)
    return rounded + _WIDTH_STEP if rounded < _MOST_SHRINK * exact else rounded


def blocks(config: EyeConfig) -> list[BlockConfig]:
    """The blocks of a size, in order: 16 for lite0, 23 for lite2."""
    found: list[BlockConfig] = []
    channels = STEM_WIDTH
    for index, (kernel, stride, expansion, base, base_repeats) in enumerate(_STAGES):
        is_end = index in (0, len(_STAGES) - 1)
        out = _scaled_width(base, config.width)
        for repeat in range(base_repeats if is_end else math.ceil(base_repeats * config.depth)):
            found.append(BlockConfig(kernel, stride if repeat == 0 else 1, expansion, channels, out))
            channels = out
    return found


class SameConv(nn.Module):
    """Convolution with TensorFlow's "SAME" padding, fixed for one input side, and an optional ReLU6.

    Padding is written out because stride 2 pads more at the end than at the start, which `padding=` cannot say.
    """

    def __init__(
        self, channels_in: int, channels_out: int, kernel: int, stride: int, side: int, *, groups: int = 1, relu6: bool
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, stride, groups=groups)
        self.relu6 = relu6
        self.out_side = math.ceil(side / stride)
        total = max((self.out_side - 1) * stride + kernel - side, 0)
        self.padding = (total // 2, total - total // 2) * 2

    def forward(self, x: Tensor) -> Tensor:
        """Float32 [B, C_in, side, side] to [B, C_out, ceil(side / stride), same]."""
        if any(self.padding):
            x = F.pad(x, self.padding)
        x = self.conv(x)
        return torch.clamp(x, 0.0, 6.0) if self.relu6 else x


class Block(nn.Module):
    """Inverted residual: widen, look around per channel, narrow; linear at its end."""

    def __init__(self, config: BlockConfig, side: int) -> None:
        super().__init__()
        self.config = config
        inner = config.channels_in * config.expansion
        self.expand = (
            SameConv(config.channels_in, inner, 1, 1, side, relu6=True) if config.expansion > 1 else nn.Identity()
        )
        self.depthwise = SameConv(inner, inner, config.kernel, config.stride, side, groups=inner, relu6=True)
        self.project = SameConv(inner, config.channels_out, 1, 1, self.depthwise.out_side, relu6=False)

    def forward(self, x: Tensor) -> Tensor:
        """Float32 [B, C_in, side, side] to [B, C_out, side / stride, same]."""
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.config.is_residual else y


class Eye(nn.Module):
    """EfficientNet-lite without its classifier, for one input side.

    Weights come from `onesense.train.importers.efficientnet`. Nothing in it depends on the batch, so the ONNX
    export may leave the first axis free.
    """

    def __init__(self, config: EyeConfig, resolution: int | None = None) -> None:
        super().__init__()
        self.config = config
        self.resolution = resolution or config.resolution
        self.stem = SameConv(3, STEM_WIDTH, 3, 2, self.resolution, relu6=True)
        side, found = self.stem.out_side, []
        for block in blocks(config):
            found.append(Block(block, side))
            side = found[-1].depthwise.out_side
        self.blocks = nn.ModuleList(found)
        self.head = SameConv(found[-1].config.channels_out, EYE_WIDTH, 1, 1, side, relu6=True)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Look at pictures.

        Args:
            pixels: uint8 or float [B, 3, R, R], sRGB bytes 0..255 (`_mini.picture.prepare`).

        Returns:
            Feature map float32 [B, 1280, h, w], each value 0..6, and its mean over the cells [B, 1280].
        """
        x = self.stem((pixels.float() - PIXEL_MEAN) / PIXEL_SCALE)
        for block in self.blocks:
            x = block(x)
        cells: Tensor = self.head(x)
        return cells, cells.mean((2, 3))


def grid_cells(cells: Tensor) -> Tensor:
    """The 7 x 7 feature map as 3 x 3 overlapping cells, row by row.

    Args:
        cells: float32 [B, 1280, 7, 7].

    Returns:
        float32 [B, 9, 1280].
    """
    window = cells.shape[-1] - 2 * (GRID - 1)  # 3 of 7
    return F.avg_pool2d(cells, window, stride=GRID - 1).flatten(2).transpose(1, 2)
