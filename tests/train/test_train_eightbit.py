"""The eye in 8 bits sees what the eye in float32 sees, and is written the same way twice."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from onesense.engine.backends._mini.graph import Graph, widen
from onesense.train import eightbit, graphs, sources
from onesense.train.compact import compact
from onesense.train.features import EyeWithCells
from onesense.train.importers import efficientnet
from onesense.train.model.eye import LITE0

pytestmark = [pytest.mark.sources, pytest.mark.filterwarnings("ignore")]  # of torch's exporter


def _pictures(n: int, seed: int) -> np.ndarray:
    """Uint8 [n, 3, 224, 224] with structure: noise smoothed at several scales."""
    generator = torch.Generator().manual_seed(seed)
    layers = [
        torch.nn.functional.interpolate(torch.rand(n, 3, side, side, generator=generator), (224, 224), mode="bilinear")
        for side in (3, 12, 56)
    ]
    return (sum(layers) / 3 * 255).to(torch.uint8).numpy()


def _cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory):
    eye = EyeWithCells(efficientnet.load(sources.path(LITE0.name), LITE0).eye)
    folder = tmp_path_factory.mktemp("eye")
    names = {name: {0: "B"} for name in ("pixels", "pooled", "grid")}
    weights = {}
    for name in ("float", "small", "again"):
        file = folder / f"{name}.onnx"
        traced = graphs.traced(eye, (torch.zeros(1, 3, 224, 224, dtype=torch.uint8),), file, names, ["pooled", "grid"])
        weights[name] = traced if name == "float" else eightbit.quantize(file, traced, _pictures(12, 0))
    return folder, weights


def test_it_sees_the_same(made):
    folder, weights = made
    pixels = _pictures(6, 1)
    exact = Graph(folder / "float.onnx", weights["float"], 1).run(pixels=pixels)
    small = Graph(folder / "small.onnx", widen(compact(weights["small"])), 1).run(pixels=pixels)
    for one, other in zip(exact, small, strict=True):
        cosines = _cosines(one, other)
        assert cosines.min() > 0.95, cosines
        assert cosines.mean() > 0.98, cosines
        assert not np.array_equal(one, other)


def test_its_weights_are_integers_but_for_stem_and_first_blocks(made):
    _, weights = made
    integers = {name for name, value in weights["small"].items() if value.dtype == np.int8 and value.ndim == 4}
    assert len(integers) == 43
    assert not [name for name in integers if ".stem." in name or ".blocks.0." in name or ".blocks.1." in name]
    assert sum(v.nbytes for v in weights["small"].values()) < 0.3 * sum(v.nbytes for v in weights["float"].values())


def test_twice_the_same_files(made):
    folder, weights = made
    assert (folder / "small.onnx").read_bytes() == (folder / "again.onnx").read_bytes()
    assert weights["small"].keys() == weights["again"].keys()
    assert all(np.array_equal(value, weights["again"][name]) for name, value in weights["small"].items())
