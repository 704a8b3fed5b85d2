"""From one model to another: a second collection grows beside the first, and takes its place when it is whole.

A kill costs nothing: called again it goes on where it was. Until the switch the old collection answers as before;
afterwards it lies beside the new one under another name, for the user to delete.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onesense.errors import AlreadyExists, NotFound
from onesense.types import Payload

from . import writer
from .collection import Collection
from .ingest import Progress, Report
from .sources import Failure


@dataclass(frozen=True, slots=True)
class Change:
    """What became of it."""

    report: Report
    lost: list[Failure]
    """What the new collection cannot have: files that are gone, records whose content is not kept."""
    is_switched: bool
    kept_as: Path
    """Where the old collection lies after the switch, or the unfinished new one before."""


def reembed(
    path: Path, model: str, *, dim: int | None = None, accept_losses: bool = False, progress: Progress | None = None
) -> Change:
    """Embed all files and text records of a collection with another model, then switch.

    Args:
        path: of the collection.
        model: the new one.
        dim: size of its vectors; all that the model gives by default.
        accept_losses: switch although files are gone or failed, whose old vectors are lost then.
        progress: as for `Collection.add`.

    Raises:
        NotFound: there is no collection, or no such model.
        AlreadyExists: an earlier switch's old collection is still there.
    """
    beside, retired = _named(path, "next"), _named(path, "old")
    _finish_switch(path, beside, retired)
    if retired.exists():
        raise AlreadyExists(f"`{retired}` is still there from an earlier switch: delete it first")
    with Collection.open(path, create=False) as old:
        items, lost = embeddable(old.rows())
    with Collection.open(beside, model=model, dim=dim) as new:
        report = new.add(items, progress=progress)
    if (lost or report.failed) and not accept_losses:
        return Change(report, lost, is_switched=False, kept_as=beside)
    with writer.exclusive(path):
        os.rename(path, retired)
        os.rename(beside, path)
    return Change(report, lost, is_switched=True, kept_as=retired)


def _finish_switch(path: Path, beside: Path, retired: Path) -> None:
    """End a switch that was killed between its two renames."""
    if path.exists():
        return
    if not (beside.exists() and retired.exists()):
        raise NotFound(f"there is no collection at `{path}`")
    os.rename(beside, path)


def _named(path: Path, word: str) -> Path:
    return path.with_name(f"{path.stem}.{word}{path.suffix}")


def embeddable(stored: Iterable[tuple[str, Payload]]) -> tuple[list[Any], list[Failure]]:
    """What of a collection's rows can be embedded again, as `Collection.add` takes it, and what cannot."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for _, payload in stored:
        found.setdefault(str(payload.get("path")), []).append(payload)
    items: list[Any] = []
    lost: list[Failure] = []
    for path, rows in sorted(found.items()):
        if rows[0].get("mtime") is not None and os.path.exists(path):
            items.append(path)
        elif rows[0].get("mtime") is not None:
            lost.append(Failure(path, "the file is gone", "not_found"))
        elif all(row.get("modality") == "text" and row.get("text") for row in rows):
            items.append({"id": path, "content": _text(rows), "metadata": rows[0].get("metadata") or {}})
        else:
            lost.append(Failure(path, "a record's pictures and sounds are not kept: add it again", "not_found"))
    return items, lost


def _text(rows: list[Mapping[str, Any]]) -> str:
    ordered = sorted(rows, key=lambda row: (row.get("locator") or {}).get("start_char") or 0)
    return "\n\n".join(_texts(ordered))


def _texts(rows: list[Mapping[str, Any]]) -> Iterator[str]:
    return (str(row["text"]) for row in rows)
