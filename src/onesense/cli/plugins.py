"""`onesense plugins`: what is found, from where, and if it does not load, why."""

from __future__ import annotations

from typing import Any

from .verb import Json, print_json


def command(as_json: Json = False) -> None:
    """List backends, modalities and stores: where each comes from and whether it loads."""
    rows = inventory()
    if as_json:
        print_json({"plugins": rows})
        return
    from .screen import print_table

    cells = [(r["kind"], r["name"], r["origin"], r["error"] or "loads") for r in rows]
    print_table(("kind", "name", "from", "state"), cells)


def inventory() -> list[dict[str, Any]]:
    """All plug-ins, loaded one by one.

    Returns:
        Rows of kind, name, origin and error (None when it loads).
    """
    from onesense.plugins import KINDS, names

    return [
        {"kind": kind, "name": name, "origin": origin, "error": _load_error(kind, name)}
        for kind in KINDS
        for name, origin in sorted(names(kind).items())
    ]


def _load_error(kind: str, name: str) -> str | None:
    from onesense.errors import OnesenseError
    from onesense.plugins import load

    try:
        load(kind, name)
    except OnesenseError as error:
        return str(error)
    return None
