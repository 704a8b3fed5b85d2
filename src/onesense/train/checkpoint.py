"""Checkpoints: written whole or not at all, read with what is wrong named, averaged.

A file of format `onesense.checkpoint.v1` holds `model` (the free weights of the last step), `average` (their moving
average, which is exported), `optimizer`, `step` and `seconds`; since the format's second edition also `recipe` and
`rng`. Files without those two still load. A snapshot and an averaged file have no `optimizer`: a run can start from
them, but not go on.
"""

from __future__ import annotations

import pickle  # noqa: TID251  only the name of an error
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import CorruptData, InvalidInput, NotFound
from .recipe import Recipe, differences

FORMAT = "onesense.checkpoint.v1"
LAST = "last.pt"


def write(file: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint, whole or not at all: a killed process leaves the one before."""
    partial = file.with_suffix(".partial")
    torch.save({"format": FORMAT} | state, partial)
    partial.replace(file)


def read(file: Path) -> dict[str, Any]:
    """A checkpoint's tensors and plain values, on the CPU.

    Raises:
        NotFound: there is no such file.
        CorruptData: it is damaged, or no checkpoint of ours.
    """
    if not file.is_file():
        raise NotFound(f"no checkpoint at {file}: train the stage before, or copy the file there")
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)  # noqa: TID251  tensors and plain values only
    except (RuntimeError, EOFError, KeyError, ValueError, pickle.UnpicklingError) as cause:
        raise CorruptData(f"{file} cannot be read as a checkpoint: it is damaged or another kind of file") from cause
    found = state.get("format") if isinstance(state, dict) else None
    if found != FORMAT or not {"model", "average"} <= set(state):
        raise CorruptData(f"{file} has the format {found!r}, expected `{FORMAT}`")
    return dict(state)


def check_recipe(file: Path, state: dict[str, Any], recipe: Recipe) -> None:
    """Refuse to go on with another recipe than the one that the checkpoint was made by.

    Raises:
        InvalidInput: the recipes differ, or the file cannot be gone on from.
    """
    if "optimizer" not in state:
        raise InvalidInput(f'{file} holds weights only: start a new run from it (`start="{file}"` in the recipe)')
    if changed := differences(state.get("recipe") or recipe.to_dict(), recipe.to_dict()):
        raise InvalidInput(
            f"{file} was made by another recipe ({'; '.join(changed)}): choose another --out, go on with the old "
            f'recipe, or begin anew from its weights (`start="{file}"`)'
        )


def rng_state(rng: random.Random) -> dict[str, Any]:
    """States of the generators that a run draws from."""
    state = {"python": rng.getstate(), "torch": torch.get_rng_state()}
    return state | ({"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {})


def restore_rng(rng: random.Random, state: dict[str, Any]) -> None:
    """Put generators where `rng_state` found them."""
    version, internal, gauss = state["python"]
    rng.setstate((version, tuple(internal), gauss))
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


def snapshots(folder: Path) -> list[Path]:
    """The snapshots of a run, oldest first."""
    return sorted(folder.glob("step-*.pt"))


def average(files: Sequence[Path], out: Path, which: str = "average") -> Path:
    """Write the mean of several checkpoints' weights.

    Args:
        files: checkpoints of one model, or one folder of a run whose snapshots are meant; two at least.
        out: file to write; a run can start from it and `export` reads it.
        which: `average` (each one's moving average) or `model` (each one's last step).

    Raises:
        InvalidInput: fewer than two files, or their weights do not fit each other.
        NotFound, CorruptData: see `read`.

    Source: Wortsman et al. 2022, model soups (arXiv:2203.05482), the uniform one.
    """
    chosen = [found for file in files for found in (snapshots(file) if file.is_dir() else [file])]
    if len(chosen) < 2:
        raise InvalidInput(f"{len(chosen)} checkpoint given: averaging takes two or more (or a run's folder with them)")
    total: dict[str, Tensor] = {}
    for file in chosen:
        weights = read(file)[which]
        if total and {k: v.shape for k, v in weights.items()} != {k: v.shape for k, v in total.items()}:
            raise InvalidInput(f"{file} has other weights than {chosen[0]}: average checkpoints of one recipe")
        for name, value in weights.items():
            total[name] = total.get(name, 0) + value.double() / len(chosen)  # type: ignore[assignment]
    mean = {name: value.float() for name, value in total.items()}
    out.parent.mkdir(parents=True, exist_ok=True)
    write(out, {"model": mean, "average": mean, "averaged": [str(file) for file in chosen]})
    return out
