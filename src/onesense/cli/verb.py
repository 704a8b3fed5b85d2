"""What all verbs share: exit codes, errors told in one line, and `-t`/`-f` inputs in the order they were typed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from onesense.errors import OnesenseError

if TYPE_CHECKING:
    from onesense.types import Part

_INPUTS = "onesense.inputs"  # key in the context's meta


class ExitCode(IntEnum):
    """What the shell is told; docs/cli.md explains each."""

    OK = 0
    INTERNAL = 1
    """A fault of the installation or of Onesense itself."""
    USAGE = 2
    """Wrong options or input: the message says what to change."""
    SOME_FAILED = 3
    """The work is done, but some files could not be read; they are listed."""
    NOTHING_FOUND = 4
    """The search worked and found nothing, or a demo query missed its item."""


def exit_code(error: OnesenseError) -> ExitCode:
    """Faults that a caller can mend by asking differently have an HTTP status below 500."""
    return ExitCode.USAGE if error.http_status < 500 else ExitCode.INTERNAL


class Verb(TyperCommand):
    """A command that keeps the order of its inputs and turns errors into one line and an exit code."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Note the order of `-t` and `-f` before the parser sorts them into two lists."""
        values, _, order = self.make_parser(ctx).parse_args(list(args))
        queues = {name: iter(values.get(name) or ()) for name in ("text", "file")}
        ctx.meta[_INPUTS] = [(p.name, next(queues[p.name])) for p in order if p.name in queues]
        rest: list[str] = super().parse_args(ctx, args)
        return rest

    def invoke(self, ctx: Any) -> Any:
        """Run; an `OnesenseError` becomes a message on stderr (and JSON on stdout with `--json`)."""
        try:
            return super().invoke(ctx)
        except OnesenseError as error:
            if ctx.find_root().params.get("debug"):
                raise
            tell(error, as_json=bool(ctx.params.get("as_json")))
            raise typer.Exit(exit_code(error)) from error


def tell(error: OnesenseError, *, as_json: bool) -> None:
    """Print an error for a person, and for a program when it asked for JSON."""
    if as_json:
        print_json({"error": {"code": error.code, "message": str(error)}})
    print(f"onesense: {error} [{error.code}]", file=sys.stderr)


def print_json(value: Any) -> None:
    """One JSON document on stdout, in readable UTF-8."""
    print(json.dumps(value, ensure_ascii=False, indent=2))


def input_parts(ctx: Any) -> list[Part]:
    """The `-t` and `-f` inputs as parts, in the order in which they were typed.

    Raises:
        NotFound: a file is not there.
        InvalidInput: it is a folder, empty, or too large.
    """
    return list(_read_inputs(ctx.meta.get(_INPUTS, [])))


def _read_inputs(inputs: list[tuple[str, str]]) -> Iterator[Part]:
    from onesense.media import fetch
    from onesense.types import Part

    for kind, value in inputs:
        if kind == "text":
            yield Part.text(value)
        else:
            path = Path(value).expanduser()
            fetch.fetch(path)  # a wrong path is told before a model is loaded
            yield Part.file(path)


# --- options that several verbs have ------------------------------------------------------------------------------

DEFAULT_MODEL = "onesense-mini"  # as engine.models says; not imported, which would load numpy for `--help`
DEFAULT_COLLECTION = "library.onesense"

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document for programs.")]
Texts = Annotated[list[str] | None, typer.Option("--text", "-t", help="An input that is text. Repeatable.")]
Files = Annotated[list[Path] | None, typer.Option("--file", "-f", help="An input that is a file. Repeatable.")]
Model = Annotated[str, typer.Option("--model", "-m", help="Name of the model; see `onesense models`.")]
Dim = Annotated[int | None, typer.Option("--dim", help="Length of the vectors, 1 up to the model's own.")]
TaskName = Annotated[str | None, typer.Option("--task", help='What the vectors are for, e.g. "search query".')]
