"""`adapted:FOLDER`: any other model, adapted to somebody's own pairs or labels by `onesense adapt`.

Its vectors are those of the base model, moved by the adapter in the folder. It is a model of its own: a collection that
the base model made refuses it, and the other way round.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from onesense.engine import adapter, models
from onesense.errors import BackendError, CorruptData, OnesenseError
from onesense.types import Array, Batch, Content, Features, Metered, ModelInfo
from onesense.vectors import truncate_normalize

PREFIX = "adapted:"


class Backend:
    """An adapter before the process's copy of its base model. As thread-safe as the base, whose lock it takes.

    Args:
        model: the folder.

    Raises:
        NotFound: there is no adapter in this folder, or no base model of its name.
        CorruptData: the files are damaged.
        FingerprintMismatch: the base model is of another revision than the one that was adapted.
    """

    def __init__(self, model: str) -> None:
        self.info = self.describe(model)
        self._adapter, manifest = adapter.load(_folder(model))
        self._base: models.Loaded | None = models.acquire(manifest.base.name)

    @classmethod
    def catalogue(cls) -> Mapping[str, ModelInfo | OnesenseError]:
        """Nothing: where adapters lie, only their users know."""
        return {}

    @classmethod
    def describe(cls, model: str) -> ModelInfo:
        """The base model's record with a name and revision of its own; reads the manifest only.

        Raises as the constructor.
        """
        folder = _folder(model)
        manifest = adapter.read(folder)
        if manifest.base.name.startswith(PREFIX):
            raise CorruptData(f"`{folder}` stands on another adapter: adapt the base model itself")
        base = models.info(manifest.base.name)
        manifest.base.check(base, folder)
        return replace(
            base,
            name=f"{PREFIX}{folder}",
            revision=manifest.revision,
            mrl_dims=manifest.sizes,
            description=f"`{base.name}`, adapted to {manifest.data.get('n')} {manifest.data.get('kind')}",
        )

    def prepare(self, content: Content) -> Features:
        """As the base model does."""
        return self._opened().backend.prepare(content)

    def embed(self, batch: Batch) -> Array:
        """Float32 [B, D]: the base model's vectors at unit length, moved.

        Raises:
            BackendError: the base model answered something without length or number, or this is closed.
        """
        base = self._opened()
        with base.lock:
            rows = np.asarray(base.backend.embed(batch), np.float32)
        return self._adapter(truncate_normalize(rows, self.info.dim))

    def metered(self, features: Features) -> Features:
        """With the tokens that the answer told, where the base model is a service."""
        backend = self._opened().backend
        return backend.metered(features) if isinstance(backend, Metered) else features

    def close(self) -> None:
        """Let go of the base model, which stays for others. Calling it twice is fine."""
        self._base = None

    def _opened(self) -> models.Loaded:
        if self._base is None:
            raise BackendError(f"`{self.info.name}` is closed")
        return self._base


def _folder(model: str) -> Path:
    return Path(model).expanduser().resolve()
