"""Loading weights: every tensor that the model has comes from the files, or loading fails."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from onesense.errors import CorruptData, InvalidInput


def load(architecture: Any, path: Path, dtype: Any, unread: str = r"$^") -> Any:
    """A model in `eval` mode on the processor.

    Args:
        architecture: a transformers class with `from_pretrained`.
        path: folder of the checkpoint.
        dtype: torch dtype of the weights in memory.
        unread: pattern of tensors in the files that this model has no use for, e.g. a language model's head.

    Raises:
        CorruptData: a tensor is missing, has another shape, or belongs to another model; a file is damaged.
    """
    with readable(path):
        model, report = architecture.from_pretrained(
            path,
            dtype=dtype,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    check(path, report, unread)
    return model.eval()


def quieten(transformers: Any) -> None:
    """No reports and progress bars on the terminal: what matters in them is raised by `check`."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()


def check(path: Path, report: dict[str, Any], unread: str = r"$^") -> None:
    """Refuse what transformers' loading report tells of; transformers itself would go on with random weights.

    Raises:
        CorruptData: as `load`.
    """
    strange = [key for key in report["unexpected_keys"] if not re.search(unread, key)]
    faults = (
        ("are missing", sorted(report["missing_keys"])),
        ("have another shape", sorted(str(key) for key in report["mismatched_keys"])),
        ("belong to another model", sorted(strange)),
    )
    for fault, keys in faults:
        if keys:
            first = ", ".join(keys[:3])
            raise CorruptData(f"`{path}`: {len(keys)} tensors {fault} ({first}): download the checkpoint again")


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what reading a checkpoint raises into errors that name the folder.

    Raises:
        CorruptData: a file is damaged or does not fit the others.
        InvalidInput: the checkpoint brings Python files that would have to run.
    """
    from safetensors import SafetensorError

    try:
        yield
    except (SafetensorError, OSError, EOFError, RuntimeError, LookupError, TypeError) as cause:
        raise CorruptData(f"`{path}` does not load: {_first_line(cause)}") from cause
    except ValueError as cause:
        if "trust_remote_code" in str(cause):
            raise InvalidInput(
                f"`{path}` brings Python files that would run: read them, then set ONESENSE_REMOTE_CODE=1"
            ) from cause
        raise CorruptData(f"`{path}` does not load: {_first_line(cause)}") from cause


def _first_line(cause: Exception) -> str:
    lines = str(cause).strip().splitlines()
    return lines[0] if lines else type(cause).__name__
