"""Ranking, pages, groups and verdicts, over rows whose vectors are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from onesense.engine.embedder import Embedder
from onesense.errors import InvalidInput, NotFound
from onesense.index import calibrate, group
from onesense.index.collection import Collection
from onesense.index.neutral import QUERIES
from onesense.types import Hit, Locator

DIM = 64
NAMES = "harbour tram lighthouse orange market guitar museum bridge castle river garden station".split()


def notes(path: Path) -> Collection:
    """Forty notes: one of each name, and fillers."""
    records = [{"id": f"note-{i:02}", "content": f"{name} {name} {name}"} for i, name in enumerate(NAMES)]
    records += [{"id": f"filler-{i:02}", "content": f"entry {i} of the long list {i * 7919}"} for i in range(28)]
    opened = Collection.open(path, model="tiny", dim=DIM)
    assert not opened.add(records).failed
    return opened


@pytest.fixture
def collection(tmp_path):
    with notes(tmp_path / "c.json") as opened:
        yield opened


@pytest.fixture(params=["json", "onesense"])
def either(request, tmp_path):
    """The same in each store: slower, for what depends on it."""
    with notes(tmp_path / f"c.{request.param}") as opened:
        yield opened


@pytest.fixture
def in_json(tmp_path):
    with Collection.open(tmp_path / "c.json", model="tiny", dim=DIM) as opened:
        opened.add([{"id": name, "content": f"{name} {name}"} for name in NAMES])
        yield opened


def paths(result) -> list[str]:
    return [hit.path for hit in result]


def test_pages_follow_each_other_without_gap_or_repeat(either):
    whole = paths(either.search("lighthouse", k=40))
    assert len(set(whole)) == 40
    pages, offset = [], 0
    while offset is not None:
        page = either.search("lighthouse", k=7, offset=offset)
        pages += paths(page)
        offset = page.next_offset
    assert pages == whole


def test_words_lift_and_do_not_hide(either):
    with_words, without = (either.search("list 31676", k=40, words=words) for words in (True, False))
    assert with_words[0].path == "filler-04" and "31676" in with_words[0].words
    assert set(paths(with_words)) == set(paths(without))
    assert all(hit.words == () for hit in without)


def test_rank_by_cosine_is_in_order_of_the_score(collection):
    scores = [hit.score for hit in collection.search("orange market", k=40, rank="cosine")]
    assert scores == sorted(scores, reverse=True)


def test_confidence_is_in_order_and_a_chance(collection):
    result = collection.search("orange market", k=40)
    confidences = [hit.confidence for hit in result]
    assert confidences == sorted(confidences, reverse=True)
    assert all(0 <= confidence <= 1 for confidence in confidences)


def test_there_is_a_match_or_there_is_none(collection):
    assert collection.search("castle castle castle").is_confident is True
    assert collection.search("zxqv wvk", words=False).is_confident is False


def test_an_empty_collection_has_no_match(tmp_path):
    with Collection.open(tmp_path / "empty.json", model="tiny", dim=DIM) as empty:
        result = empty.search("anything")
        assert (len(result), result.is_confident, result.next_offset) == (0, False, None)


def test_like_uses_stored_vectors_and_leaves_itself_out(collection, monkeypatch):
    collection.search("x")  # calibrated
    monkeypatch.setattr(Embedder, "embed", lambda *_: pytest.fail("nothing is embedded anew"))
    found = collection.search(like="note-03", k=40, words=False)
    assert "note-03" not in paths(found) and len(found) == 39
    assert paths(collection.search(like="note-03#0", k=40, words=False)) == paths(found)
    assert paths(collection.search(like=["note-03"], k=5)) == paths(found)[:5]


def test_minus_pushes_away_and_plus_pulls(in_json):
    def rank(name, **options):
        return paths(in_json.search("tram museum", k=12, words=False, **options)).index(name)

    assert rank("museum", minus=["museum museum"]) > rank("museum")
    assert rank("river", plus=["river river"]) < rank("river")
    one, other = (
        in_json.search("tram", plus=terms, words=False) for terms in (["river", "garden"], ["garden", "river"])
    )
    assert paths(one) == paths(other)


def test_what_cancels_out_is_refused(in_json):
    with pytest.raises(InvalidInput, match="cancel out"):
        in_json.search("tram", minus=["tram", "tram"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "nothing to look for"),
        ({"query": "x", "k": 0}, "`k`"),
        ({"query": "x", "offset": -1}, "`offset`"),
        ({"query": "x", "group": "folder"}, "grouped by"),
        ({"query": "x", "rank": "fame"}, "ranked by"),
        ({"query": "x", "minus": "a dog"}, "list of terms"),
    ],
)
def test_a_wrong_question_is_refused(in_json, options, message):
    with pytest.raises(InvalidInput, match=message):
        in_json.search(**options)


def test_like_something_that_is_not_there(in_json):
    with pytest.raises(NotFound, match="no id and no path"):
        in_json.search(like="nowhere.png")


def test_files_are_grouped_with_their_best_segments(tmp_path):
    (tmp_path / "long.txt").write_text("\n\n".join(f"{name} " * 60 for name in NAMES[:4]), encoding="utf-8")
    (tmp_path / "short.txt").write_text("castle river", encoding="utf-8")
    with Collection.open(tmp_path / "c.json", model="tiny", dim=DIM) as opened:
        opened.add([tmp_path / "long.txt", tmp_path / "short.txt"])
        assert opened.count() > 2
        found = opened.search("lighthouse lighthouse", group="file")
        assert [Path(hit.path).name for hit in found] == ["long.txt", "short.txt"]
        best = opened.search("lighthouse lighthouse", k=1)[0]
        assert (found[0].id, found[0].confidence) == (best.id, best.confidence)
        assert found[0].segments[0].locator == best.locator and len(found[0].segments) >= 2


def hit(id_: str, start_s: float, end_s: float, confidence: float) -> Hit:
    return Hit(id_, "a.mp4", Locator(start_s=start_s, end_s=end_s), "video", 0.5, confidence, "")


def test_stretches_that_touch_are_one_when_both_were_found():
    joined = group.stretches(
        [hit("a", 8, 16, 0.9), hit("b", 15, 23, 0.6), hit("c", 23, 31, 0.1), hit("d", 60, 68, 0.5)]
    )
    assert [(h.id, h.locator.start_s, h.locator.end_s) for h in joined] == [("a", 8, 23), ("c", 23, 31), ("d", 60, 68)]


def test_near_duplicates_go_under_the_best(tmp_path):
    records = [
        {"id": "first", "content": "a tram"},
        {"id": "again", "content": "a tram"},
        {"id": "b", "content": "a castle"},
    ]
    with Collection.open(tmp_path / "c.json", model="tiny", dim=DIM) as opened:
        opened.add(records)
        found = opened.search("a tram", collapse=True)
        assert [(h.path, h.duplicates) for h in found] == [("again", ("first#0",)), ("b", ())]


# --- calibration ----------------------------------------------------------------------------------------------------


def test_the_calibration_is_kept_and_read_again(either, monkeypatch):
    before = [hit.confidence for hit in either.search("river", k=5)]
    note = either._store.read_note(calibrate.NOTE)
    assert note["counts"] == {"text": 40} and len(note["sample"]["text"]) == 40
    monkeypatch.setattr(calibrate, "measure", lambda *_: pytest.fail("the note says it"))
    with Collection.open(either.path, create=False) as again:
        assert [hit.confidence for hit in again.search("river", k=5)] == before


def test_a_collection_that_grew_is_measured_anew(collection):
    collection.add([{"id": f"more-{i}", "content": f"more of it {i}"} for i in range(30)])
    assert collection._store.read_note(calibrate.NOTE)["counts"] == {"text": 70}


def test_a_sample_whose_rows_are_gone_is_drawn_again(collection):
    collection.delete(["note-00", "note-01"])
    with Collection.open(collection.path, create=False) as again:
        assert again.search("tram", k=3)[0].confidence is not None


def test_a_damaged_note_is_no_obstacle(collection):
    collection._store.write_note(calibrate.NOTE, {"format": "onesense.calibration.v1", "pairs": 3})
    with Collection.open(collection.path, create=False) as again:
        assert again.search("castle castle castle").is_confident is True


def test_more_rows_more_chance_hits():
    assert calibrate.evidence(3.0, 10) > calibrate.evidence(3.0, 10_000)
    assert calibrate.evidence(3.0, 100, 0.1) == calibrate.evidence(3.0, 100, 0.0)  # chance words do not count
    assert calibrate.evidence(3.0, 100, 0.9) > calibrate.evidence(3.0, 100, 0.2)


def test_a_query_that_is_near_to_everything_is_not_sure_of_anything():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((100, 16)).astype(np.float32) * 0.1 + np.eye(16, dtype=np.float32)[0]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    known = calibrate.Calibration({"text": 100}, {}, calibrate.pairs({"text": rows}, rows[:20]), 0, {}, {"text": rows})
    hub, other = np.eye(16, dtype=np.float32)[0], np.eye(16, dtype=np.float32)[1]
    assert known.background(hub, "text", "text").mean > known.background(other, "text", "text").mean + 0.3


def test_neutral_queries_are_different_and_many():
    assert len(set(QUERIES)) == len(QUERIES) >= 40


def test_a_copy_of_what_is_asked_for_comes_first_and_is_certain(collection):
    first = collection.search("lighthouse lighthouse lighthouse")[0]
    assert first.path == "note-02" and first.score == pytest.approx(1, abs=1e-4) and first.confidence == 1.0
    near = collection.search("a lighthouse above the old harbour, seen at night")[0]
    assert near.score < 0.999 and near.confidence < 1.0
