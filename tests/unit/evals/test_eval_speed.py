"""Races between models: every kind and model told, refusals with a reason, settings put back."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from typer.testing import CliRunner

from onesense.cli.main import app
from onesense.errors import InvalidInput, NotFound
from onesense.evals import speed
from onesense.evals.metrics import neighbours_kept
from onesense.types import Content, Part


def test_samples_are_the_same_for_the_same_numbers():
    one, other = speed.samples(8, seed=3), speed.samples(8, seed=3)
    assert {kind: len(contents) for kind, contents in one.items()} == {"text": 8, "image": 4, "audio": 2}
    assert one == other
    assert one != speed.samples(8, seed=4)


def test_every_kind_is_raced_with_every_model_in_turns():
    told = []
    found = speed.race(["tiny", "tiny"], speed.samples(8), rounds=3, progress=lambda *step: told.append(step))
    assert [(s.model, s.kind) for s in found] == [("tiny", k) for k in ("text", "image", "audio") for _ in range(2)]
    assert all(len(s.per_s) == 3 and min(s.per_s) > 0 and s.tokens_per_s > 0 for s in found)
    assert [s.kept for s in found] == [None, 1.0] * 3
    assert [len(s.one_ms) for s in found[::2]] == [8, 4, 2]
    assert told == [(0, 3, "text"), (1, 3, "image"), (2, 3, "audio")]


def test_a_kind_that_a_model_does_not_take_is_told_with_its_reason():
    broken = Content(Part.bytes(b"\xff\xd8\xff no picture", "image/jpeg"))
    (found,) = speed.race(["tiny"], {"image": [broken]}, rounds=1)
    assert not found.per_s
    assert "contents[0]" in found.reason


def test_the_setting_of_the_runtime_is_put_back(monkeypatch):
    monkeypatch.delenv(speed.RUNTIME, raising=False)
    speed.race(["tiny@onnxruntime"], {"text": speed.samples(2)["text"]}, rounds=1)
    assert speed.RUNTIME not in os.environ
    monkeypatch.setenv(speed.RUNTIME, "auto")
    with pytest.raises(InvalidInput, match="nonsense"):
        speed.race(["onesense-mini@nonsense"], {"text": speed.samples(2)["text"]}, rounds=1)
    assert os.environ[speed.RUNTIME] == "auto"


def test_nothing_to_measure_is_refused():
    with pytest.raises(InvalidInput, match="nothing to measure"):
        speed.race([], speed.samples(2))
    with pytest.raises(InvalidInput, match="nothing to measure"):
        speed.race(["tiny"], {"text": []})
    with pytest.raises(NotFound, match="no model"):
        speed.race(["no-such"], speed.samples(2), rounds=1)


def test_neighbours_kept_of_a_turned_and_of_another_space():
    random = np.random.default_rng(0)
    one = random.standard_normal((40, 16)).astype(np.float32)
    one /= np.linalg.norm(one, axis=1, keepdims=True)
    turn = np.linalg.qr(random.standard_normal((16, 16)))[0].astype(np.float32)
    other = random.standard_normal((40, 16)).astype(np.float32)
    assert neighbours_kept(one, one @ turn) == 1.0
    assert neighbours_kept(one, other) < 0.5
    assert neighbours_kept(one[:2], one[:2]) == 1.0  # one neighbour is all there is
    with pytest.raises(InvalidInput, match="expected as many"):
        neighbours_kept(one, one[:3])


def test_the_command_prints_a_table_and_json():
    run = CliRunner()
    told = run.invoke(app, ["bench", "-m", "tiny", "-n", "4", "--rounds", "1"])
    assert told.exit_code == 0
    assert "tokens a second" in told.output
    told = run.invoke(app, ["bench", "-m", "tiny", "-n", "4", "--rounds", "1", "--json"])
    results = json.loads(told.stdout)["results"]
    assert [r["kind"] for r in results] == ["text", "image", "audio"]
    assert all(r["median_per_s"] > 0 and r["p99_ms"] >= r["p50_ms"] > 0 for r in results)


def test_the_command_takes_files_of_ones_own(tmp_path):
    for i in range(3):
        (tmp_path / f"{i}.txt").write_text(f"note number {i}", encoding="utf-8")
    (tmp_path / "broken.jpg").write_bytes(b"")
    run = CliRunner()
    told = run.invoke(app, ["bench", str(tmp_path), "-m", "tiny", "--rounds", "1", "--json"])
    (result,) = json.loads(told.stdout)["results"]
    assert (result["kind"], result["n"]) == ("text", 3)
    assert run.invoke(app, ["bench", str(tmp_path / "broken.jpg")]).exit_code == 2
    assert run.invoke(app, ["bench", str(tmp_path / "gone")]).exit_code == 2
