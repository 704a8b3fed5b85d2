"""Batches: little padding, same answers in any order, one failure hurts one item."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onesense.engine import batcher
from onesense.errors import BackendError, InvalidInput
from onesense.types import Array, Batch, Features

LENGTHS = st.lists(st.integers(0, 300), max_size=60)


def _embed(batch: Batch) -> Array:
    """Rows that tell which item they are of; payload is that number."""
    return np.array([[f.payload, f.n_tokens] for f in batch.features], np.float32)


def _items(lengths: list[int]) -> list[Features]:
    return [Features(place, n) for place, n in enumerate(lengths)]


@given(LENGTHS, st.integers(1, 500), st.integers(1, 20))
def test_a_plan_holds_every_item_once_within_its_limits(lengths: list[int], budget: int, most: int) -> None:
    batches = batcher.plan(lengths, budget, most)
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) <= most
        assert len(batch) == 1 or max(lengths[i] for i in batch) * len(batch) <= budget


@given(LENGTHS)
def test_the_longest_go_first(lengths: list[int]) -> None:
    flat = [lengths[i] for batch in batcher.plan(lengths) for i in batch]
    assert flat == sorted(lengths, reverse=True)


def test_sorting_saves_padding() -> None:
    lengths = [5, 250] * 32
    padded = sum(max(lengths[i] for i in batch) * len(batch) for batch in batcher.plan(lengths))
    assert padded < 1.1 * sum(lengths)  # unsorted batches of 32 would carry 1.96 times as much


@given(st.lists(st.integers(1, 300), max_size=40), st.randoms(), st.integers(1, 600))
def test_any_arrival_order_gives_the_same_answers(lengths: list[int], random, budget: int) -> None:  # type: ignore[no-untyped-def]
    items = _items(lengths)
    shuffled = random.sample(items, len(items))
    answers = {f.payload: row for f, row in zip(shuffled, batcher.run(_embed, shuffled, budget), strict=True)}
    straight = batcher.run(_embed, items, budget)
    for place, row in enumerate(straight):
        assert row.tolist() == answers[place].tolist() == [place, lengths[place]]  # type: ignore[union-attr]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=30), st.data())
def test_only_the_items_at_fault_fail(lengths: list[int], data: st.DataObject) -> None:
    guilty = data.draw(st.sets(st.integers(0, len(lengths) - 1)))

    def embed(batch: Batch) -> Array:
        if guilty & {f.payload for f in batch.features}:
            raise BackendError("bad item in the batch")
        return _embed(batch)

    for place, answer in enumerate(batcher.run(embed, _items(lengths))):
        assert isinstance(answer, BackendError) == (place in guilty)
        assert place in guilty or answer[0] == place  # type: ignore[index]


def test_a_model_that_answers_too_few_rows_is_caught() -> None:
    answers = batcher.run(lambda batch: _embed(batch)[:-1], _items([3, 3]))
    assert [str(a) for a in answers] == ["the model answered 0 vectors for 1 inputs"] * 2


def test_a_fault_that_is_no_error_of_ours_is_not_swallowed() -> None:
    def embed(_: Batch) -> Array:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        batcher.run(embed, _items([1, 2]))


def test_each_item_keeps_its_own_error() -> None:
    def embed(batch: Batch) -> Array:
        raise InvalidInput(f"item {batch.features[0].payload}")

    assert [str(a) for a in batcher.run(embed, _items([1, 5, 3]))] == ["item 0", "item 1", "item 2"]


def test_nothing_gives_nothing() -> None:
    assert batcher.plan([]) == []
    assert batcher.run(_embed, []) == []
