"""Which models there are, and one loaded copy of each for the whole process."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from onesense import plugins
from onesense.errors import NotFound, OnesenseError, PluginError
from onesense.types import Backend, ModelInfo

from .faults import guarded

DEFAULT_MODEL = "onesense-mini"


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A model in memory. Everyone who calls `backend.embed` holds `lock`: a backend embeds one batch at a time."""

    backend: Backend
    lock: threading.Lock = field(default_factory=threading.Lock)


_loaded: dict[str, Loaded] = {}
_loading = threading.Lock()


def acquire(name: str) -> Loaded:
    """The shared copy of a model, loaded when it is first asked for.

    Args:
        name: as in `list_models`; `models/<name>`, google-genai's spelling, is the same.

    Raises:
        NotFound: no model has this name; the message lists those that exist.
        PluginError: the file of the backend cannot be imported.
        BackendError: the weights do not load.
    """
    wanted = _model_name(name)
    with _loading:
        if wanted not in _loaded:
            backend_class = plugins.load("backends", _plugin_name(name))
            with guarded(name, "loading its weights"):
                _loaded[wanted] = Loaded(backend_class())
        return _loaded[wanted]


def resolve(name: str) -> Backend:
    """The shared backend of this name; see `acquire` for the lock that goes with it and for the errors."""
    return acquire(name).backend


def info(name: str) -> ModelInfo:
    """The record of a model, read without loading its weights. Raises as `acquire` does."""
    return _read_info(_plugin_name(name))


def list_models() -> list[ModelInfo]:
    """Records of all models that can be used here, by name; loads no weights. `survey` tells about the others."""
    return [found for found in survey().values() if isinstance(found, ModelInfo)]


def survey() -> Mapping[str, ModelInfo | OnesenseError]:
    """Every backend by model name: its record, or why it cannot be used."""
    found: dict[str, ModelInfo | OnesenseError] = {}
    for key in sorted(plugins.names("backends")):
        try:
            record = _read_info(key)
            found[record.name] = record
        except OnesenseError as reason:
            found[_model_name(key)] = reason
    return found


def close() -> None:
    """Free every loaded model; the next `acquire` loads again. Embedders that still run fail with a BackendError."""
    with _loading:
        while _loaded:
            _, loaded = _loaded.popitem()
            with loaded.lock:
                loaded.backend.close()


def _model_name(name: str) -> str:
    """The one spelling of a name; a file name cannot hold a dash, so `-` and `_` are one here."""
    return name.strip().removeprefix("models/").replace("_", "-")


def _plugin_name(name: str) -> str:
    """Name as a user types it -> name of the plug-in."""
    wanted = _model_name(name)
    known = plugins.names("backends")
    matches = sorted(key for key in known if _model_name(key) == wanted)
    if len(matches) > 1:
        raise PluginError(f"`{name}` could be any of {', '.join(known[m] for m in matches)}; uninstall all but one")
    if not matches:
        there = ", ".join(f"`{_model_name(key)}`" for key in sorted(known))
        raise NotFound(f"no model is called `{name}`: there are {there}")
    return matches[0]


def _read_info(key: str) -> ModelInfo:
    record = getattr(plugins.load("backends", key), "info", None)
    if not isinstance(record, ModelInfo):
        raise PluginError(f"the backend `{key}` has no record: its class needs `info`, a ModelInfo")
    return record
