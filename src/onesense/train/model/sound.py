"""The ear for sounds: YAMNet (MobileNet-1 on log-mel patches of 0.96 s) in plain operations.

Axes: `B` patches, `F` frames of 10 ms, `M` mel bins.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FRAMES, MELS = 96, 64
SOUND_WIDTH = 1024
N_CLASSES = 521
STEM_WIDTH = 32
# stride and channels out of each depthwise-separable layer
# Source: tensorflow/models research/audioset/yamnet/yamnet.py, _YAMNET_LAYER_DEFS
LAYERS = (
    (1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512), (1, 512), (1, 512), (1, 512), (1, 512), (1, 512),
    (2, 1024), (1, 1024),
)  # fmt: skip


class Conv3(nn.Module):
    """3×3 convolution with TensorFlow's "SAME" padding for even sizes (odd ones at stride 1), and ReLU6."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, *, groups: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv2d(channels_in, channels_out, 3, stride, padding=2 - stride, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """Float32 [B, C_in, F, M] to [B, C_out, F / stride, M / stride]."""
        if self.stride == 2:  # an even side at stride 2 is padded at its end only
            x = F.pad(x, (0, 1, 0, 1))
        return torch.clamp(self.conv(x), 0.0, 6.0)


class Separable(nn.Module):
    """Depthwise 3×3, then pointwise 1×1, each with ReLU6."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.depthwise = Conv3(channels_in, channels_in, stride, groups=channels_in)
        self.pointwise = nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Float32 [B, C_in, F, M] to [B, C_out, F / stride, M / stride]."""
        return torch.clamp(self.pointwise(self.depthwise(x)), 0.0, 6.0)


class Sound(nn.Module):
    """YAMNet with its classifier. Weights come from `onesense.train.importers.yamnet`.

    The published YAMNet has ReLU; this one was trained again for 8 bits, with ReLU6. Without the upper bound a clean
    tone gives logits of -500 (dev/LOG.md).
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = Conv3(1, STEM_WIDTH, 2)
        found, channels = [], STEM_WIDTH
        for stride, out in LAYERS:
            found.append(Separable(channels, out, stride))
            channels = out
        self.layers = nn.ModuleList(found)
        self.classifier = nn.Linear(SOUND_WIDTH, N_CLASSES)

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Listen to patches.

        Args:
            patches: float32 [B, 96, 64], natural logarithm of mel energies (`_mini.logmel.yamnet_logmel`).

        Returns:
            Embedding float32 [B, 1024], 0..6, and logits [B, 521] in the order of `yamnet_class_map.csv`.
        """
        x = self.stem(patches[:, None])
        for layer in self.layers:
            x = layer(x)
        embedding = x.mean((2, 3))
        return embedding, self.classifier(embedding)
