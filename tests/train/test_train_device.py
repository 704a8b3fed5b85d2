"""Where a run computes, and the verb around it."""

from __future__ import annotations

import json

import pytest
import torch
from test_train_run import Draws, fake_build
from typer.testing import CliRunner

from onesense.cli.main import app
from onesense.errors import CorruptData, InvalidInput, NotFound
from onesense.train import checkpoint, device, run


def test_devices_by_name(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device.choose("auto").type == device.choose("cpu").type == "cpu"
    with pytest.raises(InvalidInput, match="no CUDA GPU"):
        device.choose("cuda")
    with pytest.raises(InvalidInput, match="auto, cpu, cuda"):
        device.choose("tpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device.choose("auto").type == device.choose("cuda").type == "cuda"
    assert device.choose("cpu").type == "cpu"


@pytest.mark.parametrize(
    ("line", "has"),
    [
        ("flags\t\t: fpu avx512f avx512_bf16", True),
        ("flags\t\t: fpu avx512f", False),
        ("Features\t: fp asimd bf16 i8mm", True),
        ("model name\t: bf16", False),
    ],
)
def test_bf16_is_asked_of_the_processor(tmp_path, line, has):
    file = tmp_path / "cpuinfo"
    file.write_text(f"processor\t: 0\n{line}\n", encoding="utf-8")
    assert bool(device._CPU_FLAGS & device._cpu_flags(file)) is has


def test_a_gpu_takes_longer_passes():
    assert device.chunk_tokens(torch.device("cuda")) > device.chunk_tokens(torch.device("cpu"))
    assert run._chunks([1, 2, 3, 4], 6) == [[0, 1], [2], [3]]
    assert run._chunks([1, 2, 3, 4], 100) == [[0, 1, 2, 3]]


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "build", fake_build(Draws()))
    monkeypatch.setattr(run, "check_tasks", lambda recipe: None)
    file = tmp_path / "mine.py"
    file.write_text(
        "from onesense.train.recipe import Recipe\nrecipe = Recipe(tasks={'fake': {}}, warmup_steps=2)\n", "utf-8"
    )
    return file


def verb(*args: object):
    return CliRunner().invoke(app, ["train", *map(str, args)])


def test_the_verb_trains_resumes_and_tells(recipe, tmp_path):
    out = tmp_path / "out"
    first = verb(recipe, "--steps", 3, "--out", out, "--device", "cpu", "--no-overlap", "--json")
    assert first.exit_code == 0, first.output
    told = json.loads(first.stdout)
    assert told["step"] == 3 and told["is_stopped"] is False and told["checkpoint"] == str(out / "last.pt")
    second = verb(recipe, "--steps", 5, "--out", out, "--device", "cpu", "--no-overlap")
    assert second.exit_code == 0 and "step 5" in second.stdout and "from step 3" in second.stderr
    recipe.write_text(recipe.read_text("utf-8").replace("warmup_steps=2", "rank=4"), "utf-8")
    other = verb(recipe, "--steps", 6, "--out", out, "--device", "cpu", "--no-overlap")
    assert other.exit_code == 2 and "rank: 16 there, 4 here" in other.stderr


def test_the_verb_averages(recipe, tmp_path):
    for name in "ab":
        verb(recipe, "--steps", 2, "--out", tmp_path / name, "--device", "cpu", "--no-overlap")
    files = [tmp_path / name / "last.pt" for name in "ab"]
    made = verb("--average", *files, "--out", tmp_path / "mean.pt")
    assert made.exit_code == 0, made.output
    assert checkpoint.read(tmp_path / "mean.pt")["averaged"] == [str(file) for file in files]
    assert verb("--average", files[0], "--out", tmp_path / "mean.pt").exit_code == 2
    assert "name it with --out" in verb("--average", *files).stderr


def test_damaged_and_foreign_checkpoints_are_told(tmp_path):
    with pytest.raises(NotFound, match="no checkpoint"):
        checkpoint.read(tmp_path / "none.pt")
    for content in (b"", b"not a checkpoint at all", b"PK\x03\x04 half of one"):
        (tmp_path / "bad.pt").write_bytes(content)
        with pytest.raises(CorruptData, match="damaged or another kind"):
            checkpoint.read(tmp_path / "bad.pt")
    torch.save({"weights": torch.ones(2)}, tmp_path / "other.pt")
    with pytest.raises(CorruptData, match=r"expected `onesense\.checkpoint\.v1`"):
        checkpoint.read(tmp_path / "other.pt")


def test_weights_of_another_rank_are_told(recipe, tmp_path):
    student, _ = run.build(None)
    checkpoint.write(tmp_path / "a.pt", {"model": {}, "average": {"trunk.up_rank": torch.ones(9, 3)}})
    with pytest.raises(NotFound, match="lacks"):
        run.load(student, tmp_path / "a.pt")
    weights = {"trunk.up_rank": torch.ones(9, 3), "bridge.value": torch.ones(3)}
    checkpoint.write(tmp_path / "a.pt", {"model": weights, "average": weights})
    with pytest.raises(InvalidInput, match="another `rank`"):
        run.load(student, tmp_path / "a.pt")
