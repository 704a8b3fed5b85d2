"""The numeric rules."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onesense.errors import DimError, ZeroVector
from onesense.vectors import check_dim, cosine, quantize, rerank, scan, truncate_normalize

ROWS = st.builds(
    lambda n, width, seed: np.random.RandomState(seed).uniform(-1e3, 1e3, (n, width)).astype(np.float32),
    st.integers(1, 5),
    st.integers(1, 64),
    st.integers(0, 2**32 - 1),
)


@given(ROWS, st.data())
def test_every_prefix_has_unit_length_and_the_direction_of_the_cut(x: np.ndarray, data: st.DataObject) -> None:
    dim = data.draw(st.integers(1, x.shape[1]))
    cut = truncate_normalize(x, dim)
    assert cut.shape == (len(x), dim)
    assert cut.dtype == np.float32
    assert np.allclose(np.linalg.norm(cut, axis=-1), 1, atol=1e-6)
    assert np.allclose(cut * np.linalg.norm(x[:, :dim], axis=-1, keepdims=True), x[:, :dim], rtol=1e-3, atol=1e-3)


@given(ROWS, st.data())
def test_cutting_twice_is_cutting_once(x: np.ndarray, data: st.DataObject) -> None:
    dim = data.draw(st.integers(1, x.shape[1]))
    wide = data.draw(st.integers(dim, x.shape[1]))
    once, twice = truncate_normalize(x, dim), truncate_normalize(truncate_normalize(x, wide), dim)
    assert np.allclose(once, twice, atol=1e-5)


def test_truncation_comes_before_the_length() -> None:
    assert truncate_normalize(np.array([3.0, 4.0, 12.0], np.float32), 2) == pytest.approx([0.6, 0.8])


@pytest.mark.parametrize("dim", [0, -1, 9, 2.0, True, "4", None])
def test_an_impossible_dimension_is_refused(dim: object) -> None:
    with pytest.raises(DimError, match="1 to 8"):
        truncate_normalize(np.ones((2, 8), np.float32), dim)  # type: ignore[arg-type]
    with pytest.raises(DimError):
        check_dim(dim, 8)  # type: ignore[arg-type]


def test_a_vector_without_length_is_refused_even_when_only_its_head_is_zero() -> None:
    with pytest.raises(ZeroVector):
        truncate_normalize(np.array([[1.0, 1.0], [0.0, 1.0]], np.float32), 1)


def test_cosine_is_scale_free() -> None:
    a = np.random.default_rng(0).standard_normal((3, 16)).astype(np.float32)
    assert np.allclose(cosine(a, 7 * a), cosine(a, a), atol=1e-6)
    assert np.allclose(np.diag(cosine(a, a)), 1, atol=1e-6)


def test_codes_fill_the_range_of_each_row_whatever_its_scale() -> None:
    x = np.random.default_rng(0).standard_normal((5, 300)).astype(np.float32)
    codes = quantize(x)
    assert codes.shape == (5, 256)
    assert codes.dtype == np.int8
    assert (np.abs(codes.astype(int)).max(1) == 127).all()
    assert np.array_equal(codes, quantize(x * np.array([[1], [10], [0.1], [1e3], [1e-3]], np.float32)))


def test_codes_of_zeros_are_zeros() -> None:
    assert not quantize(np.zeros((1, 4), np.float32)).any()


@pytest.mark.parametrize("top", [1, 10, 1000, 5000])
def test_the_scan_orders_as_the_exact_cosine_of_the_codes_does(top: int) -> None:
    random = np.random.default_rng(1)
    codes = quantize(random.standard_normal((1000, 32)).astype(np.float32))
    query = random.standard_normal(64).astype(np.float32)
    wide = cosine(quantize(query[None], 32).astype(np.float32), codes.astype(np.float32))[0]
    found = scan(codes, query, top)
    assert len(found) == min(top, 1000)
    assert np.allclose(wide[found], np.sort(wide)[::-1][:top], atol=1e-5)


def test_rerank_is_exact_and_breaks_ties_by_row() -> None:
    vectors = np.eye(4, dtype=np.float32)[[1, 0, 0, 2]]
    order, scores = rerank(vectors, np.array([1, 0, 0, 0], np.float32), 3)
    assert order.tolist() == [1, 2, 0]
    assert scores.tolist() == [1, 1, 0]


def test_the_funnel_finds_what_the_exact_scan_finds() -> None:
    random = np.random.default_rng(2)
    centres = random.standard_normal((20, 512))
    vectors = truncate_normalize((centres[random.integers(0, 20, 2000)] + random.standard_normal((2000, 512))), 512)
    vectors = vectors.astype(np.float32)
    query = vectors[7]
    exact, _ = rerank(vectors, query, 10)
    near = scan(quantize(vectors), query, 200)
    order, _ = rerank(vectors[near], query, 10)
    assert set(near[order]) == set(exact)
