"""The one place that imports lancedb, and how: without building the classes of a REST catalogue that is not called.

`import lancedb` takes 1.7 CPU-seconds; more than half of it builds validators for the client of a remote catalogue
(`lance_namespace_urllib3_client`), and a seventh reads byte code to check that methods which say `@override` do. With
the measures below it is 0.55 s, and whoever wants that client still gets it whole: its modules load, and its models
are built, at their first use.

Its memory is bounded here too: left alone, a merge of 17,600 rows of 3072 dims peaks at 900 MB, and its caches grow
with the rows.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

_CATALOGUE = "lance_namespace_urllib3_client"
_lock = threading.Lock()

_BOUNDS = {
    "LANCE_DEFAULT_IO_BUFFER_SIZE": str(16 << 20),  # bytes read ahead of a scan or a merge; Lance's own is 2 GiB
    "LANCE_DEFAULT_BATCH_SIZE": "128",  # rows decoded at a time: 1.5 MB at 3072 dims; Lance's own is 8,192
    "LANCE_IO_THREADS": "4",
}
"""Lance reads these once, at its first use. A value that the user has set stands."""

_M_MMAP_THRESHOLD = -3  # <malloc.h>
_MMAP_BYTES = 1 << 20  # blocks from this size go back to the system when they are freed; glibc raises its own bound to
# 32 MB as it goes, and the pages of every write then stay in the heap: 100 MB after 8,800 rows
_M_ARENA_MAX = -8
_ARENAS = 2  # else each of Lance's threads keeps freed pages in a heap of its own: 80 MB after 12,000 rows

_CACHE_BYTES = (
    4 << 20
)  # each of two, for indexes and for metadata; Lance's own are 6 and 1 GiB. Searches of 24,000 rows
# are as fast as with those (dev/LOG.md)


def connect(path: Path) -> Any:
    """A LanceDB connection to the folder; all of a process share the same bounded caches."""
    return load().connect(str(path), session=_session())


@functools.cache
def _session() -> Any:
    return load().Session(index_cache_size_bytes=_CACHE_BYTES, metadata_cache_size_bytes=_CACHE_BYTES)


def load() -> Any:
    """The lancedb module."""
    with _lock:
        if "lancedb" in sys.modules:
            return sys.modules["lancedb"]
        _bound_memory()
        with _models_built_later(), _overrides_believed(), _package_without_its_init(_CATALOGUE):
            import lancedb
        return lancedb


def _bound_memory() -> None:
    for name, value in _BOUNDS.items():
        os.environ.setdefault(name, value)
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none, and no bound that grows
        if mallopt is not None:
            mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES)
            mallopt(_M_ARENA_MAX, _ARENAS)


@contextmanager
def _models_built_later() -> Iterator[None]:
    """Pydantic models declared meanwhile build their validators at first use (`defer_build`)."""
    from pydantic import BaseModel

    before = BaseModel.model_config.get("defer_build", False)
    BaseModel.model_config["defer_build"] = True
    try:
        yield
    finally:
        BaseModel.model_config["defer_build"] = before


@contextmanager
def _overrides_believed() -> Iterator[None]:
    """`overrides.override` marks methods meanwhile, as `EnforceOverrides` needs, and does not check them."""
    try:
        import overrides
    except ImportError:  # a lancedb that does without it
        yield
        return
    before = overrides.override
    overrides.override = _marked  # type: ignore[assignment]
    try:
        yield
    finally:
        overrides.override = before


def _marked(method: Any) -> Any:
    method.__override__ = True
    return method


@contextmanager
def _package_without_its_init(name: str) -> Iterator[None]:
    """Submodules of `name` can be imported meanwhile; its own `__init__` runs at the next import after."""
    spec = None if name in sys.modules else importlib.util.find_spec(name)
    if spec is None or spec.submodule_search_locations is None:
        yield
        return
    bare = ModuleType(name)
    bare.__path__ = list(spec.submodule_search_locations)
    bare.__spec__ = spec
    sys.modules[name] = bare
    try:
        yield
    finally:
        if sys.modules.get(name) is bare:
            del sys.modules[name]
