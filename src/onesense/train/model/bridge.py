"""The bridge: what turns pictures and sounds into tokens of the trunk, beside the fixed concept tables.

Its arithmetic stands in `engine/backends/_mini/compose.py`, which inference runs on the same parameters.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...engine.backends._mini import compose
from ..text import TextEncoder

PREFIXES = {"picture": "a photo of", "sound": "the sound of", "video": "a video of", "page": "a page with"}
FEATURES = {"picture": 1280, "sound": 1024}


class Bridge(nn.Module):
    """Prefixes (from word rows), gains (one), places and feature paths (zero): at first, just soft words."""

    ends: Tensor

    def __init__(self, teacher: TextEncoder) -> None:
        super().__init__()
        letters = teacher.letters
        ids = teacher.tokenize(list(PREFIXES.values()))
        rows = {f"{k}_prefix": torch.from_numpy(teacher.words(i)) for k, i in zip(PREFIXES, ids, strict=True)}
        for sense, width in FEATURES.items():
            rows[f"{sense}_gain"] = torch.ones(())
            rows[f"{sense}_path"] = torch.zeros(width, 384)
            rows[f"{sense}_place"] = torch.zeros(1 + compose.CELLS if sense == "picture" else 1, 384)
        if letters is not None:
            rows["letters"] = torch.from_numpy(letters.rows.copy())
        self.values = nn.ParameterDict({k: nn.Parameter(v) for k, v in rows.items()})
        ends = torch.from_numpy(teacher.words([0, 2]))
        self.register_buffer("ends", ends, persistent=False)

    def named(self) -> dict[str, Tensor]:
        """Parameters under the names that `compose` reads, e.g. `picture.gain`."""
        return {k.replace("_", "."): v for k, v in self.values.items()}

    def tokens(self, sense: str, soft: Tensor, features: Tensor) -> Tensor:
        """Prefix and soft tokens of one picture or sound, [n_prefix + L, 384], on the bridge's device."""
        device = self.ends.device
        soft_tokens: Tensor = compose.soft_tokens(sense, soft.to(device), features.to(device), self.named())
        return torch.cat([self.values[f"{sense}_prefix"], soft_tokens])

    def sequence(self, pieces: Sequence[Tensor]) -> Tensor:
        """`<s>` pieces `</s>`, [L, 384], on the bridge's device."""
        return torch.cat([self.ends[:1], *(p.to(self.ends.device) for p in pieces), self.ends[1:]])
