"""The ear in torch: Whisper's encoder, taken as it is, and the adapter that turns its states into tokens for the trunk.

    log-mel [80, F] -> Encoder -> states [F/2, 512] at 50/s -> pooled to 25/s -> windows -> Adapter -> tokens [L, 384]

The NumPy side of the adapter is `onesense.engine.backends._mini.ear`; a test holds the two together.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...engine.backends._mini import ear as runtime
from ...types import Array
from ..importers.whisper import LAYERS, MELS, POSITIONS, WIDTH

HEADS = 8


class EncoderLayer(nn.Module):
    """Self-attention and a GELU feed-forward layer, each behind a LayerNorm."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, T, 512] to [B, T, 512]."""
        B, T, D = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(B, T, 3, HEADS, D // HEADS).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v)  # [B, heads, T, 64]
        x = x + self.out(mixed.transpose(1, 2).reshape(B, T, D))
        out: Tensor = x + self.down(F.gelu(self.up(self.norm2(x))))
        return out


class Encoder(nn.Module):
    """Whisper base's encoder; any even number of frames up to 3000. It has no mask: clips go through one by one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(MELS, WIDTH, 3, padding=1)
        self.conv2 = nn.Conv1d(WIDTH, WIDTH, 3, stride=2, padding=1)
        self.position = nn.Parameter(torch.zeros(POSITIONS, WIDTH))
        self.layers = nn.ModuleList(EncoderLayer() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH)

    @classmethod
    def imported(cls, weights: dict[str, Array]) -> Encoder:
        """The encoder with the imported weights, loaded strictly, frozen."""
        encoder = cls()
        encoder.load_state_dict({k: torch.from_numpy(v) for k, v in weights.items()}, strict=True)
        return encoder.eval().requires_grad_(requires_grad=False)

    def forward(self, mel: Tensor) -> Tensor:
        """Map float32 [B, 80, F] to states [B, F/2, 512] at 50/s."""
        x = F.gelu(self.conv2(F.gelu(self.conv1(mel)))).transpose(1, 2)  # [B, F/2, 512]
        x = x + self.position[: x.shape[1]]
        for layer in self.layers:
            x = layer(x)
        out: Tensor = self.norm(x)
        return out


class Adapter(nn.Module):
    """Windows of states to raw token vectors: a linear map, in closed form at first, and a small net beside it.

    The net's last layer starts at zero, so that training begins at the closed form.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, hidden: int = 768, width: int = 384) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(runtime.FEATURES))
        self.register_buffer("scale", torch.ones(runtime.FEATURES))
        self.linear = nn.Linear(runtime.FEATURES, width)
        self.hidden = nn.Linear(runtime.FEATURES, hidden)
        self.out = nn.Linear(hidden, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, windows: Tensor) -> Tensor:
        """Map float32 [..., 1536] to tokens [..., 384]."""
        x = (windows - self.mean) / self.scale
        tokens: Tensor = self.linear(x) + self.out(F.relu(self.hidden(x)))
        return tokens

    def arrays(self) -> dict[str, Array]:
        """The weights by the names of the NumPy side, float32."""
        return {name.replace(".", "_"): value.detach().numpy() for name, value in self.state_dict().items()}

    def numpy(self) -> runtime.Adapter:
        """The same net in NumPy."""
        return runtime.Adapter(**{name: value.copy() for name, value in self.arrays().items()})
