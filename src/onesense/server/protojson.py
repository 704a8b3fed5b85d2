"""JSON as Google's APIs read it: messages with typed fields, both spellings of a name, and Google's words for faults.

A `Message` is written once and serves three times: it reads bodies, it is the schema in our OpenAPI, and it is what the
conformance page is checked against. Source: protobuf.dev/programming-guides/json, and the live API's error texts.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

import orjson

from onesense.errors import MalformedRequest

_INVALID = "Invalid JSON payload received."
_SHOWN = 40  # characters of a wrong value that an error repeats
_INT32 = 2**31
_DURATION = re.compile(r"-?\d{1,12}(\.\d{1,9})?s")
_TYPES = "type.googleapis.com/google.ai.generativelanguage.v1beta"


class Support(StrEnum):
    """What becomes of a field; docs/conformance.md says it to people."""

    SUPPORTED = "supported"
    IGNORED = "ignored"
    """Read, checked, and without effect, as at Google."""
    REFUSED = "refused"
    """Known at Google, but it cannot be kept here: 400."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message."""

    kind: str
    """string, int32, double, bool, bytes, duration, any, enum, message."""
    support: Support = Support.SUPPORTED
    is_list: bool = False
    message: Message | None = None
    words: tuple[str, ...] = ()
    """Of an enum, in the order of their numbers."""
    type_name: str = ""
    """Of an enum, for errors."""
    about: str = ""


@dataclass(frozen=True)
class Message:
    """A type of JSON object."""

    name: str
    fields: Mapping[str, Field]
    """By snake_case name."""
    one_of: tuple[str, ...] = ()
    """At most one of these may be set."""

    @cached_property
    def spellings(self) -> dict[str, str]:
        """Every accepted spelling -> snake_case name."""
        return {camel(name): name for name in self.fields} | {name: name for name in self.fields}

    def schema(self) -> dict[str, Any]:
        """JSON schema of the camelCase spelling."""
        properties = {camel(name): _schema(f) for name, f in self.fields.items() if f.support is not Support.REFUSED}
        return {"title": self.name, "type": "object", "properties": properties, "additionalProperties": False}


def camel(name: str) -> str:
    """`output_dimensionality` -> `outputDimensionality`."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def parse(message: Message, body: bytes) -> dict[str, Any]:
    """Read a body; an empty one is an empty object.

    Returns:
        Values by snake_case name; fields that are absent or null are missing.

    Raises:
        MalformedRequest: not JSON, or a field is wrong; `violations` lists every fault.
    """
    try:
        value = orjson.loads(body) if body.strip() else {}
    except orjson.JSONDecodeError as cause:
        raise MalformedRequest(f"{_INVALID} {str(cause).capitalize()}.") from None
    return read(message, value)


def read(message: Message, value: Any, path: str = "") -> dict[str, Any]:
    """As `parse`, of JSON that is read already; `path` is where it stood."""
    faults: list[tuple[str, str]] = []
    found = _read_message(message, value, path, faults)
    if faults:
        error = MalformedRequest("\n".join(text for _, text in faults[:20]))
        error.violations = tuple(faults)
        raise error
    return found


_Faults = list[tuple[str, str]]


def _read_message(message: Message, value: Any, path: str, faults: _Faults) -> dict[str, Any]:
    if not isinstance(value, dict):
        faults.append((path, _wrong(path, f"{_TYPES}.{message.name}", value)))
        return {}
    found: dict[str, Any] = {}
    where = f" at '{path}'" if path else ""
    for key, item in value.items():
        name = message.spellings.get(key)
        if name is None:
            faults.append((path, f'{_INVALID} Unknown name "{_clip(key)}"{where}: Cannot find field.'))
        elif name in found:
            faults.append((path, f'{_INVALID} "{name}"{where} is given twice, in two spellings.'))
        elif item is not None:
            inner = f"{path}.{name}" if path else name
            found[name] = _read_field(message.fields[name], item, inner, faults)
    if len(both := [camel(name) for name in message.one_of if name in found]) > 1:
        text = f"Invalid value{where} (oneof), oneof field '{both[0]}' is already set. Cannot set '{both[1]}'"
        faults.append((path, text))
    return found


def _read_field(field: Field, value: Any, path: str, faults: _Faults) -> Any:
    if field.support is Support.REFUSED:
        faults.append((path, f"`{path}` cannot be embedded: leave it out"))
        return None
    if field.is_list:
        items = value if isinstance(value, list) else [value]  # Google takes one object where a list is due
        return [_read_one(field, item, f"{path}[{i}]", faults) for i, item in enumerate(items)]
    if isinstance(value, list) and field.kind != "any":
        name = path.rpartition(".")[2]
        text = f"{_INVALID} Unknown name \"{name}\" at '{path}': Proto field is not repeating, cannot start list."
        faults.append((path, text))
        return None
    return _read_one(field, value, path, faults)


def _read_one(field: Field, value: Any, path: str, faults: _Faults) -> Any:
    if field.kind == "message":
        assert field.message is not None
        return _read_message(field.message, value, path, faults)
    if field.kind == "enum":
        return _read_enum(field, value, path, faults)
    reader, type_name = _SCALARS[field.kind]
    try:
        return reader(value)
    except (ValueError, TypeError, OverflowError) as cause:
        detail = f"Base64 decoding failed for {_shown(value)}" if isinstance(cause, binascii.Error) else _shown(value)
        faults.append((path, f"Invalid value at '{path}' ({type_name}), {detail}"))
        return None


def _read_enum(field: Field, value: Any, path: str, faults: _Faults) -> str | None:
    if isinstance(value, str) and value in field.words:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(field.words):
        return field.words[value]
    faults.append((path, _wrong(path, f"{_TYPES}.{field.type_name}", value)))
    return None


def _wrong(path: str, type_name: str, value: Any) -> str:
    return f"Invalid value at '{path}' ({type_name}), {_shown(value)}"


def _shown(value: Any) -> str:
    try:
        return _clip(orjson.dumps(value).decode())
    except TypeError:  # not from JSON
        return type(value).__name__


def _clip(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


# --- scalars --------------------------------------------------------------------------------------------------------


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _int32(value: Any) -> int:
    """A whole number, also as text or as a float without a fraction."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise TypeError
    number = float(value)
    if not number.is_integer() or not -_INT32 <= number < _INT32:
        raise ValueError
    return int(number)


def _double(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise TypeError
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return number


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _bytes(value: Any) -> bytes:
    """Base64 in either alphabet, with or without padding."""
    if not isinstance(value, str):
        raise TypeError
    plain = value.replace("-", "+").replace("_", "/").rstrip("=")
    return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)


def _duration(value: Any) -> float:
    """Seconds of `10s` or `1.5s`."""
    if not isinstance(value, str) or not _DURATION.fullmatch(value):
        raise ValueError
    return float(value[:-1])


_SCALARS: Mapping[str, tuple[Callable[[Any], Any], str]] = {
    "string": (_string, "TYPE_STRING"),
    "int32": (_int32, "TYPE_INT32"),
    "double": (_double, "TYPE_DOUBLE"),
    "bool": (_bool, "TYPE_BOOL"),
    "bytes": (_bytes, "TYPE_BYTES"),
    "duration": (_duration, "type.googleapis.com/google.protobuf.Duration"),
    "any": (lambda value: value, ""),
}

_JSON_TYPES: Mapping[str, dict[str, Any]] = {
    "string": {"type": "string"},
    "int32": {"type": "integer", "format": "int32"},
    "double": {"type": "number"},
    "bool": {"type": "boolean"},
    "bytes": {"type": "string", "format": "byte"},
    "duration": {"type": "string", "pattern": r"^-?\d{1,12}(\.\d{1,9})?s$"},
    "any": {},
}


def _schema(field: Field) -> dict[str, Any]:
    if field.kind == "message":
        assert field.message is not None
        one = field.message.schema()
    elif field.kind == "enum":
        one = {"type": "string", "enum": list(field.words)}
    else:
        one = dict(_JSON_TYPES[field.kind])
    if field.about:
        one["description"] = field.about
    return {"type": "array", "items": one} if field.is_list else one
