"""Following folders: what is added, changed, moved or deleted below them is taken up within seconds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from onesense.errors import NotFound

from .ingest import Report

if TYPE_CHECKING:
    from .collection import Collection

DEBOUNCE_MS = 1_600  # a copy of many files comes as one change, and a file that is being written is waited for
STEP_MS = 50
FIRST_LOOK_MS = 500


def follow(
    collection: Collection,
    folders: Sequence[str | Path],
    on_report: Callable[[Report], None],
    stop: threading.Event | None = None,
) -> None:
    """Index folders, then whatever happens below them, until `stop` is set.

    A burst of changes is taken up in one run, deleted files included: their rows go, and a renamed file keeps its
    vectors. A folder that is itself deleted, or a disk that is taken away, deletes nothing.

    Args:
        collection: open; nobody else may add to it meanwhile.
        folders: files and folders.
        on_report: called with what each run did, the first one included.
        stop: ends the watch; without it, Ctrl-C does.

    Raises:
        NotFound: one of the folders is not there.
    """
    from watchfiles import DefaultFilter, watch

    roots = [Path(folder).expanduser().absolute() for folder in folders]
    if lost := [root for root in roots if not root.exists()]:
        raise NotFound(f"there is no file or folder `{lost[0]}` to watch")
    own = str(collection.path.absolute())
    ignored = DefaultFilter(ignore_paths=[own])
    events = watch(
        *roots,
        watch_filter=ignored,
        debounce=DEBOUNCE_MS,
        step=STEP_MS,
        stop_event=stop,
        rust_timeout=FIRST_LOOK_MS,
        yield_on_timeout=True,
        raise_interrupt=stop is not None,
    )
    is_first = True  # the first look comes when the system already notes changes, so that none is lost in between
    for changes in events:
        present = [root for root in roots if root.exists()]
        if is_first or (changes and present):
            on_report(collection.add([*present], prune=True))
        is_first = False
