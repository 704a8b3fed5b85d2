"""A queue that is fair between requests: one item of each in turn, so small requests do not wait for large ones."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """Items wait by owner; `take` goes round the owners. Not thread-safe: it lives in one event loop."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[Hashable, deque[T]] = OrderedDict()
        self._n = 0

    def __len__(self) -> int:
        return self._n

    def put(self, owner: Hashable, item: T) -> None:
        """Append an item behind the other items of its owner; a new owner is served after those that wait."""
        self._waiting.setdefault(owner, deque()).append(item)
        self._n += 1

    def take(self, budget: int, max_items: int, cost: Callable[[T], int]) -> list[T]:
        """Take items, one of each owner in turn, until the budget is spent.

        Args:
            budget: most cost taken together; one item is taken even when it alone costs more.
            max_items: most items taken.
            cost: of an item.

        Returns:
            Items in the order in which they were chosen; empty when nothing waits.
        """
        taken: list[T] = []
        spent = 0
        while self._waiting and len(taken) < max_items:
            owner, items = next(iter(self._waiting.items()))
            price = cost(items[0])
            if taken and spent + price > budget:
                break
            taken.append(items.popleft())
            spent += price
            self._n -= 1
            self._waiting.move_to_end(owner)
            if not items:
                del self._waiting[owner]
        return taken

    def drop(self, owner: Hashable) -> list[T]:
        """Forget everything of one owner, and return it."""
        items = list(self._waiting.pop(owner, ()))
        self._n -= len(items)
        return items
