"""Speech as the ear's tokens: cached encoder states through the adapter, with transcripts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...types import Array


@dataclass(frozen=True, slots=True, eq=False)
class SpeechClip:
    """One clip."""

    tokens: Array
    """float16 [L, 384], about three a second."""
    text: str
    english: str
    kind: str
    """Where it comes from: `story`, `real`, `synthetic`, ..."""


def clips(folder: str | Path, split: str = "train") -> list[SpeechClip]:
    """All clips of a split that the ear module cached below a folder.

    Args:
        folder: where `onesense.train.ear` keeps `{split}_states.f16`, `.json`, `_loudness.f16` and `adapter.npz`.
        split: `train` or `dev`.
    """
    from ...engine.backends._mini.ear import Adapter, voiced, windows

    folder = Path(folder)
    index = json.loads((folder / f"{split}_states.json").read_text(encoding="utf-8"))
    states = np.memmap(folder / f"{split}_states.f16", np.float16, "r").reshape(-1, index["width"])
    loud = np.fromfile(folder / f"{split}_loudness.f16", np.float16)
    adapter = Adapter.load(folder / "adapter.npz")
    out = []
    for c in index["clips"]:
        span = slice(c["offset"], c["offset"] + c["n_states"])
        tokens = adapter(windows(states[span], voiced(loud[span])))
        if c["text"].strip():
            out.append(SpeechClip(tokens.astype(np.float16), c["text"], c["english"] or c["text"], c["kind"]))
    return out
