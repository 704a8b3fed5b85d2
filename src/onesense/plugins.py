"""Plug-ins: the file name is the plug-in's name, the folder listing is the registry.

Built-ins are the modules of a folder; packages outside the house use the entry-point groups `onesense.backends`,
`onesense.modalities` and `onesense.stores`. Listing imports nothing.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from .errors import NotFound, PluginError

KINDS = {
    "backends": ("onesense.engine.backends", "Backend"),
    "modalities": ("onesense.media", "modality"),
    "stores": ("onesense.index.stores", "Store"),
    "tasks": ("onesense.evals.tasks", "task"),
}
"""Kind -> (package that holds the built-ins, the attribute that each module defines)."""

_SINGULAR = {"backends": "backend", "modalities": "modality", "stores": "store", "tasks": "task"}

_IMPORT_FAULTS = (ImportError, AttributeError, SyntaxError, NameError, TypeError, ValueError, OSError, RuntimeError)
"""What the import of somebody else's module may raise: a package or library that is missing, a broken file."""

_NOT_MODALITIES = {"sniff", "fetch", "sandbox", "segment"}


def names(kind: str) -> dict[str, str]:
    """Plug-ins of a kind: name -> where it comes from. Imports none of them.

    Raises:
        PluginError: two plug-ins claim one name.
    """
    package, _ = KINDS[kind]
    folder = Path(__file__).parent.joinpath(*package.split(".")[1:])
    found = {
        m.name: f"{package}.{m.name}"
        for m in pkgutil.iter_modules([str(folder)])
        if not m.name.startswith("_") and not (kind == "modalities" and m.name in _NOT_MODALITIES)
    }
    for point in entry_points(group=f"onesense.{kind}"):
        if point.name in found:
            both = f"{found[point.name]} and {point.value}"
            raise PluginError(f"two {kind} are called `{point.name}`: {both}; uninstall one")
        found[point.name] = point.value
    return found


def load(kind: str, name: str) -> Any:
    """The plug-in object of this name.

    Raises:
        NotFound: no plug-in has this name.
        PluginError: it cannot be imported, or lacks the attribute that its kind asks for.
    """
    known = names(kind)
    if name not in known:
        raise NotFound(f"no {_SINGULAR[kind]} is called `{name}`: there are {', '.join(sorted(known))}")
    module, _, attribute = known[name].partition(":")
    attribute = attribute or KINDS[kind][1]
    try:
        return getattr(import_module(module), attribute)
    except _IMPORT_FAULTS as cause:
        raise PluginError(f"the {_SINGULAR[kind]} `{name}` ({known[name]}) does not load: {cause}") from cause
