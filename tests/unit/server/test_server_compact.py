"""Vectors in fewer bytes."""

from __future__ import annotations

import numpy as np
import pytest

from onesense import Embedder
from onesense.errors import DimError
from onesense.server import compact

BITS = np.array([0.5, -0.5, 0.0, 0.1, -0.1, 0.2, -0.2, -0.3], np.float32)  # 1 0 1 1 0 1 0 0


def test_bits_are_packed_from_the_highest() -> None:
    assert compact.ubinary(BITS).tolist() == [0b10110100]
    assert compact.binary(BITS).tolist() == [0b10110100 - 128]
    assert compact.binary(-np.ones(8, np.float32)).tolist() == [-128]
    assert compact.binary(np.ones(8, np.float32)).tolist() == [127]


def test_a_size_that_does_not_fill_its_bytes_is_refused() -> None:
    with pytest.raises(DimError, match="divisible by 8"):
        compact.ubinary(np.ones(9, np.float32))


@pytest.mark.parametrize("dim", [1, 8, 64, 768, 1024, 3072])
def test_int8_keeps_the_direction_and_one_scale_for_all(dim: int) -> None:
    with Embedder("tiny") as embedder:
        vectors = embedder.embed(["a cat", "something quite different", "3"], dim)
    codes = np.stack([compact.int8(v) for v in vectors])
    assert codes.dtype == np.int8
    assert np.stack([compact.uint8(v) for v in vectors]).tolist() == (codes.astype(int) + 128).tolist()
    plain = codes.astype(np.float32)
    cosines = (plain * vectors).sum(1) / np.linalg.norm(plain, axis=1)
    assert cosines.min() > 0.99
    scales = np.linalg.norm(plain, axis=1)
    assert scales.max() / scales.min() < 1.05  # dot products of codes can be compared across vectors


def test_the_ends_of_the_range() -> None:
    assert compact.int8(np.array([1.0], np.float32)).tolist() == [127]
    one_hot = np.zeros(3072, np.float32)
    one_hot[0] = -1
    assert compact.int8(one_hot)[0] == -127
    assert compact.uint8(one_hot)[0] == 1
