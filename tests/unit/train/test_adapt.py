"""A model is adapted, measured on what it did not learn from, and saved only if that helped."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import onesense
from onesense import Collection, Embedder
from onesense.engine import adapter, models
from onesense.errors import AlreadyExists, InvalidInput, NotFound, OnesenseError
from onesense.train import adapt as work
from onesense.train.contrast import Settings
from onesense.train.data.examples import read

QUICK = Settings(rank=16, steps=80, batch=32, learning_rate=1e-3)


def labelled(n: int = 90, *, at_random: bool = False) -> list[dict[str, str]]:
    """Notes in which one word in eight decides; or none, and the labels are drawn."""
    rng = np.random.default_rng(1)
    fill = [f"{a}{b}" for a in "bdfgklmn" for b in ("ora", "ilt", "emp", "usk", "ane")]
    rows = []
    for i in range(n):
        label = ("copper", "willow", "harbor")[i % 3]
        said = rng.permutation([*rng.choice(fill, 7), "" if at_random else label])
        rows.append({"item": " ".join(said), "label": label if not at_random else str(rng.choice(["a", "b", "c"]))})
    return rows


def test_what_decides_is_learned_at_every_size(tmp_path: Path) -> None:
    outcome = onesense.adapt(labelled(), tmp_path / "mine", model="tiny", settings=QUICK)
    assert outcome.is_better and outcome.kind == "labels" and outcome.unit == "item"
    assert outcome.n_train + outcome.n_valid + outcome.n_held == 90 and outcome.n_held >= 15
    assert list(outcome.before) == [3072, 1536, 768, 512, 256, 128]
    for size in outcome.before:
        assert outcome.after[size]["ndcg_at_10"] > outcome.before[size]["ndcg_at_10"] + 0.1
    manifest = adapter.read(tmp_path / "mine")
    assert manifest.data == {"kind": "labels", "n": 90, "sha256": read(labelled()).digest()}
    assert manifest.metrics["gain"] == outcome.gain and manifest.settings["rank"] == 16


def test_the_saved_model_finds_better_and_is_another_to_collections(tmp_path: Path) -> None:
    outcome = onesense.adapt(labelled(), tmp_path / "mine", model="tiny", settings=QUICK)
    fresh = [row for row in labelled(150)[90:]]
    shares = {}
    for name in ("tiny", outcome.model):
        with Embedder(name) as embedder:
            x = embedder.embed([row["item"] for row in fresh], dim=256)
        scores = x @ x.T - 2 * np.eye(len(x))
        shares[name] = np.mean([fresh[i]["label"] == fresh[int(j)]["label"] for i, j in enumerate(scores.argmax(1))])
    assert shares[outcome.model] > shares["tiny"] + 0.1
    with Collection.open(tmp_path / "c.json", model=outcome.model, dim=256) as opened:
        opened.add([{"id": str(i), "content": row["item"]} for i, row in enumerate(fresh[:6])])
        assert opened.info.model == outcome.model and opened.info.revision == models.info(outcome.model).revision


def test_what_cannot_be_learned_is_not_saved_unless_asked(tmp_path: Path) -> None:
    rows = labelled(at_random=True)
    outcome = onesense.adapt(rows, tmp_path / "mine", model="tiny", settings=QUICK)
    assert not outcome.is_better and outcome.model is None and not (tmp_path / "mine").exists()
    kept = onesense.adapt(rows, tmp_path / "mine", model="tiny", keep=True, settings=QUICK)
    assert kept.model == f"adapted:{tmp_path / 'mine'}"
    assert not adapter.read(tmp_path / "mine").metrics["is_better"]


def pairs(n: int = 60) -> list[dict[str, str]]:
    return [
        {"query": f"k{i} {row['item']}", "document": f"k{i} answer", "negative": f"k{(i + 1) % n} answer"}
        for i, row in enumerate(labelled(n))
    ]


def test_pairs_learn_from_their_negatives_and_from_the_training_part_only() -> None:
    examples = read(pairs())
    parts = work.split(examples, 0)
    sampler = work._sampler(examples, parts)
    queries, documents = sampler.draw(np.random.default_rng(0), 16)
    assert set(queries) <= set(parts.train) and len(documents) == 32
    assert documents[:16].tolist() == queries.tolist()
    assert documents[16:].tolist() == [(q + 1) % 60 for q in queries]
    np.testing.assert_array_equal(sampler.matches(queries, documents), queries[:, None] == documents[None, :])


def test_pairs_look_among_all_documents(tmp_path: Path) -> None:
    outcome = onesense.adapt(pairs(), tmp_path / "mine", model="tiny", settings=QUICK)
    assert (outcome.kind, outcome.unit, outcome.n_held) == ("pairs", "group", 12)
    with Embedder("tiny") as embedder:
        queries, documents = (embedder.embed([row[side] for row in pairs()]) for side in ("query", "document"))
    held = work.split(read(pairs()), 0).held
    own = (queries[held] @ documents.T).argmax(1) == held
    assert outcome.before[3072]["recall_at_1"] == pytest.approx(own.mean(), abs=1e-4)


def test_the_task_decides_how_both_sides_are_embedded() -> None:
    seen = []

    class Noting:
        def stream(self, contents, task):
            seen.append(task)
            return iter([onesense.Embedding(np.ones(4, np.float32), 1)] * len(contents))

    pairs = read([{"query": f"q {i}", "document": f"d {i}"} for i in range(20)])
    for task in (None, onesense.Task.SEARCH_DOCUMENT, onesense.Task.CLUSTERING):
        work._vectors(Noting(), pairs, task, lambda *_: None)  # type: ignore[arg-type]
    task = onesense.Task
    assert seen == [None, None, task.SEARCH_QUERY, task.SEARCH_DOCUMENT, task.CLUSTERING, task.CLUSTERING]


@given(
    links=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=100, max_size=140),
    seed=st.integers(0, 9),
    is_tangled=st.booleans(),
)
def test_nothing_that_is_measured_was_learned_from(links, seed: int, is_tangled: bool) -> None:
    rows = [{"query": f"text {q}", "document": f"text {d if is_tangled else q + 1000 * (d % 2)}"} for q, d in links]
    rows = [row for row in rows if row["query"] != row["document"]]
    try:
        examples = read(rows)
    except InvalidInput:  # too few distinct ones were drawn
        return
    parts = work.split(examples, seed)
    everything = np.concatenate([parts.train, parts.valid, parts.held])
    assert sorted(everything) == list(range(len(examples.queries.contents)))
    assert min(len(parts.train), len(parts.valid), len(parts.held)) > 0
    if parts.unit == "group":
        texts = [texts_of(examples, part) for part in (parts.train, parts.valid, parts.held)]
        assert not (texts[0] & texts[1] or texts[0] & texts[2] or texts[1] & texts[2])


def texts_of(examples, part) -> set[str]:
    queries, documents = list(examples.queries.keys), list(examples.documents.keys)
    of_part = {int(q) for q in part}
    return {queries[q] for q in of_part} | {documents[d] for q, d in examples.links.tolist() if q in of_part}


@given(
    counts=st.lists(st.integers(1, 30), min_size=2, max_size=8).filter(lambda c: sum(c) >= 20), seed=st.integers(0, 9)
)
def test_each_label_is_learned_from(counts: list[int], seed: int) -> None:
    rows = [{"item": f"{label} {i}", "label": str(label)} for label, n in enumerate(counts) for i in range(n)]
    examples = read(rows)
    try:
        parts = work.split(examples, seed)
    except InvalidInput:
        assert max(counts) < 8
        return
    labels = examples.links[:, 1]
    assert set(labels[parts.train]) == set(range(len(counts)))
    assert sorted(np.concatenate([parts.train, parts.valid, parts.held])) == list(range(sum(counts)))


def test_pairs_that_share_few_documents_are_divided_by_query() -> None:
    examples = read([{"query": f"question {i}", "document": f"page {i % 3}"} for i in range(60)])
    parts = work.split(examples, 0)
    assert parts.unit == "query" and len(parts.held) == 12


def test_labels_with_one_item_each_are_refused(tmp_path: Path) -> None:
    rows = [{"item": f"thing {i}", "label": f"label {i}"} for i in range(30)]
    with pytest.raises(InvalidInput, match="one item only"):
        onesense.adapt(rows, tmp_path / "mine", model="tiny", settings=QUICK)


def test_bad_calls_are_told_before_anything_is_embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "_vectors", lambda *_: pytest.fail("it was embedded"))
    rows = labelled()
    with pytest.raises(AlreadyExists):
        onesense.adapt(rows, tmp_path, model="tiny")
    with pytest.raises(NotFound, match="no model is called"):
        onesense.adapt(rows, tmp_path / "mine", model="tinny")
    with pytest.raises(InvalidInput, match="adapter already"):
        onesense.adapt(rows, tmp_path / "mine", model="adapted:x")
    with pytest.raises(InvalidInput, match="task"):
        onesense.adapt(rows, tmp_path / "mine", model="tiny", task="singing")


def test_a_file_that_cannot_be_read_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n but no more")
    rows = [*labelled(), {"item": {"file": "bad.png"}, "label": "copper"}]
    (tmp_path / "mine.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    with pytest.raises(OnesenseError, match=r"mine\.jsonl line 91: ") as caught:
        onesense.adapt(tmp_path / "mine.jsonl", tmp_path / "mine", model="tiny")
    assert caught.value.code == "cannot_decode"


def test_a_kill_while_training_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, labelled())), encoding="utf-8")
    script = (
        "import sys, onesense; from onesense.train.contrast import Settings;"
        "onesense.adapt(sys.argv[1], sys.argv[2], model='tiny', settings=Settings(steps=10**6, patience=10**6),"
        " progress=lambda done, total, what: print(what, flush=True))"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "rows.jsonl"), str(tmp_path / "mine")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        until_s = time.monotonic() + 60
        while not running.stdout.readline().startswith("validation"):
            assert time.monotonic() < until_s
        running.send_signal(signal.SIGKILL)
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


JARGON = {
    "flux": "lamp", "tarn": "door", "quill": "printer", "brindle": "window", "moss": "heater", "ember": "kettle",
    "corvid": "elevator", "lichen": "carpet",
}  # fmt: skip
"""What a workshop calls its things, and what they are."""
ASKED = ("the {} is broken", "who repairs a {}?", "order a new {}", "{} in room 12", "manual of the {}", "clean the {}")
SAID = ("This concerns the {}.", "Everything about a {}.", "Notes for the {} on the second floor.")


def test_the_bundled_model_learns_the_jargon_of_a_workshop(tmp_path: Path) -> None:
    rows = [
        {"query": asked.format(word), "document": SAID[i % len(SAID)].format(thing)}
        for word, thing in JARGON.items()
        for i, asked in enumerate(ASKED)
    ]
    outcome = onesense.adapt(rows, tmp_path / "mine", settings=Settings(steps=200))
    assert outcome.is_better and outcome.unit == "group"
    assert outcome.after[768]["ndcg_at_10"] > outcome.before[768]["ndcg_at_10"] + 0.2
    assert outcome.after[128]["ndcg_at_10"] > outcome.before[128]["ndcg_at_10"] + 0.2
    with Embedder(outcome.model) as embedder:
        query, lamp, door = embedder.embed(["is there a spare flux?", "a lamp", "a door"], dim=768)
    assert query @ lamp > query @ door
