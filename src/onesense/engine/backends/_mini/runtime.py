"""Which runtime the trunk runs in: ONNX Runtime in float32, or OpenVINO in bf16 where it is installed and proves right.

`ONESENSE_RUNTIME` says: `onnxruntime`, `openvino`, or `auto`, the default. With `auto` a process starts in ONNX
Runtime, so that a single query loads nothing more; once it has done `SWITCH_TOKENS` of work, and if the extra
`[openvino]` is there and the processor computes bf16, OpenVINO answers one batch as well, and goes on alone if it says
the same.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from ....errors import InvalidInput, MissingExtra
from ....types import Array
from ....vectors import cosine
from .graph import Graph, cores, widen
from .package import Package

if TYPE_CHECKING:
    from .openvino_trunk import OpenVinoTrunk

SETTING = "ONESENSE_RUNTIME"
NAMES = ("auto", "onnxruntime", "openvino")
SWITCH_TOKENS = 20_000  # with padding, about three CPU-seconds; OpenVINO takes half a second to load
LEAST_COSINE = 0.999  # of every row of the batch that both answer; bf16 gives .99998 (dev/LOG.md)

log = logging.getLogger(__name__)


def chosen() -> str:
    """What the setting says.

    Raises:
        InvalidInput: it is none of `NAMES`.
        MissingExtra: it asks for OpenVINO, which is not installed.
    """
    name = os.environ.get(SETTING, "").strip() or "auto"
    if name not in NAMES:
        raise InvalidInput(f"{SETTING} is {name!r}: use one of {', '.join(NAMES)}")
    if name == "openvino" and not _is_installed():
        raise MissingExtra(f"{SETTING}=openvino needs the package openvino: pip install 'onesense[openvino]'")
    return name


def _is_installed() -> bool:
    return find_spec("openvino") is not None


class Trunk:
    """The trunk, whichever runtime it runs in. One call at a time."""

    def __init__(self, package: Package, threads: int = 0) -> None:
        """Load it.

        Args:
            package: the model folder.
            threads: 0 for one a core that this process may use.

        Raises:
            InvalidInput, MissingExtra: see `chosen`.
        """
        name = chosen()
        self._package, self._threads = package, threads
        self._left = SWITCH_TOKENS if name == "auto" and _is_installed() else 0
        self._lock = threading.Lock()
        weights = widen(package.arrays("trunk.npz"))
        self._runtime: Graph | OpenVinoTrunk
        if name == "openvino":
            self._runtime = _openvino(weights, threads)
        else:
            self._runtime = Graph(package.file("trunk.onnx"), weights, threads)

    @property
    def runtime(self) -> str:
        """`onnxruntime` or `openvino`."""
        return "onnxruntime" if isinstance(self._runtime, Graph) else "openvino"

    def __call__(self, x: Array, mask: Array) -> Array:
        """Mean of the token states.

        Args:
            x: float32 [B, L, 384], L <= 512.
            mask: float32 [B, L], 1 where a token is.

        Returns:
            float32 [B, 384].
        """
        with self._lock:
            pooled: Array = self._runtime.run(x=x, mask=mask)[0]
            if self._left > 0:
                self._left -= mask.size
                if self._left <= 0:
                    self._try_other(x, mask, pooled)
            return pooled

    def _try_other(self, x: Array, mask: Array, pooled: Array) -> None:
        """Go over to OpenVINO if it computes bf16 here and answers this batch alike."""
        from .openvino_trunk import has_bf16

        if not has_bf16():
            return
        other = _openvino(widen(self._package.arrays("trunk.npz")), self._threads)
        worst = float(np.diag(cosine(other.run(x=x, mask=mask)[0], pooled)).min())
        if worst >= LEAST_COSINE:
            self._runtime = other
            log.info("the trunk goes on in OpenVINO, bf16 (cosine to ONNX Runtime %.5f)", worst)
        else:
            log.warning("OpenVINO answers otherwise (cosine %.5f), so ONNX Runtime stays", worst)


def _openvino(weights: Mapping[str, Any], threads: int) -> OpenVinoTrunk:
    from .openvino_trunk import OpenVinoTrunk, has_bf16

    return OpenVinoTrunk(weights, threads or cores(), bf16=has_bf16())
