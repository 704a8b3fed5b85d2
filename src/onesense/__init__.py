"""One sense for text, images, audio, video and documents.

Importing this package is free: the names below are loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Client": "onesense.engine.client",
    "Collection": "onesense.index.collection",
    "Content": "onesense.types",
    "Embedder": "onesense.engine.embedder",
    "Embedding": "onesense.types",
    "Hit": "onesense.types",
    "OnesenseError": "onesense.errors",
    "Part": "onesense.types",
    "Task": "onesense.types",
    "adapt": "onesense.train.adapt",
}

__all__ = [*_HOMES, "__version__"]

if TYPE_CHECKING:
    from .engine.client import Client as Client
    from .engine.embedder import Embedder as Embedder
    from .errors import OnesenseError as OnesenseError
    from .index.collection import Collection as Collection
    from .train.adapt import adapt as adapt
    from .types import Content as Content
    from .types import Embedding as Embedding
    from .types import Hit as Hit
    from .types import Part as Part
    from .types import Task as Task


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'onesense' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
