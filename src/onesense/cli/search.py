"""`onesense search`: what is nearest to a query, whatever its modality."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from onesense.errors import InvalidInput, NotFound

from .verb import DEFAULT_COLLECTION, ExitCode, Files, Json, Texts, input_parts, print_json

if TYPE_CHECKING:
    from onesense.types import Hit, SearchResult

_CONDITION = re.compile(r"\s*([^<>^=]+?)\s*(>=|<=|\^=|=)(.*)", re.DOTALL)
_OPERATORS = {">=": "gte", "<=": "lte", "^=": "prefix"}
_TEXT_FIELDS = ("path", "modality", "mime", "taken", "language")


def command(
    ctx: typer.Context,
    collection: Annotated[Path, typer.Argument(help="The collection to search.")] = Path(DEFAULT_COLLECTION),
    text: Texts = None,
    file: Files = None,
    like: Annotated[
        list[str] | None, typer.Option("--like", help="More like this id or path of it. Repeatable.")
    ] = None,
    plus: Annotated[list[str] | None, typer.Option("--plus", help="More of this text. Repeatable.")] = None,
    minus: Annotated[list[str] | None, typer.Option("--minus", help="Less of this text. Repeatable.")] = None,
    plus_file: Annotated[list[Path] | None, typer.Option("--plus-file", help="More of this file. Repeatable.")] = None,
    minus_file: Annotated[
        list[Path] | None, typer.Option("--minus-file", help="Less of this file. Repeatable.")
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Number of hits.")] = 10,
    page: Annotated[int, typer.Option("--page", min=1, help="Page of k hits, from 1.")] = 1,
    modality: Annotated[str | None, typer.Option("--modality", help="Only text, image, audio, video or pdf.")] = None,
    where: Annotated[
        list[str] | None, typer.Option("--where", help="Only hits with KEY=VALUE, KEY>=VALUE, KEY<=VALUE, KEY^=PREFIX.")
    ] = None,
    group: Annotated[str | None, typer.Option("--group", help="`file`: one hit a file.")] = None,
    collapse: Annotated[bool, typer.Option("--collapse", help="Near-duplicates under the best of them.")] = False,
    rank: Annotated[str, typer.Option("--rank", help="`confidence`, or `cosine`: the raw score.")] = "confidence",
    words: Annotated[bool, typer.Option("--words/--no-words", help="Also look for the query's words.")] = True,
    open_first: Annotated[bool, typer.Option("--open", help="Open the first hit with the system's viewer.")] = False,
    as_json: Json = False,
) -> None:
    """Find what is nearest to a query of text, files, or both together; exit 4 when nothing is found."""
    from onesense import Collection
    from onesense.types import Content

    parts = input_parts(ctx)
    if not parts and not (like or plus or plus_file):
        raise InvalidInput("nothing to look for: give text with -t, a file with -f, or --like")
    options: dict[str, Any] = {
        "like": like or (),
        "plus": [*(plus or ()), *(plus_file or ())],
        "minus": [*(minus or ()), *(minus_file or ())],
        "offset": (page - 1) * k,
        "group": group,
        "collapse": collapse,
        "rank": rank,
        "words": words,
    }
    wanted = parse_where(where or [])
    query = Content(*parts) if parts else None
    with Collection.open(collection, create=False, preload=True) as opened:
        found = opened.search(query, k=k, modality=modality, where=wanted or None, **options)
    if as_json:
        print_json({"collection": str(collection), "page": page} | found.to_dict())
    else:
        print_result(found, page, first=1 + (page - 1) * k)
    if not found:
        raise typer.Exit(ExitCode.NOTHING_FOUND)
    if open_first:
        open_hit(found[0])


def parse_where(conditions: Sequence[str]) -> dict[str, Any]:
    """`KEY=VALUE`, `KEY>=VALUE`, `KEY<=VALUE` and `KEY^=PREFIX` as a filter.

    Numbers, true and false are read as such, but for fields that hold text (`taken>=2024` is a date that begins with
    2024); a key with `=` given twice means any of both.

    Raises:
        InvalidInput: a condition has no sign or no key, or a key has both values and bounds.
    """
    equal: dict[str, list[Any]] = {}
    bounds: dict[str, dict[str, Any]] = {}
    for condition in conditions:
        match = _CONDITION.fullmatch(condition)
        if match is None:
            raise InvalidInput(f"--where {condition!r} is not KEY=VALUE, such as --where album=lisbon or 'width>=640'")
        key, sign, text = match[1], match[2], match[3]
        value = text if key in _TEXT_FIELDS or sign == "^=" else _plain_value(text)
        if sign == "=":
            equal.setdefault(key, []).append(value)
        else:
            bounds.setdefault(key, {})[_OPERATORS[sign]] = value
    if both := sorted(set(equal) & set(bounds)):
        raise InvalidInput(f"--where gives `{both[0]}` a value and a bound: only one of them can be meant")
    return {key: values[0] if len(values) == 1 else values for key, values in equal.items()} | bounds


def _plain_value(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return text if isinstance(value, (list, dict)) or value is None else value


def print_result(found: SearchResult, page: int, first: int = 1) -> None:
    """Hits as a table, best first, and what may be said of them together."""
    if not found:
        print("nothing found" if page == 1 else f"there is no page {page}")
        return
    if found.is_confident is False:
        print("no confident match; the nearest are:")
    print_hits(found.hits, first)
    if found.next_offset is not None:
        print(f"more: --page {page + 1}")


def print_hits(hits: Sequence[Hit], first: int = 1) -> None:
    """Hits as a table, best first, numbered from `first`; segments of a file below it."""
    from .screen import print_table

    rows: list[tuple[object, ...]] = []
    for n, hit in enumerate(hits, start=first):
        rows.append((n, *_cells(hit), f"{short_path(hit.path)} {hit.locator}".strip(), _what(hit)))
        rows += [("", *_cells(part), f"  {part.locator}", _what(part)) for part in hit.segments[1:]]
    print_table(("", "sure", "score", "modality", "where", "what"), rows)


def _cells(hit: Hit) -> tuple[str, str, str]:
    sure = "" if hit.confidence is None else f"{hit.confidence:.0%}"
    return sure, f"{hit.score:.3f}", hit.modality


def _what(hit: Hit) -> str:
    from .screen import clip

    same = f" (+{len(hit.duplicates)} alike)" if hit.duplicates else ""
    return clip(hit.preview, 60) + same


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
