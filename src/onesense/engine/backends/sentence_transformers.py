"""`sentence-transformers:FOLDER`, or `sentence-transformers:NAME` of a pulled model: any text model of that library.

The folder's own modules pool and normalise, its own prompts are used where they have Onesense's tasks.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ...errors import BackendError, CorruptData, InvalidInput, NotFound, OnesenseError
from ...types import Array, Batch, Content, Features, ModelInfo, Task
from .. import shelf
from ..records import Record
from ._torch import batch as batches
from ._torch import device, folder, message, strict
from ._torch.message import Bounds

_PROMPT_NAMES: Mapping[Task, tuple[str, ...]] = {
    Task.SEARCH_QUERY: ("query", "search_query", "Retrieval-query"),
    Task.SEARCH_DOCUMENT: ("document", "passage", "search_document", "Retrieval-document"),
    Task.QUESTION_ANSWERING: ("QuestionAnswering", "query"),
    Task.FACT_CHECKING: ("FactChecking", "query"),
    Task.CODE_RETRIEVAL: ("CodeRetrieval", "query"),
    Task.CLASSIFICATION: ("Classification", "classification"),
    Task.CLUSTERING: ("Clustering", "clustering"),
    Task.SENTENCE_SIMILARITY: ("STS", "SentenceSimilarity"),
}
"""What checkpoints call the prompts of each task in `config_sentence_transformers.json`."""
_NO_MEDIA = Bounds(0, 0)


class Backend:
    """A loaded `SentenceTransformer`. `prepare` may run in many threads, `embed` in one at a time.

    Raises as `_torch.checkpoint.Checkpoint`.
    """

    family: ClassVar[str] = "sentence_transformers"

    @classmethod
    def catalogue(cls) -> Mapping[str, ModelInfo | OnesenseError]:
        """It has no models of its own: each is named by its folder, or by what `models pull` called it."""
        return {}

    @classmethod
    def describe(cls, model: str) -> ModelInfo:
        """The record of a model, from its JSON files."""
        there, record = _found(model)
        device.require()
        there.check()
        if not (there.path / "modules.json").is_file():
            raise NotFound(f"`{there.path}` has no `modules.json`: nobody says how to pool, so it is no such model")
        said = there.json("config_sentence_transformers.json").get("prompts") or {}
        record = replace(record, prompts=_prompts(said))
        most = there.max_tokens(record.max_tokens)
        return folder.sized(record, _width(there), most, frozenset({"text"}), device.dtype_name(record))

    def __init__(self, *, model: str) -> None:
        self.info = self.describe(model)
        there, _ = _found(model)
        import transformers
        from sentence_transformers import SentenceTransformer

        strict.quieten(transformers)
        dtype = device.torch_dtype(self.info.dtype_class)
        with strict.readable(there.path):
            self._model: Any = SentenceTransformer(
                str(there.path),
                device=str(device.device()),
                local_files_only=True,
                trust_remote_code=device.allows_remote_code(),
                model_kwargs={"dtype": dtype, "use_safetensors": True},
            ).eval()
            _check_weights(self._model, there.path)
        self._tokenizer = self._model.tokenizer
        self._turn = threading.Lock()

    def prepare(self, content: Content) -> Features:
        """Token ids of the text, special tokens included; its end is cut where it is too long.

        Raises:
            InvalidInput: a part is not text.
        """
        items = message.items(content, self.info, _NO_MEDIA)
        text = "\n".join(item.value for item in items)
        most = self.info.max_tokens
        with self._turn:
            n_tokens = len(self._tokenizer(text, truncation=False)["input_ids"])
            tensors = self._tokenizer(text, truncation=True, max_length=most, return_tensors="pt")
        length = int(tensors["input_ids"].shape[1])
        is_cut = n_tokens > length or any(item.is_cut for item in items)
        return Features((dict(tensors), text), length, {"text": length}, is_cut)

    def prompt(self, content: Content) -> str:
        """Exactly what is tokenised for a content."""
        _, text = self.prepare(content).payload
        return str(text)

    def embed(self, batch: Batch) -> Array:
        """Float32 [B, D], after all of the folder's modules."""
        import torch

        if self._model is None:
            raise BackendError(f"`{self.info.name}` is closed")
        pad_id = self._tokenizer.pad_token_id
        inputs = batches.collate([features.payload[0] for features in batch.features], pad_id or 0)
        inputs = {name: tensor.to(self._model.device) for name, tensor in inputs.items()}
        with torch.inference_mode():
            rows = self._model({**inputs, "modality": "text"})["sentence_embedding"]
        return np.asarray(rows.float().cpu().numpy(), np.float32)

    def close(self) -> None:
        """Free the weights. Calling it twice is fine."""
        self._model = None


def _found(model: str) -> tuple[folder.Folder, Record]:
    """Folder and record of a pulled model or of a folder."""
    if "/" not in model and "\\" not in model and shelf.is_here(model):
        there, record = folder.found(Backend.family, str(shelf.folder(model)))
        revision = shelf.read_manifest(model).revision
        return there, replace(record, name=f"sentence-transformers:{model}", revision=revision)
    return folder.found(Backend.family, model)


def _width(there: folder.Folder) -> int:
    """Size of its vectors: that of the last Dense module, or the transformer's own."""
    modules = sorted((there.path / "modules.json").parent.glob("*_Dense/config.json"))
    for name in reversed(modules):
        return int(there.json(str(name.relative_to(there.path)))["out_features"])
    config = there.json("config.json")
    text = config.get("text_config") or config
    for key in ("embedding_dim", "hidden_size", "dim", "d_model"):
        if isinstance(text.get(key), int):
            return int(text[key])
    raise CorruptData(f"`{there.path}` does not say how long its vectors are")


def _prompts(said: Mapping[str, Any]) -> dict[Task, str]:
    """Onesense's templates from a checkpoint's prompts, which stand before the text."""
    found: dict[Task, str] = {}
    for task, names in _PROMPT_NAMES.items():
        prompt = next((said[name] for name in names if name in said), "")
        if not isinstance(prompt, str) or "{" in prompt:
            raise InvalidInput(f"the prompt {prompt!r} of this checkpoint cannot be used: braces mean something here")
        if prompt:
            found[task] = prompt + "{text}"
    return found


def _check_weights(model: Any, path: Path) -> None:
    """Refuse random weights: sentence-transformers does not tell which tensors it found, so they are read once more."""
    for inner in [module.auto_model for module in model.modules() if hasattr(module, "auto_model")]:
        _, report = type(inner).from_pretrained(
            path, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
        missing = {key for key in report["missing_keys"] if not key.startswith("pooler.")}  # read by nobody
        strict.check(path, {**report, "missing_keys": missing, "unexpected_keys": ()})
