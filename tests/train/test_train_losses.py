"""The losses by their definitions, and search batches by theirs."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from onesense.train import losses
from onesense.train.data import search

UNIT = F.normalize(torch.eye(4) + 0.1, dim=1)


def test_info_nce_is_the_cross_entropy_of_the_cosines():
    x = F.normalize(torch.randn(4, 4, generator=torch.Generator().manual_seed(0)), dim=1)
    logits = x @ torch.eye(4).T / 0.05
    wanted = -torch.log_softmax(logits, 1).diagonal().mean()
    assert losses.info_nce(x, torch.eye(4)).item() == pytest.approx(wanted.item(), rel=1e-5)


def test_hard_negatives_cost_and_near_equal_ones_are_left_out():
    x = torch.eye(4)
    alone = losses.info_nce(x, x)
    near = F.normalize(torch.eye(4)[:1] + torch.eye(4)[1:2], dim=1)
    assert losses.info_nce(x, x, near) > alone
    assert losses.info_nce(x, x, x.clone()).item() == pytest.approx(alone.item(), abs=1e-6)  # the same things again


def test_centred_takes_the_mean_away_and_is_unit():
    x, mean = torch.rand(5, 4) + 1, torch.full((4,), 0.4)
    out = losses.centred(3 * x, mean)
    assert torch.allclose(out.norm(dim=1), torch.ones(5), atol=1e-6)
    assert torch.allclose(out, losses.centred(x, mean), atol=1e-6)
    assert losses.distance(out, out).item() == pytest.approx(0, abs=1e-6)
    assert losses.distance(UNIT, -UNIT).item() == pytest.approx(2, abs=1e-5)


def test_ordered_is_nothing_in_order_and_grows_with_each_pair_out_of_order():
    scores = torch.tensor([0.0, 2.5, 5.0])
    assert losses.ordered(torch.tensor([-1.0, 0.0, 1.0]), scores).item() < 1e-6
    one = losses.ordered(torch.tensor([0.0, 0.5, 0.4]), scores)
    all_wrong = losses.ordered(torch.tensor([0.5, 0.4, 0.0]), scores)
    assert 0 < one < all_wrong


def test_ordered_by_its_definition():
    cosines, scores = torch.tensor([0.3, 0.1, 0.2]), torch.tensor([1.0, 2.0, 2.0])
    wanted = np.log(1 + np.exp(20 * (0.3 - 0.1)) + np.exp(20 * (0.3 - 0.2)))  # the equal pair says nothing
    assert losses.ordered(cosines, scores).item() == pytest.approx(wanted, rel=1e-5)
    assert losses.ordered(cosines, torch.ones(3)).item() == 0


def test_ordered_moves_the_cosines_into_order():
    cosines = torch.nn.Parameter(torch.tensor([0.9, 0.1]))
    losses.ordered(cosines, torch.tensor([0.0, 5.0])).backward()
    assert cosines.grad[0] > 0 > cosines.grad[1]


# --- search batches -------------------------------------------------------------------------------------------------


def clusters(n_each: int = 40) -> search.SearchSource:
    """Two heaps of passages that lie far apart."""
    found = [search.Found(f"{heap} {i}", (f"about {heap} {i}", f"{heap} {i}?")) for heap in "ab" for i in range(n_each)]

    def embed(passages):
        rng = np.random.default_rng(0)
        heaps = [[10.0, 0.0] if p.startswith("a") else [0.0, 10.0] for p in passages]
        return np.array(heaps, np.float32) + rng.standard_normal((len(passages), 2)).astype(np.float32)

    return search.SearchSource("two heaps", found, embed)


def test_half_of_a_batch_is_easily_confused():
    source, rng, shares = clusters(), random.Random(0), []
    for _ in range(50):
        batch = source.sample(12, rng)
        heaps = [passage[0] for _, passage in batch]
        shares.append(max(heaps.count("a"), heaps.count("b")) / len(heaps))
    assert np.mean(shares) > 0.7  # a random batch of twelve has .61


def test_a_batch_repeats_no_passage_and_pairs_belong_together():
    batch = clusters().sample(12, random.Random(1))
    passages = [passage for _, passage in batch]
    assert len(set(passages)) == 12
    assert all(passage in query for query, passage in batch)


def test_a_source_smaller_than_the_batch_gives_what_it_has():
    found = [search.Found(f"p{i}", (f"q{i}",)) for i in range(5)]
    source = search.SearchSource("few", found, lambda p: np.random.default_rng(0).standard_normal((len(p), 3)))
    assert sorted(source.sample(12, random.Random(0))) == [(f"q{i}", f"p{i}") for i in range(5)]


def test_no_development_row_is_among_the_search_pairs(tiny):
    from onesense.evals.packs import Packs
    from onesense.evals.splits import is_dev_story, is_dev_table

    packs = Packs(tiny / "data")
    sources = search.sources(packs, lambda p: np.random.default_rng(0).standard_normal((len(p), 3)))
    assert set(sources) == set(search.WEIGHTS)
    found = {name: " ".join(f.passage + " ".join(f.queries) for f in s.found) for name, s in sources.items()}
    assert "hears the dog number 1501" not in found["news"] and "number 1501" not in found["news"]
    for row in packs.rows("text/stories.tsv.xz"):
        assert (row["text"] in found["pages"]) is not is_dev_story(row["story"])
    for row in packs.rows("text/wtq_questions_train.tsv.xz"):
        assert (row["question"] in found["questions"]) is not is_dev_table(row["table"])


def test_questions_from_cells_name_a_cell():
    asked = search._ask("Mountains", "name,height\nEverest,8849\nK2,8611\n", 12, random.Random(0))
    assert asked and all(any(w in q for w in ("Everest", "K2", "Mountains", "8849", "8611", "name")) for q in asked)
    assert search._ask("Empty", "", 5, random.Random(0)) == ()
