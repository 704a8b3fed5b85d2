"""Which collections this user has, so that they can be listed; nothing is looked up here by magic."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .stores._disk import write_atomically

VARIABLE = "ONESENSE_COLLECTIONS"
"""Environment variable with the path of another file."""
_FORMAT = "onesense.collections.v1"


@dataclass(frozen=True, slots=True)
class Registered:
    """A collection that was indexed into."""

    path: str
    """Absolute."""
    indexed_s: float
    """When it was last indexed into, seconds since 1970."""

    @property
    def is_there(self) -> bool:
        """Whether it still is where it was."""
        return os.path.exists(self.path)


def file() -> Path:
    """Where the list is kept."""
    if named := os.environ.get(VARIABLE):
        return Path(named).expanduser()
    from platformdirs import user_data_path

    return user_data_path("onesense", appauthor=False) / "collections.json"


def entries() -> list[Registered]:
    """All collections, the last used first; [] when the list is not there or is not one."""
    return sorted((Registered(p, s) for p, s in _read().items()), key=lambda e: (-e.indexed_s, e.path))


def register(path: Path) -> None:
    """Note that a collection was indexed into. Does nothing where the list cannot be written: it is a convenience."""
    _write(_read() | {os.path.abspath(path.expanduser()): time.time()})


def forget(path: Path) -> bool:
    """Take a collection off the list; its files stay. False when it was not on it."""
    found = _read()
    known = found.pop(os.path.abspath(path.expanduser()), None) is not None
    if known:
        _write(found)
    return known


def _read() -> dict[str, float]:
    try:
        fields: Any = json.loads(file().read_text(encoding="utf-8"))
        return {str(path): float(used) for path, used in fields["collections"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _write(found: dict[str, float]) -> None:
    try:
        file().parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file(), [json.dumps({"format": _FORMAT, "collections": found}, indent=1), "\n"])
    except OSError:
        return
