"""One call to a service: tried again after longer and longer pauses where that can help; its faults in our words."""

from __future__ import annotations

import math
import os
import random
import sys
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from onesense.errors import (
    BackendError,
    BadKey,
    Busy,
    InvalidInput,
    MissingKey,
    NotFound,
    OnesenseError,
    PermissionDenied,
    TooLarge,
    Unavailable,
)

ATTEMPTS = 5
ATTEMPTS_AT_500 = 2  # a service that fails on one input answers so each time
FIRST_PAUSE_S = 1.0  # doubled each time: 15 s of pauses in all, which outlasts a restart behind a load balancer
LONGEST_PAUSE_S = 60.0  # a service that asks for more is out of quota: the caller is told instead of kept waiting
MAY_PASS = frozenset({408, 429, 500, 502, 503, 504})  # what google-genai's and OpenAI's own clients try again
TIMEOUT = "ONESENSE_REMOTE_TIMEOUT"
"""Setting: seconds that a service may take to answer."""
_TIMEOUT_S = 120.0
_SHOWN = 300  # letters of a service's message

_sleep = time.sleep

_Out = TypeVar("_Out")


class Refusal(Exception):
    """A call that failed.

    Args:
        status: HTTP status; None where no answer came.
        message: what the service, or the network, says.
        retry_after_s: when the service wants to be asked again.
        is_about_key: it names the key as the reason, whatever the status is.
    """

    def __init__(
        self, status: int | None, message: str, *, retry_after_s: float | None = None, is_about_key: bool = False
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = " ".join(message.split())[:_SHOWN]
        self.retry_after_s = retry_after_s
        self.is_about_key = is_about_key

    @property
    def attempts(self) -> int:
        """How often the same call has a chance."""
        if self.status == 500:
            return ATTEMPTS_AT_500
        return ATTEMPTS if self.status is None or self.status in MAY_PASS else 1

    def pause_s(self, attempt: int) -> float:
        """Seconds until the next attempt: twice as long each time, scattered, and not sooner than was asked for."""
        grown = FIRST_PAUSE_S * 2.0**attempt * random.uniform(0.5, 1.0)
        return max(grown, self.retry_after_s or 0.0)

    def error(self, service: str, key_setting: str) -> OnesenseError:
        """What a caller is told.

        Args:
            service: who failed, for the message.
            key_setting: environment variable that holds the key.
        """
        said = f"{service} says: {self.message}"
        if self.status == 401 or self.is_about_key:
            if os.environ.get(key_setting):
                return BadKey(f"{service} refuses the key in `{key_setting}`: {self.message}")
            return MissingKey(f"{service} asks for a key: put it into the environment variable `{key_setting}`")
        match self.status:
            case None:
                return Unavailable(f"{service} cannot be reached ({self.message}): check the address and the network")
            case 403:
                return PermissionDenied(said)
            case 404:
                return NotFound(said)
            case 413:
                return TooLarge(said)
            case 429:
                busy = Busy(f"{service} takes no more for now: {self.message}; try again later, or ask for more quota")
                busy.retry_after_s = self.retry_after_s or LONGEST_PAUSE_S
                return busy
            case 500:
                return BackendError(said)
            case status if 400 <= status < 500:
                return InvalidInput(said)
            case status:
                return Unavailable(f"{service} failed with status {status}: {self.message}")


def retried(call: Callable[[], _Out], service: str, key_setting: str) -> _Out:
    """The answer of a call that raises `Refusal` where it fails.

    Args:
        call: asks once.
        service: as in `Refusal.error`.
        key_setting: as in `Refusal.error`.

    Raises:
        OnesenseError: the fault cannot pass, or did not in `ATTEMPTS` attempts.
    """
    attempt = 0
    while True:
        try:
            return call()
        except Refusal as refusal:
            pause_s = refusal.pause_s(attempt)
            attempt += 1
            if attempt >= refusal.attempts or pause_s > LONGEST_PAUSE_S:
                raise refusal.error(service, key_setting) from refusal
        _sleep(pause_s)


def timeout_s() -> float:
    """Seconds that a service may take to answer.

    Raises:
        InvalidInput: the setting is no number above 0.
    """
    said = os.environ.get(TIMEOUT, "").strip()
    try:
        seconds = float(said) if said else _TIMEOUT_S
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise InvalidInput(f"`{TIMEOUT}` is a number of seconds above 0, not {said!r}")
    return seconds


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that a `Retry-After` header asks for: a number, or a date. Source: RFC 9110, section 10.2.3."""
    said = headers.get("retry-after") or ""
    try:
        return max(0.0, float(said))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(said).timestamp() - time.time())
    except (ValueError, TypeError):
        return None


def network_faults() -> tuple[type[Exception], ...]:
    """What HTTP libraries raise where no answer comes: httpx2, and httpx, which google-genai may take instead."""
    libraries = (sys.modules.get(name) for name in ("httpx2", "httpx"))
    return tuple(library.HTTPError for library in libraries if library is not None)


def unreached(cause: Exception) -> Refusal:
    """A call that got no answer, as a refusal; a time-out says how to wait longer."""
    kind = type(cause).__name__
    if "Timeout" in kind:
        return Refusal(None, f"no answer in {timeout_s():g} s, `{TIMEOUT}` changes that")
    return Refusal(None, f"{kind}: {cause}")


def not_understood(service: str, cause: object) -> Unavailable:
    """An answer of success that is none: the page of a proxy or of another program."""
    told = " ".join(str(cause).split())[:_SHOWN]
    return Unavailable(f"what {service} answered is not what an embedding service says ({told}): check the address")


def google_delay_s(details: Any) -> float | None:
    """Seconds of the `RetryInfo` in an error of Google's: `{"error": {"details": [{"retryDelay": "29s"}]}}`."""
    error = details.get("error") if isinstance(details, Mapping) else None
    for detail in error.get("details") or () if isinstance(error, Mapping) else ():
        said = detail.get("retryDelay") if isinstance(detail, Mapping) else None
        if isinstance(said, str):
            try:
                return max(0.0, float(said.removesuffix("s")))
            except ValueError:
                return None
    return None
