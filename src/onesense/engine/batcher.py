"""Packs items of unequal length into batches that waste little padding, and keeps a failure to the item that caused it.

Padding decides the speed: unsorted batches of 32 carry 4.5 times the tokens that they need, batches sorted by length
under a token budget 1.0 to 1.6 times (BENCHMARKS.md B1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from onesense.errors import BackendError, InvalidInput, OnesenseError
from onesense.types import Array, Batch, Features

BUDGET_TOKENS = 2_048  # padded tokens a batch; best of the sizes tried for text encoders, BENCHMARKS.md B4
MAX_ITEMS = 128  # short items: bounds what a batch holds of pixels and samples

_OF_AN_ITEM = (InvalidInput, BackendError)
"""What one input of a batch may be the cause of."""

Row = Array
"""float32 [D], pooled, not normalised."""


def plan(lengths: Sequence[int], budget_tokens: int = BUDGET_TOKENS, max_items: int = MAX_ITEMS) -> list[list[int]]:
    """Group items so that a batch, padded to its longest item, stays within the budget.

    Args:
        lengths: tokens of each item.
        budget_tokens: most padded tokens a batch; a longer item travels alone.
        max_items: most items a batch.

    Returns:
        Positions of the items, batch by batch, longest items first; each position exactly once.
    """
    batches: list[list[int]] = []
    for place in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batches and len(batches[-1]) < max_items:
            longest = max(lengths[batches[-1][0]], 1)
            if longest * (len(batches[-1]) + 1) <= budget_tokens:
                batches[-1].append(place)
                continue
        batches.append([place])
    return batches


def run(
    embed: Callable[[Batch], Array],
    items: Sequence[Features],
    budget_tokens: int = BUDGET_TOKENS,
    max_items: int = MAX_ITEMS,
) -> list[Row | OnesenseError]:
    """Embed items in planned batches and answer in the order of the items.

    A batch that fails is tried again item by item, so that only the item at fault gets the error; unless the error is
    about no item, as a wrong key or a server that is down.

    Args:
        embed: Batch -> float32 [B, D]; raises nothing but `OnesenseError`s.
        items: prepared contents.
        budget_tokens: as in `plan`.
        max_items: as in `plan`.

    Returns:
        One row or one error an item.
    """
    answers: dict[int, Row | OnesenseError] = {}
    for places in plan([item.n_tokens for item in items], budget_tokens, max_items):
        answers |= zip(places, _attempt(embed, [items[i] for i in places]), strict=True)
    return [answers[i] for i in range(len(items))]


def _attempt(embed: Callable[[Batch], Array], items: Sequence[Features]) -> list[Row | OnesenseError]:
    try:
        rows = embed(Batch(tuple(items)))
        if len(rows) != len(items):
            raise BackendError(f"the model answered {len(rows)} vectors for {len(items)} inputs")
    except OnesenseError as error:
        if len(items) == 1 or not isinstance(error, _OF_AN_ITEM):
            return [error] * len(items)
        return [_attempt(embed, [item])[0] for item in items]
    return list(rows)
