"""Keys from a TOML file: a table a key, named by whose it is.

[alice]
key = "a secret of 8 characters or more"     # or: sha256 = "its digest in hex"
requests_per_min = 600
max_body_bytes = 1048576
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from onesense.errors import InvalidInput, NotFound

from .access import ApiKey

_LIMITS = ("requests_per_min", "max_body_bytes")


def read_keys(path: Path) -> tuple[ApiKey, ...]:
    """Every key of a file.

    Raises:
        NotFound: there is no such file.
        InvalidInput: it is not TOML, or a table of it is wrong; the message names it.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as cause:
        raise NotFound(f"the file of keys `{path}` cannot be read: {cause.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as cause:
        raise InvalidInput(f"the file of keys `{path}` is not TOML: {cause}") from None
    if not tables:
        raise InvalidInput(f"the file of keys `{path}` holds no key: give each a table such as [alice]")
    return tuple(_key(name, table) for name, table in tables.items())


def parse_keys(pairs: Iterable[str]) -> tuple[ApiKey, ...]:
    """Keys given as `NAME=SECRET`.

    Raises:
        InvalidInput: a pair has no name, or its secret is too short. The message does not repeat it.
    """
    found = []
    for n, pair in enumerate(pairs, start=1):
        name, sign, secret = pair.partition("=")
        if not sign:
            raise InvalidInput(f"key {n} is not NAME=SECRET")
        found.append(ApiKey.of(name, secret))
    return tuple(found)


def _key(name: str, table: Any) -> ApiKey:
    if not isinstance(table, Mapping) or not table.keys() <= {"key", "sha256", *_LIMITS}:
        raise InvalidInput(f"the key `{name}` is a table with `key` or `sha256`, and at most {' and '.join(_LIMITS)}")
    limits = {limit: table[limit] for limit in _LIMITS if limit in table}
    if wrong := [limit for limit, n in limits.items() if type(n) is not int or n < 1]:
        raise InvalidInput(f"`{wrong[0]}` of the key `{name}` is a whole number above 0")
    secret, digest = table.get("key"), table.get("sha256")
    if isinstance(digest, str) and secret is None and re.fullmatch(r"[0-9a-fA-F]{64}", digest):
        return ApiKey(name, bytes.fromhex(digest), **limits)
    if isinstance(secret, str) and digest is None:
        return ApiKey.of(name, secret, **limits)
    raise InvalidInput(f"the key `{name}` needs either `key`, a text, or `sha256`, 64 hex digits")
