"""Hits as a person wants them: near-duplicates under one, segments under their file, seconds that touch as one stretch.

A file scores as its best segment does, so that pages of one ranking keep their order however deep one looks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from onesense.types import Array, Hit, Locator

SAME = 0.95
"""Cosine of two hits of one modality from which they count as near-duplicates (docs/search.md)."""
SEGMENTS = 5  # shown of a file
JOINED = 0.5  # of the best one's confidence that a neighbour needs to be joined to it
TOUCH_S = 1.0  # between two stretches that are joined: windows overlap or follow each other


def collapsed(hits: Sequence[Hit], vectors: Callable[[Sequence[str]], Array]) -> list[Hit]:
    """Hits without those that are near-duplicates of a better one, which is told their ids.

    Args:
        hits: best first.
        vectors: ids to float32 [n, d] unit rows.
    """
    if len(hits) < 2:
        return list(hits)
    rows = vectors([hit.id for hit in hits])
    alike = rows @ rows.T >= SAME
    names = np.array([hit.modality for hit in hits])
    alike &= names[:, None] == names[None, :]
    heads: list[int] = []
    under: dict[int, list[str]] = {}
    for i, hit in enumerate(hits):
        head = next((j for j in heads if alike[i, j]), None)
        if head is None:
            heads.append(i)
        else:
            under.setdefault(head, []).append(hit.id)
    return [dataclasses.replace(hits[i], duplicates=tuple(under.get(i, ()))) for i in heads]


def by_file(hits: Sequence[Hit]) -> list[Hit]:
    """One hit a file, in the order of their best segments; it has that segment's place, score and preview.

    Args:
        hits: segments, best first.
    """
    files: dict[str, list[Hit]] = {}
    for hit in hits:
        files.setdefault(hit.path, []).append(hit)
    return [_parent(segments) for segments in files.values()]


def _parent(segments: list[Hit]) -> Hit:
    joined = stretches(segments)
    duplicates = tuple(id_ for hit in segments for id_ in hit.duplicates)
    return dataclasses.replace(joined[0], segments=tuple(joined[:SEGMENTS]), duplicates=duplicates)


def stretches(segments: Sequence[Hit]) -> list[Hit]:
    """Segments of one file, best first, those whose seconds touch joined into the best of them."""
    out: list[Hit] = []
    for hit in segments:
        near = (i for i, other in enumerate(out) if _touch(other.locator, hit.locator) and _speaks_with(other, hit))
        at = next(near, None)
        if at is None:
            out.append(hit)
        else:
            out[at] = dataclasses.replace(out[at], locator=_joined(out[at].locator, hit.locator))
    return out


def _speaks_with(best: Hit, other: Hit) -> bool:
    """Whether a neighbour is part of what was found, and not merely beside it."""
    if best.confidence is None or other.confidence is None:
        return other.score >= JOINED * best.score
    return other.confidence >= JOINED * best.confidence


def _touch(a: Locator, b: Locator) -> bool:
    if a.start_s is None or a.end_s is None or b.start_s is None or b.end_s is None:
        return False
    return a.start_s - TOUCH_S <= b.end_s and b.start_s <= a.end_s + TOUCH_S


def _joined(a: Locator, b: Locator) -> Locator:
    assert a.start_s is not None and b.start_s is not None and a.end_s is not None and b.end_s is not None
    return Locator(start_s=min(a.start_s, b.start_s), end_s=max(a.end_s, b.end_s))
