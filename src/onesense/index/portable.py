"""In and out: a collection as JSON, JSON lines, NumPy or Parquet, and vectors that somebody else's model made."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from onesense import plugins
from onesense.errors import AlreadyExists, InvalidInput, NotFound
from onesense.types import Array, Payload, Store, StoreSpec, as_float32
from onesense.vectors import truncate_normalize

from . import absent
from .rows import spec_from_dict, spec_to_dict
from .stores._disk import write_atomically

SUFFIXES = (".json", ".jsonl", ".npy", ".parquet")
FORMAT = "onesense.rows.v1"
CHUNK = 1_000  # rows in memory at a time, but for .json and .npy's own array
GEMINI = "gemini:gemini-embedding-2"

Row = tuple[str, Payload, Array]
"""Id, payload, float32 [d] of unit length."""


def export(store: Store, file: Path) -> int:
    """Write all rows to a file of the format that its suffix names; returns how many.

    `.json` is a collection that Onesense opens as it is. `.npy` is float32 [n, d], with ids and payloads line by line
    in a file of the same name that ends in `.jsonl`.

    Raises:
        InvalidInput: the suffix is none of `SUFFIXES`.
        AlreadyExists: there is such a file.
    """
    if file.suffix not in _WRITERS:
        raise InvalidInput(f"`{file.name}`: a collection goes out as {', '.join(SUFFIXES)}")
    if file.exists():
        raise AlreadyExists(f"`{file}` is there already: name another file")
    _WRITERS[file.suffix](store, file)
    return store.count()


def load(file: Path, to: Path, model: str | None = None) -> int:
    """Read what `export` wrote, or vectors of another model, into a new collection; returns the number of rows.

    Foreign vectors are JSON or JSON lines of objects with `values` (or Gemini's `embedding`), `id` and `metadata`; a
    whole answer of Gemini's API, `{"embeddings": [...]}`, is read too.

    Args:
        file: one of `SUFFIXES`.
        to: path of a collection that is not there yet.
        model: which model made foreign vectors; `GEMINI` by default.

    Raises:
        NotFound: there is no such file.
        AlreadyExists: there is a collection.
        InvalidInput: a vector is missing, has another size, a NaN, or no length; the message says which.
    """
    from .collection import store_name

    if not file.is_file():
        raise NotFound(f"there is no file `{file}`")
    if file.suffix not in _READERS:
        raise InvalidInput(f"`{file.name}`: a collection comes in as {', '.join(SUFFIXES)}")
    store_class = plugins.load("stores", store_name(to))
    if store_class.read_spec(to) is not None:
        raise AlreadyExists(f"there is a collection at `{to}`: name another place")
    spec, rows = _READERS[file.suffix](file, model or GEMINI)
    part = to.with_name(f".part-{to.name}")  # what a failed import leaves is no collection, and the next one clears it
    _clear(part)
    store: Store = store_class.open(part, spec)
    try:
        n_rows = sum(_write_chunk(store, chunk) for chunk in _chunks(rows))
    finally:
        store.close()
    os.rename(part, to)
    return n_rows


def _clear(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _write_chunk(store: Store, rows: list[Row]) -> int:
    store.upsert([r[0] for r in rows], np.stack([r[2] for r in rows]), [r[1] for r in rows])
    return len(rows)


# --- out --------------------------------------------------------------------------------------------------------------


def _rows(store: Store) -> Iterator[Row]:
    """All rows by id, their vectors fetched a thousand at a time."""
    payloads = dict(store.rows())
    ids = sorted(payloads)
    for place in range(0, len(ids), CHUNK):
        chunk = ids[place : place + CHUNK]
        yield from ((id_, payloads[id_], row) for id_, row in zip(chunk, store.vectors(chunk), strict=True))


def _to_json(store: Store, file: Path) -> None:
    rows = list(_rows(store))
    other: Store = plugins.load("stores", "json").open(file, dataclasses.replace(store.spec, dtype="float32"))
    if rows:
        _write_chunk(other, rows)
    other.close()


def _head(store: Store) -> str:
    return json.dumps({"format": FORMAT, "spec": spec_to_dict(store.spec)}, ensure_ascii=False) + "\n"


def _line(id_: str, payload: Payload, vector: Array | None) -> str:
    fields = {"id": id_, "payload": payload} | ({} if vector is None else {"vector": vector.tolist()})
    return json.dumps(fields, ensure_ascii=False) + "\n"


def _to_lines(store: Store, file: Path) -> None:
    write_atomically(file, (line for part in ([_head(store)], (_line(*r) for r in _rows(store))) for line in part))


def _to_numpy(store: Store, file: Path) -> None:
    out = np.lib.format.open_memmap(file, "w+", np.float32, (store.count(), store.spec.dim))
    lines = [_head(store)]
    for place, (id_, payload, vector) in enumerate(_rows(store)):
        out[place] = vector
        lines.append(_line(id_, payload, None))
    out.flush()
    write_atomically(file.with_suffix(".jsonl"), lines)


def _to_parquet(store: Store, file: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    fields = {"id": pa.string(), "vector": pa.list_(pa.float32(), store.spec.dim), "payload": pa.string()}
    schema = pa.schema(fields, metadata={FORMAT: json.dumps(spec_to_dict(store.spec))})
    with pq.ParquetWriter(file, schema) as out:
        for rows in _chunks(_rows(store)):
            flat = pa.array(np.concatenate([r[2] for r in rows]))
            vectors = pa.FixedSizeListArray.from_arrays(flat, store.spec.dim)
            texts = [json.dumps(r[1], ensure_ascii=False) for r in rows]
            out.write_table(pa.table([[r[0] for r in rows], vectors, texts], schema=schema))


# --- in ---------------------------------------------------------------------------------------------------------------

Read = tuple[StoreSpec, Iterable[Row]]


def _from_json(file: Path, model: str) -> Read:
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as cause:
        raise InvalidInput(f"`{file}` is not valid JSON ({cause})") from cause
    if isinstance(fields, Mapping) and "spec" in fields:
        store: Store = plugins.load("stores", "json").open(file, spec_from_dict(fields["spec"], file))
        return store.spec, _rows(store)
    if isinstance(fields, Mapping):
        fields = fields.get("embeddings", fields.get("rows"))
    if not isinstance(fields, list):
        raise InvalidInput(f"`{file}`: a list of objects with `values` was expected, or `embeddings` with one")
    return _foreign(fields, model)


def _from_lines(file: Path, model: str) -> Read:
    lines = _parsed(file)
    head = next(lines, None)
    if head is None:
        raise InvalidInput(f"`{file}` is empty")
    if head.get("format") == FORMAT:
        spec = spec_from_dict(head.get("spec"), file)
        return spec, (_own(fields, fields.get("vector"), n, spec.dim) for n, fields in enumerate(lines))
    return _foreign([head, *lines], model)


def _parsed(file: Path) -> Iterator[Mapping[str, Any]]:
    with open(file, encoding="utf-8") as lines:
        for n, line in enumerate(lines, start=1):
            try:
                fields = json.loads(line)
            except ValueError as cause:
                raise InvalidInput(f"`{file}`, line {n} is not valid JSON ({cause})") from cause
            if not isinstance(fields, Mapping):
                raise InvalidInput(f"`{file}`, line {n}: an object was expected")
            yield fields


def _from_numpy(file: Path, model: str) -> Read:
    del model
    try:
        vectors = np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as cause:
        raise InvalidInput(f"`{file}` is not a NumPy array ({cause})") from cause
    beside = file.with_suffix(".jsonl")
    if not beside.is_file():
        raise NotFound(f"ids and payloads of `{file.name}` are expected beside it, in `{beside.name}`")
    lines = list(_parsed(beside))
    if not lines or lines[0].get("format") != FORMAT or vectors.ndim != 2 or len(lines) - 1 != len(vectors):
        raise InvalidInput(f"`{beside.name}` does not describe the {len(vectors)} rows of `{file.name}`")
    spec = spec_from_dict(lines[0].get("spec"), file)
    return spec, (_own(f, vectors[n], n, spec.dim) for n, f in enumerate(lines[1:]))


def _from_parquet(file: Path, model: str) -> Read:
    del model
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(file)
    except (pa.ArrowInvalid, OSError) as cause:
        raise InvalidInput(f"`{file}` is not a Parquet file ({cause})") from cause
    spec = spec_from_dict(json.loads((table.schema_arrow.metadata or {}).get(FORMAT.encode(), b"{}")), file)
    return spec, _parquet_rows(table, spec.dim)


def _parquet_rows(table: Any, dim: int) -> Iterator[Row]:
    for batch in table.iter_batches(CHUNK):
        vectors = batch.column("vector").flatten().to_numpy().reshape(-1, dim)
        texts = batch.column("payload").to_pylist()
        yield from zip(batch.column("id").to_pylist(), map(json.loads, texts), vectors, strict=True)


def _own(fields: Mapping[str, Any], vector: Any, n: int, dim: int) -> Row:
    return str(fields.get("id", n)), fields.get("payload") or {}, _unit(vector, n, dim)


def _foreign(found: list[Any], model: str) -> Read:
    """Vectors of another model: the first tells the size, metadata become the payload."""
    if not found:
        raise InvalidInput("there are no vectors in the file")
    values = [_values(fields, n) for n, fields in enumerate(found)]
    dim = len(values[0])
    made_by = absent.info(model, dim)
    spec = StoreSpec(dim, made_by.fingerprint(dim, None), model, made_by.revision)
    rows = [(_id(f, n), _payload(f, n), _unit(v, n, dim)) for n, (f, v) in enumerate(zip(found, values, strict=True))]
    return spec, rows


def _values(fields: Any, n: int) -> list[float]:
    inner = fields.get("embedding", fields) if isinstance(fields, Mapping) else None
    values = inner.get("values") if isinstance(inner, Mapping) else inner
    if not isinstance(values, list) or not values:
        raise InvalidInput(f"row {n}: an object with `values`, a list of numbers, was expected")
    return values


def _unit(values: Any, n: int, dim: int) -> Array:
    """Float32 [dim] of unit length."""
    try:
        row = as_float32(values)
    except (TypeError, ValueError) as cause:
        raise InvalidInput(f"row {n}: `values` holds something else than numbers ({cause})") from cause
    if row.shape != (dim,):
        raise InvalidInput(f"row {n} has {row.size} numbers where the others have {dim}")
    if not np.isfinite(row).all():
        raise InvalidInput(f"row {n} holds NaN or infinity")
    unit: Array = truncate_normalize(row, dim)
    return unit


def _id(fields: Mapping[str, Any], n: int) -> str:
    return str(fields.get("id") or fields.get("key") or f"row-{n:06d}")


def _payload(fields: Mapping[str, Any], n: int) -> Payload:
    metadata = fields.get("metadata")
    metadata = dict(metadata) if isinstance(metadata, Mapping) else {}
    text = next((v for name in ("text", "title", "caption") if isinstance(v := metadata.get(name), str)), "")
    path = metadata.get("path", metadata.get("file"))
    shared: dict[str, Any] = {"size": None, "mtime": None, "hash": "imported", "n_segments": 1, "locator": {}}
    named = {"path": path if isinstance(path, str) else _id(fields, n), "modality": metadata.get("modality", "text")}
    return shared | named | {"preview": text[:80] or _id(fields, n), "text": text, "metadata": metadata}


def _chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    chunk: list[Row] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


_WRITERS = {".json": _to_json, ".jsonl": _to_lines, ".npy": _to_numpy, ".parquet": _to_parquet}
_READERS = {".json": _from_json, ".jsonl": _from_lines, ".npy": _from_numpy, ".parquet": _from_parquet}
