"""The `onesense` command: one verb a thing, each with `--json`.

Only typer is imported here; a verb loads what it needs when it runs, so that `onesense --help` answers at once.
"""

from __future__ import annotations

from typing import Annotated

import typer

from onesense import __version__

from . import (
    adapt,
    analyse,
    ask,
    bench,
    bridge,
    demo,
    doctor,
    embed,
    eval,
    explain,
    index,
    keeping,
    mcp,
    models,
    plugins,
    search,
    serve,
    train,
)
from .verb import Verb

app = typer.Typer(
    name="onesense",
    help="One sense for text, images, audio, video and documents: embed, index and search on your own machine.",
    epilog="Exit codes: 0 done, 1 internal, 2 wrong input or usage, 3 done but some files failed, 4 nothing found.",
    rich_markup_mode=None,  # plain help needs no rich, which would double the start-up time
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"onesense {__version__}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """One sense for text, images, audio, video and documents: embed, index and search on your own machine."""


app.command("embed", cls=Verb)(embed.command)
app.command("index", cls=Verb)(index.command)
app.command("search", cls=Verb)(search.command)
app.command("ask", cls=Verb)(ask.command)
app.command("analyse", cls=Verb)(analyse.command)
for _name in ("collections", "verify", "repair", "compact", "export", "reembed"):
    app.command(_name, cls=Verb)(getattr(keeping, _name))
app.command("bridge", cls=Verb)(bridge.command)
app.command("import", cls=Verb)(keeping.load)
app.command("serve", cls=Verb)(serve.command)
app.command("mcp", cls=Verb)(mcp.command)
app.add_typer(models.app, name="models")
app.command("explain", cls=Verb)(explain.command)
app.command("eval", cls=Verb)(eval.command)
app.command("train", cls=Verb)(train.command)
app.command("adapt", cls=Verb)(adapt.command)
app.command("bench", cls=Verb)(bench.command)
app.command("demo", cls=Verb)(demo.command)
app.command("plugins", cls=Verb)(plugins.command)
app.command("doctor", cls=Verb)(doctor.command)


def main() -> None:
    """Entry point of the console script."""
    app()
