"""Is a collection whole? Every row read, every vector checked, every file looked at; and mending what is not."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from onesense.errors import OnesenseError
from onesense.types import Array, Store

from .reading import Known
from .rows import UNIT_TOLERANCE

CHUNK = 1_000  # vectors in memory at a time: 12 MB at 3072 dims


@dataclass(slots=True)
class Health:
    """What `verify` found."""

    n_rows: int = 0
    n_files: int = 0
    bad_rows: dict[str, str] = field(default_factory=dict)
    """Id -> what is wrong with the row."""
    partial: list[str] = field(default_factory=list)
    """Files and records that lack rows, or have rows of two readings."""
    missing: list[str] = field(default_factory=list)
    """Files that are gone from the disk."""
    changed: list[str] = field(default_factory=list)
    """Files that were changed after they were indexed; `index` takes them up."""
    unreadable: str = ""
    """Why the rows could not be read at all."""

    @property
    def is_sound(self) -> bool:
        """Whether the rows are whole; files may have changed since."""
        return not (self.bad_rows or self.partial or self.unreadable)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return dataclasses.asdict(self) | {"is_sound": self.is_sound}


def verify(store: Store) -> Health:
    """Read everything once. Writes nothing."""
    health = Health()
    known: dict[str, Known] = {}
    try:
        ids: list[str] = []
        for id_, payload in store.rows():
            ids.append(id_)
            _check_payload(health, id_, payload)
            known.setdefault(str(payload.get("path")), Known()).add(id_, payload)
        for place in range(0, len(ids), CHUNK):
            _check_vectors(health, store, ids[place : place + CHUNK])
    except OnesenseError as cause:
        health.unreadable = str(cause)
    health.n_rows, health.n_files = sum(len(k.ids) for k in known.values()), len(known)
    for path, rows in sorted(known.items()):
        _check_file(health, path, rows)
    return health


def repair(store: Store, health: Health) -> list[str]:
    """Delete the rows that cannot be used, with all others of their files.

    Returns:
        The paths of these files and records, which are to be indexed again.
    """
    bad = {str(payload.get("path")) for id_, payload in store.rows() if id_ in health.bad_rows} | set(health.partial)
    store.delete([id_ for id_, payload in store.rows() if str(payload.get("path")) in bad])
    return sorted(bad)


def _check_payload(health: Health, id_: str, payload: Mapping[str, Any]) -> None:
    for name, kind in (("path", str), ("modality", str), ("locator", dict), ("hash", str)):
        if not isinstance(payload.get(name), kind):
            health.bad_rows[id_] = f"its payload has no `{name}`"


def _check_vectors(health: Health, store: Store, ids: list[str]) -> None:
    rows = store.vectors(ids)
    norms: Array = np.linalg.norm(rows.astype(np.float64), axis=1)
    for place in np.flatnonzero(~(np.abs(norms - 1.0) < UNIT_TOLERANCE)):
        health.bad_rows[ids[place]] = f"its vector has the length {norms[place]:.4g}, not 1"


def _check_file(health: Health, path: str, rows: Known) -> None:
    if not rows.is_whole:
        health.partial.append(path)
    stamp = next(iter(rows.stamps))
    if stamp[1] is None:  # a record
        return
    try:
        status = os.stat(path)
    except OSError:
        health.missing.append(path)
        return
    if (status.st_size, status.st_mtime) not in rows.stamps:
        health.changed.append(path)
