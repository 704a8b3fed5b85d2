"""What of training needs no torch: recipes, the list of steps, the check of a data folder, the verb's messages."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from onesense.cli import train as verb
from onesense.cli.main import app
from onesense.errors import InvalidInput, NotFound, PluginError
from onesense.evals.packs import write_pack
from onesense.train import recipe, steps
from onesense.train.recipe import Recipe


def run(*args: object):
    return CliRunner().invoke(app, ["train", *map(str, args)])


def test_recipes_are_listed_with_what_they_are():
    found = recipe.names()
    assert {"stage_a", "stage_a_text"} <= set(found) and all(line.endswith(".") for line in found.values())


def own(folder: Path, text: str) -> str:
    file = folder / "mine.py"
    file.write_text(text, encoding="utf-8")
    return str(file)


def test_a_recipe_of_ones_own(tmp_path):
    text = "from onesense.train.recipe import Recipe\nrecipe = Recipe(tasks={'retain': {}}, rank=4)\n"
    assert recipe.load_recipe(own(tmp_path, text)) == Recipe(tasks={"retain": {}}, rank=4)


@pytest.mark.parametrize(
    ("line", "error", "told"),
    [
        ("recipe = Recipe(tasks={}, speed=3)", InvalidInput, "'speed'.*a recipe has tasks, rank, learning_rate"),
        ("recipe = Recipe(tasks={}, rank=0)", InvalidInput, "`rank` of a recipe is 0"),
        ("recipe = Recipe(tasks={}, average=1.0)", InvalidInput, "`average` < 1"),
        ("recipe = Recipe(tasks=['retain'])", InvalidInput, "dict of task name"),
        ("recipe = 3", PluginError, "sets no `recipe"),
        ("import nothing_of_this_name", PluginError, "does not load"),
    ],
)
def test_broken_recipes_are_told(tmp_path, line, error, told):
    with pytest.raises(error, match=told):
        recipe.load_recipe(own(tmp_path, f"from onesense.train.recipe import Recipe\n{line}\n"))


def test_differences_name_each_value():
    old = Recipe(tasks={"a": {"batch": 3}}).to_dict()
    new = Recipe(tasks={"a": {"batch": 4}, "b": {}}, seed=1).to_dict()
    assert recipe.differences(old, new) == [
        "seed: 0 there, 1 here", "tasks.a.batch: 3 there, 4 here", "tasks.b: 'not set' there, 'set' here",
    ]  # fmt: skip
    assert recipe.differences(old, json.loads(json.dumps(old))) == []


def test_the_verb_lists_recipes_and_steps():
    told = json.loads(run("--list", "--json").stdout)
    assert set(told["steps"]) == set(steps.STEPS) and "stage_a" in told["recipes"]


def test_every_step_is_a_module_that_is_there():
    root = Path(steps.__file__).parents[2]
    for step in steps.STEPS.values():
        text = (root / f"{step.module.replace('.', '/')}.py").read_text(encoding="utf-8")
        assert "def main() -> None:" in text


def test_without_torch_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(verb, "find_spec", lambda name: None)
    for arguments in (["stage_a"], ["--step", "features", "x"], ["--average", "a", "b", "--out", "c"]):
        told = run(*arguments)
        assert told.exit_code == 1 and "onesense[train]" in told.stderr, arguments


def test_wrong_names_are_told_without_torch(monkeypatch):
    monkeypatch.setattr(verb, "find_spec", lambda name: None)
    for arguments, name in ((["stage_z"], "stage_a"), (["--step", "fly"], "features"), ([], "stage_a")):
        told = run(*arguments)
        assert told.exit_code == 2 and name in told.stderr, arguments


def test_listing_imports_no_torch():
    code = "import sys; from onesense.cli.main import app; app(['train', '--list'], standalone_mode=False); "
    code += "assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_pack(tmp_path, {"text/a.tsv": b"x\n1\n", "text/b.tsv": b"x\n2\n"})
    manifest = json.loads((tmp_path / "SOURCES.json").read_text(encoding="utf-8"))
    manifest["sources"][0] |= {
        "licence": "MIT", "upstreams": [{"upstream": "https://example.org/a", "commit": "abc123"}],
    }  # fmt: skip
    (tmp_path / "SOURCES.json").write_text(json.dumps(manifest), encoding="utf-8")
    return tmp_path


def test_a_whole_data_folder(data):
    told = run("--step", "data", data)
    assert told.exit_code == 0 and "2 of 2 files" in told.stdout


def test_what_is_missing_or_damaged_is_named_with_its_origin(data):
    (data / "text/a.tsv").write_bytes(b"x\n3\n")
    told = run("--step", "data", data)
    assert told.exit_code == 1 and "damaged  text/a.tsv" in told.stdout
    assert "from https://example.org/a at abc123" in told.stdout and "docs/training.md" in told.stderr
    (data / "text/a.tsv").unlink()
    told = run("--step", "data", data)
    assert told.exit_code == 2 and "missing  text/a.tsv" in told.stdout


def test_a_folder_without_manifest_is_told(tmp_path):
    told = run("--step", "data", tmp_path / "nothing")
    assert told.exit_code == 2 and "SOURCES.json" in told.stderr


def test_a_step_that_does_not_exist():
    with pytest.raises(NotFound, match="there are data, sources"):
        steps.run("fly", [])
