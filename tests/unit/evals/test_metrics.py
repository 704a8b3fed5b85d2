from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onesense.errors import InvalidInput
from onesense.evals import metrics

SCORES = np.array([[0.9, 0.8, 0.1, 0.3], [0.2, 0.9, 0.8, 0.7], [0.1, 0.2, 0.3, 0.4]], np.float32)


def test_ranks_by_hand():
    found = metrics.ranks(SCORES, [[1, 3], [0], [3]])
    assert [list(r) for r in found] == [[2, 3], [4], [1]]


def test_ties_count_against_the_model():
    flat = np.zeros((2, 5), np.float32)
    assert [list(r) for r in metrics.ranks(flat, [[0], [1, 3]])] == [[5], [4, 5]]
    assert metrics.recall_at(flat, [0, 1], 1) == 0


def test_recall_by_hand():
    right = [1, 0, 3]  # ranks 2, 4, 1
    assert metrics.recall_at(SCORES, right, 1) == pytest.approx(1 / 3)
    assert metrics.recall_at(SCORES, right, 2) == pytest.approx(2 / 3)
    assert metrics.recall_at(SCORES, right, 4) == 1
    assert metrics.recall_at(SCORES, right, 99) == 1


def test_mrr_by_hand():
    assert metrics.mrr(SCORES, [1, 0, 3]) == pytest.approx((1 / 2 + 1 / 4 + 1) / 3)


def test_map_by_hand():
    # first query: relevant at ranks 2 and 3 -> (1/2 + 2/3) / 2; second: rank 4 -> 1/4
    value = metrics.mean_average_precision(SCORES[:2], [[1, 3], [0]])
    assert value == pytest.approx(((1 / 2 + 2 / 3) / 2 + 1 / 4) / 2)


def test_ndcg_by_hand():
    gained = 1 / math.log2(3) + 1 / math.log2(4)  # ranks 2 and 3
    best = 1 + 1 / math.log2(3)
    assert metrics.ndcg_at(SCORES[:1], [[1, 3]], 10) == pytest.approx(gained / best)
    assert metrics.ndcg_at(SCORES[:1], [[1, 3]], 2) == pytest.approx((1 / math.log2(3)) / best)
    assert metrics.ndcg_at(SCORES[:1], [[1, 3]], 1) == 0


def test_accuracy_is_the_share_of_right_argmaxes():
    assert metrics.accuracy(SCORES, [0, 1, 0]) == pytest.approx(2 / 3)


def test_mean_ranks_share_ties():
    assert list(metrics.mean_ranks(np.array([10, 20, 20, 5]))) == [2, 3.5, 3.5, 1]


def test_spearman_by_hand():
    # ranks 1 2 3 4 against 2 1 4 3: 1 - 6 * 4 / (4 * 15)
    assert metrics.spearman([1, 2, 3, 4], [20, 10, 40, 30]) == pytest.approx(0.6)
    # ties: ranks 1 2.5 2.5 4 against 1 2 3 4 -> 4.5 / sqrt(4.5 * 5)
    assert metrics.spearman([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(4.5 / math.sqrt(4.5 * 5))


def test_spearman_of_a_constant_orders_nothing():
    assert metrics.spearman([1, 1, 1], [1, 2, 3]) == 0


@given(st.lists(st.integers(-5, 5), min_size=3, max_size=30))
def test_spearman_does_not_change_under_a_rising_map(values):
    other = [v**3 + i % 3 for i, v in enumerate(values)]
    same = metrics.spearman(values, other)
    assert metrics.spearman([math.exp(v) for v in values], other) == pytest.approx(same)
    assert metrics.spearman([-v for v in values], other) == pytest.approx(-same)


@pytest.mark.parametrize(
    "call",
    [
        lambda: metrics.ranks(SCORES, [0]),
        lambda: metrics.ranks(SCORES, [[0], [], [1]]),
        lambda: metrics.ranks(SCORES[:0], []),
        lambda: metrics.ranks(np.array([[np.nan, 1.0]]), [0]),
        lambda: metrics.spearman([1, 2], [1, 2, 3]),
        lambda: metrics.spearman([1], [1]),
        lambda: metrics.spearman([1, np.nan], [1, 2]),
    ],
)
def test_what_cannot_be_measured_is_refused(call):
    with pytest.raises(InvalidInput):
        call()


def test_random_scores_reach_the_level_of_chance():
    scores = np.random.default_rng(0).standard_normal((4000, 50)).astype(np.float32)
    for k in (1, 10):
        assert metrics.recall_at(scores, np.zeros(4000, int), k) == pytest.approx(k / 50, abs=0.02)
