"""Makes torchvision importable, which transformers' picture and video processors need."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import Any

from onesense.errors import MissingExtra

_DECLARED: list[object] = []  # the library that declares the operators lives as long as the process
_OPERATORS = ("nms", "qnms")


def require_torchvision() -> None:
    """Import torchvision, beside a torch that it was not built for too.

    PyPI's torchvision is built for CUDA. Beside a CPU torch its compiled operators do not load, and the import fails
    over two that are not declared. The processors use none of them, so declaring them is enough.

    Raises:
        MissingExtra: it is not installed, or fails for another reason.
    """
    if find_spec("torchvision") is None:
        raise MissingExtra("pictures and video need torchvision: pip install 'onesense[torch]'")
    try:
        import torchvision
    except (RuntimeError, ImportError, OSError):
        _declare_operators()
        try:
            import torchvision  # noqa: F401
        except (RuntimeError, ImportError, OSError) as cause:
            raise MissingExtra(
                f"torchvision does not fit torch ({cause}): install both from the same place, e.g. "
                "pip install torch torchvision --index-url https://download.pytorch.org/whl/cpu"
            ) from None


def _declare_operators() -> None:
    import torch

    make: Any = torch.library.Library
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]  # half imported
    library = make("torchvision", "FRAGMENT")
    for name in _OPERATORS:
        if not hasattr(torch.ops.torchvision, name):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _DECLARED.append(library)
