"""The trunk in OpenVINO, in bf16 where the processor computes it: about twice as fast as ONNX Runtime in float32.

Only with the extra `[openvino]`. The weights are those of the package; only the arithmetic is coarser, so vectors are
checked against those of ONNX Runtime before this runtime is used (`runtime.py`). It reports nothing home: see `load`.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from ....types import Array

WIDTH, HEADS, LAYERS = 384, 12, 12
EPSILON = 1e-12


_TELEMETRY = "openvino_telemetry"
_lock = threading.Lock()


def load() -> Any:
    """The openvino module, imported without its telemetry.

    `import openvino` sends an event to Google Analytics from a forked process, unless the package
    `openvino_telemetry` is missing; so it is missing meanwhile. We are used where nothing may leave the machine.
    """
    with _lock:
        if "openvino" in sys.modules:
            return sys.modules["openvino"]
        before = sys.modules.get(_TELEMETRY)
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # importing it raises ImportError
        try:
            import openvino
            import openvino.opset13
        finally:
            del sys.modules[_TELEMETRY]
            if before is not None:
                sys.modules[_TELEMETRY] = before
        return openvino


class OpenVinoTrunk:
    """`run` as of `graph.Graph`, with the trunk's inputs and output. One call at a time."""

    def __init__(self, weights: Mapping[str, Array], threads: int, *, bf16: bool = True) -> None:
        """Build and compile the network.

        Args:
            weights: float32 by the names of `train.model.trunk.Trunk`, branches added; matrices [out, in].
            threads: that it may use.
            bf16: multiply in bfloat16; the sums stay float32.
        """
        ov = load()
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,  # other sessions share the cores
        }
        self._request = ov.Core().compile_model(network(weights), "CPU", settings).create_infer_request()

    def run(self, x: Array, mask: Array) -> list[Any]:
        """Float32 [B, L, 384] tokens, [B, L] 1 where there is one -> [float32 [B, 384]], the means of their states."""
        return [np.array(self._request.infer([x, mask])[0])]


def has_bf16() -> bool:
    """Whether OpenVINO computes bfloat16 on this processor itself."""
    return "BF16" in load().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def network(weights: Mapping[str, Array]) -> Any:
    """The trunk as an OpenVINO model; the same steps as `train.graphs.trunk` writes for ONNX Runtime."""
    ov = load()
    op = ov.opset13

    def constant(value: Any, dtype: Any = np.int64) -> Any:
        return op.constant(np.asarray(value, dtype))

    def linear(x: Any, name: str) -> Any:
        product = op.matmul(x, op.constant(weights[f"{name}.weight"]), transpose_a=False, transpose_b=True)
        return op.add(product, op.constant(weights[f"{name}.bias"]))

    def norm(x: Any, name: str) -> Any:
        even = op.mvn(x, constant([-1]), normalize_variance=True, eps=EPSILON, eps_mode="inside_sqrt")
        scaled = op.multiply(even, op.constant(weights[f"{name}.weight"]))
        return op.add(scaled, op.constant(weights[f"{name}.bias"]))

    def attention(x: Any, at: str) -> Any:
        split = op.reshape(linear(x, f"{at}.qkv"), constant([0, 0, 3 * HEADS, WIDTH // HEADS]), special_zero=True)
        heads = op.transpose(split, constant([0, 2, 1, 3]))  # [B, 36, L, 32]
        q, k, v = op.split(heads, constant(1), 3).outputs()
        mixed = op.scaled_dot_product_attention(q, k, v, keep)
        joined = op.reshape(op.transpose(mixed, constant([0, 2, 1, 3])), constant([0, 0, WIDTH]), special_zero=True)
        return linear(joined, f"{at}.out")

    x = op.parameter([-1, -1, WIDTH], np.float32, name="x")
    mask = op.parameter([-1, -1], np.float32, name="mask")
    length = op.gather(op.shape_of(x), constant([1]), constant(0))
    places = op.slice(op.constant(weights["position"]), constant([0]), length, constant([1]), constant([0]))
    keep = op.greater(op.unsqueeze(mask, constant([1, 2])), constant(0.5, np.float32))
    states = norm(op.add(x, places), "norm")
    for i in range(LAYERS):
        at = f"layers.{i}"
        states = norm(op.add(states, attention(states, at)), f"{at}.norm1")
        wide = op.gelu(linear(states, f"{at}.up"), "erf")
        states = norm(op.add(states, linear(wide, f"{at}.down")), f"{at}.norm2")
    weight = op.unsqueeze(mask, constant([2]))
    total = op.reduce_sum(op.multiply(states, weight), constant([1]), keep_dims=False)
    pooled = op.divide(total, op.reduce_sum(mask, constant([1]), keep_dims=True))
    return ov.Model([pooled], [x, mask], "trunk")
