"""`http://HOST/v1#MODEL`: any server of OpenAI's `/v1/embeddings`, as vLLM, TEI, Ollama, LM Studio and llama.cpp are.

Behind the model's name there may be options, `#MODEL,media=image+video,dim=1024`:

- `media`: what the server takes beside text, as vLLM does in chat messages: image, audio, video, pdf (its pages as
  pictures with their text). One content is one conversation, then texts too, so that all go through one template.
- `dim`: the size to ask for, where the server has `dimensions`.
- `width`: the size that comes; written into the name when the server was asked, so that the record needs no server.
- `max_tokens`: the longest text, 8,192 by default; more is cut here, by an estimate of 4 bytes a token.

The key stands in `ONESENSE_HTTP_KEY`. Redirects are not followed: they would take the key elsewhere.
"""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, ClassVar
from urllib.parse import urlsplit

import numpy as np

from onesense.errors import BackendError, InvalidInput, OnesenseError
from onesense.types import Array, Batch, Content, Features, ModelInfo

from ._remote import answers, calls
from ._remote.answers import Sent
from ._remote.pieces import Piece, cut_text, encode, features, text_tokens

KEY = "ONESENSE_HTTP_KEY"
MAX_TEXTS = 32  # of a call: what TEI takes by default (`--max-client-batch-size`)
MAX_TOKENS = 8_192
CALLS_AT_ONCE = 4
MIMES = frozenset({"image/png", "image/jpeg", "audio/wav", "video/mp4"})
_MEDIA = ("image", "audio", "video", "pdf")
_EXAMPLE = "`http://localhost:8000/v1#NAME-OF-THE-MODEL`"

_widths: dict[tuple[str, str], int] = {}
_asking = threading.Lock()


@dataclass(frozen=True, slots=True)
class Address:
    """What a name says, read."""

    url: str
    """Where vectors are asked for."""
    base: str
    """The address as it was given, with its scheme, without `#`."""
    model: str
    media: tuple[str, ...] = ()
    dim: int | None = None
    width: int | None = None
    max_tokens: int = MAX_TOKENS

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read `http://HOST/v1#MODEL,option=value`.

        Raises:
            InvalidInput: it is no such address, or an option is wrong.
        """
        base, _, named = text.partition("#")
        model, *options = named.split(",")
        try:
            split = urlsplit(base)
            is_whole = bool(split.hostname and model.strip()) and split.port != 0
        except ValueError:  # brackets without an address between them, a port that is no number
            is_whole = False
        if not is_whole:
            raise InvalidInput(f"`{text}` is no address of a model: write it as {_EXAMPLE}")
        if split.username or split.password:
            raise InvalidInput(f"put the key into `{KEY}`: what stands in an address is kept with every collection")
        path = split.path.rstrip("/") or "/v1"
        url = split._replace(path=path if path.endswith("/embeddings") else f"{path}/embeddings").geturl()
        return cls(url, base.rstrip("/"), model.strip(), **_options(options))

    @property
    def name(self) -> str:
        """The name that says all of it."""
        said: dict[str, object] = {"media": "+".join(self.media), "dim": self.dim}
        said["width"] = None if self.dim else self.width
        said["max_tokens"] = None if self.max_tokens == MAX_TOKENS else self.max_tokens
        return ",".join([f"{self.base}#{self.model}", *(f"{key}={value}" for key, value in said.items() if value)])


class Backend:
    """A model behind an address. Thread-safe; the connection lives until `close`.

    Args:
        model: the address without its scheme.

    Raises:
        InvalidInput: it is no address of a model.
        Unavailable: nobody answers there.
    """

    scheme: ClassVar[str] = "http"

    def __init__(self, model: str) -> None:
        self.info = self.describe(model)
        self._address = Address.parse(self.info.name)
        self._client: Any = _connect()
        self._calls = ThreadPoolExecutor(CALLS_AT_ONCE, thread_name_prefix="onesense-http")

    @classmethod
    def catalogue(cls) -> Mapping[str, ModelInfo | OnesenseError]:
        """Nothing: which servers there are, only their users know."""
        return {}

    @classmethod
    def describe(cls, model: str) -> ModelInfo:
        """The record of the model at an address; the server is asked once for the size where the name tells none.

        Raises:
            InvalidInput: it is no address of a model.
            Unavailable: nobody answers there.
        """
        address = Address.parse(f"{cls.scheme}:{model}")
        width = address.dim or address.width or _ask_width(address)
        return ModelInfo(
            name=replace(address, width=width).name,
            revision="unpinned",
            licence="as its server says",
            modalities=frozenset({"text", *address.media}),
            dim=width,
            mrl_dims=(width,),
            max_tokens=address.max_tokens,
            description=f"{address.model}, asked at {address.url}; contents go there",
            dtype_class="service",
            image_side=768,
            is_remote=True,
            batch_tokens=MAX_TEXTS * CALLS_AT_ONCE * address.max_tokens,
        )

    def prepare(self, content: Content) -> Features:
        """Encode the parts; tokens are estimated, and text beyond the longest is cut.

        Raises:
            UnsupportedModality: the name does not say that the server takes this.
            InvalidInput: a part cannot be decoded.
        """
        found = encode(content, self.info, MIMES)
        kept = _cut(found, self.info.max_tokens)
        sent = Sent(tuple(kept))
        return replace(features(sent.pieces, sent, self.info.max_tokens), truncated=sent.pieces != found)

    def embed(self, batch: Batch) -> Array:
        """Float32 [B, D], in the order of the batch; the payloads take note of the tokens that the server tells."""
        if self._client is None:
            raise BackendError(f"`{self.info.name}` is closed")
        size = 1 if self._address.media else MAX_TEXTS
        items = batch.features
        groups = [items[at : at + size] for at in range(0, len(items), size)]
        return np.concatenate(list(self._calls.map(self._embed_call, groups)))

    def metered(self, features: Features) -> Features:
        """The features with the tokens that the server told."""
        return answers.metered(features)

    def close(self) -> None:
        """End the connection. Calling it twice is fine."""
        client, self._client = self._client, None
        self._calls.shutdown()
        if client is not None:
            client.close()

    def _embed_call(self, items: Sequence[Features]) -> Array:
        asked = _body(self._address, [item.payload.pieces for item in items])
        body = _post(self._client, self._address, asked)
        entries = _entries(body, self._address)
        found = answers.rows([e.get("embedding") for e in entries], len(items), self.info.dim, self._address.url)
        answers.share_usage(items, _prompt_tokens(body))
        for item, entry in zip(items, entries, strict=True):
            item.payload.truncated = entry.get("truncated") is True  # `onesense serve` says so
        return found


def _options(given: Iterable[str]) -> dict[str, Any]:
    """`dim=1024`, `media=image+video` as fields of an `Address`."""
    found: dict[str, Any] = {}
    for option in given:
        key, _, value = option.partition("=")
        match key.strip():
            case "media":
                found["media"] = tuple(sorted(set(value.split("+"))))
                if unknown := [name for name in found["media"] if name not in _MEDIA]:
                    raise InvalidInput(f"`media` is of {'+'.join(_MEDIA)}, not `{unknown[0]}`")
            case "dim" | "width" | "max_tokens" as name:
                if not value.isascii() or not value.isdecimal() or not int(value):
                    raise InvalidInput(f"`{name}` is a whole number above 0, not `{value}`")
                found[name] = int(value)
            case other:
                raise InvalidInput(
                    f"behind the model there may be `media`, `dim`, `width`, `max_tokens`, not `{other}`"
                )
    return found


def _ask_width(address: Address) -> int:
    """Numbers in a vector of this model, asked once in a process."""
    with _asking:
        key = (address.url, f"{address.model},{address.media}")
        if key not in _widths:
            client = _connect()
            try:
                body = _post(client, address, _body(address, [(Piece("text", 1, text="a"),)]))
            finally:
                client.close()
            vectors = [entry.get("embedding") for entry in _entries(body, address)]
            width = len(vectors[0]) if vectors and isinstance(vectors[0], list) else 0
            _widths[key] = answers.rows(vectors, 1, width, address.url).shape[1]
        return _widths[key]


def _connect() -> Any:
    import httpx2

    return httpx2.Client(timeout=calls.timeout_s(), follow_redirects=False)


def _cut(pieces: Iterable[Piece], max_tokens: int) -> Iterator[Piece]:
    """The pieces, and of their texts what is within the limit."""
    left = max_tokens
    for piece in pieces:
        if piece.text and piece.n_tokens > left:
            text = cut_text(piece.text, left)
            piece = replace(piece, text=text, n_tokens=text_tokens(text))
        if piece.data or piece.text:
            yield piece
        left = max(0, left - piece.n_tokens)


def _body(address: Address, contents: Sequence[tuple[Piece, ...]]) -> dict[str, Any]:
    """A request for vectors: of texts, or of one conversation where the model reads media."""
    asked: dict[str, Any] = {"model": address.model, "encoding_format": "float"}
    if address.dim:
        asked["dimensions"] = address.dim
    if address.media:
        (pieces,) = contents
        return asked | {"messages": [{"role": "user", "content": [_chat_part(piece) for piece in pieces]}]}
    return asked | {"input": ["\n".join(piece.text for piece in pieces) for pieces in contents]}


def _chat_part(piece: Piece) -> dict[str, Any]:
    """A part of a chat message. Source: OpenAI's chat API; `video_url` is vLLM's."""
    if not piece.data:
        return {"type": "text", "text": piece.text}
    data = base64.b64encode(piece.data).decode()
    kind = piece.mime_type.partition("/")[0]
    if kind == "audio":
        return {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
    return {"type": f"{kind}_url", f"{kind}_url": {"url": f"data:{piece.mime_type};base64,{data}"}}


def _post(client: Any, address: Address, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """The answer, a JSON object.

    Raises:
        OnesenseError: it could not be had; see `calls`.
    """
    return calls.retried(lambda: _post_once(client, address, asked), f"the server at {address.url}", KEY)


def _post_once(client: Any, address: Address, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    key = os.environ.get(KEY)
    try:
        answer = client.post(address.url, json=asked, headers={"Authorization": f"Bearer {key}"} if key else None)
    except calls.network_faults() as cause:
        raise calls.unreached(cause) from cause
    if answer.status_code != 200:
        raise calls.Refusal(
            answer.status_code, _message(answer.text), retry_after_s=calls.retry_after_s(answer.headers)
        )
    try:
        body = json.loads(answer.content)
    except ValueError as cause:
        raise calls.not_understood(address.url, answer.text or cause) from cause
    if not isinstance(body, dict):
        raise calls.not_understood(address.url, answer.text)
    return body


def _message(text: str) -> str:
    """What an error says: `error.message`, `message`, `detail`, or all of it."""
    try:
        body = json.loads(text)
    except ValueError:
        return text or "no reason"
    inner = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(inner, dict):
        inner = next((inner[key] for key in ("message", "detail", "error") if inner.get(key)), inner)
    return str(inner)


def _entries(body: Mapping[str, Any], address: Address) -> list[Mapping[str, Any]]:
    """The vectors of an answer, each in its object, in the order of the inputs, whatever order they came in.

    Raises:
        Unavailable: it is no answer with vectors.
        BackendError: two are for one input.
    """
    entries = body.get("data")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise calls.not_understood(address.url, json.dumps(body))
    places = [entry.get("index", place) for place, entry in enumerate(entries)]
    if sorted(map(str, places)) != sorted(map(str, range(len(entries)))):
        raise BackendError(f"{address.url} answered vectors number {places}, where one an input was due")
    return [entry for _, entry in sorted(zip(places, entries, strict=True), key=lambda e: int(e[0]))]


def _prompt_tokens(body: Mapping[str, Any]) -> int:
    usage = body.get("usage")
    told = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    return told if isinstance(told, int) else 0
