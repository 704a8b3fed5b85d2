"""`onesense search`: what is nearest to a query, whatever its modality."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from onesense.errors import InvalidInput, NotFound

from .verb import DEFAULT_COLLECTION, ExitCode, Files, Json, Texts, input_parts, print_json

if TYPE_CHECKING:
    from onesense.types import Hit


def command(
    ctx: typer.Context,
    collection: Annotated[Path, typer.Argument(help="The collection to search.")] = Path(DEFAULT_COLLECTION),
    text: Texts = None,
    file: Files = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Number of hits.")] = 10,
    modality: Annotated[str | None, typer.Option("--modality", help="Only text, image, audio, video or pdf.")] = None,
    where: Annotated[list[str] | None, typer.Option("--where", help="Only hits with KEY=VALUE. Repeatable.")] = None,
    open_first: Annotated[bool, typer.Option("--open", help="Open the first hit with the system's viewer.")] = False,
    as_json: Json = False,
) -> None:
    """Find what is nearest to a query of text, files, or both together; exit 4 when nothing is found."""
    from onesense import Collection
    from onesense.types import Content

    parts = input_parts(ctx)
    if not parts:
        raise InvalidInput("nothing to look for: give text with -t or a file with -f")
    wanted = parse_where(where or [])
    with Collection.open(collection, create=False, preload=True) as opened:
        hits = opened.search(Content(*parts), k=k, modality=modality, where=wanted or None)
    if as_json:
        print_json({"collection": str(collection), "hits": [hit.to_dict() for hit in hits]})
    else:
        print_hits(hits)
    if not hits:
        raise typer.Exit(ExitCode.NOTHING_FOUND)
    if open_first:
        open_hit(hits[0])


def parse_where(pairs: Sequence[str]) -> dict[str, Any]:
    """`KEY=VALUE` pairs as a filter; numbers, true and false are read as such, a key given twice means any of both.

    Raises:
        InvalidInput: a pair has no `=` or no key.
    """
    found: dict[str, list[Any]] = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not (key.strip() and sign):
            raise InvalidInput(f"--where {pair!r} is not KEY=VALUE, such as --where album=lisbon")
        found.setdefault(key.strip(), []).append(_plain_value(value))
    return {key: values[0] if len(values) == 1 else values for key, values in found.items()}


def _plain_value(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return text if isinstance(value, (list, dict)) or value is None else value


def print_hits(hits: Sequence[Hit]) -> None:
    """Hits as a table, best first."""
    from .screen import clip, print_table

    if not hits:
        print("nothing found")
        return
    rows = [
        (n, f"{hit.score:.3f}", hit.modality, f"{short_path(hit.path)} {hit.locator}".strip(), clip(hit.preview, 60))
        for n, hit in enumerate(hits, start=1)
    ]
    print_table(("", "score", "modality", "where", "what"), rows)


def short_path(path: str) -> str:
    """A path below the working folder without that folder's name; any other as it is."""
    folder = Path.cwd()
    return str(Path(path).relative_to(folder)) if Path(path).is_relative_to(folder) else path


def open_hit(hit: Hit) -> None:
    """Open a hit's file with the system's viewer.

    Raises:
        NotFound: the file is gone, or the hit is a record without a file.
    """
    if not Path(hit.path).is_file():
        raise NotFound(f"`{hit.path}` is not a file that could be opened: it was moved, or the hit is a record")
    place = f" at {hit.locator}" if str(hit.locator) else ""
    print(f"opening {hit.path}{place}; others: {open_command()} PATH", file=sys.stderr)
    if typer.launch(hit.path) != 0:
        print(f"no viewer could be started; open it yourself: {hit.path}", file=sys.stderr)


def open_command() -> str:
    """What opens a file on this system."""
    return {"darwin": "open", "win32": "start"}.get(sys.platform, "xdg-open")
