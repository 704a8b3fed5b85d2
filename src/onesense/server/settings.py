"""What can be set about a server. Nothing here reads the environment; the command line does."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from onesense.engine.client import GEMINI_NAMES
from onesense.engine.models import DEFAULT_MODEL
from onesense.errors import InvalidInput

from .access import ApiKey
from .openai_tokens import TokenTable

MIB = 1024**2


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """How much one request, one key, and all of them together may ask for."""

    max_body_bytes: int = 100 * MIB
    """Body of a JSON request; Google takes PDFs of 50 MB inline, and base64 adds a third."""
    max_file_bytes: int = 2 * 1024 * MIB
    """One uploaded file, as Google's Files API."""
    max_stored_bytes: int = 20 * 1024 * MIB
    """All uploaded files together, as Google's Files API."""
    file_ttl_s: float = 48 * 3600.0
    """Seconds until an uploaded file is deleted, as Google's Files API."""
    max_batch_items: int = 100
    """Contents in one batchEmbedContents, as Google's."""
    max_waiting: int = 4_096
    """Weight of what may wait for the model: a text counts 1, anything with media 32. Beyond, 429."""
    batch_tokens: int = 2_048
    """Tokens that go to the model at once: more waste less, fewer answer sooner."""
    decode_s: int = 300
    """Seconds that reading one picture, sound, video or document may take, of the clock and of the processor."""
    decode_bytes: int = 2 * 1024 * MIB
    """Memory that reading it may take, in a process of its own."""
    requests_per_min: int | None = None
    """Of each key, or of everybody where there are no keys; a key may have its own."""
    max_preview_bytes: int = 1_024 * MIB
    """Thumbnails, outlines of sounds and clips that are kept on disk."""
    shutdown_s: float = 30.0
    """Seconds that requests in flight get when the server is told to stop."""


@dataclass(frozen=True, slots=True)
class UrlFetching:
    """Whether `fileUri` may name an `https://` address."""

    is_on: bool = False
    hosts: frozenset[str] = frozenset()
    """Only these hosts; every public one when empty."""
    max_bytes: int = 100 * MIB
    timeout_s: float = 20.0


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything about one server."""

    models: tuple[str, ...] = (DEFAULT_MODEL,)
    """Local models to serve; Gemini's names stand for the first."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """More names: alias -> model. Clients merge a list into one vector under names with `gemini` in them."""
    host: str = "127.0.0.1"
    port: int = 8080
    data_dir: Path | None = None
    """Where uploads and batches live; a folder of the user's when None."""
    keys: tuple[ApiKey, ...] = ()
    """Who may come in; everybody when empty."""
    allow_anonymous: bool = False
    """Serve the network without any key."""
    allowed_hosts: tuple[str, ...] = ()
    """Host names that a request may address, without ports; see `answers_to` for the default."""
    honours_tasks: bool = False
    """Obey `taskType` and `title` under names where Google ignores them, too."""
    openai_tokens: TokenTable | None = None
    """What the token numbers mean that OpenAI's clients may send in place of texts; refused when None."""
    cors_origins: tuple[str, ...] = ()
    urls: UrlFetching = field(default_factory=UrlFetching)
    limits: ServerLimits = field(default_factory=ServerLimits)
    decoders: int | None = None
    """Processes that read media, so that a file that crashes its decoder costs one request: one a core and at most 4
    when None; 0 reads them in the server itself."""
    cache_items: int = 4_096
    """Vectors kept in memory, 12 KB each; 0 keeps none."""
    cache_path: Path | None = None
    """SQLite file in which vectors survive a restart."""
    collections: tuple[Path, ...] = ()
    """Collections that the Studio and `/api` show from the start, wherever they are."""
    media_roots: tuple[Path, ...] = ()
    """Folders of this machine that may be indexed over HTTP; when empty, any on a loopback address, else none."""
    llm: str | None = None
    """Language model that answers `/api/ask`, as `rag.llm` reads it; without one answers are made of passages."""
    public_url: str | None = None
    """The address that clients see, where a proxy stands before the server; upload addresses are made of it."""

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            InvalidInput: no model, an alias of a model that is not served, or a public address without a key.
        """
        if not self.models:
            raise InvalidInput("a server needs at least one model")
        if wrong := [f"`{a}` -> `{m}`" for a, m in self.aliases.items() if m not in self.models]:
            raise InvalidInput(f"{', '.join(wrong)}: this server serves {', '.join(self.models)}")
        if not (self.keys or self.allow_anonymous or is_loopback(self.host)):
            raise InvalidInput(
                f"`{self.host}` is reachable from the network and there is no key: set one, or allow anonymous requests"
            )

    @property
    def model(self) -> str:
        """The model that is meant when none is named."""
        return self.models[0]

    @property
    def names(self) -> dict[str, str]:
        """Every name that is answered -> the model behind it: models, Gemini's names, aliases."""
        gemini = dict.fromkeys(sorted(GEMINI_NAMES), self.model)
        return {name: name for name in self.models} | gemini | dict(self.aliases)

    @property
    def answers_to(self) -> frozenset[str] | None:
        """Host names that a request may address, None for any.

        A server of this machine without keys answers to this machine's names only: a web page that rebinds its own
        name to 127.0.0.1 could read everything otherwise.
        """
        if self.allowed_hosts:
            return frozenset(self.allowed_hosts)
        return (
            frozenset(("localhost", "127.0.0.1", "::1", self.host))
            if not self.keys and is_loopback(self.host)
            else None
        )

    @property
    def folder(self) -> Path:
        """`data_dir`, or the user's own."""
        from platformdirs import user_data_path

        return self.data_dir or user_data_path("onesense") / "server"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
