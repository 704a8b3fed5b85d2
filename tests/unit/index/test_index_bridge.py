"""A bridge to another model: recovered where it is known, measured, and never written into the collection."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from onesense import Collection
from onesense.cli.main import app
from onesense.errors import InvalidInput, NotFound
from onesense.index import bridge
from onesense.vectors import truncate_normalize
from small_adapter import saved_adapter

NOUNS = "copper willow harbor candle meadow lantern saddle thimble orchard pebble".split()
VERBS = "melts grows waits burns floods swings creaks gleams ripens rolls".split()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred notes that share nouns and verbs, some in files, some as records."""
    folder = tmp_path_factory.mktemp("bridge")
    notes = folder / "notes"
    notes.mkdir()
    for noun in NOUNS[:5]:
        for verb in VERBS:
            (notes / f"{noun} {verb}.txt").write_text(f"the {noun} {verb} today", encoding="utf-8")
    records = [
        {"id": f"{noun} {verb}", "content": f"the {noun} {verb} today", "metadata": {"noun": noun}}
        for noun in NOUNS[5:]
        for verb in VERBS
    ]
    with Collection.open(folder / "c.onesense", model="tiny", dim=64) as collection:
        collection.add([notes, *records])
    return folder / "c.onesense"


@pytest.fixture(scope="module")
def model(path: Path) -> str:
    return f"adapted:{saved_adapter(path.parent / 'adapter')}"


def test_a_rotation_is_recovered() -> None:
    rng = np.random.default_rng(0)
    meaning = rng.normal(size=(300, 12))
    into_old, into_new = (np.linalg.qr(rng.normal(size=(width, 12)))[0].T for width in (40, 56))
    old, new = (truncate_normalize((meaning @ w).astype(np.float32), w.shape[1]) for w in (into_old, into_new))
    map_, means, quality = bridge._fitted(new, old, np.arange(300))
    np.testing.assert_allclose(bridge._over(old, map_, means), new, atol=0.02)
    assert quality.overlap > 0.95 and quality.recall == 1.0 and quality.n_held == 120
    assert quality.old_overlap == 1.0  # two views of the same thing


def test_models_that_have_nothing_in_common_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    old, new = (truncate_normalize(rng.normal(size=(300, 32)).astype(np.float32), 32) for _ in range(2))
    _, _, quality = bridge._fitted(new, old, np.arange(300))
    assert quality.overlap < 0.2 and quality.old_overlap < 0.2  # ten of 120 are 8 %


def test_files_are_not_divided_between_learning_and_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    real = bridge._maps
    monkeypatch.setattr(bridge, "_maps", lambda old, new: (seen.append(len(old)), real(old, new))[1])
    rng = np.random.default_rng(0)
    of_file = truncate_normalize(rng.normal(size=(20, 8)).astype(np.float32), 8)
    old = np.repeat(of_file, 6, axis=0)  # six segments a file, all alike
    _, _, quality = bridge._fitted(old[:, ::-1].copy(), old, np.arange(120) // 6)
    assert seen == [quality.n_fit] and quality.n_fit % 6 == quality.n_held % 6 == 0 < quality.n_held


def test_a_preview_finds_what_reembedding_would(path: Path, model: str) -> None:
    before = snapshot(path)
    learned = bridge.learn(path, model, sample=100)
    assert learned.quality.n_fit + learned.quality.n_held < 100 and learned.quality.overlap > 0.5
    hits = bridge.preview(path, learned, "the saddle creaks today", k=5)
    assert hits[0].path == "saddle creaks" and all(hit.confidence is None for hit in hits)
    only = bridge.preview(path, learned, "the saddle creaks today", k=5, where={"noun": "pebble"})
    assert only and {hit.metadata["noun"] for hit in only} == {"pebble"}
    assert bridge.preview(path, learned, "the saddle creaks", modality="image") == []
    assert snapshot(path) == before  # the collection was only read


def snapshot(path: Path) -> tuple:
    with Collection.open(path) as opened:
        ids = sorted(id_ for id_, _ in opened.rows())
        return opened.version(), opened.info, opened.vectors(ids).tobytes()


def test_it_is_kept_for_the_next_query_and_learned_again_for_another(
    path: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = bridge.learn(path, model, sample=100)
    sampled = []
    real = bridge._sampled
    monkeypatch.setattr(bridge, "_sampled", lambda *given: (sampled.append(1), real(*given))[1])
    again = bridge.learn(path, model, sample=100)
    assert not sampled and again.quality == first.quality
    np.testing.assert_array_equal(again.map, first.map)
    bridge.learn(path, model, sample=100, dim=128)
    file = path.parent / "c.bridge.npz"
    file.write_bytes(file.read_bytes()[:1000])
    bridge.learn(path, model, sample=100, dim=128)  # a damaged one is learned again
    assert len(sampled) == 2


def test_what_cannot_be_bridged_is_told(path: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="search it"):
        bridge.learn(path, "tiny", dim=64)
    with pytest.raises(InvalidInput, match="sample of 5"):
        bridge.learn(path, "tiny", sample=5)
    with pytest.raises(NotFound, match="no collection"):
        bridge.learn(tmp_path / "none.onesense", "tiny")
    with pytest.raises(NotFound, match="no model"):
        bridge.learn(path, "tinny")
    with Collection.open(tmp_path / "few.json", model="tiny", dim=64) as few:
        few.add([{"id": str(i), "content": f"note {i}"} for i in range(12)])
    with pytest.raises(InvalidInput, match="12 segments"):
        bridge.learn(tmp_path / "few.json", "tiny", dim=128)
    with Collection.open(tmp_path / "one.json", model="tiny", dim=64) as one:
        one.add([{"id": "long", "content": "\n\n".join(f"Paragraph {i}. " + "word " * 120 for i in range(60))}])
    with pytest.raises(InvalidInput, match="one file"):
        bridge.learn(tmp_path / "one.json", "tiny", dim=128)


def test_the_verb_marks_what_it_shows_as_a_preview(path: Path, model: str) -> None:
    def run(*args: str):
        return CliRunner().invoke(app, ["bridge", str(path), "--model", model, "--sample", "100", *args])

    told = run()
    assert told.exit_code == 0 and "against true re-embedding of" in told.stdout and "PREVIEW" not in told.stdout
    told = run("-t", "the saddle creaks today", "-k", "3")
    assert told.exit_code == 0 and "PREVIEW" in told.stdout and "saddle creaks" in told.stdout
    answer = json.loads(run("-t", "the saddle creaks today", "--where", "noun=saddle", "--json").stdout)
    assert answer["is_preview"] is True and answer["hits"][0]["path"] == "saddle creaks"
    assert set(answer["quality"]) >= {"method", "overlap", "recall", "old_overlap", "old_recall", "n_held"}
    assert run("-t", "x", "--modality", "video").exit_code == 4
    assert run("-t", "x", "--modality", "smell").exit_code == 2
