"""Which models there are, and one loaded copy of each for the whole process."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain, combinations
from typing import Any

from onesense import plugins
from onesense.errors import NotFound, OnesenseError, PluginError
from onesense.types import Backend, Family, Layered, ModelInfo

from .faults import guarded

DEFAULT_MODEL = "onesense-mini"


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A model in memory. Everyone who calls `backend.embed` holds `lock`: a backend embeds one batch at a time."""

    backend: Backend
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True, slots=True)
class _Choice:
    """What a name stands for."""

    key: str
    """Name of the plug-in."""
    layers: tuple[str, ...] = ()
    """Text layers of a `Layered` backend."""
    model: str | None = None
    """Which model of a `Family`; None for a plug-in that is one model."""

    def record(self) -> ModelInfo:
        """Its record; loads no weights."""
        backend_class = plugins.load("backends", self.key)
        if self.model is not None:
            record = backend_class.describe(self.model)
        else:
            record = backend_class.layered(self.layers) if self.layers else getattr(backend_class, "info", None)
        if not isinstance(record, ModelInfo):
            raise PluginError(f"the backend `{self.key}` has no record: its class needs `info`, a ModelInfo")
        return record

    def open(self, name: str) -> Backend:
        """The backend, with its weights. Raises BackendError where they do not load."""
        backend_class = plugins.load("backends", self.key)
        options: dict[str, Any] = {"layers": self.layers} if self.layers else {}
        if self.model is not None:
            options["model"] = self.model
        with guarded(name, "loading its weights"):
            opened: Backend = backend_class(**options)
            return opened


_loaded: dict[str, Loaded] = {}
_loading = threading.RLock()  # a model may stand on another, which is loaded within it


def acquire(name: str) -> Loaded:
    """The shared copy of a model, loaded when it is first asked for.

    Args:
        name: as in `list_models`; `models/<name>`, google-genai's spelling, is the same. `name+layer` asks for a
            text layer, in any order where there are several; `plug-in:model` for a model of a `Family`, such as a
            folder of weights.

    Raises:
        NotFound: no model has this name, or it lacks this layer; the message lists those that exist.
        MissingExtra: a text layer needs a package that is not installed.
        PluginError: the file of the backend cannot be imported.
        BackendError: the weights do not load.
    """
    wanted = _model_name(name)
    with _loading:
        if wanted not in _loaded:
            _loaded[wanted] = Loaded(_chosen(name).open(name))
        return _loaded[wanted]


def open_model(name: str) -> Backend:
    """A copy of a model of one's own, to be closed by whoever opened it. Raises as `acquire` does."""
    return _chosen(name).open(name)


def resolve(name: str) -> Backend:
    """The shared backend of this name; see `acquire` for the lock that goes with it and for the errors."""
    return acquire(name).backend


def info(name: str) -> ModelInfo:
    """The record of a model, read without loading its weights. Raises as `acquire` does."""
    return _chosen(name).record()


def list_models() -> list[ModelInfo]:
    """Records of all models that can be used here, by name; loads no weights. `survey` tells about the others."""
    return [found for found in survey().values() if isinstance(found, ModelInfo)]


def survey() -> Mapping[str, ModelInfo | OnesenseError]:
    """Every model by name, a backend with each mix of its text layers: its record, or why it cannot be used."""
    found: dict[str, ModelInfo | OnesenseError] = {}
    for key in sorted(plugins.names("backends")):
        try:
            backend_class = plugins.load("backends", key)
        except OnesenseError as reason:
            found[_model_name(key)] = reason
            continue
        found |= backend_class.catalogue() if isinstance(backend_class, Family) else _mixes(key, backend_class)
    return found


def _mixes(key: str, backend_class: Any) -> Mapping[str, ModelInfo | OnesenseError]:
    """No text layer, each one, each two, ..."""
    names = _layer_names(backend_class)
    found: dict[str, ModelInfo | OnesenseError] = {}
    for layers in chain.from_iterable(combinations(names, n) for n in range(len(names) + 1)):
        try:
            record = _Choice(key, layers).record()
            found[record.name] = record
        except OnesenseError as reason:
            found["+".join([_model_name(key), *layers])] = reason
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
    head, colon, model = name.strip().removeprefix("models/").partition(":")
    base, *layers = head.replace("_", "-").split("+")
    return "+".join([base, *sorted(set(layers))]) + colon + model


def _chosen(name: str) -> _Choice:
    """What a name, as a user types it, stands for."""
    head, colon, model = _model_name(name).partition(":")
    base, *layers = head.split("+")
    known = plugins.names("backends")
    matches = sorted(key for key in known if _model_name(key) == base)
    if len(matches) > 1:
        raise PluginError(f"`{name}` could be any of {', '.join(known[m] for m in matches)}; uninstall all but one")
    if matches:
        return _of_plugin(_Choice(matches[0], tuple(layers), model if colon else None), base)
    owner = _catalogued().get(base)
    if owner is None or colon or layers:
        there = ", ".join(f"`{known}`" for known in sorted({*map(_model_name, known), *_catalogued()}))
        raise NotFound(f"no model is called `{name}`: there are {there}")
    return _Choice(owner, model=base)


def _of_plugin(choice: _Choice, base: str) -> _Choice:
    """The choice, checked against what its plug-in can open."""
    backend_class = plugins.load("backends", choice.key)
    if isinstance(backend_class, Family) != bool(choice.model):
        there = "it is one model" if choice.model else f"write `{base}:` and a model"
        raise NotFound(f"`{base}{':' if choice.model else ''}{choice.model or ''}` names no model: {there}")
    known = _layer_names(backend_class)
    if unknown := [layer for layer in choice.layers if layer not in known]:
        there = f"it has {', '.join(f'`{base}+{layer}`' for layer in known)}" if known else "it has none"
        raise NotFound(f"`{base}` has no text layer called `{unknown[0]}`: {there}")
    return choice


def _catalogued() -> Mapping[str, str]:
    """Names of the models that families know -> plug-in."""
    found: dict[str, str] = {}
    for key in sorted(plugins.names("backends")):
        try:
            backend_class = plugins.load("backends", key)
        except OnesenseError:
            continue  # `survey` tells about it
        if isinstance(backend_class, Family):
            found |= dict.fromkeys(backend_class.catalogue(), key)
    return found


def _layer_names(backend_class: Any) -> tuple[str, ...]:
    return tuple(sorted(backend_class.layer_names)) if isinstance(backend_class, Layered) else ()
