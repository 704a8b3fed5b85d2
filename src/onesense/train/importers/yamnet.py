"""YAMNet from its int8 TFLite file into the float network `Sound`.

Weights are the int8 codes times their scales; biases are int32 codes times the scales of input and weight, as TFLite
defines them. What is lost against the interpreter is only its rounding of activations to 8 bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from ...errors import CorruptData
from ...types import Array
from ..model.sound import Separable, Sound
from . import tflite

# TFLite stores kernels as [out, height, width, in] and depthwise ones as [1, height, width, channels].
_TO_TORCH = {"CONV_2D": (0, 3, 1, 2), "DEPTHWISE_CONV_2D": (3, 0, 1, 2), "FULLY_CONNECTED": (0, 1)}


def load(path: Path) -> Sound:
    """Read YAMNet.

    Args:
        path: the TFLite file that takes log-mel patches [1, 96, 64].

    Returns:
        The network in `eval` mode, float32, no gradients.

    Raises:
        CorruptData: not a TFLite file, or its layers are not YAMNet's in number, kind or shape.
    """
    graph = tflite.read(path)
    steps = [step for step in graph.operators if step.name in _TO_TORCH]
    sound = Sound()
    layers = list(_layers(sound))
    if [step.name for step in steps] != [kind for kind, _ in layers]:
        raise CorruptData(
            f"`{path.name}` has {len(steps)} weighted layers in another order than YAMNet's {len(layers)}"
        )
    if any(step.activation != "RELU6" for step in steps[:-1]) or steps[-1].activation:
        raise CorruptData(f"`{path.name}` has other activations than ReLU6 after each of its convolutions")
    for step, (_, layer) in zip(steps, layers, strict=True):
        _fill(layer, graph, step)
    return sound.eval().requires_grad_(requires_grad=False)


def _layers(sound: Sound) -> Iterator[tuple[str, nn.Conv2d | nn.Linear]]:
    yield "CONV_2D", sound.stem.conv
    for layer in sound.layers:
        assert isinstance(layer, Separable)  # ModuleList forgets its element type
        yield "DEPTHWISE_CONV_2D", layer.depthwise.conv
        yield "CONV_2D", layer.pointwise
    yield "FULLY_CONNECTED", sound.classifier


def _fill(layer: nn.Conv2d | nn.Linear, graph: tflite.Graph, step: tflite.Operator) -> None:
    source, kernel, bias = (graph.tensors[index] for index in step.inputs)
    weight = kernel.dequantize().transpose(_TO_TORCH[step.name])
    if weight.shape != tuple(layer.weight.shape):
        raise CorruptData(f"`{kernel.name}` has shape {weight.shape}, YAMNet's layer is {tuple(layer.weight.shape)}")
    assert layer.bias is not None  # every layer of the network has one
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight.copy()))
        layer.bias.copy_(torch.from_numpy(_bias(bias, source.scales, kernel.scales)))


def _bias(bias: tflite.Tensor, input_scale: Array, kernel_scales: Array) -> Array:
    if bias.values is None:
        raise CorruptData(f"the bias `{bias.name}` has no stored values")
    scaled: Array = bias.values * (input_scale * kernel_scales)
    return scaled.astype("float32")
