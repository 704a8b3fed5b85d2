"""The head's map: a rotation, whose first dimensions hold what pairs of every kind have in common."""

from __future__ import annotations

import random

import numpy as np
import torch

from onesense.evals.packs import Packs
from onesense.train.data import search
from onesense.train.head import cayley, fit_rotation

D = 384


def unit(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def planted(rng: np.random.Generator, shared: np.ndarray, n: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Pairs that agree in the directions of `shared` [k, D] and in nothing else."""
    meaning = rng.normal(size=(n, len(shared))) @ shared
    left, right = (meaning + noise * rng.normal(size=(n, D)) for _ in range(2))
    return unit(left), unit(right)


def found(left: np.ndarray, right: np.ndarray, size: int) -> float:
    scores = unit(left[:, :size]) @ unit(right[:, :size]).T
    return float(np.mean(scores.argmax(1) == np.arange(len(left))))


def test_what_pairs_share_comes_first_also_of_a_small_kind():
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(D, D)))[0]
    many, few = planted(rng, basis[:20], 2_000, 0.35), planted(rng, basis[100:120], 300, 0.35)
    turn = fit_rotation([many, few], steps=120, batch=256)
    for kind in (many, few):
        test = tuple(x[:200] @ turn for x in kind)
        plain = tuple(x[:200] for x in kind)
        assert found(*test, 64) > found(*plain, 64) + 0.3
        assert found(*test, 64) > 0.95 * found(*plain, D)


def test_the_map_is_a_rotation_and_the_same_each_time():
    rng = np.random.default_rng(1)
    group = planted(rng, np.eye(D)[:30], 600, 0.3)
    one, other = (fit_rotation([group], steps=5, batch=64) for _ in range(2))
    assert np.allclose(one @ one.T, np.eye(D), atol=1e-4) and np.array_equal(one, other)


def test_cayley_gives_rotations_and_nothing_of_nothing():
    turn = cayley(torch.randn(16, 16, generator=torch.Generator().manual_seed(0)))
    assert torch.allclose(turn @ turn.T, torch.eye(16), atol=1e-5) and torch.linalg.det(turn) > 0.99
    assert torch.equal(cayley(torch.ones(4, 4)), torch.eye(4))


def test_search_pairs_come_from_all_sources_and_no_development_row(tiny):
    packs = Packs(tiny / "data")
    pairs = search.pairs(packs, 60, random.Random(0))
    passages = [passage for _, passage in pairs]
    assert len(pairs) > 20 and any("name,height" in p for p in passages) and any("hears" in p for p in passages)
    assert not any("number 1501" in p for p in passages)
