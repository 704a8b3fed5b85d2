"""`gemini:MODEL`: Google's embedding service, through google-genai (extra `[gemini]`). Contents leave this machine.

The key stands in `GOOGLE_API_KEY` or `GEMINI_API_KEY`; `GOOGLE_GEMINI_BASE_URL` names another server of the same kind,
whose vectors count as those of another model. One content is one request of a batch, so one vector.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from onesense.engine.tasks import GEMINI_PROMPTS
from onesense.errors import BackendError, InvalidInput, MissingExtra, MissingKey, NotFound, OnesenseError, TooLarge
from onesense.types import Array, Batch, Content, Features, ModelInfo, Price

from ._remote import answers, calls
from ._remote.answers import Sent
from ._remote.pieces import Piece, encode, features

KEYS = ("GOOGLE_API_KEY", "GEMINI_API_KEY")
"""Where the key stands; the first that is set, as in google-genai."""
BASE_URL = "GOOGLE_GEMINI_BASE_URL"
SERVICE = "Google's service"

MAX_REQUESTS = 100  # contents of a batch call; above, Google answers 400
MAX_BYTES = 14 * 1024**2  # of files in a call: under 20 MB as base64, the older pages' limit of a whole request
MAX_IMAGES = 6  # of a content; this and the next three: ai.google.dev/gemini-api/docs/embeddings
MAX_PAGES = 6
MAX_AUDIO_S = 180.0
MAX_VIDEO_S = 120.0
CALLS_AT_ONCE = 4
MIMES = frozenset(
    {"image/png", "image/jpeg", "audio/mpeg", "audio/wav", "video/mp4", "video/quicktime", "application/pdf"}
)
_WORDS = {"TEXT": "text", "IMAGE": "image", "AUDIO": "audio", "VIDEO": "video", "DOCUMENT": "pdf"}
_OTHERWISE = ("gemini-embedding-001", "gemini-embedding-exp", "embedding-001", "text-embedding-004")
"""Models that are told their task by `taskType` and read text only."""

_RECORD = ModelInfo(
    name="gemini:gemini-embedding-2",
    revision="2",
    licence="Google's terms of service",
    modalities=frozenset(_WORDS.values()),
    dim=3072,
    mrl_dims=(3072, 1536, 768),
    max_tokens=8_192,
    description="Google's service: text, pictures, sound, video and PDF; contents leave this machine, and cost money",
    prompts=GEMINI_PROMPTS,
    dtype_class="service",
    image_side=768,
    is_remote=True,
    price=Price(
        # A page is read as a picture of it (258 tokens), and has no price of its own.
        {"text": 0.20, "image": 0.45, "audio": 6.50, "video": 12.00, "pdf": 0.45},
        as_of="2026-11-23",
        source="https://ai.google.dev/gemini-api/docs/pricing",
    ),
    batch_tokens=MAX_REQUESTS * 8_192,
)
"""Of the stable model. Source: ai.google.dev/gemini-api/docs/models/gemini-embedding-2."""

_asked: dict[tuple[str, str], ModelInfo] = {}
_asking = threading.Lock()

_Out = TypeVar("_Out")


class Backend:
    """A model of the service. Thread-safe; the connection lives until `close`.

    Args:
        model: its name at Google, such as `gemini-embedding-2`.

    Raises:
        MissingExtra: google-genai is not installed.
        MissingKey: no key is set.
        NotFound: the service has no such model.
    """

    def __init__(self, model: str) -> None:
        self.info = self.describe(model)
        self._model = model
        self._client: Any = _connect()
        self._calls = ThreadPoolExecutor(CALLS_AT_ONCE, thread_name_prefix="onesense-gemini")

    @classmethod
    def catalogue(cls) -> Mapping[str, ModelInfo | OnesenseError]:
        """The stable model, or why it cannot be used here."""
        return {_RECORD.name: _obstacle() or cls.describe(_RECORD.name.partition(":")[2])}

    @classmethod
    def describe(cls, model: str) -> ModelInfo:
        """The record of a model: known for `gemini-embedding-2`; the service is asked once about any other.

        Raises:
            NotFound: the service has no such model, or it is told its task otherwise.
            MissingKey: the service has to be asked, and no key is set.
        """
        if model.startswith(_OTHERWISE):
            raise NotFound(f"`gemini:{model}` is told its task otherwise and is not offered: use `{_RECORD.name}`")
        known = replace(_RECORD, revision=_RECORD.revision + _elsewhere())
        if known.name == f"gemini:{model}":
            return known
        with _asking:
            place = (model, os.environ.get(BASE_URL, ""))
            if place not in _asked:
                _asked[place] = _ask_about(model, known)
            return _asked[place]

    def prepare(self, content: Content) -> Features:
        """Encode the parts. Tokens are estimated; the service counts those of a text that could be too long.

        Raises:
            TooLarge: more pictures, pages, seconds or bytes than the service reads in one content.
            InvalidInput: a part cannot be decoded.
        """
        pieces = encode(content, self.info, MIMES)
        _check(pieces)
        sent = Sent(pieces)
        estimate = features(pieces, sent, self.info.max_tokens)
        n_letters = sum(len(piece.text.encode()) for piece in pieces)  # no tokeniser makes more tokens than bytes
        if n_letters <= self.info.max_tokens:
            return estimate
        found = self._ask(lambda: self._client.models.count_tokens(model=self._model, contents=_content(pieces)))
        n_tokens = found.total_tokens or estimate.n_tokens
        usage = answers.scaled(estimate.usage, min(n_tokens, self.info.max_tokens))
        return Features(sent, sum(usage.values()), usage, n_tokens > self.info.max_tokens)

    def embed(self, batch: Batch) -> Array:
        """Float32 [B, D], in the order of the batch; the payloads take note of the tokens that the service tells."""
        self._refuse_closed()
        found = list(self._calls.map(self._embed_call, list(_grouped(batch.features))))
        return np.concatenate(found)

    def metered(self, features: Features) -> Features:
        """The features with the tokens that the service told."""
        return answers.metered(features)

    def close(self) -> None:
        """End the connection. Calling it twice is fine."""
        client, self._client = self._client, None
        self._calls.shutdown()
        if client is not None:
            client.close()

    def _embed_call(self, items: Sequence[Features]) -> Array:
        from google.genai import types

        contents = [_content(item.payload.pieces) for item in items]
        config = types.EmbedContentConfig(output_dimensionality=self.info.dim)
        answer = self._ask(
            lambda: self._client.models.embed_content(model=self._model, contents=contents, config=config)
        )
        vectors = [e.values for e in answer.embeddings or ()]
        found = answers.rows(vectors, len(items), self.info.dim, SERVICE)
        _note_usage(items, answer)
        return found

    def _ask(self, call: Callable[[], _Out]) -> _Out:
        self._refuse_closed()
        return _ask(call)

    def _refuse_closed(self) -> None:
        if self._client is None:
            raise BackendError(f"`{self.info.name}` is closed")


def _ask(call: Callable[[], _Out]) -> _Out:
    return calls.retried(lambda: _once(call), SERVICE + _elsewhere(), _key_setting())


def _once(call: Callable[[], _Out]) -> _Out:
    """One call of google-genai, its faults as refusals."""
    from google.genai import errors

    try:
        return call()
    except errors.APIError as cause:
        headers = getattr(cause.response, "headers", None) or {}
        delay_s = calls.google_delay_s(cause.details) or calls.retry_after_s(headers)
        is_about_key = "API_KEY_INVALID" in str(cause.details) or "API key not valid" in str(cause.message)
        message = cause.message or cause.status or "no reason"
        raise calls.Refusal(cause.code, message, retry_after_s=delay_s, is_about_key=is_about_key) from cause
    except calls.network_faults() as cause:
        raise calls.unreached(cause) from cause
    except ValueError as cause:  # no JSON, or not of this shape
        raise calls.not_understood(SERVICE + _elsewhere(), cause) from cause


def _connect() -> Any:
    obstacle = _obstacle()
    if obstacle is not None:
        raise obstacle
    from google import genai
    from google.genai import types

    options = types.HttpOptions(timeout=round(1_000 * calls.timeout_s()), base_url=os.environ.get(BASE_URL) or None)
    try:
        return genai.Client(vertexai=False, api_key=os.environ[_key_setting()], http_options=options)
    except ValueError as cause:
        raise InvalidInput(f"google-genai cannot be set up: {cause}") from cause


def _obstacle() -> OnesenseError | None:
    from importlib.util import find_spec

    if find_spec("google") is None or find_spec("google.genai") is None:
        return MissingExtra("Google's models need google-genai: install `onesense[gemini]`")
    if not os.environ.get(_key_setting()):
        return MissingKey(f"Google's models need a key: put it into the environment variable `{KEYS[1]}`")
    return None


def _key_setting() -> str:
    return next((name for name in KEYS if os.environ.get(name)), KEYS[1])


def _elsewhere() -> str:
    """` at URL` where the base address is not Google's: other weights may answer there."""
    url = os.environ.get(BASE_URL, "").strip().rstrip("/")
    return f" at {url}" if url and "generativelanguage.googleapis.com" not in url else ""


def _ask_about(model: str, like: ModelInfo) -> ModelInfo:
    """The record of a model that is not known here: its card, and the size of a vector."""
    from google.genai import types

    client = _connect()
    try:
        card = _ask(lambda: client.models.get(model=model))
        answer = _ask(
            lambda: client.models.embed_content(model=model, contents=[types.Content(parts=[types.Part(text="a")])])
        )
    finally:
        client.close()
    width = len((answer.embeddings[0].values if answer.embeddings else None) or ())
    if not width:
        raise NotFound(f"{SERVICE}{_elsewhere()} has a model `{model}`, but it gives no vectors")
    return replace(
        like,
        name=f"gemini:{model}",
        revision=(card.version or "unknown") + _elsewhere(),
        dim=width,
        mrl_dims=(width,),
        max_tokens=card.input_token_limit or like.max_tokens,
        description=card.description or "",
        price=None,
    )


def _check(pieces: Iterable[Piece]) -> None:
    """Refuse what the service would refuse, or cut without a word.

    Raises:
        TooLarge: the message names the limit and what to do.
    """
    limits: tuple[tuple[str, str, float, str], ...] = (
        ("image/", "pictures and pages", MAX_IMAGES, "give fewer at once"),
        ("application/pdf", "pages", MAX_PAGES, "choose some with `Part.pages`, or index the file: pages go singly"),
        ("audio/", "seconds of sound", MAX_AUDIO_S, "cut it with `start_s` and `end_s`, or index the file"),
        ("video/", "seconds of video", MAX_VIDEO_S, "cut it with `start_s` and `end_s`, or index the file"),
    )
    held = list(pieces)
    for kind, what, most, hint in limits:
        amount = sum(piece.amount for piece in held if piece.mime_type.startswith(kind))
        if amount > most:
            raise TooLarge(f"{amount:g} {what} in one content: {SERVICE} reads {most:g}; {hint}")
    if (n_bytes := sum(len(piece.data) + len(piece.text.encode()) for piece in held)) > MAX_BYTES:
        raise TooLarge(f"{n_bytes:,} bytes in one content: {SERVICE} takes {MAX_BYTES:,} at once; give it less")


def _grouped(items: Iterable[Features]) -> Iterator[list[Features]]:
    """Items that go in one call each."""
    group: list[Features] = []
    n_bytes = 0
    for item in items:
        if group and (len(group) == MAX_REQUESTS or n_bytes + item.payload.n_bytes > MAX_BYTES):
            yield group
            group, n_bytes = [], 0
        group.append(item)
        n_bytes += item.payload.n_bytes
    yield group


def _content(pieces: Iterable[Piece]) -> Any:
    """google-genai's Content: a request, and so a vector, of its own."""
    from google.genai import types

    return types.Content(
        parts=[
            types.Part.from_bytes(data=piece.data, mime_type=piece.mime_type)
            if piece.data
            else types.Part(text=piece.text)
            for piece in pieces
        ]
    )


def _note_usage(items: Sequence[Features], answer: Any) -> None:
    """Tokens as the service counts them: of each vector where it tells them, else of all together."""
    told = [embedding.statistics for embedding in answer.embeddings]
    if any(statistics is None or not statistics.token_count for statistics in told):
        total = getattr(answer, "usage_metadata", None)
        answers.share_usage(items, int(total.prompt_token_count or 0) if total is not None else 0)
        return
    for item, statistics in zip(items, told, strict=True):
        sent: Sent = item.payload
        sent.truncated = bool(statistics.truncated)
        details = getattr(statistics, "tokens_details", None) or ()
        usage = {
            _WORDS.get(str(getattr(d.modality, "value", d.modality)), "text"): int(d.token_count or 0) for d in details
        }
        n_tokens = int(statistics.token_count)
        sent.usage = usage if sum(usage.values()) == n_tokens else answers.scaled(item.usage, n_tokens)
