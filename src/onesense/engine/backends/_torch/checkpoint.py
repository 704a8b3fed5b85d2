"""The backend of a multimodal checkpoint of transformers: its own processor, its own model, one vector a content.

A family is a subclass with a few class attributes, and `render` where its message looks different.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, ClassVar

import numpy as np

from onesense.engine import records
from onesense.errors import BackendError, NotFound, OnesenseError, TooLarge
from onesense.types import Array, Batch, Content, Features, ModelInfo

from . import batch as batches
from . import device, folder, message, strict, vision
from .message import Bounds, Item

_MOST_FRAMES = 120  # what `Limits.max_frames` decodes; a processor's own bound may be lower


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared:
    tensors: Mapping[str, Any]
    """As the processor made them, batch axis 1."""
    prompt: str
    """What was tokenised, media as placeholders."""


class Checkpoint:
    """A loaded checkpoint. `prepare` may run in many threads (they take turns), `embed` in one at a time.

    Args:
        model: name of a record of the family, or a folder.

    Raises:
        MissingExtra: torch is not installed.
        NotFound: neither a record that is on this machine nor a folder.
        CorruptData: weights are missing, damaged, or of another architecture.
    """

    family: ClassVar[str]
    """Name of the plug-in."""
    architecture: ClassVar[str]
    """Class of transformers."""
    model_type: ClassVar[str]
    """What `config.json` calls it."""
    unread: ClassVar[str] = r"$^"
    """Pattern of tensors in the files that an embedding has no use for."""
    forward_options: ClassVar[Mapping[str, Any]] = {}

    @classmethod
    def catalogue(cls) -> Mapping[str, ModelInfo | OnesenseError]:
        """The family's records: what each is, or why it cannot be used here."""
        found: dict[str, ModelInfo | OnesenseError] = {}
        for record in records.of_family(cls.family):
            try:
                found[record.name] = cls.describe(record.name)
            except OnesenseError as reason:
                found[record.name] = reason
        return found

    @classmethod
    def describe(cls, model: str) -> ModelInfo:
        """The record of a model, with the sizes and limits that its files tell. Raises as the constructor does."""
        there, record = folder.found(cls.family, model)
        device.require()
        there.check()
        config = there.json("config.json")
        if config.get("model_type") != cls.model_type:
            raise NotFound(
                f"`{there.path}` is a checkpoint of `{config.get('model_type')}`, and `{cls.family}` opens "
                f"`{cls.model_type}`: choose another model"
            )
        text = config.get("text_config") or {}
        width = int(text.get("embedding_dim") or text.get("hidden_size") or record.dim)
        deaf_or_blind = {
            sense
            for tower, senses in (("vision_config", ("image", "video", "pdf")), ("audio_config", ("audio",)))
            if tower in config and config[tower] is None
            for sense in senses
        }
        senses = record.modalities - deaf_or_blind
        return folder.sized(record, width, there.max_tokens(record.max_tokens), senses, device.dtype_name(record))

    def __init__(self, *, model: str) -> None:
        self.info = self.describe(model)
        there, self.record = folder.found(self.family, model)
        vision.require_torchvision()
        import transformers

        strict.quieten(transformers)
        auto: Any = transformers.AutoProcessor
        with strict.readable(there.path):
            self._processor = auto.from_pretrained(there.path, local_files_only=True)
        dtype = device.torch_dtype(self.info.dtype_class)
        loaded = strict.load(getattr(transformers, self.architecture), there.path, dtype, self.unread)
        self._device = device.device()
        self._model: Any = self.trimmed(loaded).to(self._device)
        self._bounds = self.bounds()
        self._specials = [str(t) for t in self._processor.tokenizer.added_tokens_decoder.values() if t.special]
        self._turn = threading.Lock()  # fast tokenisers keep their padding settings in themselves

    # --- what a family may do in another way -----------------------------------------------------------------------

    def trimmed(self, model: Any) -> Any:
        """The model without what an embedding has no use for."""
        return model

    def bounds(self) -> Bounds:
        """How much of a video and a sound the processor reads, from its own settings."""
        video = getattr(self._processor, "video_processor", None)
        n_frames = getattr(video, "max_frames", None) or _MOST_FRAMES
        hearing = getattr(self._processor, "feature_extractor", None)
        return Bounds(min(int(n_frames), _MOST_FRAMES), int(getattr(hearing, "n_samples", 0)))

    def render(self, items: Sequence[Item], instruction: str | None) -> str:
        """The message as text, media as placeholders: the checkpoint's own chat template, items in order."""
        told = instruction or self.record.default_instruction
        system = [{"role": "system", "content": [{"type": "text", "text": told}]}] if told else []
        content = [{"type": i.kind, "text": i.value} if i.kind == "text" else {"type": i.kind} for i in items]
        rendered: str = self._processor.apply_chat_template(
            [*system, {"role": "user", "content": content}], tokenize=False, add_generation_prompt=self.is_prompting
        )
        return rendered

    is_prompting: ClassVar[bool] = True
    """Whether the message ends with the opening of an answer."""

    def media_options(self, items: Sequence[Item]) -> dict[str, Any]:
        """More arguments for the processor."""
        return {}

    def token_vectors(self, outputs: Any) -> Any:
        """[B, L, D], the last layer after its norm."""
        return outputs.last_hidden_state

    # --- the contract ----------------------------------------------------------------------------------------------

    def prepare(self, content: Content) -> Features:
        """Tokens, patches and mel frames of one content; text that is too long is cut from its end.

        Raises:
            TooLarge: media alone are longer than the model reads.
            InvalidInput: a part cannot be decoded.
        """
        items = [self._tamed(item) for item in message.items(content, self.info, self._bounds)]
        most = self.info.max_tokens
        with self._turn:
            prepared = self._process(items, content.instruction)
            while (excess := prepared.tensors["input_ids"].shape[1] - most) > 0:
                shorter = message.shortened(items, self._processor.tokenizer, excess)
                if shorter == items or not any(len(i.value) for i in shorter if i.kind == "text"):
                    raise TooLarge(
                        f"the media of this content are {excess} tokens too many for `{self.info.name}`, "
                        f"which reads {most}: give fewer, shorter or smaller ones"
                    )
                items = shorter
                prepared = self._process(items, content.instruction)
        usage = self._usage(prepared.tensors["input_ids"][0].tolist(), items)
        return Features(prepared, sum(usage.values()), usage, any(item.is_cut for item in items))

    def prompt(self, content: Content) -> str:
        """Exactly what is tokenised for a content, media as placeholders; for people and for `models verify`."""
        prepared: _Prepared = self.prepare(content).payload
        return prepared.prompt

    def embed(self, batch: Batch) -> Array:
        """Float32 [B, D]: one forward pass without gradients.

        Raises:
            BackendError: the device has too little memory, or the model is closed.
        """
        import torch

        if self._model is None:
            raise BackendError(f"`{self.info.name}` is closed")
        items = [features.payload.tensors for features in batch.features]
        inputs = batches.collate(items, self._pad_id, self._side)
        inputs = {name: self._moved(tensor) for name, tensor in inputs.items()}
        try:
            with torch.inference_mode():
                outputs = self._model(**inputs, **self.forward_options)
                rows = batches.pool(self.token_vectors(outputs), inputs["attention_mask"], self.record.pooling)
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            raise BackendError(
                f"`{self.info.name}` does not fit on {self._device} with {len(batch)} inputs of {batch.n_tokens} "
                "tokens: give less at once, a smaller model, or ONESENSE_DEVICE=cpu"
            ) from None
        return np.asarray(rows.float().cpu().numpy(), np.float32)

    def close(self) -> None:
        """Free the weights. Calling it twice is fine."""
        self._model = None

    _side = "right"

    @property
    def _pad_id(self) -> int:
        return int(self._processor.tokenizer.pad_token_id)

    def _moved(self, tensor: Any) -> Any:
        """To the device; pictures and sounds in the numbers that the model computes in."""
        is_media = tensor.is_floating_point()
        return tensor.to(self._device, device.torch_dtype(self.info.dtype_class) if is_media else None)

    def _tamed(self, item: Item) -> Item:
        """A text in which the spelling of a special token is no token: a user's text cannot forge placeholders."""
        if item.kind != "text":
            return item
        text = item.value
        for token in self._specials:
            if token in text:
                text = text.replace(token, f"{token[0]} {token[1:]}")
        return Item("text", text, item.owner, item.is_cut)

    def _process(self, items: Sequence[Item], instruction: str | None) -> _Prepared:
        """What the processor makes of a message. Pictures go as PIL pictures, as its authors gave them."""
        from PIL import Image as pil

        media: dict[str, Any] = {}
        if pictures := [pil.fromarray(item.value) for item in items if item.kind == "image"]:
            media["images"] = [pictures]
        if films := [item.value for item in items if item.kind == "video"]:
            media["videos"] = [[film.pixels for film in films]]
            media["video_metadata"] = [[film.metadata() for film in films]]
            media["do_sample_frames"] = False
        if sounds := [item.value for item in items if item.kind == "audio"]:
            media["audio"] = sounds
        prompt = self.render(items, instruction)
        bos = self._processor.tokenizer.bos_token
        options = {"add_special_tokens": False} if bos and prompt.startswith(bos) else {}
        made = self._processor(text=[prompt], return_tensors="pt", **media, **options, **self.media_options(items))
        return _Prepared({name: made[name] for name in made if hasattr(made[name], "shape")}, prompt)

    def _usage(self, ids: Sequence[int], items: Sequence[Item]) -> dict[str, int]:
        """Tokens by modality: a medium has those of its placeholders, words and the message's own the rest."""
        usage: dict[str, int] = {}
        for kind in ("image", "audio", "video"):
            owners = [item.owner for item in items if item.kind == kind]
            token = getattr(self._processor, f"{kind}_token_id", None)
            runs = [len(list(run)) for is_token, run in groupby(ids, lambda i, t=token: i == t) if is_token]  # type: ignore[misc]
            for place, n_tokens in enumerate(runs if owners else []):
                owner = owners[min(place, len(owners) - 1)]  # a video has a run for each frame
                usage[owner] = usage.get(owner, 0) + n_tokens
        rest = len(ids) - sum(usage.values())
        speaker = next((item.owner for item in items if item.kind == "text"), items[0].owner)
        usage[speaker] = usage.get(speaker, 0) + rest
        return {owner: n for owner, n in usage.items() if n}
