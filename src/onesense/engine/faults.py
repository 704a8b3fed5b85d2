"""Turns whatever a model's libraries raise into a `BackendError` that names the model."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from onesense.errors import (
    BackendError,
    BadKey,
    Busy,
    FingerprintMismatch,
    MissingExtra,
    MissingKey,
    PermissionDenied,
    Unavailable,
)

ABOUT_NO_INPUT = (BadKey, Busy, FingerprintMismatch, MissingExtra, MissingKey, PermissionDenied, Unavailable)
"""Outcomes of an input of a service whose cause is the service or its key: the next input would meet the same."""

_FAULTS: tuple[type[Exception], ...] = (
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    MemoryError,
    OSError,
)
"""What a faulty model may raise. Interrupts and exits are none of them, so they pass through."""


def faults() -> tuple[type[Exception], ...]:
    """The exceptions that mean "the model failed", ONNX Runtime's own among them once that library is in use."""
    native = sys.modules.get("onnxruntime.capi.onnxruntime_pybind11_state")
    if native is None:
        return _FAULTS
    members = (getattr(native, name) for name in dir(native))
    return _FAULTS + tuple(m for m in members if isinstance(m, type) and issubclass(m, Exception))


@contextmanager
def guarded(model: str, doing: str) -> Iterator[None]:
    """Run a model's code; `OnesenseError`s pass, its other faults become `BackendError`.

    Args:
        model: name for the message.
        doing: what the model was asked to do, e.g. `embedding 3 items`.

    Raises:
        BackendError: the model raised something that is no `OnesenseError`; the cause is chained.
    """
    try:
        yield
    except faults() as cause:
        hint = "; give it less at once" if isinstance(cause, MemoryError) else ""
        raise BackendError(f"`{model}` failed while {doing}: {type(cause).__name__}: {cause}{hint}") from cause
