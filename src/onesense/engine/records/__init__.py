"""Records of open checkpoints: one TOML file a model, named as the user types it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

from onesense.errors import CorruptData, NotFound
from onesense.types import Task

from ..tasks import GEMINI_PROMPTS

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a checkpoint before it is on this machine. Its own files win over `dim` and `max_tokens`."""

    name: str
    family: str
    """The backend that opens it."""
    description: str
    repository: str
    """Where it lies on the hub, `owner/name`."""
    licence: str
    modalities: frozenset[str]
    dim: int
    mrl_dims: tuple[int, ...]
    """Output sizes that its makers trained, descending."""
    max_tokens: int
    """What its card promises; a checkpoint that reads less is believed."""
    dtypes: tuple[str, ...]
    """Number types that it computes right in, the default first."""
    revision: str = ""
    """Commit of the hub; '' is not pinned yet."""
    licence_note: str = ""
    """What is unclear about the licence."""
    image_side: int = 224
    pooling: str = "mean"
    """`mean` over all tokens or the `last` one."""
    prompts: Mapping[Task, str] = field(default_factory=dict)
    instructions: Mapping[Task, str] = field(default_factory=dict)
    default_instruction: str = ""
    """What a model that takes instructions is told without a task."""

    @property
    def licence_line(self) -> str:
        """The licence, marked where it is unclear."""
        return f"{self.licence} (unclear: {self.licence_note})" if self.licence_note else self.licence


def names() -> list[str]:
    """All models with a record."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def of_family(family: str) -> list[Record]:
    """The records that a backend opens."""
    return [record for record in map(read, names()) if record.family == family]


@cache
def read(name: str) -> Record:
    """The record of this name.

    Raises:
        NotFound: there is none; the message lists those that exist.
        CorruptData: the file holds an unknown field or lacks one.
    """
    if name not in names():
        raise NotFound(f"no open checkpoint is called `{name}`: there are {', '.join(names())}")
    values = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    known = {f.name for f in fields(Record)}
    if unknown := values.keys() - known:
        raise CorruptData(f"the record of `{name}` has fields that nobody reads: {', '.join(sorted(unknown))}")
    try:
        return Record(name=name, **{key: _value(key, value) for key, value in values.items()})
    except TypeError as cause:
        raise CorruptData(f"the record of `{name}` is incomplete: {cause}") from None


def _value(key: str, value: Any) -> Any:
    if key in ("prompts", "instructions"):
        return GEMINI_PROMPTS if value == "gemini" else {Task(task): text for task, text in value.items()}
    if key == "modalities":
        return frozenset(value)
    return tuple(value) if isinstance(value, list) else value
