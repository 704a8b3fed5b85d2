"""Which models there are, and one loaded copy of each for the whole process."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, combinations
from typing import Any

from onesense import plugins
from onesense.errors import NotFound, OnesenseError, PluginError
from onesense.types import Backend, Layered, ModelInfo

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
        name: as in `list_models`; `models/<name>`, google-genai's spelling, is the same. `name+layer` asks for a
            text layer, in any order where there are several.

    Raises:
        NotFound: no model has this name, or it lacks this layer; the message lists those that exist.
        MissingExtra: a text layer needs a package that is not installed.
        PluginError: the file of the backend cannot be imported.
        BackendError: the weights do not load.
    """
    wanted = _model_name(name)
    with _loading:
        if wanted not in _loaded:
            key, layers = _chosen(name)
            backend_class = plugins.load("backends", key)
            with guarded(name, "loading its weights"):
                _loaded[wanted] = Loaded(backend_class(layers=layers) if layers else backend_class())
        return _loaded[wanted]


def resolve(name: str) -> Backend:
    """The shared backend of this name; see `acquire` for the lock that goes with it and for the errors."""
    return acquire(name).backend


def info(name: str) -> ModelInfo:
    """The record of a model, read without loading its weights. Raises as `acquire` does."""
    return _read_info(*_chosen(name))


def list_models() -> list[ModelInfo]:
    """Records of all models that can be used here, by name; loads no weights. `survey` tells about the others."""
    return [found for found in survey().values() if isinstance(found, ModelInfo)]


def survey() -> Mapping[str, ModelInfo | OnesenseError]:
    """Every backend, with each mix of its text layers, by model name: its record, or why it cannot be used."""
    found: dict[str, ModelInfo | OnesenseError] = {}
    for key in sorted(plugins.names("backends")):
        for layers in _mixes(key):
            try:
                record = _read_info(key, layers)
                found[record.name] = record
            except OnesenseError as reason:
                found["+".join([_model_name(key), *layers])] = reason
    return found


def _mixes(key: str) -> Iterator[tuple[str, ...]]:
    """No text layer, each one, each two, ...; a backend that does not load has none."""
    try:
        names = _layer_names(plugins.load("backends", key))
    except OnesenseError:
        names = ()
    return chain.from_iterable(combinations(names, n) for n in range(len(names) + 1))


def close() -> None:
    """Free every loaded model; the next `acquire` loads again. Embedders that still run fail with a BackendError."""
    with _loading:
        while _loaded:
            _, loaded = _loaded.popitem()
            with loaded.lock:
                loaded.backend.close()


def _model_name(name: str) -> str:
    """The one spelling of a name; a file name cannot hold a dash, so `-` and `_` are one here."""
    base, *layers = name.strip().removeprefix("models/").replace("_", "-").split("+")
    return "+".join([base, *sorted(set(layers))])


def _chosen(name: str) -> tuple[str, tuple[str, ...]]:
    """Name as a user types it -> name of the plug-in and its text layers."""
    base, *layers = _model_name(name).split("+")
    key = _plugin_name(base)
    known = _layer_names(plugins.load("backends", key)) if layers else ()
    if unknown := [layer for layer in layers if layer not in known]:
        there = f"it has {', '.join(f'`{base}+{layer}`' for layer in known)}" if known else "it has none"
        raise NotFound(f"`{base}` has no text layer called `{unknown[0]}`: {there}")
    return key, tuple(layers)


def _layer_names(backend_class: Any) -> tuple[str, ...]:
    return tuple(sorted(backend_class.layer_names)) if isinstance(backend_class, Layered) else ()


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


def _read_info(key: str, layers: tuple[str, ...] = ()) -> ModelInfo:
    backend_class = plugins.load("backends", key)
    record = backend_class.layered(layers) if layers else getattr(backend_class, "info", None)
    if not isinstance(record, ModelInfo):
        raise PluginError(f"the backend `{key}` has no record: its class needs `info`, a ModelInfo")
    return record
