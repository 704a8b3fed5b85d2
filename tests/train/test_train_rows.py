"""New softmax rows: they learn the new classes and leave the old ones alone. Made-up features, seconds."""

import numpy as np
import pytest

from onesense.train.rows import Labelled, RowsRun, fit_rows

WIDTH, OLD, NEW, EACH = 24, 10, 3, 40


@pytest.fixture(scope="module")
def world():
    """Old classes with their classifier, and clusters of new ones."""
    rng = np.random.default_rng(0)
    weight = rng.normal(0, 0.1, (OLD, WIDTH)).astype(np.float32)  # logits of a few units, as on the eye
    centres = rng.uniform(0.5, 4, (NEW, WIDTH))
    labels = np.repeat(np.arange(NEW), EACH)
    features = np.clip(centres[labels] + rng.normal(0, 0.4, (NEW * EACH, WIDTH)), 0, 6).astype(np.float32)
    return (weight, np.zeros(OLD, np.float32)), features, labels


def _fit(world, near=None, **run):
    teacher, features, labels = world
    near = np.zeros((NEW, OLD), bool) if near is None else near
    return fit_rows(
        teacher, Labelled(features, labels, near), RowsRun(**{"steps": 150, "batch": 64, "rate": 3e-2, **run})
    )


def _logits(world, rows, features):
    (weight, bias), _, _ = world
    return np.concatenate([features @ weight.T + bias, features @ rows[0].T + rows[1]], 1)


def test_new_pictures_go_to_new_rows_and_old_ones_stay(world):
    rows = _fit(world, offset=0.0)
    _, features, labels = world
    assert (_logits(world, rows, features).argmax(1) == OLD + labels).mean() > 0.95
    (weight, _), _, _ = world
    contrast = weight - weight.mean(0)
    pushed = np.clip(features.mean(0) + 10 * contrast, 0, 6).astype(np.float32)
    before = (pushed @ weight.T).argmax(1)
    assert (_logits(world, rows, pushed).argmax(1) == before).mean() == 1.0


def test_the_offset_holds_new_rows_back(world):
    plain, held = _fit(world, offset=0.0), _fit(world, offset=-1.0)
    np.testing.assert_allclose(plain[0], held[0], atol=1e-6)
    np.testing.assert_allclose(plain[1] - held[1], 1.0, atol=1e-4)


def test_the_same_seed_gives_the_same_rows(world):
    np.testing.assert_array_equal(_fit(world, steps=5)[0], _fit(world, steps=5)[0])
    assert not np.array_equal(_fit(world, steps=5)[0], _fit(world, steps=5, seed=1)[0])


def test_a_near_old_class_is_no_rival(world):
    """Where every old class is near, nothing pushes the new rows above them."""
    free = _fit(world, near=np.ones((NEW, OLD), bool))
    rival = _fit(world)
    _, features, _ = world
    gap = [(_logits(world, r, features)[:, OLD:].max(1)).mean() for r in (free, rival)]
    assert gap[0] < gap[1]
