"""An adapter: what turns a model's unit vectors into those of a model adapted to somebody's own data.

    x float32 [n, D] unit ── x + (x · down) · up ── float32 [n, D], first sizes trained like the whole

It lies in a folder of two files, `adapter.npz` and `manifest.json`, which is written beside its place and renamed, so
that a folder of its name is always whole. `onesense.train.adapt` makes it, `adapted:FOLDER` opens it as a model.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from onesense.errors import AlreadyExists, CorruptData, FingerprintMismatch, NotFound, PermissionDenied, StorageFull
from onesense.types import Array, ModelInfo

from .shelf import sha256

FORMAT = "onesense.adapter.v1"
MANIFEST, WEIGHTS = "manifest.json", "adapter.npz"


@dataclass(frozen=True, slots=True, eq=False)
class Adapter:
    """A low-rank step beside the identity."""

    down: Array
    """float32 [D, r]."""
    up: Array
    """float32 [r, D]."""

    def __call__(self, x: Array) -> Array:
        """Move vectors.

        Args:
            x: float32 [n, D], unit rows: the step is added to a vector of length 1.

        Returns:
            float32 [n, D], not normalised.
        """
        moved: Array = x + (x @ self.down) @ self.up
        return moved


@dataclass(frozen=True, slots=True)
class Base:
    """The model that an adapter was trained on; it fits no other."""

    name: str
    revision: str
    preprocessing: str
    dim: int

    @classmethod
    def of(cls, info: ModelInfo) -> Base:
        """What of a record decides its vectors, up to the precision that it computes in."""
        return cls(info.name, info.revision, info.preprocessing, info.dim)

    def check(self, info: ModelInfo, folder: Path) -> None:
        """Refuse another model.

        Raises:
            FingerprintMismatch: the model of this name is not the one that was adapted.
        """
        if (here := Base.of(info)) != self:
            raise FingerprintMismatch(
                f"`{folder}` was adapted from {self}, and `{self.name}` here is {here}: adapt again (`onesense adapt`)"
            )

    def __str__(self) -> str:
        return f"`{self.name}` revision {self.revision}, preprocessing {self.preprocessing}, {self.dim} dimensions"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What stands beside the weights."""

    base: Base
    sizes: tuple[int, ...]
    """Output sizes that were trained, descending."""
    rank: int
    data: Mapping[str, Any]
    """Kind, number and sha256 of what it learned from."""
    metrics: Mapping[str, Any]
    """Before and after on the held-out part."""
    weights_sha256: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    format: str = FORMAT

    @property
    def revision(self) -> str:
        """Pins the adapted model: its weights and those of its base."""
        key = json.dumps([self.format, asdict(self.base), self.weights_sha256])
        return hashlib.sha256(key.encode()).hexdigest()[:16]


def save(folder: Path, adapter: Adapter, manifest: Manifest) -> Manifest:
    """Write both files; the manifest with the checksum of the weights comes back.

    Raises:
        AlreadyExists: there is something at `folder`.
        PermissionDenied: it cannot be written there.
        StorageFull: there is no room.
    """
    refuse_taken(folder)
    with _draft(folder) as draft:
        np.savez(draft / WEIGHTS, down=adapter.down, up=adapter.up)
        fields = asdict(manifest) | {"weights_sha256": sha256(draft / WEIGHTS)}
        text = json.dumps(fields, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
        (draft / MANIFEST).write_text(text, encoding="utf-8")
        for file in draft.iterdir():
            _flush(file)
    return read(folder)


def refuse_taken(folder: Path) -> None:
    """Say early that a place is taken.

    Raises:
        AlreadyExists: there is something at `folder`.
    """
    if os.path.lexists(folder):
        raise AlreadyExists(f"`{folder}` is there already: name another folder, or delete this one first")


def read(folder: Path) -> Manifest:
    """The manifest of an adapter, checked; reads no weights.

    Raises:
        NotFound: there is no adapter in this folder.
        CorruptData: the manifest cannot be read, lacks a field, or is of another format.
    """
    file = folder / MANIFEST
    if not file.is_file():
        raise NotFound(f"`{folder}` holds no adapter (no `{MANIFEST}`): `onesense adapt DATA --to {folder}` makes one")
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
        if fields["format"] != FORMAT:
            raise CorruptData(f"`{file}` has the format {fields['format']!r}, this version reads {FORMAT!r}")
        base, sizes = Base(**fields.pop("base")), tuple(fields.pop("sizes"))
        return _checked(Manifest(base=base, sizes=sizes, **fields), file)
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as cause:
        raise CorruptData(f"`{file}` cannot be read as an adapter's ({type(cause).__name__}: {cause})") from cause


def load(folder: Path) -> tuple[Adapter, Manifest]:
    """The adapter and its manifest, whole and unchanged.

    Raises:
        NotFound: there is no adapter in this folder.
        CorruptData: a file is missing or damaged, or an array has another name, shape or type.
    """
    manifest, file = read(folder), folder / WEIGHTS
    if not file.is_file():
        raise CorruptData(f"`{folder}` lacks `{WEIGHTS}`: adapt again, or copy the folder whole")
    if sha256(file) != manifest.weights_sha256:
        raise CorruptData(f"`{file}` is damaged: its sha256 is not the manifest's. Adapt again, or copy it again")
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, BadZipFile) as cause:
        raise CorruptData(f"`{file}` cannot be read: {cause}") from cause
    dim, rank = manifest.base.dim, manifest.rank
    for name, shape in {"down": (dim, rank), "up": (rank, dim)}.items():
        found = arrays.pop(name, None)
        if found is None or found.shape != shape or found.dtype != np.float32 or not np.isfinite(found).all():
            seen = "nothing" if found is None else f"{found.dtype} {list(found.shape)}"
            raise CorruptData(f"`{file}`: `{name}` is {seen}, expected finite float32 {list(shape)}")
        arrays[f"+{name}"] = found
    if unknown := [name for name in arrays if not name.startswith("+")]:
        raise CorruptData(f"`{file}` holds `{unknown[0]}`, which this version does not know")
    return Adapter(arrays["+down"], arrays["+up"]), manifest


def _checked(manifest: Manifest, file: Path) -> Manifest:
    """Types of what the house computes with; the rest is for people."""
    numbers = (manifest.base.dim, manifest.rank, *manifest.sizes)
    words = (manifest.base.name, manifest.base.revision, manifest.base.preprocessing, manifest.weights_sha256)
    if not all(type(n) is int and n > 0 for n in numbers) or not all(isinstance(word, str) for word in words):
        raise CorruptData(f"`{file}`: sizes and the rank are whole numbers above 0, names and checksums are texts")
    if not manifest.sizes or list(manifest.sizes) != sorted({*manifest.sizes, manifest.base.dim}, reverse=True):
        raise CorruptData(f"`{file}`: the sizes are {list(manifest.sizes)}, expected {manifest.base.dim} and below")
    return manifest


@contextmanager
def _draft(folder: Path) -> Iterator[Path]:
    """A hidden folder beside `folder` that takes its name when the block is done."""
    draft: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".tmp"))
        draft.chmod(0o755)  # mkdtemp makes it private
        yield draft
        draft.rename(folder)
    except OSError as cause:
        kind = StorageFull if cause.errno in (errno.ENOSPC, errno.EDQUOT) else PermissionDenied
        raise kind(f"`{folder}` cannot be written ({cause.strerror}): make room, or name another folder") from cause
    finally:
        if draft is not None:
            shutil.rmtree(draft, ignore_errors=True)


def _flush(file: Path) -> None:
    with file.open("rb") as stream:
        os.fsync(stream.fileno())
