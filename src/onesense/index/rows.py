"""What all stores share: the spec that stands beside the rows, and the checks at the door."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from onesense.errors import CorruptData, FingerprintMismatch, InvalidInput
from onesense.types import Array, Payload, StoreSpec, as_float32

UNIT_TOLERANCE = 1e-3  # float32 rounding at 3072 dims stays below 1e-5; a vector that is off by more was not normalised


def spec_to_dict(spec: StoreSpec) -> dict[str, Any]:
    """The fields of a spec, ready for JSON."""
    return dataclasses.asdict(spec)


def spec_from_dict(fields: Any, path: Path) -> StoreSpec:
    """The inverse of `spec_to_dict`.

    Raises:
        CorruptData: these are not the fields of a spec, or of a format that this version does not read.
    """
    known = {f.name for f in dataclasses.fields(StoreSpec)}
    if not isinstance(fields, Mapping) or not {"dim", "fingerprint", "model", "revision", "format"} <= set(fields):
        raise CorruptData(f"`{path}` is not a collection of Onesense: it has no spec (model, dim, fingerprint, format)")
    spec = StoreSpec(**{k: v for k, v in fields.items() if k in known})
    expected = StoreSpec(1, "", "", "").format
    if spec.format != expected:
        hint = "open it with the version that made it, or index its files again elsewhere"
        raise CorruptData(f"`{path}` has the format `{spec.format}`, this version reads `{expected}`: {hint}")
    return spec


def require_same(found: StoreSpec, wanted: StoreSpec, path: Path) -> None:
    """Refuse to mix vectors that are not comparable.

    Raises:
        FingerprintMismatch: the collection was made by another model, revision, size or task.
    """
    if (found.fingerprint, found.dim, found.dtype) == (wanted.fingerprint, wanted.dim, wanted.dtype):
        return
    raise FingerprintMismatch(
        f"`{path}` holds vectors of {_describe(found)}; asked for was {_describe(wanted)}. Vectors of the two cannot "
        f"be compared: open it without naming a model to use its own, or index into a new collection"
    )


def _describe(spec: StoreSpec) -> str:
    task = f"the task `{spec.task}`" if spec.task else "no task"
    size = f"{spec.dim} dimensions as {spec.dtype}"
    return f"`{spec.model}` (revision {spec.revision}, {size}, {task}, fingerprint {spec.fingerprint})"


def check_rows(
    ids: Sequence[str], vectors: Array, payloads: Sequence[Payload], dim: int
) -> tuple[list[str], Array, list[str]]:
    """Rows as they are written; where an id comes twice, the last one counts.

    Args:
        ids: non-empty strings.
        vectors: float32 [n, dim], unit rows.
        payloads: n mappings that JSON can hold.
        dim: of the collection.

    Returns:
        ids, float32 [m, dim], payloads as JSON texts; m <= n distinct ids.

    Raises:
        InvalidInput: lengths differ, a vector has another size or length, an id or payload cannot be stored.
    """
    rows = as_float32(vectors) if len(ids) else np.zeros((0, dim), np.float32)
    if not len(ids) == len(payloads) == len(rows):
        raise InvalidInput(f"{len(ids)} ids, {len(rows)} vectors and {len(payloads)} payloads do not belong together")
    if rows.ndim != 2 or rows.shape[1] != dim:
        raise InvalidInput(f"this collection holds vectors of {dim} dimensions, not an array of shape {rows.shape}")
    norms = np.linalg.norm(rows, axis=1)
    if not bool((np.abs(norms - 1.0) < UNIT_TOLERANCE).all()):
        raise InvalidInput("vectors must be finite and of unit length: pass them through vectors.truncate_normalize")
    last = {_check_id(id_): i for i, id_ in enumerate(ids)}
    texts = [_to_json(payloads[i]) for i in last.values()]
    return list(last), rows[list(last.values())], texts


def evenly(ids: Sequence[str], most: int) -> list[str]:
    """At most `most` of these ids, evenly spread by their order."""
    return [ids[i] for i in np.linspace(0, len(ids) - 1, min(most, len(ids))).round().astype(int)]


def check_query(vector: Array, k: int, dim: int) -> Array:
    """A query vector, float32 [dim].

    Raises:
        InvalidInput: the vector has another size or is not finite, or k is not a whole number above zero.
    """
    query = as_float32(vector)
    if query.shape != (dim,):
        raise InvalidInput(f"this collection is searched with {dim} numbers, not an array of shape {query.shape}")
    if not bool(np.isfinite(query).all()):
        raise InvalidInput("a query vector must be finite")
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
        raise InvalidInput(f"k is the number of hits, 1 or more, not {k!r}")
    return query


def _check_id(id_: object) -> str:
    if not isinstance(id_, str) or not id_:
        raise InvalidInput(f"an id is a non-empty string, not {id_!r}")
    _check_utf8(id_)
    return id_


def _to_json(payload: Payload) -> str:
    try:
        text = json.dumps(dict(payload), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as cause:
        raise InvalidInput(
            f"a payload must hold what JSON holds (text, finite numbers, lists, dicts): {cause}"
        ) from cause
    _check_utf8(text)
    return text


def _check_utf8(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as cause:
        raise InvalidInput(f"{text[:80]!r} is not valid Unicode, so it cannot be stored") from cause
