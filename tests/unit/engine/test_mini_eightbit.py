"""Sums of 8-bit products, exact or made so."""

from __future__ import annotations

import numpy as np
import pytest

from onesense.engine.backends._mini import eightbit
from onesense.engine.backends._mini.graph import Graph, widen
from onesense.engine.backends._mini.package import Package


def test_the_products_of_this_processor_are_probed_once():
    assert eightbit.is_exact() is eightbit.is_exact()
    assert eightbit.is_exact.cache_info().currsize == 1


def test_a_sum_that_was_cut_off_is_seen(monkeypatch):
    import onnxruntime as ort

    class Cut:
        """As a processor answers that adds pairs in 16 bits."""

        def __init__(self, *_, **__):
            pass

        def run(self, _, inputs):
            pairs = (inputs["a"].astype(np.int32)[:, None] * inputs["b"].T.astype(np.int32)).reshape(64, 64, 32, 2)
            return [pairs.sum(-1).clip(-(2**15), 2**15 - 1).sum(-1)]

    monkeypatch.setattr(ort, "InferenceSession", Cut)
    assert not eightbit.is_exact.__wrapped__()


@pytest.mark.parametrize("exact", [True, False])
def test_the_eye_sees_the_same_with_quick_and_with_slow_products(monkeypatch, exact):
    if not eightbit.is_exact():
        pytest.skip("only slow products are right on this processor")
    package = Package()
    table = widen(package.arrays("eye_table.npz"))
    weights = widen(package.arrays("eye.npz")) | {"rows": table["W"].T, "bias": table["b"]}
    pixels = np.random.default_rng(0).integers(0, 256, (1, 3, 224, 224), dtype=np.uint8)
    (expected, _) = Graph(package.file("eye.onnx"), weights, 1).run(pixels=pixels)
    monkeypatch.setattr(eightbit, "is_exact", lambda: exact)
    (found, _) = Graph(package.file("eye.onnx"), weights, 1).run(pixels=pixels)
    np.testing.assert_array_equal(found, expected)
