"""One item of each owner in turn."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from onesense.server.fair_queue import FairQueue


def filled(*batches: tuple[str, int]) -> FairQueue[tuple[str, int]]:
    queue: FairQueue[tuple[str, int]] = FairQueue()
    for owner, n in batches:
        for i in range(n):
            queue.put(owner, (owner, i))
    return queue


def test_a_small_request_does_not_wait_for_a_large_one() -> None:
    queue = filled(("large", 100), ("small", 1))
    assert queue.take(3, 10, lambda _: 1) == [("large", 0), ("small", 0), ("large", 1)]
    assert len(queue) == 98


def test_who_was_served_last_is_last_in_line_next_time() -> None:
    queue = filled(("a", 5), ("b", 5))
    assert [owner for owner, _ in queue.take(1, 10, lambda _: 1)] == ["a"]
    assert [owner for owner, _ in queue.take(1, 10, lambda _: 1)] == ["b"]


def test_an_item_above_the_budget_travels_alone() -> None:
    queue = filled(("a", 2), ("b", 1))
    assert queue.take(10, 10, lambda item: 50) == [("a", 0)]
    assert queue.take(10, 10, lambda item: 50) == [("b", 0)]


def test_dropping_an_owner_leaves_the_others() -> None:
    queue = filled(("a", 2), ("b", 1))
    assert queue.drop("a") == [("a", 0), ("a", 1)]
    assert queue.drop("a") == []
    assert (len(queue), queue.take(10, 10, lambda _: 1)) == (1, [("b", 0)])
    assert queue.take(10, 10, lambda _: 1) == []


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 9)), max_size=60), st.integers(1, 30))
def test_everything_comes_out_once_in_the_order_of_its_owner_and_within_the_budget(
    entries: list[tuple[str, int]], budget: int
) -> None:
    queue: FairQueue[tuple[str, int, int]] = FairQueue()
    for n, (owner, price) in enumerate(entries):
        queue.put(owner, (owner, n, price))
    out = []
    while len(queue):
        taken = queue.take(budget, 5, lambda item: item[2])
        assert 1 <= len(taken) <= 5
        assert sum(price for _, _, price in taken) <= budget or len(taken) == 1
        out += taken
    for owner in "abcd":
        numbers = [n for o, n, _ in out if o == owner]
        assert numbers == sorted(numbers)
    assert Counter(out) == Counter((o, n, p) for n, (o, p) in enumerate(entries))
