"""Recipes: the plain values of a run, found by name in `onesense/train/recipes` or by path to a file of one's own.

No torch here, so that recipes can be listed and checked where it is not installed.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from ..errors import InvalidInput, NotFound, PluginError

FOLDER = Path(__file__).parent / "recipes"


@dataclass(frozen=True, slots=True)
class Recipe:
    """Plain values of a run. Unknown keys are refused by construction."""

    tasks: dict[str, dict[str, Any]]
    """Name of a task in `onesense.train.tasks` -> its arguments."""
    rank: int = 16
    learning_rate: float = 1e-3
    bridge_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup_steps: int = 20
    clip: float = 1.0
    seed: int = 0
    bf16: bool = True
    """bf16 where the processor has it, fp32 elsewhere; False is fp32 everywhere."""
    start: str | None = None
    """Checkpoint to start from (branches and bridge), None for the imported trunk."""
    letters: str | None = None
    """File of `onesense train --step letters`: pieces for scripts that the imported model cannot read."""
    average: float = 0.99
    """Decay of the moving average of weights that is exported; 0 keeps the last weights."""

    def __post_init__(self) -> None:
        """Refuse values that would only show after minutes of training.

        Raises:
            InvalidInput: a value is out of its range.
        """
        if not isinstance(self.tasks, dict) or not all(isinstance(a, dict) for a in self.tasks.values()):
            raise InvalidInput("`tasks` of a recipe is a dict of task name -> dict of arguments")
        for name in ("rank", "warmup_steps"):
            if not isinstance(value := getattr(self, name), int) or value < 1:
                raise InvalidInput(f"`{name}` of a recipe is {value!r}: expected a whole number of 1 or more")
        for name in ("learning_rate", "bridge_rate", "clip"):
            if not getattr(self, name) > 0:
                raise InvalidInput(f"`{name}` of a recipe is {getattr(self, name)!r}: expected more than 0")
        if not 0 <= self.average < 1 or self.weight_decay < 0:
            raise InvalidInput("a recipe has 0 <= `average` < 1 and `weight_decay` >= 0")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as a checkpoint keeps them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs between two recipes as plain values, one line a value, tasks and their arguments apart."""
    flat_old, flat_new = _flat(old), _flat(new)
    return [
        f"{key}: {flat_old.get(key, 'not set')!r} there, {flat_new.get(key, 'not set')!r} here"
        for key in sorted(set(flat_old) | set(flat_new))
        if flat_old.get(key) != flat_new.get(key)
    ]


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            out |= {f"{before}{key}": "set"} | _flat(value, f"{before}{key}.")
        else:
            out[f"{before}{key}"] = list(value) if isinstance(value, tuple) else value
    return out


def names() -> dict[str, str]:
    """The recipes of the house: name -> first line of the file. Imports none of them."""
    files = sorted(file for file in FOLDER.glob("*.py") if not file.name.startswith("_"))
    return {file.stem: _first_line(file) for file in files}


def _first_line(file: Path) -> str:
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0]


def path_of(name: str) -> Path:
    """The file of a recipe.

    Args:
        name: a recipe of the house, or the path of a file that ends in `.py`.

    Raises:
        NotFound: there is none; the message names those of the house.
    """
    file = Path(name).expanduser() if name.endswith(".py") else FOLDER / f"{name}.py"
    if not file.is_file() or file.stem.startswith("_"):
        known = ", ".join(f"`{n}`" for n in names())
        raise NotFound(f"no recipe `{name}`: there are {known}, or give the path of a .py file of your own")
    return file


def load_recipe(name: str) -> Recipe:
    """The recipe of this name or path. Its file is run, so a path should be one that you trust.

    Raises:
        NotFound: there is none.
        InvalidInput: it has a key that no recipe has, or a value out of range.
        PluginError: the file does not run, or sets no `recipe`.
    """
    file = path_of(name)
    spec = spec_from_file_location(f"onesense.train.recipes.{file.stem}", file)
    if spec is None or spec.loader is None:
        raise PluginError(f"{file} is no Python file")
    import_module(f"{__package__}.recipes")  # what `from ..recipe import Recipe` is relative to
    module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except TypeError as cause:
        known = ", ".join(field.name for field in fields(Recipe))
        raise InvalidInput(f"recipe `{name}`: {cause}; a recipe has {known}") from cause
    except (ImportError, SyntaxError, NameError, AttributeError, ValueError, OSError) as cause:
        raise PluginError(f"recipe `{name}` does not load: {cause}") from cause
    recipe = getattr(module, "recipe", None)
    if not isinstance(recipe, Recipe):
        raise PluginError(f"recipe `{name}` sets no `recipe = Recipe(...)` (from onesense.train.recipe import Recipe)")
    return recipe
