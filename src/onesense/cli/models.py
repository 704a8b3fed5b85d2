"""`onesense models`: which models there are, and all about one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .verb import Json, print_json

if TYPE_CHECKING:
    from onesense.types import ModelInfo


def command(
    name: Annotated[str | None, typer.Argument(help="Tell all about this model.")] = None,
    as_json: Json = False,
) -> None:
    """List the models that can be used here, or tell all about one."""
    from onesense.engine import models

    if name is not None:
        _print_one(models.info(name), as_json=as_json)
        return
    found = models.survey()
    if as_json:
        print_json({"models": [_entry(key, record) for key, record in found.items()]})
        return
    _print_list(found)


def _print_list(found: Mapping[str, ModelInfo | Exception]) -> None:
    from .screen import clip, print_table

    rows: list[tuple[object, ...]] = []
    for key, record in found.items():
        if isinstance(record, Exception):
            rows.append((key, "", "", "", f"cannot be used: {clip(str(record), 90)}"))
        else:
            senses = ", ".join(sorted(record.modalities))
            rows.append((key, record.dim, senses, record.licence, clip(record.description, 60)))
    print_table(("model", "dim", "reads", "licence", "what it is"), rows)


def _print_one(info: ModelInfo, *, as_json: bool) -> None:
    facts = describe(info)
    if as_json:
        print_json(facts)
        return
    from .screen import print_table

    print_table(("", ""), [(key.replace("_", " "), _readable(value)) for key, value in facts.items()])


def describe(info: ModelInfo) -> dict[str, Any]:
    """The record of a model as plain values."""
    facts = {field: getattr(info, field) for field in info.__slots__}
    facts["modalities"] = sorted(info.modalities)
    facts["mrl_dims"] = list(info.mrl_dims)
    facts["price"] = dataclasses.asdict(info.price) if info.price else None
    facts["prompts"] = {task.value: template for task, template in info.prompts.items()}
    return facts


def _entry(key: str, record: ModelInfo | Exception) -> dict[str, Any]:
    return {"name": key, "error": str(record)} if isinstance(record, Exception) else describe(record) | {"error": None}


def _readable(value: Any) -> str:
    if isinstance(value, Mapping):
        return "\n".join(f"{key}: {item}" for key, item in value.items()) or "none"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
