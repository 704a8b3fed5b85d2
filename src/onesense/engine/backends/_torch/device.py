"""Where a checkpoint computes and in which numbers: `ONESENSE_DEVICE`, `ONESENSE_DTYPE`, the record."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

from onesense.engine.records import Record
from onesense.errors import InvalidInput, MissingExtra

_TORCH_NAMES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
_NEEDED = ("torch", "transformers", "sentence_transformers")


def require() -> None:
    """Refuse where the extra is not installed.

    Raises:
        MissingExtra: torch or transformers is missing.
    """
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise MissingExtra(f"open checkpoints need {', '.join(missing)}: pip install 'onesense[torch]'")


def dtype_name(record: Record) -> str:
    """What it computes in: the record's first choice, or `ONESENSE_DTYPE` where the record allows it.

    Raises:
        InvalidInput: the model gives wrong vectors in this type, or there is no such type.
    """
    wanted = os.environ.get("ONESENSE_DTYPE") or record.dtypes[0]
    if wanted not in record.dtypes:
        allowed = ", ".join(record.dtypes)
        raise InvalidInput(f"`{record.name}` computes in {allowed}, not in {wanted!r}: change ONESENSE_DTYPE")
    return wanted


def torch_dtype(name: str) -> Any:
    """`fp32` -> `torch.float32`."""
    import torch

    return getattr(torch, _TORCH_NAMES[name])


def device() -> Any:
    """`ONESENSE_DEVICE` (`cpu`, `cuda`, `cuda:1`, `mps`), by default the first GPU, or the processor.

    Raises:
        InvalidInput: there is no such device here.
    """
    import torch

    wanted = os.environ.get("ONESENSE_DEVICE", "auto")
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=wanted).device
    except (RuntimeError, AssertionError) as cause:
        reason = str(cause).splitlines()[0]
        raise InvalidInput(f"ONESENSE_DEVICE is {wanted!r}, which cannot be used here: {reason}") from None


def allows_remote_code() -> bool:
    """Whether the user has said that Python files of a checkpoint may run (`ONESENSE_REMOTE_CODE=1`)."""
    return os.environ.get("ONESENSE_REMOTE_CODE", "") == "1"
