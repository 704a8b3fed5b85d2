"""Every task against an oracle, which must be perfect, and a guesser, which must be near chance."""

from __future__ import annotations

import numpy as np
import pytest
from planted import N

from onesense.evals.encoder import Encoder, Memory
from onesense.evals.run import load_task, task_names
from onesense.evals.task import DIMS, EvalTask, Result, Scope, by_group, retrieval, unique_index, with_article
from onesense.evals.tasks import composed, matryoshka, reading
from onesense.media import image
from onesense.types import Page, Part

SCOPE = Scope(dims=(128, 64))
SCAN = "image only"  # the oracle reads text layers, not pixels


def run(name: str, embedder, packs, scope: Scope = SCOPE) -> list[Result]:
    return load_task(name).run(Encoder(Memory(embedder)), packs, scope)


@pytest.mark.parametrize("name", task_names())
def test_a_task_says_what_it_is(name, packs):
    task = load_task(name)
    assert isinstance(task, EvalTask) and task.name == name
    assert task.measures and task.split and task.prompts and task.packs
    for pack in task.packs:
        assert pack in packs.names() or packs.shards(pack)


@pytest.mark.parametrize("name", sorted({*task_names()} - {"composed", "confidence", "motion", "reading"}))
def test_the_oracle_is_perfect(name, oracle, packs):
    for result in run(name, oracle, packs):
        if SCAN in result.name or (name == "matryoshka" and not result.name.startswith("256")):
            continue
        expected = result.n if result.metric == "count" else 1.0
        assert result.value == pytest.approx(expected), result


@pytest.mark.parametrize("name", sorted({*task_names()} - {"confidence", "matryoshka", "motion"}))
def test_the_guesser_is_near_chance(name, guesser, packs):
    checked = 0
    for result in run(name, guesser, packs):
        if result.chance is None or result.metric == "R@1 points" or "averaging" in result.name:
            continue
        error = 4 * np.sqrt(max(result.chance * (1 - result.chance), 0.02) / result.n)  # four standard errors
        if result.metric == "Spearman":
            error = 4 / np.sqrt(result.n - 1)
        assert abs(result.value - result.chance) <= error, result
        checked += 1
    assert checked


def test_confidence_tells_the_oracle_from_the_guesser(oracle, guesser, packs):
    sure = {(r.name, r.metric): r.value for r in run("confidence", oracle, packs)}
    guessed = {(r.name, r.metric): r.value for r in run("confidence", guesser, packs)}
    assert sure[("first hit: right from wrong", "AUC")] > 0.98
    assert guessed[("first hit: right from wrong", "AUC")] < 0.85
    verdict = ('"no confident match": the first hit is wrong', "precision")
    assert sure[verdict] == 1.0


@pytest.mark.parametrize("name", ["composed", "sounds"])
def test_what_is_drawn_at_random_does_not_change_between_runs(name, guesser, packs):
    assert [r.to_dict() for r in run(name, guesser, packs)] == [r.to_dict() for r in run(name, guesser, packs)]


@pytest.mark.parametrize("name", task_names())
def test_a_limit_is_kept(name, oracle, packs):
    for result in run(name, oracle, packs, Scope(limit=5, dims=(64,))):
        if name not in ("matryoshka", "motion", "confidence") and "synthetic" not in result.name:
            assert result.n <= 5 * 4, result  # at most four languages of five items


def test_only_development_rows_are_asked(oracle, packs):
    run("tables", oracle, packs)
    run("ntrex", oracle, packs)
    texts = [content.parts[0].value for content, _ in oracle.calls]
    assert not any(text.endswith("thing10") for text in texts if text.startswith("en words"))  # NTREX line 1500
    assert sum(text.startswith("title") for text in texts) == N


def test_languages_stand_in_the_detail(oracle, packs):
    by = run("ntrex", oracle, packs)[0].detail["by"]
    assert by == {"deu": 1.0, "swa": 1.0}
    assert run("sts", oracle, packs)[1].detail["by"].keys() == {"de", "fr"}


def test_prompts_name_the_tasks(oracle, packs):
    run("prompts", oracle, packs)
    asked = {(content.parts[0].value[:5], task) for content, task in oracle.calls}
    assert {("which", "search query"), ("title", "search document"), ("task:", None)} <= asked
    assert all(content.title for content, task in oracle.calls if task == "search document")


def test_scanned_pages_say_nothing(oracle, packs):
    run("pdf", oracle, packs)
    pages = [c.parts[0].value for c, _ in oracle.calls if isinstance(c.parts[0].value, Page)]
    assert len(pages) == 2 * N and sum(page.text == "" for page in pages) == N
    assert "thing" in pages[0].text and pages[0].image.pixels.min() < 100


def test_signs_and_screenshots_show_their_word_and_differ(guesser, packs):
    run("reading", guesser, packs)
    asked = [c.parts[0].value for c, _ in guesser.calls]
    drawn, words = [a for a in asked if isinstance(a, bytes)], [a for a in asked if isinstance(a, str)]
    assert len(drawn) == len(words) == len(set(drawn)) >= N
    for seed, word in enumerate(words[:2]):
        shown, bare = (image.modality.decode(reading.picture(w, seed), Part("")).pixels for w in (word, " "))
        assert (shown != bare).any(2).sum() > 100


class Averager:
    """Sees what the oracle sees in single inputs, and gives a mixed content the mean of its parts, or only the text."""

    def __init__(self, oracle, *, deaf: bool) -> None:
        self.oracle, self.deaf, self.info = oracle, deaf, oracle.info

    def embed(self, contents, *, dim=None, task=None):
        return self.oracle.embed([type(c)(c.parts[-1]) if self.deaf else c for c in contents])


def test_composed_is_perfect_for_who_reads_both(oracle, packs):
    results = {r.name: r for r in run("composed", Averager(oracle, deaf=False), packs)}
    assert results["template: one sequence"].value == 1.0
    assert results["free wordings: one sequence"].value == 1.0
    assert results["template: best averaging"].value == 1.0  # the oracle adds, so averaging cannot be beaten
    assert results["template: one sequence − best averaging"].value == 0.0


def test_composed_falls_behind_for_who_reads_only_the_words(oracle, packs):
    results = {r.name: r for r in run("composed", Averager(oracle, deaf=True), packs)}
    assert results["template: one sequence"].value <= 0.25
    assert results["template: best averaging"].value == 1.0
    assert results["template: one sequence − best averaging"].value <= -75
    assert 0 < results["template: best averaging"].detail["weight of the text"] < 1


def test_composed_uses_held_out_classes_only(packs):
    found = composed.material(packs, Scope())
    assert {c.a for c in found.made} == {"thing0", "thing5", "thing10", "thing15"}
    assert all(int(c.b[5:]) % 5 == 0 and c.b not in found.firsts for c in found.made)
    assert all(c.sample.meta["split"] == "test" for c in found.made)


def test_matryoshka_measures_each_size_from_one_embedding(noisy, packs):
    results = run("matryoshka", noisy, packs, Scope(dims=(999, 256, 128, 2)))
    assert [r.name for r in results] == ["256 of 256", "128 of 256", "2 of 256"]
    assert results[0].value == 1.0 and results[0].detail["score"]["captions"] == 1.0
    assert results[1].value > 0.95 > 0.8 > results[2].value
    assert set(results[0].detail["kept"]) == set(matryoshka.MAIN)
    contents = [repr(content) for content, _ in noisy.calls if isinstance(content.parts[0].value, str)]
    assert len(contents) == len(set(contents))


def test_retrieval_reports_chance_and_groups():
    scores = np.array([[3, 2, 1, 0], [3, 2, 1, 0]], np.float32)
    first, tenth = retrieval("x", scores, [[0], [2, 3]], (1, 10), ["a", "b"])
    assert (first.value, first.metric, first.n, first.chance) == (0.5, "R@1", 2, 1.5 / 4)
    assert first.detail == {"candidates": 4, "by": {"a": 1.0, "b": 0.0}}
    assert (tenth.value, tenth.chance) == (1.0, 1.0)


def test_scope_spreads_its_picks():
    assert Scope().pick(list(range(9))) == list(range(9))
    assert Scope(limit=3).pick(list(range(9))) == [0, 4, 8]
    assert Scope(limit=5).pick(list(range(9)), most=2) == [0, 8]
    assert Scope(limit=50).pick_groups(list(range(100)))[:2] == [0, 11]
    assert Scope(limit=5).pick_groups([1, 2]) == [1, 2]
    assert Scope(limit=5).pick([]) == []


def test_small_helpers():
    assert unique_index(["b", "a", "b"]) == (["b", "a"], [0, 1, 0])
    assert by_group(np.array([1, 0, 1]), ["x", "x", "y"]) == {"x": 0.5, "y": 1.0}
    assert [with_article(n) for n in ("ant", "cup", "Snoopy", "scissors", "lotus")] == [
        "an ant",
        "a cup",
        "Snoopy",
        "scissors",
        "a lotus",
    ]
    assert sorted(DIMS, reverse=True) == list(DIMS)
