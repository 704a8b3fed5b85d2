"""An adapter of `tiny` with weights from a seed, saved as `onesense adapt` saves one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from onesense.engine import adapter, models
from onesense.engine.adapter import Adapter, Base, Manifest


def made_adapter(seed: int = 0, rank: int = 8) -> tuple[Adapter, Manifest]:
    """An adapter that moves vectors by about a third of their length."""
    info = models.info("tiny")
    rng = np.random.default_rng(seed)
    down, up = (rng.normal(size=shape).astype(np.float32) for shape in ((info.dim, rank), (rank, info.dim)))
    data = {"kind": "pairs", "n": 30, "sha256": "0" * 64}
    return Adapter(down / 30, up / 30), Manifest(Base.of(info), info.mrl_dims, rank, data, {}, "")


def saved_adapter(folder: Path, seed: int = 0) -> Path:
    """The folder, with the adapter in it."""
    adapter.save(folder, *made_adapter(seed))
    return folder
