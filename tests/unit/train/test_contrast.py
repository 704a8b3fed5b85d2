"""Training of an adapter in NumPy, on data whose right answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onesense.engine.adapter import Adapter
from onesense.errors import InvalidInput
from onesense.train import contrast
from onesense.train.contrast import Settings
from onesense.vectors import truncate_normalize

WIDTH, N = 256, 300
QUICK = Settings(rank=32, steps=200, batch=64, learning_rate=1e-3, pull=1e-3)


class Own:
    """Row i of the queries belongs to row i of the documents."""

    def __init__(self, n: int) -> None:
        self._n = n

    def draw(self, rng, n):
        rows = rng.choice(self._n, min(n, self._n), replace=False)
        return rows, rows

    def matches(self, queries, documents):
        return queries[:, None] == documents[None, :]


def hidden(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Pairs that agree in 16 directions and differ, three times as strongly, in 12 others; a rotation hides both."""
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(rng.normal(size=(WIDTH, WIDTH)))[0]

    def seen(meaning: np.ndarray) -> np.ndarray:
        x = np.concatenate([meaning, 3 * rng.normal(size=(N, 12)), 0.05 * rng.normal(size=(N, WIDTH - 28))], axis=1)
        return truncate_normalize((x @ rotation).astype(np.float32), WIDTH)

    meaning = rng.normal(size=(N, 16))
    return seen(meaning), seen(meaning)


def first(queries: np.ndarray, documents: np.ndarray, size: int) -> float:
    """Share of queries whose own document is the nearest."""
    scores = truncate_normalize(queries, size) @ truncate_normalize(documents, size).T
    return float((scores.argmax(1) == np.arange(len(queries))).mean())


def test_what_is_hidden_is_found_at_every_size() -> None:
    queries, documents = hidden()
    q, d = queries[:200], documents[:200]
    fit = contrast.train(q, d, Own(200), lambda a: first(a(q), a(d), 128), QUICK)
    q, d = queries[200:], documents[200:]
    assert contrast.sizes_of(WIDTH) == (256, 128)
    for size in (256, 128):
        assert first(q, d, size) < 0.2
        assert first(fit.adapter(q), fit.adapter(d), size) > 0.85


def test_without_a_gain_the_adapter_changes_nothing() -> None:
    queries, documents = hidden()
    fit = contrast.train(queries, documents, Own(N), lambda adapter: 0.5, replace(QUICK, patience=1))
    assert fit.step == 0
    np.testing.assert_array_equal(fit.adapter(queries), queries)


def test_it_ends_when_its_time_is_over_and_repeats_itself() -> None:
    queries, documents = hidden()
    steps: list[int] = []
    brief = replace(QUICK, minutes=1e-6)
    contrast.train(queries, documents, Own(N), lambda a: 0.0, brief, lambda step, n, line: steps.append(step))
    assert steps == [20]
    one, two = (
        contrast.train(queries, documents, Own(N), lambda a: float(np.abs(a.up).sum()), replace(QUICK, steps=40))
        for _ in range(2)
    )
    np.testing.assert_array_equal(one.adapter.up, two.adapter.up)


def test_the_pull_keeps_the_step_small() -> None:
    queries, documents = hidden()
    moved = [
        np.abs(
            contrast.train(
                queries, documents, Own(N), lambda a: float(np.abs(a.up).sum()), replace(QUICK, pull=pull, steps=60)
            ).adapter(queries)
            - queries
        ).mean()
        for pull in (0.0, 3.0)
    ]
    assert moved[1] < 0.5 * moved[0]


@given(seed=st.integers(0, 10_000), n_more=st.integers(0, 3), pull=st.floats(0, 1))
def test_the_gradient_is_that_of_the_loss(seed: int, n_more: int, pull: float) -> None:
    rng = np.random.default_rng(seed)
    b, width, rank = 5, 12, 3
    x = truncate_normalize(rng.normal(size=(2 * b + n_more, width)), width)
    matches = rng.random((b, b + n_more)) < 0.2
    adapter = Adapter(rng.normal(size=(width, rank)), rng.normal(size=(rank, width)) / 3)
    settings, sizes = Settings(temperature=0.3, pull=pull), (12, 7, 3)
    _, gradient = contrast.loss(adapter, x, matches, sizes, settings)
    way = Adapter(rng.normal(size=(width, rank)), rng.normal(size=(rank, width)))

    def at(t: float) -> float:
        moved = Adapter(adapter.down + t * way.down, adapter.up + t * way.up)
        return contrast.loss(moved, x, matches, sizes, settings)[0]

    slope = (at(1e-5) - at(-1e-5)) / 2e-5
    assert slope == pytest.approx((gradient.down * way.down).sum() + (gradient.up * way.up).sum(), rel=1e-3, abs=1e-4)


def test_known_matches_are_no_negatives() -> None:
    x = truncate_normalize(np.random.default_rng(0).normal(size=(6, 8)), 8)
    x[4] = x[3]  # the second document says what the first one says
    start = contrast.start(x, 4)
    blind, told = np.zeros((3, 3), bool), np.zeros((3, 3), bool)
    told[0, 1] = told[1, 0] = True
    values = [contrast.loss(start, x, matches, (8,), Settings(pull=0))[0] for matches in (blind, told)]
    assert values[1] < values[0]


@pytest.mark.parametrize("wrong", [{"rank": 0}, {"temperature": -1.0}, {"batch": 1}, {"pull": -0.1}, {"minutes": 0.0}])
def test_impossible_settings_are_refused(wrong) -> None:
    with pytest.raises(InvalidInput, match=next(iter(wrong))):
        Settings(**wrong)
