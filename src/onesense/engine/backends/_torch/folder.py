"""What a folder of weights says about itself, read from its JSON files and headers; no torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from onesense.engine import records, shelf
from onesense.engine.records import Record
from onesense.errors import CorruptData, InvalidInput, NotFound
from onesense.types import ModelInfo

_UNBOUNDED = 10**9  # transformers writes 10**30 where a tokeniser has no limit
_SAMPLE = 1 << 16  # bytes read at each of `_SAMPLES` places of a file of weights, for its revision
_SAMPLES = 16


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of weights."""

    path: Path

    def json(self, name: str) -> dict[str, Any]:
        """A JSON file, {} where there is none.

        Raises:
            CorruptData: it cannot be read.
        """
        file = self.path / name
        if not file.is_file():
            return {}
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as cause:
            raise CorruptData(f"`{file}` cannot be read: {cause}") from None
        if not isinstance(found, dict):
            raise CorruptData(f"`{file}` holds {type(found).__name__}, not an object")
        return found

    def check(self) -> None:
        """Refuse a folder whose weights are not all there, or are of a kind that may run code.

        Raises:
            NotFound: no folder, no `config.json`, no weights.
            CorruptData: a shard that the index names is missing, or a header is damaged.
            InvalidInput: the weights are pickled.
        """
        if not self.path.is_dir():
            raise NotFound(f"`{self.path}` is no folder: give the folder of a checkpoint")
        if not any((self.path / name).is_file() for name in ("config.json", "modules.json")):
            raise NotFound(f"`{self.path}` holds no `config.json`: it is no checkpoint")
        weights = self.weights()
        if not weights and (pickled := [*self.path.rglob("*.bin"), *self.path.rglob("*.pt")]):
            found = pickled[0].name
            raise InvalidInput(f"`{self.path}` holds pickled weights (`{found}`), which may run code: use safetensors")
        if not weights:
            raise NotFound(f"`{self.path}` holds no `*.safetensors`: the weights are missing")
        index = self.json("model.safetensors.index.json").get("weight_map", {})
        if missing := sorted(set(index.values()) - {file.name for file in weights}):
            raise CorruptData(f"`{self.path}` lacks {len(missing)} files of weights: {', '.join(missing[:3])}")
        for file in weights:
            _header(file)

    def weights(self) -> list[Path]:
        """Files of weights."""
        return sorted(self.path.rglob("*.safetensors"))

    def max_tokens(self, most: int) -> int:
        """Longest input: the least of what tokeniser, position table, sentence-transformers and the record allow."""
        config = self.json("config.json")
        said = [
            self.json("tokenizer_config.json").get("model_max_length"),
            self.json("sentence_bert_config.json").get("max_seq_length"),
            config.get("text_config", config).get("max_position_embeddings"),
        ]
        return min([most, *(int(n) for n in said if isinstance(n, (int, float)) and 0 < n < _UNBOUNDED)])

    def revision(self) -> str:
        """Digest of the configuration and of samples of the weights, spread over each file."""
        digest = hashlib.sha256()
        for file in sorted([*self.path.rglob("*.json"), *self.path.rglob("*.jinja"), *self.weights()]):
            if file.name == shelf.MANIFEST or ".cache" in file.relative_to(self.path).parts:
                continue
            digest.update(f"{file.relative_to(self.path).as_posix()} {file.stat().st_size}\n".encode())
            for chunk in _samples(file):
                digest.update(chunk)
        return f"local-{digest.hexdigest()[:16]}"


def _samples(file: Path) -> Iterator[bytes]:
    size = file.stat().st_size
    with file.open("rb") as stream:
        for k in range(_SAMPLES):
            stream.seek(max(0, (size - _SAMPLE) * k // (_SAMPLES - 1)))
            yield stream.read(_SAMPLE)
            if size <= _SAMPLE:
                return


def _header(file: Path) -> None:
    """Check that a safetensors file is as long as its header says. Format: huggingface.co/docs/safetensors."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        n_header = int.from_bytes(stream.read(8), "little")
        if size < 8 or n_header > size - 8:
            raise CorruptData(f"`{file}` is cut off in its header: download it again")
        try:
            tensors = json.loads(stream.read(n_header))
            end = max((entry["data_offsets"][1] for key, entry in tensors.items() if key != "__metadata__"), default=0)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            raise CorruptData(f"`{file}` has no readable safetensors header: download it again") from None
    if size != 8 + n_header + end:
        raise CorruptData(
            f"`{file}` has {size} bytes where its header asks for {8 + n_header + end}: download it again"
        )


def found(family: str, model: str) -> tuple[Folder, Record]:
    """Folder and record of a model of a family.

    Args:
        family: name of the backend.
        model: a name of the family's records, or the path of a folder.

    Raises:
        NotFound: neither is on this machine.
    """
    known = records.of_family(family)
    for record in known:
        if record.name == model:
            manifest = shelf.read_manifest(model)
            return Folder(shelf.folder(model)), replace(record, revision=manifest.revision)
    path = Path(model).expanduser()
    if not path.is_dir():
        there = ", ".join(record.name for record in known)
        raise NotFound(f"`{model}` is neither a folder on this machine nor a model of `{family}`: {there}")
    folder = Folder(path.resolve())
    base = known[0] if known else records.Record(**_UNKNOWN)
    return folder, replace(base, name=f"{family.replace('_', '-')}:{model}", revision=folder.revision())


_UNKNOWN: dict[str, Any] = {
    "name": "", "family": "", "description": "a folder of weights", "repository": "", "licence": "see the folder",
    "modalities": frozenset({"text"}), "dim": 0, "mrl_dims": (), "max_tokens": _UNBOUNDED, "dtypes": ("fp32", "bf16"),
}  # fmt: skip


def sized(record: Record, dim: int, max_tokens: int, modalities: frozenset[str], dtype: str) -> ModelInfo:
    """The record as the house reads it, with the facts of the checkpoint.

    Args:
        record: what is known of the model; of a checkpoint of another size, only the family's rules count.
        dim: width of its vectors.
        max_tokens: longest input.
        modalities: what it senses.
        dtype: what it computes in.
    """
    sizes = record.mrl_dims if dim == record.dim else [size for size in record.mrl_dims if size < dim]
    return ModelInfo(
        name=record.name,
        revision=record.revision,
        licence=record.licence_line,
        modalities=modalities,
        dim=dim,
        mrl_dims=tuple(dict.fromkeys((dim, *sizes))),
        max_tokens=max_tokens,
        description=record.description,
        prompts=record.prompts,
        instructions=record.instructions,
        dtype_class=dtype,
        image_side=record.image_side,
    )
