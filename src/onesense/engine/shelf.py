"""Where downloaded models lie on this machine, and whether they are whole.

`ONESENSE_MODELS` names the folder; otherwise it is `models` in the user's data folder. Each model is a folder of its
own with a manifest, written last: a folder without one is half a download.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from onesense.errors import CorruptData, InvalidInput, NotFound

FORMAT = "onesense.model.v1"
MANIFEST = "onesense.model.json"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What was downloaded."""

    name: str
    repository: str
    revision: str
    """Commit of the hub that the files belong to."""
    files: Mapping[str, Mapping[str, Any]]
    """Path in the folder -> `bytes` and `sha256`."""
    format: str = FORMAT

    @property
    def n_bytes(self) -> int:
        """Size of all files."""
        return sum(int(entry["bytes"]) for entry in self.files.values())


def root() -> Path:
    """The folder that holds the models."""
    if named := os.environ.get("ONESENSE_MODELS"):
        return Path(named).expanduser()
    from platformdirs import user_data_path

    return Path(user_data_path("onesense", appauthor=False)) / "models"


def folder(name: str) -> Path:
    """Where a model lies or would lie.

    Raises:
        InvalidInput: the name would lead out of the folder of models.
    """
    if not name or name != Path(name).name or name in (".", ".."):
        raise InvalidInput(f"`{name}` is no name of a model folder: no slashes, no dots alone")
    return root() / name


def is_here(name: str) -> bool:
    """Whether the model was downloaded to its end."""
    return (folder(name) / MANIFEST).is_file()


def names() -> list[str]:
    """All models that were downloaded to their end."""
    return sorted(path.parent.name for path in root().glob(f"*/{MANIFEST}"))


def read_manifest(name: str) -> Manifest:
    """What was downloaded.

    Raises:
        NotFound: nothing, or not all of it.
        CorruptData: the manifest cannot be read.
    """
    if not is_here(name):
        raise NotFound(f"`{name}` is not on this machine: `onesense models pull {name}`")
    try:
        values = json.loads((folder(name) / MANIFEST).read_text(encoding="utf-8"))
        if values.get("format") != FORMAT:
            raise CorruptData(f"the manifest of `{name}` is of format {values.get('format')!r}, not {FORMAT!r}")
        return Manifest(**values)
    except (ValueError, TypeError, AttributeError) as cause:
        raise CorruptData(f"the manifest of `{name}` cannot be read ({cause}): `onesense models pull {name}`") from None


def write_manifest(manifest: Manifest) -> None:
    """Declare a download whole; atomic."""
    target = folder(manifest.name) / MANIFEST
    draft = target.with_suffix(".tmp")
    draft.write_text(json.dumps(asdict(manifest), indent=1, sort_keys=True) + "\n", encoding="utf-8")
    draft.replace(target)


def faults(name: str) -> Iterator[str]:
    """What is wrong with the files of a model: missing, another size, another content. Reads every byte.

    Raises as `read_manifest`.
    """
    for path, entry in sorted(read_manifest(name).files.items()):
        file = folder(name) / path
        if not file.is_file():
            yield f"`{path}` is missing"
        elif file.stat().st_size != entry["bytes"]:
            yield f"`{path}` has {file.stat().st_size} bytes, not {entry['bytes']}"
        elif sha256(file) != entry["sha256"]:
            yield f"`{path}` has another content than was downloaded"


def remove(name: str) -> int:
    """Delete a model or half a download; bytes that were freed.

    Raises:
        NotFound: nothing of this name is on this machine.
    """
    there = folder(name)
    if not there.is_dir():
        raise NotFound(f"`{name}` is not on this machine: there are {', '.join(names()) or 'no downloaded models'}")
    freed = sum(file.stat().st_size for file in there.rglob("*") if file.is_file())
    shutil.rmtree(there)
    return freed


def sha256(file: Path) -> str:
    """Hex digest of a file's content."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
