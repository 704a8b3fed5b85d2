"""ONNX graphs: the trunk written op by op with ONNX Runtime's fused kernels, the stems traced from torch.

All weights above `SMALL` values become external initialisers without data: the runtime hands them over in memory
(`engine/backends/_mini/graph.py`), so that a graph file is a few kilobytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from ..types import Array
from .model.trunk import HEADS, LAYERS, WIDTH, Trunk

MS = "com.microsoft"
OPSET = 17
IR_VERSION = 10
SMALL = 64


class _Writer:
    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: dict[str, Array] = {}
        self.constants: list[Any] = []

    def weight(self, name: str, value: Array) -> str:
        self.weights[name] = np.ascontiguousarray(value, np.float32)
        return name

    def constant(self, name: str, value: Array) -> str:
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def node(self, op: str, inputs: list[str], output: str | list[str], domain: str = "", **attributes: Any) -> str:
        outputs = [output] if isinstance(output, str) else output
        self.nodes.append(helper.make_node(op, inputs, outputs, domain=domain, **attributes))
        return outputs[0]


def trunk(weights: dict[str, Array], file: Path) -> dict[str, Array]:
    """Write the trunk's graph.

    Inputs `x` float32 [B, L, 384] and `mask` float32 [B, L]; output `pooled` float32 [B, 384], the mean of the token
    states over real tokens.

    Args:
        weights: by the names of `model.trunk.Trunk`; a branch of `x.weight` is `x.weight.down` [in, r] and
            `x.weight.up` [r, out].
        file: where the graph goes.

    Returns:
        The initialisers that the graph expects, by name. Matrices keep torch's [out, in] layout, branches added.
    """
    w = _Writer()
    w.node("Shape", ["x"], "length", start=1, end=2)
    zero, first = w.constant("zero", np.array([0])), w.constant("axis0", np.array([0]))
    w.node("Slice", [w.weight("position", weights["position"]), zero, "length", first], "places")
    w.node("Add", ["x", "places"], "placed")
    norm = [w.weight(f"norm.{k}", weights[f"norm.{k}"]) for k in ("weight", "bias")]
    hidden = w.node("LayerNormalization", ["placed", *norm], "h", axis=-1, epsilon=1e-12)
    w.node("Cast", ["mask"], "mask_int", to=TensorProto.INT32)
    w.constant("thirds", np.array([WIDTH] * 3))
    for i in range(LAYERS):
        hidden = _layer(w, weights, i, hidden)
    w.node("Unsqueeze", ["mask", w.constant("axis2", np.array([2]))], "mask3")
    w.node("Mul", [hidden, "mask3"], "kept")
    axis1 = w.constant("axis1", np.array([1]))
    w.node("ReduceSum", ["kept", axis1], "total", keepdims=0)
    w.node("ReduceSum", ["mask", axis1], "count", keepdims=1)
    w.node("Div", ["total", "count"], "pooled")
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["B", "L", WIDTH]),
        helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["B", "L"]),
    ]
    output = helper.make_tensor_value_info("pooled", TensorProto.FLOAT, ["B", WIDTH])
    external = [_external(name, value.shape) for name, value in w.weights.items()]
    graph = helper.make_graph(w.nodes, "trunk", inputs, [output], [*w.constants, *external])
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MS, 1)]
    file.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION).SerializeToString())
    return w.weights


def _layer(w: _Writer, weights: dict[str, Array], i: int, x: str) -> str:
    def matmul(a: str, name: str, output: str) -> str:
        key = f"{at}{name}.weight"
        whole = weights[key]
        if f"{key}.down" in weights:
            whole = whole + (weights[f"{key}.down"] @ weights[f"{key}.up"]).T
        return w.node("FusedMatMul", [a, w.weight(key, whole)], output, MS, transB=1)

    def bias(name: str) -> str:
        return w.weight(f"{at}{name}.bias", weights[f"{at}{name}.bias"])

    def skip_norm(a: str, b: str, name: str, bias_name: str, output: str) -> str:
        scale = w.weight(f"{at}{name}.weight", weights[f"{at}{name}.weight"])
        inputs = [a, b, scale, bias(name), bias(bias_name)]
        return w.node("SkipLayerNormalization", inputs, output, MS, epsilon=1e-12)

    at = f"layers.{i}."
    w.node("Add", [matmul(x, "qkv", f"{at}qkv0"), bias("qkv")], f"{at}qkv1")
    w.node("Split", [f"{at}qkv1", "thirds"], [f"{at}q", f"{at}k", f"{at}v"], axis=-1)
    heads = [f"{at}q", f"{at}k", f"{at}v", "", "mask_int"]
    w.node("MultiHeadAttention", heads, f"{at}mixed", MS, num_heads=HEADS)
    x = skip_norm(matmul(f"{at}mixed", "out", f"{at}out0"), x, "norm1", "out", f"{at}x1")
    w.node("BiasGelu", [matmul(x, "up", f"{at}up0"), bias("up")], f"{at}gelu", MS)
    return skip_norm(matmul(f"{at}gelu", "down", f"{at}down0"), x, "norm2", "down", f"{at}x2")


def _external(name: str, shape: tuple[int, ...], kind: int = TensorProto.FLOAT) -> Any:
    tensor = TensorProto(name=name, data_type=kind, dims=shape, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="weights")
    return tensor


def trunk_weights(model: Trunk) -> dict[str, Array]:
    """The trunk's weights, float32 by the names that `trunk` takes, branches apart."""
    out: dict[str, Array] = {}
    for key, value in model.state_dict().items():
        name, _, form = key.rpartition(".")
        branch = form.removesuffix("_rank")
        out[f"{name}.weight.{branch}" if branch != form else key] = value.detach().numpy()
    return out


def traced(
    module: torch.nn.Module,
    example: tuple[torch.Tensor, ...],
    file: Path,
    names: dict[str, dict[int, str]],
    outputs: list[str],
) -> dict[str, Array]:
    """Trace a torch module into a graph whose larger weights are external.

    Args:
        module: in eval mode.
        example: inputs that the trace runs on.
        file: where the graph goes.
        names: input or output name -> {axis: its symbolic size}, inputs first and in order.
        outputs: output names, in order.

    Returns:
        The initialisers that the graph expects, by name, float32.
    """
    inputs = [n for n in names if n not in outputs]
    torch.onnx.export(
        module.eval(), example, str(file), input_names=inputs, output_names=outputs, dynamic_axes=names,
        opset_version=OPSET, dynamo=False, do_constant_folding=True,
    )  # fmt: skip
    model = onnx.load(str(file))
    weights = detach(model)
    model.producer_version = ""  # the same model gives the same file, whichever torch wrote it
    file.write_bytes(model.SerializeToString())
    return weights


_DETACHED = (np.float32, np.int8, np.int32)


def detach(model: onnx.ModelProto) -> dict[str, Array]:
    """Take a model's larger weights out of it.

    Returns:
        The initialisers that became external, by name: float32, or int8 and int32 where the model computes in 8 bits.
    """
    weights: dict[str, Array] = {}
    for tensor in model.graph.initializer:
        value = numpy_helper.to_array(tensor)
        if value.size > SMALL and value.dtype in _DETACHED:
            weights[tensor.name] = value.copy()
            tensor.CopyFrom(_external(tensor.name, value.shape, tensor.data_type))
    return weights
