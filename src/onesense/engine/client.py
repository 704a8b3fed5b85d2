"""`onesense.Client()`: the surface of `google.genai.Client` for embeddings, in process, with a model of this machine.

What a list becomes follows google-genai 3.4.0 (GEMINI_API.md §1.6): under a model name whose last segment holds
`gemini` (but not `gemini-embedding-001*` or `-exp*`) a list of strings and parts is ONE content and gives one vector;
under any other name, `onesense-mini` among them, every entry gives its own. Gemini's names stand for the bundled model.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from onesense.errors import EmptyInput, InvalidInput, NotFound, TooLarge
from onesense.types import Content, Embedding, ModelInfo, Task

from . import models as registry
from . import tasks
from .cache import VectorCache
from .embedder import Embedder
from .inputs import as_content, is_many, record
from .models import DEFAULT_MODEL

GEMINI_NAMES = frozenset({"gemini-embedding-2", "gemini-embedding-2-preview", "gemini-embedding-001"})
"""Google's models: code that names one of these runs on the client's default model."""

_NOT_MERGING = ("gemini-embedding-001", "gemini-embedding-exp")
MODALITY_WORDS = {"text": "TEXT", "image": "IMAGE", "audio": "AUDIO", "video": "VIDEO", "pdf": "DOCUMENT"}
"""Modality plug-in -> Gemini's word for it."""


# --- answers ------------------------------------------------------------------------------------------------------


class _Answer:
    """What google-genai's answers can also do."""

    def model_dump(self, *, exclude_none: bool = False) -> dict[str, Any]:
        """Plain values, by snake_case name."""
        fields: dict[str, Any] = asdict(self)  # type: ignore[call-overload]  # every subclass is a dataclass
        return _without_none(fields) if exclude_none else fields

    def model_dump_json(self, *, exclude_none: bool = False) -> str:
        """`model_dump` as JSON text."""
        return json.dumps(self.model_dump(exclude_none=exclude_none), ensure_ascii=False)


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_none(item) for item in value]
    return value


@dataclass(frozen=True, slots=True)
class ModalityTokenCount(_Answer):
    """Tokens of one modality."""

    modality: str
    """TEXT, IMAGE, AUDIO, VIDEO or DOCUMENT."""
    token_count: int


@dataclass(frozen=True, slots=True)
class ContentEmbeddingStatistics(_Answer):
    """What one vector was made of."""

    truncated: bool
    """True when the input was longer than the model reads, so its end was left out."""
    token_count: int
    tokens_details: list[ModalityTokenCount]


@dataclass(frozen=True, slots=True)
class ContentEmbedding(_Answer):
    """One vector."""

    values: list[float]
    """Unit length."""
    statistics: ContentEmbeddingStatistics


@dataclass(frozen=True, slots=True)
class UsageMetadata(_Answer):
    """Tokens of the whole call."""

    prompt_token_count: int
    total_token_count: int
    prompt_tokens_details: list[ModalityTokenCount]


@dataclass(frozen=True, slots=True)
class EmbedContentResponse(_Answer):
    """Vectors of one call, in the order of its contents."""

    embeddings: list[ContentEmbedding]
    usage_metadata: UsageMetadata


@dataclass(frozen=True, slots=True)
class CountTokensResponse(_Answer):
    """Tokens that contents would take."""

    total_tokens: int
    """What the model would read, truncation included."""
    prompt_tokens_details: list[ModalityTokenCount]


@dataclass(frozen=True, slots=True)
class Model(_Answer):
    """The card of a model."""

    name: str
    """`models/<name>`."""
    display_name: str
    description: str
    version: str
    input_token_limit: int
    output_token_limit: int
    supported_actions: list[str]


class ModelList(list[Model]):
    """Models; `for` and `async for` both work, as on google-genai's pagers."""

    async def __aiter__(self) -> AsyncIterator[Model]:
        for model in self:
            yield model


# --- options ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EmbedConfig:
    """The options of `embed_content` that mean something in process."""

    output_dimensionality: int | None = None
    task_type: Task | None = None
    title: str | None = None
    auto_truncate: bool = True

    @classmethod
    def parse(cls, config: Any) -> EmbedConfig:
        """Read a dict of either spelling or google-genai's `EmbedContentConfig`; None is all defaults.

        Raises:
            InvalidInput: an option that is unknown, cannot be kept, or has a value of the wrong type.
        """
        if config is None or isinstance(config, cls):
            return config or cls()
        options = record(config)
        if options is None:
            raise InvalidInput(f"config is a dict or an EmbedContentConfig, not {type(config).__name__}")
        known = list(cls.__dataclass_fields__)
        if unknown := [f"`{name}`" for name in options if name not in known]:
            raise InvalidInput(f"config has {', '.join(unknown)}, which does nothing here: use {', '.join(known)}")
        options["task_type"] = _read_task(options)
        if not isinstance(options.get("auto_truncate", True), bool):
            raise InvalidInput(f"`auto_truncate` is True or False, not {options['auto_truncate']!r}")
        return cls(**options)


def _read_task(options: Mapping[str, Any]) -> Task | None:
    """The task; a title alone makes it a document, and goes with nothing else."""
    title = options.get("title")
    if title is not None and not isinstance(title, str):
        raise InvalidInput(f"`title` is text, not {type(title).__name__}")
    named = options.get("task_type")
    task = tasks.parse_task(getattr(named, "value", named))
    if title is None:
        return task
    if task not in (None, Task.SEARCH_DOCUMENT):
        raise InvalidInput(f"`title` belongs to task_type RETRIEVAL_DOCUMENT, not to `{task}`: leave one of them out")
    return Task.SEARCH_DOCUMENT


def merges(model: str) -> bool:
    """Whether a list of strings and parts is one content under this model name. Source: google-genai 3.4.0."""
    last = model.rsplit("/", 1)[-1]
    return "gemini" in last and not last.startswith(_NOT_MERGING)


def gather(contents: Any, *, is_merging: bool) -> list[Content]:
    """Contents of a call, one vector each.

    A run of strings and parts in a list becomes one content where names merge; a `Content` or an inner list is a
    content of its own always. (google-genai 3.4.0 moves a content given as a dict before the run that it ends;
    here the order stays.)

    Raises:
        EmptyInput: nothing there.
        InvalidInput: an entry is no content; the message starts with its index.
    """
    if contents is None:
        raise EmptyInput("contents are required: a string, a part, a content, or a list of them")
    if not is_many(contents):
        return [as_content(contents)]
    found: list[Content] = []
    run: list[Content] = []
    for place, item in enumerate(contents):
        content = _entry(place, item)
        if is_merging and _is_part(item):
            run.append(content)
        else:
            found += _merged(run)
            run = []
            found.append(content)
    found += _merged(run)
    if not found:
        raise EmptyInput("contents are required, and this list is empty")
    return found


def _entry(place: int, item: Any) -> Content:
    try:
        return as_content(item)
    except InvalidInput as error:
        raise error.at(place) from None


def _is_part(item: Any) -> bool:
    fields = record(item)
    is_content = isinstance(item, (Content, list, tuple)) or (fields is not None and "parts" in fields)
    return not is_content


def _merged(run: Sequence[Content]) -> list[Content]:
    return [Content(*(part for content in run for part in content.parts))] if run else []


# --- the client ---------------------------------------------------------------------------------------------------


class Client:
    """Gemini's client without Gemini: `client.models.embed_content(model=..., contents=..., config=...)`.

    Thread-safe. Models are loaded when they are first used. `close`, or leaving a `with`, ends the threads.

    Args:
        model: what Gemini's own names (`gemini-embedding-2`) stand for.
        cache: where vectors are looked up first; off by default. The caller closes it.
        api_key: taken so that moved code runs unchanged; nothing is asked for a key here.

    Raises:
        NotFound: no model has this name.
    """

    def __init__(
        self, *, model: str = DEFAULT_MODEL, cache: VectorCache | None = None, api_key: str | None = None
    ) -> None:
        del api_key
        self.models = Models(registry.info(model).name, cache)
        """Embedding, counting, and the list of models."""
        self.aio = AsyncClient(self.models)
        """The same, to be awaited."""

    def close(self) -> None:
        """End the threads; the models stay for others in the process. Calling it twice is fine."""
        self.models.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Models:
    """`client.models`."""

    def __init__(self, default: str, cache: VectorCache | None) -> None:
        self._default = default
        self._cache = cache
        self._embedders: dict[str, Embedder] = {}
        self._lock = threading.Lock()

    def embed_content(self, *, model: str, contents: Any, config: Any = None) -> EmbedContentResponse:
        """Embed contents.

        Args:
            model: name of a model here, or one of Gemini's, which stands for the client's default. It also decides
                how a list is read; see the head of this file.
            contents: string, part, content, PIL picture, or a list of them; ours, google-genai's, or dicts.
            config: `output_dimensionality`, `task_type`, `title`, `auto_truncate`; a dict or google-genai's object.

        Raises:
            NotFound: no model has this name.
            InvalidInput: an input or an option is wrong; the message names it.
            TooLarge: `auto_truncate` is False and an input is longer than the model reads.
        """
        options = EmbedConfig.parse(config)
        embedder = self._embedder(model)
        wanted = [_titled(c, options.title) for c in gather(contents, is_merging=merges(model))]
        if not options.auto_truncate:
            _refuse_long(embedder, wanted, options.task_type)
        found = embedder.embed_detailed(wanted, options.output_dimensionality, options.task_type)
        usage = _details(e.usage for e in found)
        total = sum(e.n_tokens for e in found)
        return EmbedContentResponse([_answer(e) for e in found], UsageMetadata(total, total, usage))

    def count_tokens(self, *, model: str, contents: Any, config: Any = None) -> CountTokensResponse:
        """Tokens that contents would take; a list of strings and parts is one content, as in google-genai.

        Raises:
            InvalidInput: an input is wrong, or there is a config: nothing in it could be kept.
        """
        if record(config):
            raise InvalidInput("count_tokens takes no config here: leave it out")
        found = self._embedder(model).count_tokens(gather(contents, is_merging=True))
        return CountTokensResponse(sum(f.n_tokens for f in found), _details(f.usage for f in found))

    def list(self, *, config: Any = None) -> ModelList:
        """Every model that can be used here.

        Raises:
            InvalidInput: there is a config: the list comes in one page.
        """
        if record(config):
            raise InvalidInput("the list of models takes no config here: it comes in one page")
        return ModelList(_card(info) for info in registry.list_models())

    def get(self, *, model: str) -> Model:
        """The card of one model; Gemini's names give the card of the model that they stand for."""
        return _card(self._embedder(model).info)

    def close(self) -> None:
        """End the threads of every model's Embedder. Calling it twice is fine."""
        with self._lock:
            embedders, self._embedders = list(self._embedders.values()), {}
        for embedder in embedders:
            embedder.close()

    def _embedder(self, model: Any) -> Embedder:
        if not isinstance(model, str) or not model.strip():
            raise NotFound(f"model is a name such as `{self._default}`, not {model!r}")
        name = model.strip().rsplit("/", 1)[-1] if model.startswith(("publishers/", "projects/")) else model.strip()
        if name.removeprefix("models/") in GEMINI_NAMES:
            name = self._default
        with self._lock:
            if name not in self._embedders:
                self._embedders[name] = Embedder(name, cache=self._cache)
            return self._embedders[name]


class AsyncClient:
    """`client.aio`: the same calls, run on a thread so that the event loop goes on."""

    def __init__(self, models: Models) -> None:
        self.models = AsyncModels(models)
        """Embedding, counting, and the list of models."""

    async def aclose(self) -> None:
        """End the threads, as `Client.close`."""
        await self.models.aclose()


class AsyncModels:
    """`client.aio.models`; arguments, answers and errors as `Models`."""

    def __init__(self, models: Models) -> None:
        self._models = models

    async def embed_content(self, *, model: str, contents: Any, config: Any = None) -> EmbedContentResponse:
        """See `Models.embed_content`."""
        return await asyncio.to_thread(self._models.embed_content, model=model, contents=contents, config=config)

    async def count_tokens(self, *, model: str, contents: Any, config: Any = None) -> CountTokensResponse:
        """See `Models.count_tokens`."""
        return await asyncio.to_thread(self._models.count_tokens, model=model, contents=contents, config=config)

    async def list(self, *, config: Any = None) -> ModelList:
        """See `Models.list`."""
        return await asyncio.to_thread(self._models.list, config=config)

    async def get(self, *, model: str) -> Model:
        """See `Models.get`."""
        return await asyncio.to_thread(self._models.get, model=model)

    async def aclose(self) -> None:
        """See `Models.close`."""
        await asyncio.to_thread(self._models.close)


def _titled(content: Content, title: str | None) -> Content:
    return content if title is None or content.title is not None else Content(*content.parts, title=title)


def _refuse_long(embedder: Embedder, contents: Sequence[Content], task: Task | None) -> None:
    for place, features in enumerate(embedder.count_tokens(contents, task)):
        if features.truncated:
            limit = embedder.info.max_tokens
            raise TooLarge(
                f"longer than the {limit} tokens that `{embedder.info.name}` reads, and `auto_truncate` is False"
            ).at(place)


def _answer(found: Embedding) -> ContentEmbedding:
    statistics = ContentEmbeddingStatistics(found.truncated, found.n_tokens, _details([found.usage]))
    return ContentEmbedding([float(x) for x in found.values], statistics)


def _details(usages: Iterable[Mapping[str, int]]) -> list[ModalityTokenCount]:
    """Tokens by modality over several inputs, in the order of their first appearance."""
    total: dict[str, int] = {}
    for usage in usages:
        for modality, n_tokens in usage.items():
            total[modality] = total.get(modality, 0) + n_tokens
    return [ModalityTokenCount(MODALITY_WORDS.get(name, name.upper()), n) for name, n in total.items()]


def _card(info: ModelInfo) -> Model:
    return Model(
        name=f"models/{info.name}",
        display_name=info.name,
        description=info.description,
        version=info.revision,
        input_token_limit=info.max_tokens,
        output_token_limit=1,
        supported_actions=["embedContent", "countTokens"],
    )
