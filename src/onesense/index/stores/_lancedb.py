"""The one place that imports lancedb, and how: without building the classes of a REST catalogue that is not called.

`import lancedb` takes 1.7 CPU-seconds; more than half of it builds validators for the client of a remote catalogue
(`lance_namespace_urllib3_client`), and a seventh reads byte code to check that methods which say `@override` do. With
the measures below it is 0.55 s, and whoever wants that client still gets it whole: its modules load, and its models
are built, at their first use.
"""

from __future__ import annotations

import importlib.util
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

_CATALOGUE = "lance_namespace_urllib3_client"
_lock = threading.Lock()


def load() -> Any:
    """The lancedb module."""
    with _lock:
        if "lancedb" in sys.modules:
            return sys.modules["lancedb"]
        with _models_built_later(), _overrides_believed(), _package_without_its_init(_CATALOGUE):
            import lancedb
        return lancedb


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
