"""Who may come in: named keys, compared in constant time, each with limits of its own."""

from __future__ import annotations

import hashlib
import hmac
import math
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from onesense.errors import BadKey, Busy, InvalidInput, MissingKey, PermissionDenied

ANONYMOUS = "anonymous"  # the name of everybody where there are no keys

OPEN_PATHS = frozenset({"/", "/healthz", "/readyz"})
"""Answered without a key: a load balancer has none, and the Studio asks a person for it."""
OPEN_PREFIXES = ("/upload-session/", "/studio/")
"""Answered without a key: an upload's secret address is the credential (google-genai sends no key here), and the
Studio's own files are no secret."""

_MIN_SECRET = 8  # characters; shorter ones are guessed


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key. Only its digest is held."""

    name: str
    digest: bytes = field(repr=False)
    """SHA-256 of the secret."""
    requests_per_min: int | None = None
    """None for the server's own limit."""
    max_body_bytes: int | None = None
    """None for the server's own limit."""

    @classmethod
    def of(cls, name: str, secret: str, **limits: int | None) -> ApiKey:
        """A key from its secret.

        Raises:
            InvalidInput: the name is no word, or the secret is too short.
        """
        if not re.fullmatch(r"[\w.@-]{1,64}", name):
            raise InvalidInput(f"a key is named by 1 to 64 letters, digits and .@_-, not {name!r}")
        if len(secret) < _MIN_SECRET:
            raise InvalidInput(f"the key `{name}` has fewer than {_MIN_SECRET} characters: choose a longer one")
        return cls(name, _digest(secret), **limits)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def presented_key(headers: Mapping[str, str], query: str) -> str | None:
    """The key that a request carries: `x-goog-api-key`, `Authorization: Bearer`, or `?key=`; None where there is none.

    Args:
        headers: by lower-case name.
        query: the part of the address behind `?`.
    """
    if key := headers.get("x-goog-api-key"):
        return key
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    found = parse_qs(query).get("key") if "key=" in query else None
    return found[0] if found else None


def check_host(header: str, allowed: frozenset[str] | None) -> None:
    """Refuse a request that addresses another host.

    Args:
        header: `Host`, with or without a port.
        allowed: host names; None for any.

    Raises:
        PermissionDenied: the name is none of them.
    """
    if allowed is None:
        return
    name = re.sub(r":\d*$", "", header).strip("[]").lower()
    if name not in allowed:
        raise PermissionDenied(f"this server does not answer to the name `{name}`: start it with --allow-host {name}")


def is_open(path: str) -> bool:
    """Whether a path is answered without a key."""
    return path in OPEN_PATHS or path.startswith(OPEN_PREFIXES)


class Keyring:
    """The keys of a server.

    Args:
        keys: nobody needs one when there are none.

    Raises:
        InvalidInput: two keys have one name.
    """

    def __init__(self, keys: Iterable[ApiKey]) -> None:
        self._keys = tuple(keys)
        if len({key.name for key in self._keys}) < len(self._keys):
            raise InvalidInput("two keys have the same name: name each of them differently")

    def check(self, secret: str | None) -> ApiKey | None:
        """Whose key this is; None where no key is needed. Takes the same time whichever key matches, or none.

        Raises:
            MissingKey: keys are needed, and there is none.
            BadKey: it is none of them.
        """
        if not self._keys:
            return None
        if not secret:
            raise MissingKey(
                "Method doesn't allow unregistered callers (callers without established identity). Please use API Key "
                "or other form of API consumer identity to call this API."
            )
        digest = _digest(secret)
        matches = [key for key in self._keys if hmac.compare_digest(key.digest, digest)]
        if not matches:
            raise BadKey("API key not valid. Please pass a valid API key.")
        return matches[0]


class RateLimits:
    """So many requests a minute, for each name; a quiet minute's worth may come at once (a token bucket)."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, name: str, per_min: int | None) -> None:
        """Count one request.

        Args:
            name: whose.
            per_min: how many it may send; None for any number.

        Raises:
            Busy: too many; it says when the next one is let in.
        """
        if per_min is None:
            return
        now = self._clock()
        left, seen = self._buckets.get(name, (float(per_min), now))
        left = min(float(per_min), left + (now - seen) * per_min / 60)
        if left < 1:
            wait_s = math.ceil((1 - left) * 60 / per_min)
            error = Busy(
                f"You exceeded your current quota: {per_min} requests a minute for the key `{name}`. "
                f"Please retry in {wait_s}s."
            )
            error.retry_after_s = wait_s
            raise error
        self._buckets[name] = (left - 1, now)
