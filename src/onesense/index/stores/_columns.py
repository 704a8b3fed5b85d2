"""The columns of a collection's table in LanceDB: rows as they are written, and as they are read."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np

from onesense.index import where as filters
from onesense.index import words as fulltext
from onesense.types import Array, StoreSpec
from onesense.vectors import CODE_DIM, quantize

from . import _dtypes
from ._sql import is_comparable

KEY = "key"
"""int64, a number that no other row ever had, by which the mirror knows the row."""
WORDS = "words"
"""Folded words, one space between two, with an inverted index of LanceDB."""
_RANDOM_KEY = "CAST(1 + random() * 9007199254740990 AS BIGINT)"  # below those that are taken from the clock


def schema(spec: StoreSpec) -> Any:
    """Of the table; pyarrow's."""
    import pyarrow as pa

    types = {str: pa.string(), float: pa.float64()}
    lists = {
        "vector": pa.list_(_dtypes.arrow_type(spec.dtype), _dtypes.width(spec.dim, spec.dtype)),
        "code": pa.list_(pa.int8(), min(CODE_DIM, spec.dim)),
    }
    columns = {name: types[kind] for name, kind in filters.COLUMNS.items()}
    texts = {"payload": pa.string(), WORDS: pa.string()}
    return pa.schema({"id": pa.string(), **lists, **columns, **texts, KEY: pa.int64()})


def to_arrow(ids: list[str], rows: Array, texts: list[str], keys: Array, spec: StoreSpec) -> Any:
    """Checked rows as a table.

    Args:
        ids: distinct.
        rows: float32 [n, d] of unit length.
        texts: payloads as JSON.
        keys: int64 [n], see `new_keys`.
        spec: of the collection.
    """
    import pyarrow as pa

    payloads = [json.loads(text) for text in texts]
    columns = [[_fit(p.get(name), kind) for p in payloads] for name, kind in filters.COLUMNS.items()]
    lists = [
        pa.FixedSizeListArray.from_arrays(pa.array(found.ravel()), found.shape[1])
        for found in (_dtypes.encode(rows, spec.dtype), quantize(rows))
    ]
    words = [fulltext.of_payload(payload) for payload in payloads]
    return pa.table([ids, *lists, *columns, texts, words, pa.array(keys)], schema=schema(spec))


def new_keys(n: int, last: int) -> Array:
    """int64 [n] ascending keys above `last`: nanoseconds since 1970, so that no two writers ever take the same."""
    return np.arange(n, dtype=np.int64) + max(time.time_ns(), last + 1)


def complete(table: Any) -> None:
    """Add what a table of an earlier version lacks: keys, and words with their index, filled as files change."""
    missing = {KEY: _RANDOM_KEY, WORDS: "CAST(NULL AS STRING)"}
    missing = {name: sql for name, sql in missing.items() if name not in table.schema.names}
    if missing:
        table.add_columns(missing)
    if not has_index(table, WORDS):
        from lancedb.index import FTS

        config = FTS(
            base_tokenizer="whitespace",  # `index.words` has cut and folded already
            with_position=False,
            max_token_length=None,
            lower_case=False,
            stem=False,
            remove_stop_words=False,
            ascii_folding=False,
        )
        table.create_index(WORDS, config=config)


def has_index(table: Any, column: str) -> bool:
    """Whether LanceDB keeps an index of this column."""
    return any(index.columns == [column] for index in table.list_indices())


def query(table: Any, sql: str | None) -> Any:
    """All rows that pass a filter."""
    found = table.search()
    return found if sql is None else found.where(sql)


def vectors(column: Any, spec: StoreSpec) -> Array:
    """A column of stored vectors as unit rows float32 [n, d]."""
    return _dtypes.decode(_matrix(column, _dtypes.width(spec.dim, spec.dtype)), spec.dtype, spec.dim)


def keys(column: Any) -> Array:
    """A column of keys as int64 [n], 0 where there is none."""
    import pyarrow.compute as pc

    return np.asarray(pc.fill_null(column, 0).to_numpy(), np.int64)


def _matrix(column: Any, width: int) -> Array:
    """A column of fixed-size lists as an array [n, width]."""
    parts = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
    flat = np.concatenate(parts) if parts else np.zeros(0, column.type.value_type.to_pandas_dtype())
    return flat.reshape(-1, width)


def _fit(value: Any, kind: type) -> Any:
    """A payload's value as its column holds it; None when it is of another type."""
    return kind(value) if is_comparable(value, kind) else None
