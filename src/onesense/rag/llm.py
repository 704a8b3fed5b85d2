"""One setting names the language model; this turns it into a model of pydantic-ai, and its faults into plain words.

`openai:gpt-5-mini`, `anthropic:claude-…`, `gemini:gemini-…`, any other `provider:model` of pydantic-ai, or the address
of a server that speaks OpenAI's chat API with the model's name behind `#`: `http://localhost:11434/v1#qwen3:8b`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from onesense.errors import InvalidInput, MissingExtra

if TYPE_CHECKING:
    from pydantic_ai.models import Model
    from pydantic_ai.settings import ModelSettings

SETTING = "ONESENSE_LLM"
KEY = "ONESENSE_LLM_KEY"
"""The key of a server that is named by its address; keys of OpenAI and others are never sent there."""
NONE = "none"
"""The setting that means: no language model."""
TIMEOUT_S = 120.0  # for a whole answer; a local model of 8 B on a CPU writes 300 tokens in it
FIRST_S = 60.0  # until its first word; loading a model from disk takes most of it
MAX_TOKENS = 1_500  # of an answer

_PROVIDERS = {"gemini": "google"}
_NO_KEY = "not-needed"
_FORMS = "`openai:MODEL`, `anthropic:MODEL`, `gemini:MODEL`, `http://localhost:11434/v1#MODEL` or `none`"


def setting(llm: str | None) -> str | None:
    """The chosen model: what was given, else the environment's `ONESENSE_LLM`; None for none."""
    chosen = (llm if llm is not None else os.environ.get(SETTING, "")).strip()
    return None if chosen.lower() in ("", NONE) else chosen


def open_model(llm: Any) -> Model | None:
    """The model of a setting; None for none. A model of pydantic-ai is taken as it is.

    Raises:
        InvalidInput: the setting names nothing that could be asked, or its key is missing.
        MissingExtra: pydantic-ai, or the provider's package, is not installed.
    """
    if llm is not None and not isinstance(llm, str):
        return _given(llm)
    chosen = setting(llm)
    if chosen is None:
        return None
    try:
        return _by_address(chosen) if "://" in chosen else _by_name(chosen)
    except ImportError as cause:
        raise MissingExtra(
            f"`{chosen}` needs packages that are not here: pip install 'onesense[ask]' ({cause})"
        ) from cause


def name_of(model: Model | None) -> str | None:
    """What a reader is told about who wrote the answer."""
    return None if model is None else f"{model.system}:{model.model_name}"


def takes(model: Model) -> frozenset[str]:
    """Kinds of media parts that a model reads: image, audio, video; a page is handed over as an image."""
    flags = {"image": "supports_image_input", "audio": "supports_audio_file_input", "video": "supports_video_input"}
    unsupported: frozenset[str] = getattr(model, "_unsupported_file_inputs", frozenset())
    return frozenset(kind for kind, flag in flags.items() if model.profile.get(flag, True) and kind not in unsupported)


def fault(error: BaseException, name: str) -> str:
    """What went wrong with a language model, in words for a person; nothing of its answer, which may hold a key."""
    from pydantic_ai import exceptions as e

    reasons: list[tuple[tuple[type[BaseException], ...], str]] = [
        ((e.ModelAuthenticationError,), "it refused the key: check the key of this provider"),
        ((e.ModelNotFoundError,), "there is no such model there: check its name"),
        ((e.ModelQuotaExceededError,), "the account's quota or credit is used up"),
        ((e.ModelRateLimitError,), "it gets too many requests: wait a little"),
        ((e.ModelContextWindowExceededError,), "the passages are too long for it: ask with a smaller budget of tokens"),
        ((e.ModelRequestTimeout, e.ModelTimeoutError, TimeoutError), "it did not answer in time"),
        ((e.ModelConnectionError,), "it could not be reached: is the server running at this address?"),
        ((e.ModelUnavailableError, e.ModelServerError), "it is down or overloaded: try again later"),
        ((e.ContentFilterError,), "its provider's filter refused the answer"),
        ((e.ModelRequestRejectedError, NotImplementedError), "it refused the request"),
        ((e.UsageLimitExceeded,), "it took more steps than are allowed"),
        ((e.UnexpectedModelBehavior,), "what it answered makes no sense"),
    ]
    said = next((text for kinds, text in reasons if isinstance(error, kinds)), "it failed")
    return f"the language model `{name}` could not be used: {said}"


def settings() -> ModelSettings:
    """How long and how much a language model may write."""
    return {"max_tokens": MAX_TOKENS, "timeout": FIRST_S, "request_timeout": TIMEOUT_S, "first_event_timeout": FIRST_S}


def faults() -> tuple[type[BaseException], ...]:
    """Everything that may come from asking a language model: clients raise ValueErrors where they cannot read it."""
    from pydantic_ai.exceptions import AgentRunError, UserError

    return (AgentRunError, UserError, NotImplementedError, TimeoutError, OSError, ValueError)


def _given(llm: Any) -> Model:
    try:
        from pydantic_ai.models import Model
    except ImportError as cause:
        raise MissingExtra("language models need pydantic-ai: pip install 'onesense[ask]'") from cause
    if not isinstance(llm, Model):
        raise InvalidInput(f"`llm` is a setting such as {_FORMS}, or a model of pydantic-ai, not {type(llm).__name__}")
    return llm


def _by_name(chosen: str) -> Model:
    from pydantic_ai.exceptions import UserError
    from pydantic_ai.models import infer_model

    provider, colon, name = chosen.partition(":")
    if not colon or not name:
        raise InvalidInput(f"`{chosen}` names no language model: use {_FORMS}")
    try:
        return infer_model(f"{_PROVIDERS.get(provider, provider)}:{name}")
    except (UserError, ValueError) as cause:
        raise InvalidInput(f"the language model `{chosen}` cannot be set up: {cause}") from cause


def _by_address(chosen: str) -> Model:
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    address, _, name = chosen.partition("#")
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname or not name:
        raise InvalidInput(f"`{chosen}` is no address of a language model: http://localhost:11434/v1#MODEL")
    return OpenAIChatModel(name, provider=OpenAIProvider(base_url=address, api_key=os.environ.get(KEY) or _NO_KEY))
