"""What comes back from a service: vectors, checked before anybody uses them, and tokens, shared among the inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from onesense.errors import BackendError, FingerprintMismatch
from onesense.types import Array, Features
from onesense.vectors import MIN_NORM

from .pieces import Piece


@dataclass(slots=True)
class Sent:
    """The payload of `Features` for a service: what is sent, and afterwards what the answer told."""

    pieces: tuple[Piece, ...]
    usage: dict[str, int] = field(default_factory=dict)
    """Tokens by modality; empty until the answer told them."""
    truncated: bool = False

    @property
    def n_bytes(self) -> int:
        """Bytes of it, before any encoding for transport."""
        return sum(len(piece.data) + len(piece.text) for piece in self.pieces)


def metered(features: Features) -> Features:
    """The same features with what the answer told about them; see `types.Metered`."""
    sent: Sent = features.payload
    usage = sent.usage or features.usage
    return replace(features, n_tokens=sum(usage.values()), usage=usage, truncated=features.truncated or sent.truncated)


def rows(vectors: Sequence[Any], n: int, width: int, service: str) -> Array:
    """The vectors of an answer.

    Args:
        vectors: one list of numbers an input.
        n: inputs that were sent.
        width: numbers a vector has to have.
        service: who answered, for the message.

    Returns:
        float32 [n, width], finite, no row of zero length.

    Raises:
        BackendError: another number of vectors, or one that is none.
        FingerprintMismatch: vectors of another size: there is another model now.
    """
    if len(vectors) != n:
        raise BackendError(f"{service} answered {len(vectors)} vectors for {n} inputs")
    found = [_vector(vector, service) for vector in vectors]
    if wrong := {len(row) for row in found} - {width}:
        raise FingerprintMismatch(
            f"{service} answered a vector of {min(wrong)} numbers where {width} were due: another model answers there "
            "now, or it does not know the size that was asked for; such vectors cannot be compared with those of before"
        )
    return np.stack(found)


def _vector(vector: Any, service: str) -> Array:
    numbers = np.asarray(vector) if isinstance(vector, list) and vector else np.zeros(0, object)
    if numbers.ndim != 1 or numbers.dtype.kind not in "fiu":
        raise BackendError(f"{service} answered a vector that is no list of numbers")
    with np.errstate(over="ignore"):  # beyond float32 is infinite, and refused
        row = numbers.astype(np.float32)
    if not np.isfinite(row).all():
        raise BackendError(f"{service} answered a vector with NaN or infinity")
    if float(np.linalg.norm(row)) < MIN_NORM:
        raise BackendError(f"{service} answered a vector of zeros")
    return row


def share_usage(items: Sequence[Features], n_tokens: int) -> None:
    """Note the tokens of a whole answer on its items, by what each was estimated to take.

    Args:
        items: what was sent together; their payloads are `Sent`.
        n_tokens: tokens of all; 0 where the service tells none, and the estimates stay.
    """
    if n_tokens < len(items):
        return
    for item, part in zip(items, shares(n_tokens, [item.n_tokens for item in items]), strict=True):
        item.payload.usage = scaled(item.usage, part)


def scaled(usage: Mapping[str, int], n_tokens: int) -> dict[str, int]:
    """The same proportions, adding up to `n_tokens`; what has no token left is left out."""
    parts = zip(usage, shares(n_tokens, list(usage.values())), strict=True)
    return {modality: part for modality, part in parts if part}


def shares(total: int, weights: Sequence[int]) -> list[int]:
    """Whole numbers that add up to `total`, in proportion to weights that are not all 0."""
    edges = np.rint(np.cumsum([0, *weights]) * (total / sum(weights))).astype(np.int64)
    return [int(n) for n in np.diff(edges)]
