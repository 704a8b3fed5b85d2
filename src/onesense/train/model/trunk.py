"""The trunk in torch: 12 post-norm transformer layers over raw token vectors, whatever they were before.

Words come as rows of the word table, pictures and sounds as soft words, speech as the ear's tokens: all [.., 384].
Low-rank branches (LoRA, Hu et al. 2021, arXiv:2106.09685) are added beside the imported matrices, which stay exact.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH, HEADS, FF, LAYERS, POSITIONS = 384, 12, 1536, 12, 512


class LowRank(nn.Linear):
    """A linear layer with a low-rank branch: y = W x + b + (x A) B. B starts at zero, so nothing changes at first."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__(n_in, n_out)
        self.down_rank: nn.Parameter | None = None
        self.up_rank: nn.Parameter | None = None

    def add_rank(self, rank: int) -> None:
        """Freeze the matrix and open a branch of this rank."""
        self.weight.requires_grad = False
        self.bias.requires_grad = False
        self.down_rank = nn.Parameter(torch.randn(self.in_features, rank) * self.in_features**-0.5)
        self.up_rank = nn.Parameter(torch.zeros(rank, self.out_features))

    def forward(self, x: Tensor) -> Tensor:
        """Map [..., in] to [..., out]."""
        y = F.linear(x, self.weight, self.bias)
        if self.down_rank is None or self.up_rank is None:
            return y
        return y + (x @ self.down_rank.to(x.dtype)) @ self.up_rank.to(x.dtype)


class Layer(nn.Module):
    """Self-attention and a GELU feed-forward layer, each followed by LayerNorm (BERT's order)."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = LowRank(WIDTH, 3 * WIDTH), LowRank(WIDTH, WIDTH)
        self.up, self.down = LowRank(WIDTH, FF), LowRank(FF, WIDTH)
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH, 1e-12), nn.LayerNorm(WIDTH, 1e-12)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Map [B, L, D] to [B, L, D]; mask bool [B, 1, 1, L] is True where a token is."""
        B, L, D = x.shape
        q, k, v = self.qkv(x).view(B, L, 3, HEADS, D // HEADS).permute(2, 0, 3, 1, 4)  # each [B, heads, L, D/heads]
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = self.norm1(x + self.out(mixed.transpose(1, 2).reshape(B, L, D)))
        out: Tensor = self.norm2(x + self.down(F.gelu(self.up(x))))
        return out


class Trunk(nn.Module):
    """Raw token vectors to one pooled vector."""

    def __init__(self) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.zeros(POSITIONS, WIDTH))
        self.norm = nn.LayerNorm(WIDTH, 1e-12)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))

    def states(self, x: Tensor, mask: Tensor) -> Tensor:
        """Token states.

        Args:
            x: float32 [B, L, 384] raw token vectors, L <= 512.
            mask: float32 or bool [B, L], 1 where a token is.

        Returns:
            float32 (bf16 under autocast) [B, L, 384].
        """
        x = self.norm(x + self.position[: x.shape[1]])
        keep = None if bool(mask.all()) else mask[:, None, None, :].bool()
        for layer in self.layers:
            x = layer(x, keep)
        return x

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Mean of the token states over real tokens, float32 [B, 384], not normalised."""
        weight = mask[:, :, None].float()
        return (self.states(x, mask).float() * weight).sum(1) / weight.sum(1)

    def add_rank(self, rank: int) -> list[nn.Parameter]:
        """Freeze everything, open low-rank branches in every layer, and return their parameters."""
        for parameter in self.parameters():
            parameter.requires_grad = False
        branches: list[nn.Parameter] = []
        for module in self.modules():
            if isinstance(module, LowRank):
                module.add_rank(rank)
                branches += [p for p in (module.down_rank, module.up_rank) if p is not None]
        return branches
