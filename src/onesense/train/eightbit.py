"""The eye's convolutions in 8 bits: twice as fast on one core, and what it sees stays the same (dev/LOG.md).

Weights int8 with a scale a channel, activations uint8 with ranges seen on training pictures, sums int32. The network
was made for this: no squeeze-and-excitation, activations cut at 6 (Tan and Le 2019, EfficientNet-lite). Stem and
the first two blocks stay float32: they lose most and take least.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import onnx
from onnx import ModelProto, numpy_helper

from ..engine.backends._mini.picture import prepare
from ..evals.packs import Packs
from ..types import Array
from .data.senses import PACKS, is_train_picture
from .features import decode_picture
from .graphs import detach

PER_PACK = 16  # pictures of each pack; their activations are all held in memory at once, 50 MB a picture
_ONE_OF = 29  # a pack's pictures are sorted by label: these are spread over them
_FLOAT_PARTS = ("/stem/", "/blocks.0/", "/blocks.1/")
_EIGHT_BIT = ("Conv", "Clip", "Pad")


def calibration_pictures(packs: Packs) -> Array:
    """Training pictures of every pack, the same ones each time: uint8 [n, 3, R, R]."""
    found: list[Array] = []
    for pack in PACKS:
        samples = packs.samples(f"images/{pack}", lambda key, meta: _is_drawn(key) and is_train_picture(key, meta))
        found += [prepare(decode_picture(sample)) for sample in islice(samples, PER_PACK)]
    return np.stack(found)


def _is_drawn(key: str) -> bool:
    return crc32(key.encode()) % _ONE_OF == 0


def quantize(file: Path, weights: Mapping[str, Array], pixels: Array) -> dict[str, Array]:
    """Turn a traced eye into one that computes in 8 bits.

    Args:
        file: the graph as `graphs.traced` wrote it; replaced.
        weights: its float32 initialisers.
        pixels: uint8 [n, 3, R, R] of `calibration_pictures`.

    Returns:
        The initialisers that the new graph expects: int8 weights, int32 biases, float32 scales and what stayed float.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder:
        whole, folded, small = (Path(folder) / f"{name}.onnx" for name in ("whole", "folded", "small"))
        onnx.save(_attached(onnx.load(str(file), load_external_data=False), weights), str(whole))
        quant_pre_process(str(whole), str(folded), skip_symbolic_shape=True)
        nodes = onnx.load(str(folded)).graph.node
        quantize_static(
            str(folded), str(small), _Pictures(pixels), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.Percentile,
            nodes_to_exclude=[n.name for n in nodes if not _is_eight_bit(n)],
        )  # fmt: skip
        model = onnx.load(str(small))
    model.producer_version = ""
    detached = detach(model)
    file.write_bytes(model.SerializeToString())
    return detached


def _is_eight_bit(node: Any) -> bool:
    if any(part in node.name for part in _FLOAT_PARTS):
        return False
    return node.op_type in _EIGHT_BIT or (node.op_type == "Add" and "/blocks." in node.name)


def _attached(model: ModelProto, weights: Mapping[str, Array]) -> ModelProto:
    """The same graph with its external initialisers inside."""
    for tensor in model.graph.initializer:
        if tensor.name in weights:
            tensor.CopyFrom(
                numpy_helper.from_array(np.ascontiguousarray(weights[tensor.name], np.float32), tensor.name)
            )
    return model


class _Pictures:
    """What ONNX Runtime asks pictures from, one at a time (`onnxruntime.quantization.CalibrationDataReader`)."""

    def __init__(self, pixels: Array) -> None:
        self._left: Iterator[Array] = iter(pixels)

    def get_next(self) -> dict[str, Array] | None:
        """The inputs of the next run, None after the last."""
        picture = next(self._left, None)
        return None if picture is None else {"pixels": picture[None]}
