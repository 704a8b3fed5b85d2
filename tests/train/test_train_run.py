"""The training loop on tiny data: all tasks, resuming, stopping, refusing."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
import torch
from torch import nn

from onesense.errors import BackendError, InvalidInput
from onesense.evals.packs import Packs
from onesense.train import checkpoint, letters, run
from onesense.train.recipe import Recipe, load_recipe
from onesense.train.tasks import TASKS


class FakeBridge(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.ones(3))


class FakeTrunk(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up_rank = nn.Parameter(torch.ones(2, 3))


def fake_build(task):
    def build(recipe, device=run.CPU, root=None):
        student = run.Student(FakeTrunk(), FakeBridge(), None, torch.zeros(3), False)
        return student, {"fake": task}

    return build


class Draws:
    """A loss that depends on what is drawn, so that a resumed run shows whether the generator went on."""

    def loss(self, student, rng):
        wanted = torch.tensor([rng.random() for _ in range(3)])
        return ((student.trunk.up_rank - wanted) ** 2).sum() + ((student.bridge.value + wanted) ** 2).sum()


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(run, "build", fake_build(Draws()))
    monkeypatch.setattr(run, "check_tasks", lambda recipe: None)


RECIPE = Recipe(tasks={"fake": {}}, warmup_steps=2)


def go(out: Path, steps: int, recipe: Recipe = RECIPE, **plan) -> dict:
    run.train(recipe, out, run.Plan(steps=steps, overlap=False, **plan))
    return checkpoint.read(out / "last.pt")


def test_a_resumed_run_ends_where_an_unbroken_one_does(fake, tmp_path, monkeypatch):
    monkeypatch.setattr(run.Plan, "share", lambda self, step, seconds: step / 8 if step < self.steps else 1)
    whole = go(tmp_path / "a", 8)
    go(tmp_path / "b", 3)
    parts = go(tmp_path / "b", 8)
    assert parts["step"] == whole["step"] == 8
    for kind in ("model", "average"):
        for name, value in whole[kind].items():
            assert torch.equal(value, parts[kind][name]), (kind, name)


def test_a_checkpoint_without_recipe_and_draws_still_resumes(fake, tmp_path):
    state = go(tmp_path, 3)
    torch.save({k: v for k, v in state.items() if k not in ("recipe", "rng", "running")}, tmp_path / "last.pt")
    lines: list[str] = []
    run.train(RECIPE, tmp_path, run.Plan(steps=5, overlap=False), run.Watch(lines.append))
    assert checkpoint.read(tmp_path / "last.pt")["step"] == 5
    assert any("older file" in line for line in lines)


def test_another_recipe_is_refused_with_what_differs(fake, tmp_path):
    go(tmp_path, 2)
    other = Recipe(tasks={"fake": {"batch": 3}}, warmup_steps=2, learning_rate=0.5)
    with pytest.raises(InvalidInput, match=r"learning_rate: 0\.001 there, 0\.5 here.*fake\.batch") as told:
        go(tmp_path, 4, other)
    assert "--out" in str(told.value)


def test_ctrl_c_finishes_the_step_and_saves(monkeypatch, tmp_path):
    class Interrupts(Draws):
        n = 0

        def loss(self, student, rng):
            self.n += 1
            if self.n == 3:
                signal.raise_signal(signal.SIGINT)
            return super().loss(student, rng)

    monkeypatch.setattr(run, "build", fake_build(Interrupts()))
    monkeypatch.setattr(run, "check_tasks", lambda recipe: None)
    before = signal.getsignal(signal.SIGINT)
    outcome = run.train(RECIPE, tmp_path, run.Plan(steps=9, overlap=False))
    assert outcome.is_stopped and outcome.step == 3
    assert checkpoint.read(outcome.checkpoint)["step"] == 3
    assert signal.getsignal(signal.SIGINT) is before


def test_a_loss_that_is_not_finite_keeps_the_checkpoint(fake, tmp_path, monkeypatch):
    go(tmp_path, 2)

    class Broken:
        def loss(self, student, rng):
            return student.bridge.value.sum() * float("nan")

    monkeypatch.setattr(run, "build", fake_build(Broken()))
    with pytest.raises(BackendError, match="fake is not finite at step 2"):
        go(tmp_path, 4)
    assert checkpoint.read(tmp_path / "last.pt")["step"] == 2


def test_snapshots_are_kept_and_averaged(fake, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "SAVE_STEPS", 1)
    go(tmp_path, 5, keep=3)
    files = checkpoint.snapshots(tmp_path)
    assert [file.name for file in files] == ["step-000003.pt", "step-000004.pt", "step-000005.pt"]
    made = checkpoint.average([tmp_path], tmp_path / "mean.pt")
    wanted = sum(checkpoint.read(file)["average"]["bridge.value"] for file in files) / 3
    assert torch.allclose(checkpoint.read(made)["average"]["bridge.value"], wanted)
    go(tmp_path / "new", 1)
    (tmp_path / "new/last.pt").write_bytes(made.read_bytes())
    with pytest.raises(InvalidInput, match="weights only"):
        go(tmp_path / "new", 2)


def test_the_learning_rate_warms_up_and_falls(fake, tmp_path, monkeypatch):
    rates: list[float] = []
    step = torch.optim.AdamW.step

    def spy(self, *args, **kwargs):
        rates.append(self.param_groups[0]["lr"])
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    go(tmp_path, 8)
    assert rates[0] == pytest.approx(0.5e-3) and rates[1] > rates[2] > rates[-1] >= 0.02e-3


@pytest.mark.sources
def test_smoke_every_task_learns_from_tiny_data(tiny: Path, tmp_path: Path):
    """All tasks of the house, two steps, then one more after a restart; the overlap is told."""
    letters.make(Packs(tiny / "data")).save(tiny / "letters.npz")
    named = {name: {} for name in TASKS if name != "pairs"}
    recipe = run.smoke(Recipe(tasks=named, rank=4, bf16=False, letters="letters.npz"))
    lines: list[str] = []
    plan = run.Plan(steps=2, root=tiny)
    outcome = run.train(recipe, tmp_path, plan, run.Watch(lines.append))
    assert outcome.step == 2 and set(outcome.losses) == set(recipe.tasks)
    assert any("text/ntrex_1-1600 | text | 2" in line for line in lines)
    state = checkpoint.read(outcome.checkpoint)
    moved = [name for name, value in state["model"].items() if name.endswith("up_rank") and value.abs().max() > 0]
    assert len(moved) == 48  # four matrices in each of twelve layers
    assert state["model"]["bridge.values.picture_path"].abs().max() > 0
    begun = torch.from_numpy(letters.Letters.load(tiny / "letters.npz").rows)
    assert (state["model"][run.LETTERS] - begun).abs().max() > 0
    logged = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert logged[0]["run"]["rank"] == 4 and logged[-1]["step"] == 2
    assert json.loads((tmp_path / "overlap.json").read_text(encoding="utf-8"))["n_texts"] > 50


def test_every_recipe_of_the_house_has_known_tasks_and_arguments():
    from onesense.train import recipe as recipes

    for name in recipes.names():
        run.check_tasks(load_recipe(name))


@pytest.mark.parametrize(
    ("tasks", "told"),
    [
        ({"paralel": {}}, "no task is called `paralel`: there are composed"),
        ({"parallel": {"bach": 3}}, "no argument bach: it has batch, keep, contrast"),
    ],
)
def test_unknown_tasks_and_arguments_are_refused(tasks, told, tmp_path):
    with pytest.raises(InvalidInput, match=told):
        run.train(Recipe(tasks=tasks), tmp_path, run.Plan(steps=1))


def test_relative_paths_of_a_recipe_move_to_another_root():
    moved = run.rooted(Recipe(tasks={"speech": {}, "retain": {}}, start="runs/a/last.pt"), Path("/far"))
    assert moved.tasks == {"speech": {"folder": "/far/runs/ear"}, "retain": {}}
    assert moved.start == "/far/runs/a/last.pt"
