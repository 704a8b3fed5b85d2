"""`onesense adapt`: what it prints, saves and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from onesense.cli.main import app


def run(*args: object) -> Result:
    return CliRunner().invoke(app, list(map(str, args)))


def rows(*, at_random: bool = False) -> list[dict[str, str]]:
    rng = np.random.default_rng(1)
    fill = [f"{a}{b}" for a in "bdfgklmn" for b in ("ora", "ilt", "emp", "usk", "ane")]
    labels = ("copper", "willow", "harbor")
    found = []
    for i in range(90):
        words = [*rng.choice(fill, 7), *([] if at_random else [labels[i % 3]])]
        label = labels[rng.integers(3) if at_random else i % 3]
        found.append({"item": " ".join(rng.permutation(words)), "label": label})
    return found


@pytest.fixture
def data(tmp_path: Path) -> Path:
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(map(json.dumps, rows())), encoding="utf-8")
    return file


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    file = tmp_path / "noise.jsonl"
    file.write_text("\n".join(map(json.dumps, rows(at_random=True))), encoding="utf-8")
    return file


def test_before_and_after_are_told_and_the_model_can_be_used(data: Path, tmp_path: Path) -> None:
    to = tmp_path / "mine"
    told = run("adapt", data, "--to", to, "--model", "tiny", "--rank", 16, "--minutes", 0.2)
    assert told.exit_code == 0, told.output
    for said in ("nDCG@10 before", "3072", "128", "points of nDCG@10", f"adapted:{to}", "held out"):
        assert said in told.stdout
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("the copper gora", encoding="utf-8")
    at = tmp_path / "c.onesense"
    assert run("index", tmp_path / "notes", "--to", at, "--model", f"adapted:{to}").exit_code == 0
    assert "a.txt" in run("search", at, "-t", "copper").stdout
    refused = run("index", tmp_path / "notes", "--to", at, "--model", "tiny")
    assert refused.exit_code == 2 and "cannot be compared" in refused.stderr
    assert f"adapted:{to}" in run("embed", "-t", "x", "--model", f"adapted:{to}", "--json").stdout


def test_what_does_not_help_is_said_and_not_saved(noise: Path, tmp_path: Path) -> None:
    told = run("adapt", noise, "--to", tmp_path / "mine", "--model", "tiny", "--minutes", 0.05)
    assert told.exit_code == 4 and not (tmp_path / "mine").exists()
    assert "does not help" in told.stdout and "--keep" in told.stdout
    kept = run("adapt", noise, "--to", tmp_path / "mine", "--model", "tiny", "--minutes", 0.05, "--keep", "--json")
    answer = json.loads(kept.stdout)
    assert kept.exit_code == 0 and answer["is_better"] is False and answer["model"] == f"adapted:{tmp_path / 'mine'}"
    assert list(answer["before"]) == ["3072", "1536", "768", "512", "256", "128"]


def test_faults_are_one_line_and_exit_2(data: Path, tmp_path: Path) -> None:
    data.write_text(data.read_text(encoding="utf-8") + "\n{broken", encoding="utf-8")
    told = run("adapt", data, "--to", tmp_path / "mine", "--model", "tiny")
    assert told.exit_code == 2 and "rows.jsonl line 91 is no JSON" in told.stderr and "Traceback" not in told.output
    for args in ((tmp_path / "none", "--to", tmp_path / "x"), (data, "--to", tmp_path)):
        assert run("adapt", *args, "--model", "tiny").exit_code == 2
    assert run("adapt", data, "--model", "tiny").exit_code == 2  # --to is missing
