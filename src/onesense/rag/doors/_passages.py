"""What all doors share: passages as text with plain metadata, and vectors as lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from onesense.engine.embedder import Embedder
from onesense.index.collection import Collection
from onesense.rag.library import Library
from onesense.rag.retrieve import Wanted, retrieve
from onesense.rag.types import Passage
from onesense.types import Task, Where

BUDGET_TOKENS = 100_000  # frameworks have budgets of their own


@dataclass(frozen=True, slots=True)
class Piece:
    """A passage for a framework."""

    id: str
    text: str
    """Its words; of a picture or sound without words, its place: `photo.png`."""
    score: float | None
    metadata: dict[str, Any]


def of(
    collection: Collection, question: str, k: int, modality: Sequence[str] = (), where: Where | None = None
) -> list[Piece]:
    """Passages for a question, best first."""
    library = Library({collection.path.stem: collection})
    found = retrieve(library, question, Wanted(k, tuple(modality), where, BUDGET_TOKENS))
    return [_piece(passage) for passage in found.passages]


def vectors(embedder: Embedder, texts: Sequence[str], dim: int | None, task: Task) -> list[list[float]]:
    """Unit vectors of texts, for a task."""
    if not texts:
        return []
    rows = embedder.embed(list(texts), dim, task)
    return [[float(value) for value in row] for row in rows]


def _piece(passage: Passage) -> Piece:
    hit = passage.hit
    metadata = {
        "path": hit.path,
        "link": passage.link,
        "place": passage.place,
        "modality": hit.modality,
        "confidence": hit.confidence,
        "quote": passage.quote,
        **hit.locator.to_dict(),
        **hit.metadata,
    }
    return Piece(hit.id, passage.text or passage.place, hit.confidence, metadata)
