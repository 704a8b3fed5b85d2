"""The way of a request: contents -> prompts -> prepare -> batches -> model -> cut and unit length -> embeddings."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from onesense.errors import BackendError, InvalidInput, OnesenseError, UnsupportedModality
from onesense.types import Array, Backend, Batch, Content, Embedding, Explaining, Features, Metered, ModelInfo, Task
from onesense.vectors import check_dim, truncate_normalize

from . import batcher, models, pieces, tasks
from .cache import Cached, VectorCache, cache_key
from .faults import guarded
from .inputs import as_content, is_many
from .models import DEFAULT_MODEL, Loaded

if TYPE_CHECKING:
    from onesense.media.sandbox import Sandbox

Outcome = Embedding | OnesenseError
"""What became of one input."""

WINDOW_WEIGHT = 1_024  # texts prepared before they are packed; packing pays from about this many, BENCHMARKS.md B4
MEDIA_WEIGHT = 32  # one prepared picture or clip counts as so many texts, so 32 of them are in memory at once
_MAX_WORKERS = 4  # threads that decode; more only fight with the model for the cores

_In = TypeVar("_In")
_Out = TypeVar("_Out")


@dataclass(frozen=True, slots=True)
class Prepared:
    """One input on its way: ready for the model, or answered by the cache."""

    features: Features | None = None
    cached: Cached | None = None
    key: str | None = None

    @property
    def n_tokens(self) -> int:
        """Tokens that the model has to read for it, 0 where the cache knows the answer."""
        return 0 if self.features is None else self.features.n_tokens

    @property
    def is_truncated(self) -> bool:
        """Whether the end of the input is left out."""
        found = self.features or self.cached
        return found is not None and found.truncated


class Embedder:
    """Embeds contents with one model; numpy in the open, batched underneath.

    Thread-safe: inputs are decoded by a few threads of its own, the model embeds one batch at a time. The model is
    loaded at the first call and shared by all Embedders of its name in the process; `close` ends the threads and
    leaves the model for the others (`onesense.engine.models.close` frees it).

    Args:
        model: name of a model, or a `Backend` of your own, which then belongs to this Embedder and is closed with it.
        cache: where vectors are looked up first; off by default. The caller closes it.
        sandbox: processes that decode media; by default they are decoded in this one. The caller closes it.

    Raises:
        NotFound: no model has this name; the message lists those that exist.
    """

    def __init__(
        self,
        model: str | Backend = DEFAULT_MODEL,
        *,
        cache: VectorCache | None = None,
        sandbox: Sandbox | None = None,
    ) -> None:
        self._name = model if isinstance(model, str) else model.info.name
        self._own = None if isinstance(model, str) else Loaded(model)
        self.info: ModelInfo = models.info(model) if isinstance(model, str) else model.info
        """The model's record."""
        self._cache = cache
        self._sandbox = sandbox
        self._pool: ThreadPoolExecutor | None = None
        self._pool_lock = threading.Lock()
        self._is_closed = False

    def embed(self, contents: Any, dim: int | None = None, task: str | Task | None = None) -> Array:
        """Vectors of contents, as one array.

        Args:
            contents: one content or a list of them; each a `Content`, `Part`, str, or what `inputs.as_content` takes.
                A list entry is one vector, however many parts it has.
            dim: size of a vector, 1..info.dim; all of it by default.
            task: what the vectors are for, e.g. `search query`; see `Task`.

        Returns:
            float32 [n, dim], rows of unit length, in order; [1, dim] for a single content, [0, dim] for an empty list.

        Raises:
            InvalidInput: an input cannot be embedded; the message starts with its index, `contents[3]: ...`.
            BackendError: the model failed on an input; same.
        """
        found = [e.values for e in self.embed_detailed(contents, dim, task)]
        return np.stack(found) if found else np.zeros((0, dim or self.info.dim), np.float32)

    def embed_detailed(self, contents: Any, dim: int | None = None, task: str | Task | None = None) -> list[Embedding]:
        """As `embed`, with the tokens of each input and whether its end was left out."""
        many = is_many(contents)
        found: list[Embedding] = []
        for place, outcome in enumerate(self.stream(contents, dim, task)):
            if isinstance(outcome, OnesenseError):
                raise outcome.at(place) if many else outcome
            found.append(outcome)
        return found

    def try_embed(self, contents: Any, dim: int | None = None, task: str | Task | None = None) -> list[Outcome]:
        """As `embed_detailed`, but an input that fails leaves its error in its place and the others go on."""
        return list(self.stream(contents, dim, task))

    def stream(self, contents: Any, dim: int | None = None, task: str | Task | None = None) -> Iterator[Outcome]:
        """As `try_embed`, one outcome at a time, for input without end.

        At most a window of inputs (`WINDOW_WEIGHT`) is taken from the iterable before its outcomes come out, so memory
        does not grow with their number.

        Raises:
            DimError: this model cannot give `dim` components.
            InvalidInput: the task is unknown, or the Embedder is closed. Faults of an input are outcomes.
        """
        wanted = self.info.dim if dim is None else dim
        check_dim(wanted, self.info.dim)
        purpose = tasks.parse_task(task)
        self._refuse_closed()
        items = contents if is_many(contents) else [contents]
        return chain.from_iterable(self._embed_window(window, wanted, purpose) for window in _windows(items))

    def count_tokens(self, contents: Any, task: str | Task | None = None) -> list[Features]:
        """Prepare without embedding: tokens by modality of each input, and whether it would be truncated.

        Raises:
            InvalidInput: an input cannot be read; the message starts with its index.
        """
        purpose = tasks.parse_task(task)
        self._refuse_closed()
        many = is_many(contents)
        found: list[Features] = []
        for window in _windows(contents if many else [contents]):
            for prepared in self._map(lambda item: self._prepare_features(item, purpose), window):
                if isinstance(prepared, OnesenseError):
                    raise prepared.at(len(found)) if many else prepared
                found.append(Features(None, prepared.n_tokens, prepared.usage, prepared.truncated))
        return found

    def prepare(self, item: Any, task: Task | None = None) -> Prepared:
        """The first half of `embed`, for callers that queue inputs themselves: look in the cache, decode, tokenise.

        Any thread may call it.

        Raises:
            InvalidInput: the input cannot be read.
            BackendError: the model failed on it, or its weights do not load.
        """
        if self._cache is None:
            return Prepared(self._prepare_features(item, task))
        content = tasks.apply(as_content(item), task, self.info)
        key = cache_key(content, task, self.info)
        if (cached := self._cache.get(key)) is not None:
            return Prepared(cached=cached, key=key)
        return Prepared(self._read(content), key=key)

    def embed_prepared(self, prepared: Sequence[Prepared | OnesenseError], dims: Sequence[int]) -> list[Outcome]:
        """The second half of `embed`: batches, model, cut and unit length.

        Any thread may call it; the model embeds one batch at a time.

        Args:
            prepared: from `prepare`; an error is the outcome of its place.
            dims: size of each vector, each in 1..info.dim.

        Returns:
            One outcome an input, in order.
        """
        places = [i for i, p in enumerate(prepared) if isinstance(p, Prepared) and p.features is not None]
        ready = [p.features for p in prepared if isinstance(p, Prepared) and p.features is not None]
        rows = dict(zip(places, self._run(ready), strict=True))
        return [self._finish(p, rows.get(i), dims[i]) for i, p in enumerate(prepared)]

    def regions(self, content: Content, vector: Array) -> Array:
        """How near each place of a picture is to a vector: float32 [h, w] cosines; see `types.Explaining`.

        Raises:
            UnsupportedModality: the model cannot tell places apart, or there is no picture in the content.
        """
        backend = self._loaded().backend
        if not isinstance(backend, Explaining):
            raise UnsupportedModality(f"`{self._name}` does not tell which part of a picture speaks for a vector")
        with guarded(self._name, "looking at the parts of this picture"):
            return backend.regions(content, vector)

    def close(self) -> None:
        """End the threads, and the backend if it was handed in. Calling it twice is fine."""
        with self._pool_lock:
            self._is_closed = True
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown()
        if self._own is not None:
            with self._own.lock:
                self._own.backend.close()

    def __enter__(self) -> Embedder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- one window ---------------------------------------------------------------------------------------------

    def _embed_window(self, window: Sequence[Any], dim: int, task: Task | None) -> list[Outcome]:
        prepared = self._map(lambda item: self.prepare(item, task), window)
        return self.embed_prepared(prepared, [dim] * len(prepared))

    def _prepare_features(self, item: Any, task: Task | None) -> Features:
        return self._read(tasks.apply(as_content(item), task, self.info))

    def _read(self, content: Content) -> Features:
        backend = self._loaded().backend
        if self._sandbox is not None:
            content = pieces.decoded(content, self.info, self._sandbox)
        with guarded(self._name, "reading this input"):
            return backend.prepare(content)

    def _run(self, ready: Sequence[Features]) -> list[Array | OnesenseError]:
        return batcher.run(self._embed_batch, ready, self.info.batch_tokens or batcher.BUDGET_TOKENS)

    def _embed_batch(self, batch: Batch) -> Array:
        """Rows of one batch, checked.

        Raises:
            BackendError: the model failed, or what it answered is no float32 [B, D].
        """
        loaded = self._loaded()
        with loaded.lock, guarded(self._name, f"embedding {len(batch)} inputs"):
            rows = np.asarray(loaded.backend.embed(batch))
        expected = (len(batch), self.info.dim)
        if rows.shape != expected or rows.dtype != np.float32:
            raise BackendError(f"`{self._name}` answered {rows.dtype} {rows.shape} where float32 {expected} was due")
        return rows

    def _finish(self, prepared: Prepared | OnesenseError, row: Array | OnesenseError | None, dim: int) -> Outcome:
        """Cut and normalise one answer, and keep it in the cache."""
        if isinstance(prepared, OnesenseError):
            return prepared
        if isinstance(row, OnesenseError):
            return row
        try:
            found = prepared.cached or self._checked(prepared, row)
            values = truncate_normalize(found.row, dim)
        except OnesenseError as error:
            return error
        return Embedding(values, sum(found.usage.values()), found.usage, found.truncated, found.words)

    def _checked(self, prepared: Prepared, row: Array | None) -> Cached:
        features = prepared.features
        if features is None or row is None or not np.isfinite(row).all():
            raise BackendError(f"`{self._name}` answered a vector with NaN or infinity for this input")
        if self.info.is_remote and isinstance(backend := self._loaded().backend, Metered):
            features = backend.metered(features)
        usage = features.usage or {"text": features.n_tokens}
        words = "\n".join(layer.text for layer in features.layers if layer.text)
        found = Cached(row, usage, features.truncated, words)
        if self._cache is not None and prepared.key is not None:
            self._cache.put(prepared.key, replace(found, row=row.copy()))
        return found

    # --- machinery ----------------------------------------------------------------------------------------------

    def _loaded(self) -> Loaded:
        return self._own or models.acquire(self._name)

    def _refuse_closed(self) -> None:
        if self._is_closed:
            raise InvalidInput("this Embedder is closed: make a new one")

    def _map(self, work: Callable[[_In], _Out], items: Sequence[_In]) -> list[_Out | OnesenseError]:
        """Do `work` on every item, several at a time, in order; an `OnesenseError` is the answer of its item."""

        def attempt(item: _In) -> _Out | OnesenseError:
            try:
                return work(item)
            except OnesenseError as error:
                return error

        if len(items) == 1:
            return [attempt(items[0])]
        return list(self._threads().map(attempt, items))

    def _threads(self) -> ThreadPoolExecutor:
        with self._pool_lock:
            if self._is_closed:
                raise InvalidInput("this Embedder was closed while it was working")
            if self._pool is None:
                n_workers = min(_MAX_WORKERS, os.cpu_count() or 1)
                self._pool = ThreadPoolExecutor(n_workers, thread_name_prefix="onesense-prepare")
            return self._pool


def _windows(items: Iterable[Any]) -> Iterator[list[Any]]:
    """Group inputs so that what is prepared at once stays small: many texts, few pictures or clips."""
    window: list[Any] = []
    weight = 0
    for item in items:
        window.append(item)
        weight += 1 if _is_light(item) else MEDIA_WEIGHT
        if weight >= WINDOW_WEIGHT:
            yield window
            window, weight = [], 0
    if window:
        yield window


def _is_light(item: Any) -> bool:
    if isinstance(item, Content):
        return all(isinstance(part.value, str) for part in item.parts)
    return isinstance(item, str)
