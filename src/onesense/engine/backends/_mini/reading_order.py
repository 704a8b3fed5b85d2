"""The order in which a person would read lines of print, whoever found them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ....types import Array

COLUMN_WIDTH = 12.0  # times its height is the middle line of a column of running text at least; a table's cell is less


def reading_order(boxes: Array) -> list[int]:
    """Indices of lines as a person would read them: columns of running text one after another, else row by row.

    A region is cut into columns where a gap runs through its whole height and both sides hold running text (the cells
    of a table do not, so a table is read by rows); else it is cut at its widest horizontal gap.

    Args:
        boxes: float32 [n, 4] x0, y0, x1, y1 in pixels.

    Source: recursive X-Y cut, Nagy and Seth 1984, with the test for running text added.
    """
    order: list[int] = []
    regions = [np.arange(len(boxes))] if len(boxes) else []
    while regions:
        region = regions.pop()
        parts = _cut(boxes, region)
        if parts is None:
            order += _row_by_row(boxes, region)
        else:
            regions += reversed(parts)
    return order


def _cut(boxes: Array, region: Array) -> tuple[Array, Array] | None:
    """The region in two, in reading order; None when it is one row, or lines overlap too much to be cut."""
    if len(region) < 2:
        return None
    for left, right in _gaps(boxes, region, axis=0):
        if _is_running(boxes[left]) and _is_running(boxes[right]):
            return left, right
    return next(_gaps(boxes, region, axis=1), None)


def _gaps(boxes: Array, region: Array, axis: int) -> Iterator[tuple[Array, Array]]:
    """Both sides of each gap that runs through the region, the widest first; axis 0 cuts x, 1 cuts y."""
    ordered = region[np.argsort(boxes[region, axis], kind="stable")]
    ends = np.maximum.accumulate(boxes[ordered, axis + 2])[:-1]
    widths = boxes[ordered[1:], axis] - ends
    for i in np.argsort(-widths, kind="stable"):
        if widths[i] <= 0:
            return
        yield ordered[: i + 1], ordered[i + 1 :]


def _is_running(boxes: Array) -> bool:
    """Whether these lines are running text: three or more, and long."""
    widths, heights = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    return len(boxes) >= 3 and float(np.median(widths)) >= COLUMN_WIDTH * float(np.median(heights))


def _row_by_row(boxes: Array, region: Array) -> list[int]:
    """Lines that no gap divides: rows by their middles, each from left to right."""
    middles = (boxes[region, 1] + boxes[region, 3]) / 2
    height = max(float(np.median(boxes[region, 3] - boxes[region, 1])), 1.0)
    rows: list[list[int]] = []
    last = -np.inf
    for place in np.argsort(middles, kind="stable"):
        if middles[place] - last > height / 2:
            rows.append([])
            last = middles[place]
        rows[-1].append(int(region[place]))
    return [i for row in rows for i in sorted(row, key=lambda i: float(boxes[i, 0]))]
