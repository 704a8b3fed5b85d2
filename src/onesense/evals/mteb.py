"""Onesense models in `mteb` (2.x), so that the official suites run with one command where their data can be had.

    onesense eval --mteb STS17 SIB200Classification
    python -c "import mteb; from onesense.evals.mteb import meta; mteb.evaluate(meta(), mteb.get_tasks(['STS17']))"

Texts, pictures and sounds of a row become one content; task types become our tasks, and the model's own prompts follow
from them. Needs the extra `[eval]`.
"""

from __future__ import annotations

import io
import wave
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from ..engine.embedder import Embedder
from ..engine.inputs import as_part
from ..errors import InvalidInput, MissingExtra, UnsupportedModality
from ..types import Array, Content, Part, Task
from ..vectors import truncate_normalize
from .encoder import Embeds

SENSES = ("video", "image", "audio", "text")
"""Columns that become parts, in this order: words come after what they are about."""
_SEARCH = {"Retrieval", "Reranking", "InstructionRetrieval", "InstructionReranking"}
_ALONE = {
    "STS": Task.SENTENCE_SIMILARITY, "PairClassification": Task.SENTENCE_SIMILARITY,
    "BitextMining": Task.SENTENCE_SIMILARITY, "Summarization": Task.SENTENCE_SIMILARITY,
    "Classification": Task.CLASSIFICATION, "MultilabelClassification": Task.CLASSIFICATION,
    "Clustering": Task.CLUSTERING,
}  # fmt: skip
_CLAIMS = ("fever", "scifact", "climate")
LICENCES = {"Apache-2.0": "apache-2.0", "MIT": "mit"}
TRAINED_ON = {
    "NTREXBitextMining", "SIB200Classification", "SIB200ClusteringS2S", "FloresBitextMining", "STSBenchmark",
    "STSBenchmarkMultilingualSTS", "NusaX-senti", "NusaXBitextMining", "Caltech101", "Caltech101ZeroShot",
}  # fmt: skip
"""Official tasks that the bundled model has seen training rows of; it is not zero-shot on them."""


def task_of(metadata: Any, prompt_type: str | None) -> Task | None:
    """What vectors of an official task are for.

    Args:
        metadata: mteb's `TaskMetadata`: `type`, `name`, `modalities`, `domains` are read.
        prompt_type: `query`, `document` or None.

    Returns:
        None, no prompt, where pictures, sounds or video take part: that is how the model was trained and measured.
    """
    if set(metadata.modalities) - {"text"}:
        return None
    if metadata.type not in _SEARCH:
        return _ALONE.get(metadata.type)
    if prompt_type == "document":
        return Task.SEARCH_DOCUMENT
    if "Programming" in (metadata.domains or ()):
        return Task.CODE_RETRIEVAL
    return Task.FACT_CHECKING if metadata.name.lower().startswith(_CLAIMS) else Task.SEARCH_QUERY


class Encoder:
    """A model behind mteb's `EncoderProtocol`. Not thread-safe beyond what the embedder is."""

    def __init__(
        self,
        model_name: str = "onesense-mini",
        revision: str | None = None,
        *,
        device: str | None = None,
        embedder: Embeds | None = None,
        dim: int | None = None,
        embed_dim: int | None = None,
    ) -> None:
        """Open a model.

        Args:
            model_name: ours, with or without an organisation before it (`onesense/onesense-mini`).
            revision: what mteb believes to load; another than the model's own is refused.
            device: not used, the model runs where its backend runs.
            embedder: an opened model instead.
            dim: size of the vectors, the model's own by default.
            embed_dim: the same, in mteb's word.

        Raises:
            NotFound: no model has this name.
            InvalidInput: the revision is another.
        """
        self.embedder = embedder or Embedder(model_name.rpartition("/")[2])
        dim = dim or embed_dim
        self.dim = dim or self.embedder.info.dim
        if revision not in (None, self.embedder.info.revision):
            raise InvalidInput(f"mteb asks for revision `{revision}`, this is `{self.embedder.info.revision}`")
        self.mteb_model_meta = meta(self.embedder, dim=dim)

    def encode(
        self, inputs: Iterable[Mapping[str, Any]], *, task_metadata: Any, prompt_type: Any = None, **_: Any
    ) -> Array:
        """Unit vectors of the rows of a data loader.

        Args:
            inputs: batches, column -> values; `text`, `title`, `image`, `audio` are read.
            task_metadata: mteb's record of the task.
            prompt_type: `query`, `document` or None.

        Returns:
            float32 [n, dim].

        Raises:
            UnsupportedModality: the rows hold video.
            OnesenseError: what the embedder raises, with the row's number.
        """
        task = task_of(task_metadata, None if prompt_type is None else str(getattr(prompt_type, "value", prompt_type)))
        found = [self.embedder.embed(contents(batch), task=task) for batch in inputs]
        full = np.concatenate(found) if found else np.zeros((0, self.embedder.info.dim), np.float32)
        return np.asarray(truncate_normalize(full, self.dim), np.float32)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Array:
        """Cosines of all pairs, float32 [n, m]."""
        left, right = np.atleast_2d(np.asarray(embeddings1)), np.atleast_2d(np.asarray(embeddings2))
        return np.asarray(left @ right.T)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Array:
        """Cosines of matching rows, float32 [n]."""
        return np.asarray((np.asarray(embeddings1) * np.asarray(embeddings2)).sum(-1))


def contents(batch: Mapping[str, Any]) -> list[Content]:
    """The rows of one batch; what stands in one row is one content."""
    columns = [name for name in SENSES if batch.get(name) is not None]
    if not columns:
        raise InvalidInput(f"mteb gave the columns {sorted(batch)}: expected one of {', '.join(SENSES)}")
    if "video" in columns:
        raise UnsupportedModality("mteb's video tasks hand over bare frames without times, which are not read yet")
    titles = batch.get("title") or [None] * len(batch[columns[0]])
    bodies = batch.get("body") or batch.get("text") or titles
    out = []
    for i, title in enumerate(titles):
        parts = [_part(name, batch[name][i]) for name in columns if batch[name][i] is not None]
        if title and columns == ["text"]:
            out.append(Content(str(bodies[i]), title=str(title)))
        else:
            out.append(Content(*parts))
    return out


def _part(name: str, value: Any) -> Part:
    if name == "text":
        return Part.text(str(value))
    return as_part(value) if name == "image" else Part.bytes(_wav(value), "audio/wav")


def _wav(sound: Mapping[str, Any]) -> bytes:
    """A sound as a file, so that it goes through the same decoder as any other: 16 bit, mono."""
    samples = np.asarray(sound["array"], np.float32)
    if samples.ndim == 2:
        samples = samples.mean(int(samples.shape[0] > samples.shape[1]))
    stream = io.BytesIO()
    with wave.open(stream, "wb") as out:
        out.setparams((1, 2, int(sound["sampling_rate"]), 0, "NONE", ""))
        out.writeframes((samples.clip(-1, 1) * 32_767).astype("<i2").tobytes())
    return stream.getvalue()


def meta(model: Embeds | str = "onesense-mini", dim: int | None = None) -> Any:
    """Mteb's `ModelMeta` of a model of ours; `mteb.evaluate(meta(), tasks)` loads it and measures.

    Raises:
        MissingExtra: mteb is not installed.
        NotFound: no model has this name.
    """
    _require()
    from mteb.models.model_meta import ModelMeta, ScoringFunction

    from ..engine import models

    class Meta(ModelMeta):
        """Asks for no torchvision and torchaudio: media go through our own decoders."""

        def _check_requirements(self) -> None:
            return

    info = models.info(model) if isinstance(model, str) else model.info
    is_ours = info.name == "onesense-mini"
    return Meta(
        loader=Encoder, loader_kwargs={"dim": dim} if dim else {}, name=f"onesense/{info.name}", revision=info.revision,
        release_date=None, languages=None, n_parameters=None, memory_usage_mb=None, max_tokens=info.max_tokens,
        embed_dim=dim or info.dim, license=LICENCES.get(info.licence), open_weights=True, public_training_code=None,
        public_training_data=None, framework=["ONNX", "NumPy"], similarity_fn_name=ScoringFunction.COSINE,
        use_instructions=bool(info.prompts), training_datasets=TRAINED_ON if is_ours else None,
        adapted_from="intfloat/multilingual-e5-small" if is_ours else None,
        modalities=[name for name in ("text", "image", "audio") if name in info.modalities],
    )  # fmt: skip


def _require() -> None:
    if find_spec("mteb") is None:
        raise MissingExtra("the official suites need mteb: pip install 'onesense[eval]'")


def run(model: str, tasks: Sequence[str], *, dim: int | None = None) -> Any:
    """Measure a model on official tasks; their data is fetched by mteb, from the Hugging Face hub.

    Args:
        model: name of ours.
        tasks: names of tasks (`STS17`) or of benchmarks (`MTEB(eng, v2)`).
        dim: size of the vectors.

    Returns:
        mteb's `ModelResult`.

    Raises:
        MissingExtra: mteb is not installed.
        InvalidInput: mteb knows no such task.
    """
    _require()
    import mteb

    chosen: list[Any] = []
    for name in tasks:
        try:
            chosen += mteb.get_benchmark(name).tasks if "(" in name else mteb.get_tasks(tasks=[name])
        except KeyError as cause:
            raise InvalidInput(f"mteb has no task or benchmark `{name}`: {cause}") from cause
    return mteb.evaluate(Encoder(model, dim=dim), chosen)
