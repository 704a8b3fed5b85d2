"""`onesense models`: which models there are, all about one, and the open checkpoints on this machine."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from .verb import ExitCode, Json, Verb, print_json

if TYPE_CHECKING:
    from onesense.engine.conformance import Finding
    from onesense.types import ModelInfo


class Models(TyperGroup):
    """The group: a first word that is no verb is the name of a model, as in `onesense models tiny`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `info` before a name."""
        first = next((arg for arg in args if not arg.startswith("-")), None)
        if first is not None and first not in self.commands:
            args = ["info", *args]
        rest: list[str] = super().parse_args(ctx, args)
        return rest


app = typer.Typer(
    cls=Models,
    help="List the models, tell all about one, bring open checkpoints to this machine and check them.",
    invoke_without_command=True,
)
Name = Annotated[str, typer.Argument(help="Name of the model.")]


@app.callback()
def command(ctx: typer.Context, as_json: Json = False) -> None:
    """List the models that can be used here and why others cannot, or tell all about one: `onesense models NAME`."""
    if ctx.invoked_subcommand is None:
        _list(as_json=as_json)


@app.command("list", cls=Verb)
def list_all(as_json: Json = False) -> None:
    """List the models that can be used here, and why others cannot."""
    _list(as_json=as_json)


@app.command("info", cls=Verb)
def info(name: Name, as_json: Json = False) -> None:
    """Tell all about a model."""
    from onesense.engine import models, records
    from onesense.errors import NotFound

    try:
        _print_one(describe(models.info(name)), as_json=as_json)
    except NotFound:
        if name not in records.names():
            raise
        _print_one(_recorded(name), as_json=as_json)


@app.command("pull", cls=Verb)
def pull(
    name: Annotated[str, typer.Argument(help="A model of the list, or `owner/name` of the hub.")],
    revision: Annotated[str, typer.Option("--revision", help="Commit, branch or tag of the hub.")] = "",
    offline: Annotated[bool, typer.Option("--offline", help="Touch no network: is it here and whole?")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse a model that no commit is pinned for.")] = False,
    as_json: Json = False,
) -> None:
    """Download an open checkpoint, or go on with a download that broke off."""
    from onesense.engine import records
    from onesense.engine.pull import pull as download

    if name in records.names() and not as_json:
        record = records.read(name)
        print(f"{record.repository}, licence {record.licence_line}", file=sys.stderr)
    manifest = download(name, revision=revision, is_offline=offline, is_strict=strict)
    facts = {"name": manifest.name, "revision": manifest.revision, "bytes": manifest.n_bytes}
    if as_json:
        print_json(facts)
        return
    use = manifest.name if manifest.name in records.names() else f"sentence-transformers:{manifest.name}"
    print(f"{use}: revision {manifest.revision}, {manifest.n_bytes / 1e6:,.0f} MB, every file checked")


@app.command("verify", cls=Verb)
def verify(
    name: Name,
    make_reference: Annotated[
        bool, typer.Option("--make-reference", help="Keep the vectors that it gives now, to compare with later.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check a model's files, its prompts and its vectors; exit 1 when something is broken."""
    from onesense.engine import conformance

    if make_reference:
        kept = conformance.make_reference(name)
        print(f"kept in {kept}", file=sys.stderr)
    findings = list(conformance.check(name))
    said = conformance.prompts(name)
    is_fine = all(finding.is_fine for finding in findings)
    if as_json:
        print_json(
            {"name": name, "is_fine": is_fine, "prompts": said, "findings": [*map(dataclasses.asdict, findings)]}
        )
    else:
        _print_findings(findings, said)
    if not is_fine:
        raise typer.Exit(ExitCode.INTERNAL)


@app.command("remove", cls=Verb)
def remove(name: Annotated[str, typer.Argument(help="A downloaded model.")], as_json: Json = False) -> None:
    """Delete a downloaded model, or half a download. Collections that it made keep their vectors."""
    from onesense.engine import shelf

    freed = shelf.remove(name)
    if as_json:
        print_json({"name": name, "bytes": freed})
    else:
        print(f"{name} is gone, {freed / 1e6:,.0f} MB are free")


def _print_findings(findings: Sequence[Finding], prompts: Mapping[str, str]) -> None:
    from .screen import print_table

    print_table(("", "check", "found"), [("ok" if f.is_fine else "BROKEN", f.name, f.found) for f in findings])
    print_table(("task", "what the model reads for TEXT"), [(task, repr(text)) for task, text in prompts.items()])


def _recorded(name: str) -> dict[str, Any]:
    """What is known of an open checkpoint that is not on this machine."""
    from onesense.engine import records

    record = records.read(name)
    facts = {key: getattr(record, key) for key in record.__slots__}
    facts |= {key: {task.value: text for task, text in facts[key].items()} for key in ("prompts", "instructions")}
    facts |= {key: list(facts[key]) for key in ("mrl_dims", "dtypes")} | {"modalities": sorted(record.modalities)}
    facts["revision"] = record.revision or "not pinned yet"
    return facts | {"state": f"not on this machine: onesense models pull {name}"}


def _list(*, as_json: bool) -> None:
    from onesense.engine import models

    found = models.survey()
    if as_json:
        print_json({"models": [_entry(key, record) for key, record in found.items()]})
    else:
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


def _print_one(facts: Mapping[str, Any], *, as_json: bool) -> None:
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
    for field in ("prompts", "instructions"):
        facts[field] = {task.value: template for task, template in facts[field].items()}
    return facts


def _entry(key: str, record: ModelInfo | Exception) -> dict[str, Any]:
    return {"name": key, "error": str(record)} if isinstance(record, Exception) else describe(record) | {"error": None}


def _readable(value: Any) -> str:
    if isinstance(value, Mapping):
        return "\n".join(f"{key}: {item}" for key, item in value.items()) or "none"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
