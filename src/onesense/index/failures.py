"""Files that could not be indexed, kept with the collection until they are indexed, gone or forgotten."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from onesense.errors import StorageFull
from onesense.types import Noted, Store

from .sources import Failure

NOTE = "failed"
_FORMAT = "onesense.failed.v1"
MOST = 100_000  # kept; a folder with more bad files than that has another problem


def read(store: Store) -> list[Failure]:
    """What failed and has not been mended since, by path; [] where a store keeps no notes."""
    note = store.read_note(NOTE) if isinstance(store, Noted) else None
    if not note or note.get("format") != _FORMAT or not isinstance(note.get("failed"), list):
        return []
    return [found for fields in note["failed"] if (found := _parse(fields)) is not None]


def update(store: Store, failed: Iterable[Failure], mended: Iterable[str]) -> None:
    """Keep what failed now, and forget what was indexed or removed since.

    Args:
        store: of the collection; one that keeps no notes keeps none of this.
        failed: of this run.
        mended: paths that are whole now, or gone from the collection.

    Raises:
        StorageFull: the list cannot be written.
    """
    if not isinstance(store, Noted):
        return
    failed = list(failed)
    before = {(f.path, f.reason): f for f in read(store)}
    settled = {*mended} | {f.path for f in failed}
    kept = {key: f for key, f in before.items() if f.path not in settled}
    now = time.time()
    kept |= {(f.path, f.reason): Failure(f.path, f.reason, f.code, now) for f in failed}
    if kept.keys() == before.keys() and not failed:
        return
    rows = sorted(kept.values(), key=lambda f: f.path)[:MOST]
    try:
        store.write_note(NOTE, {"format": _FORMAT, "failed": [_fields(f) for f in rows]})
    except OSError as cause:
        raise StorageFull(f"the list of files that failed cannot be kept ({cause.strerror}): make room") from cause


def _fields(failure: Failure) -> dict[str, Any]:
    return {"path": failure.path, "reason": failure.reason, "code": failure.code, "at_s": failure.at_s}


def _parse(fields: Any) -> Failure | None:
    if not isinstance(fields, Mapping) or not all(isinstance(fields.get(n), str) for n in ("path", "reason", "code")):
        return None
    at_s = fields.get("at_s")
    return Failure(fields["path"], fields["reason"], fields["code"], at_s if isinstance(at_s, float) else None)
