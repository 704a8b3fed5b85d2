"""The filter language: field -> value, list of values, or a range; fields are joined by AND.

A field is one of `COLUMNS`, else a key of the payload, else a key of its `metadata` (`metadata.x` names it for sure),
else one of its `facts`: what the file says of itself, see `facts.FIELDS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

from onesense.errors import InvalidInput
from onesense.types import Payload, Where

COLUMNS: dict[str, type] = {"path": str, "modality": str, "size": float, "mtime": float}
"""Fields that every store can look up fast, with their type; they stand at the top of a payload."""

OPERATORS = ("gte", "lte", "prefix")

_METADATA = "metadata."


def check(where: Where | None) -> dict[str, Any]:
    """The filter as a dict; None is no filter.

    Raises:
        InvalidInput: the filter, a field or an operator is not of the language; the message says what is.
    """
    if where is None:
        return {}
    if not isinstance(where, Mapping):
        raise InvalidInput(f"a filter is a mapping of fields to values, not {type(where).__name__}")
    for field, wanted in where.items():
        if not isinstance(field, str) or not field:
            raise InvalidInput(f"a filter's field is a non-empty string, not {field!r}")
        _check_wanted(field, wanted)
    return dict(where)


def _check_wanted(field: str, wanted: Any) -> None:
    if isinstance(wanted, Mapping):
        unknown = [op for op in wanted if op not in OPERATORS]
        if unknown or not wanted:
            raise InvalidInput(f"filter on `{field}`: {unknown or 'nothing'} is no condition; use gte, lte and prefix")
        if not isinstance(wanted.get("prefix", ""), str):
            raise InvalidInput(f"filter on `{field}`: a prefix is a string, not {wanted['prefix']!r}")
        values: Any = wanted.values()
    else:
        values = wanted if isinstance(wanted, (list, tuple, set, frozenset)) else [wanted]
    for value in values:
        if value is not None and not isinstance(value, (str, Real)):
            kind = type(value).__name__
            raise InvalidInput(f"filter on `{field}`: a value is a string, a number, a truth value or None, not {kind}")


def matches(payload: Payload, where: Mapping[str, Any]) -> bool:
    """Whether a row passes a checked filter. A value of another type than the condition's does not."""
    return all(_holds(lookup(payload, field), wanted) for field, wanted in where.items())


def lookup(payload: Payload, field: str) -> Any:
    """The value of a field of a row, None where it has none."""
    metadata = payload.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    if field in COLUMNS or field in payload:
        return payload.get(field)
    if field in metadata:
        return metadata[field]
    facts = payload.get("facts")
    if isinstance(facts, Mapping) and field in facts:
        return facts[field]
    return metadata.get(field.removeprefix(_METADATA)) if field.startswith(_METADATA) else None


def _holds(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping):
        return all(_compares(value, op, bound) for op, bound in wanted.items())
    options = wanted if isinstance(wanted, (list, tuple, set, frozenset)) else [wanted]
    if isinstance(value, list):  # a list of tags passes when one of them does
        return any(_equal(item, option) for item in value for option in options)
    return any(_equal(value, option) for option in options)


def _equal(value: Any, option: Any) -> bool:
    return bool(value == option) and isinstance(value, bool) == isinstance(option, bool)


def _compares(value: Any, op: str, bound: Any) -> bool:
    if op == "prefix":
        return isinstance(value, str) and value.startswith(bound)
    both_numbers = is_number(value) and is_number(bound)
    if not both_numbers and not (isinstance(value, str) and isinstance(bound, str)):
        return False
    return bool(value >= bound) if op == "gte" else bool(value <= bound)


def is_number(value: Any) -> bool:
    """A number, which a truth value is not here."""
    return isinstance(value, Real) and not isinstance(value, bool)
