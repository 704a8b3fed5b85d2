"""Speech as the ear's tokens: cached encoder states through the adapter, with transcripts."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import NotFound
from ...types import Array

TOKENS = "{split}_tokens.npz"
"""A pack's file of tokens: an eighth of the states that they are made from."""


@dataclass(frozen=True, slots=True, eq=False)
class SpeechClip:
    """One clip."""

    tokens: Array
    """float16 [L, 384], about three a second."""
    text: str
    english: str
    kind: str
    """Where it comes from: `story`, `real`, `synthetic`, ..."""


def clips(folder: str | Path, split: str = "train", kinds: Collection[str] | None = None) -> list[SpeechClip]:
    """All clips of a split that the ear module cached below a folder.

    Args:
        folder: where `onesense.train.ear` keeps `{split}_states.f16`, `.json`, `_loudness.f16` and `adapter.npz`.
        split: `train` or `dev`.
        kinds: only clips of these kinds, None for all; packed tokens come whole.

    Raises:
        NotFound: neither states nor packed tokens are there.
    """
    from ...engine.backends._mini.ear import Adapter, voiced, windows

    folder = Path(folder)
    states_file, tokens_file = folder / f"{split}_states.json", folder / TOKENS.format(split=split)
    if not states_file.is_file() and tokens_file.is_file():
        return _unpacked(tokens_file)
    if not states_file.is_file():
        raise NotFound(f"no encoded speech at {states_file}: run `onesense train --step speech`, or use a pack")
    index = json.loads((folder / f"{split}_states.json").read_text(encoding="utf-8"))
    states = np.memmap(folder / f"{split}_states.f16", np.float16, "r").reshape(-1, index["width"])
    loud = np.fromfile(folder / f"{split}_loudness.f16", np.float16)
    adapter = Adapter.load(folder / "adapter.npz")
    out = []
    for c in index["clips"]:
        if kinds is not None and c["kind"] not in kinds:
            continue
        span = slice(c["offset"], c["offset"] + c["n_states"])
        tokens = adapter(windows(states[span], voiced(loud[span])))
        if c["text"].strip():
            out.append(SpeechClip(tokens.astype(np.float16), c["text"], c["english"] or c["text"], c["kind"]))
    return out


def packed(folder: Path, split: str = "train") -> dict[str, Array]:
    """All clips of a split as arrays: `tokens` float16 [N, 384], `offsets` int64 [n + 1], `records` JSON [n]."""
    found = clips(folder, split)
    records = [json.dumps({"text": c.text, "english": c.english, "kind": c.kind}, ensure_ascii=False) for c in found]
    offsets = np.cumsum([0, *(len(c.tokens) for c in found)])
    return {"tokens": np.concatenate([c.tokens for c in found]), "offsets": offsets, "records": np.array(records)}


def _unpacked(file: Path) -> list[SpeechClip]:
    with np.load(file, allow_pickle=False) as z:
        tokens, offsets = z["tokens"], z["offsets"]
        records = [json.loads(record) for record in z["records"]]
    spans = zip(offsets, offsets[1:], records, strict=False)
    return [SpeechClip(tokens[a:b], r["text"], r["english"], r["kind"]) for a, b, r in spans]
