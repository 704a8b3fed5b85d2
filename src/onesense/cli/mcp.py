"""`onesense mcp`: the verbs for agents, over the Model Context Protocol."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from onesense.errors import InvalidInput, NotFound

from .verb import DEFAULT_COLLECTION


def command(
    collections: Annotated[
        list[Path] | None,
        typer.Option("--collection", help=f"What can be searched; {DEFAULT_COLLECTION} by default. Repeatable."),
    ] = None,
    http: Annotated[int | None, typer.Option(min=0, max=65_535, help="Port of streamable HTTP; stdio without.")] = None,
    read_only: Annotated[
        bool, typer.Option("--read-only/--allow-add", help="Whether agents may add files below a --root.")
    ] = True,
    root: Annotated[
        list[Path] | None, typer.Option("--root", help="Only files in this folder are opened or added. Repeatable.")
    ] = None,
) -> None:
    """Let agents search, open and look at collections, over stdin and stdout or over HTTP on this machine."""
    from onesense.mcp.server import serve_http, serve_stdio
    from onesense.rag.library import Library

    roots = root or []
    if missing := [path for path in roots if not path.expanduser().is_dir()]:
        raise NotFound(f"`{missing[0]}` is no folder: --root names one")
    if not read_only and not roots:
        raise InvalidInput("--allow-add needs a --root: the folder that agents may add files from")
    with Library.open(collections or [Path(DEFAULT_COLLECTION)], roots=roots, is_read_only=read_only) as library:
        if http is None:
            serve_stdio(library)
        else:
            serve_http(library, http, lambda url: print(f"onesense mcp answers at {url}", file=sys.stderr, flush=True))
