"""A map: what is near stays near, always the same map, any number of rows."""

from __future__ import annotations

import numpy as np
import pytest

from onesense.server import projection
from onesense.vectors import truncate_normalize


def groups(n: int, k: int, dim: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """n unit rows round k directions, and which one each belongs to."""
    rng = np.random.default_rng(1)
    labels = np.arange(n) % k
    rows = rng.standard_normal((k, dim))[labels] + 0.3 * rng.standard_normal((n, dim))
    return truncate_normalize(rows.astype(np.float32), dim), labels


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5, 9, 40])
def test_any_number_of_rows_has_a_place(n: int) -> None:
    places = projection.project(groups(max(n, 1), 3)[0][:n])
    assert places.shape == (n, 2)
    assert np.isfinite(places).all() and (np.abs(places) <= 1).all()


def test_rows_that_are_all_the_same() -> None:
    places = projection.project(np.tile(groups(1, 1)[0], (20, 1)))
    assert np.isfinite(places).all()


def test_neighbours_stay_neighbours() -> None:
    rows, labels = groups(300, 6)
    places = projection.project(rows)
    near = projection.neighbours(places, 5)
    assert (labels[near] == labels[:, None]).mean() > 0.9


def test_the_same_rows_give_the_same_map() -> None:
    rows, _ = groups(50, 4)
    assert np.array_equal(projection.project(rows), projection.project(rows))


def test_neighbours_are_the_nearest() -> None:
    rows = np.random.default_rng(2).standard_normal((30, 4)).astype(np.float32)
    distance = ((rows[:, None] - rows[None]) ** 2).sum(-1) + np.eye(30) * 1e9
    expected = np.sort(np.argsort(distance, 1)[:, :3], 1)
    assert np.array_equal(np.sort(projection.neighbours(rows, 3), 1), expected)


def test_components_keep_what_varies_most() -> None:
    rng = np.random.default_rng(3)
    rows = rng.standard_normal((200, 10)).astype(np.float32) * np.array([9, 5, *[0.1] * 8], np.float32)
    found = projection.principal(rows, 2)
    assert abs(np.corrcoef(found[:, 0], rows[:, 0])[0, 1]) > 0.99
    assert abs(np.corrcoef(found[:, 1], rows[:, 1])[0, 1]) > 0.99
