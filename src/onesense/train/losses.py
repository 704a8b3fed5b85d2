"""Losses on vectors that are compared after the mean of text is taken away.

Random texts have cosine 0.79 in E5's space: what tells them apart is what is left without the mean, so contrast and
distances are taken there.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

TEMPERATURE = 0.05
SAME = 0.9  # centred cosine of two targets above which they count as the same thing and are no negatives


def centred(x: Tensor, mean: Tensor) -> Tensor:
    """Unit vectors of x, less the mean, rescaled: float32 [B, D]."""
    return F.normalize(F.normalize(x.float(), dim=-1) - mean, dim=-1)


def distance(x: Tensor, target: Tensor) -> Tensor:
    """Mean of 1 - cosine of matching unit rows; scalar."""
    return (1 - (x * target).sum(-1)).mean()


def info_nce(
    x: Tensor, target: Tensor, extra: Tensor | None = None, temperature: float = TEMPERATURE, same: float = SAME
) -> Tensor:
    """Contrast of each row with its own target against all other targets.

    Args:
        x: unit [B, D].
        target: unit [B, D]; row i is the positive of x[i].
        extra: unit [E, D], further negatives (hard ones), None without.
        temperature: divides the cosines.
        same: cosine of two targets above which they are no negatives of each other.

    Returns:
        Scalar cross-entropy. Targets nearly equal to a row's own are left out of its denominator.

    Source: van den Oord et al. 2018 (arXiv:1807.03748), eq. 4; masking as Gemini Embedding (arXiv:2503.07891).
    """
    bank = target if extra is None else torch.cat([target, extra])
    logits = x @ bank.T / temperature
    is_same = (target @ bank.T) > same
    own = torch.arange(len(x), device=x.device)
    is_same[own, own] = False
    return F.cross_entropy(logits.masked_fill(is_same, -1e4), own)


def ordered(cosines: Tensor, scores: Tensor, scale: float = 20.0) -> Tensor:
    """Penalty for each two pairs whose cosines stand in the other order than their scores.

    Args:
        cosines: [B] of sentence pairs.
        scores: [B] as people gave them; any unit.
        scale: multiplies the cosines.

    Returns:
        Scalar log(1 + sum over i, j with score i < score j of exp(scale * (cosine i - cosine j))).

    Source: CoSENT (Su 2022, kexue.fm/archives/8847), eq. 6.
    """
    apart = scale * (cosines[:, None] - cosines[None, :])
    wrong = apart[scores[:, None] < scores[None, :]]
    return torch.logsumexp(torch.cat([apart.new_zeros(1), wrong]), 0)
