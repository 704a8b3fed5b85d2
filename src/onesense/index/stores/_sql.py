"""Filters as SQL on a table's columns, as DataFusion reads it, and what is left of them to be tested on payloads."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from onesense.index import where as filters
from onesense.types import Where


def compile_where(where: Where | None) -> tuple[str | None, Mapping[str, Any]]:
    """A filter as SQL on the columns, and the rest of it, which is tested on payloads."""
    checked = filters.check(where)
    clauses = [_clause(field, wanted) for field, wanted in checked.items() if field in filters.COLUMNS]
    rest = {field: wanted for field, wanted in checked.items() if field not in filters.COLUMNS}
    return " AND ".join(clauses) or None, rest


def _clause(column: str, wanted: Any) -> str:
    if isinstance(wanted, Mapping):
        return "(" + " AND ".join(_comparison(column, op, bound) for op, bound in wanted.items()) + ")"
    options = wanted if isinstance(wanted, (list, tuple, set, frozenset)) else [wanted]
    return any_of(column, list(options))


def names_alone(where: Where) -> list[str] | None:
    """The modalities of a filter that asks for nothing else."""
    wanted = where.get("modality") if len(where) == 1 else None
    names = [wanted] if isinstance(wanted, str) else wanted
    return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else None


def any_of(column: str, options: list[Any]) -> str:
    """A column that holds one of these values; None stands for no value."""
    kind = filters.COLUMNS.get(column, str)
    values = sorted({_literal(o) for o in options if is_comparable(o, kind)})
    clauses = [f"{column} IN ({', '.join(values)})"] if values else []
    clauses += [f"{column} IS NULL"] if None in options else []
    return f"({' OR '.join(clauses)})" if clauses else "false"


def _comparison(column: str, op: str, bound: Any) -> str:
    kind = filters.COLUMNS[column]
    if not is_comparable(bound, kind) or (op == "prefix" and kind is not str):
        return "false"
    if op == "prefix":
        return f"starts_with({column}, {_literal(bound)})"
    return f"{column} {'>=' if op == 'gte' else '<='} {_literal(bound)}"


def is_comparable(value: Any, kind: type) -> bool:
    """Whether a column of this kind can hold the value."""
    return isinstance(value, str) if kind is str else filters.is_number(value) and math.isfinite(value)


def _literal(value: Any) -> str:
    """A value as SQL text. A quote inside a string is doubled, which is all that DataFusion's strings escape."""
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(float(value))
