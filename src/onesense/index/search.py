"""Query -> vector -> nearest rows that pass the filter -> hits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onesense import plugins
from onesense.errors import InvalidInput
from onesense.types import Content, Hit, Locator, Part, Payload, Store, Task, Where

if TYPE_CHECKING:
    from onesense.engine.embedder import Embedder

MIXED = "mixed"
"""Modality of a record whose content has parts of several."""

_QUERY_TASKS = {Task.SEARCH_DOCUMENT: Task.SEARCH_QUERY}
"""Tasks whose two sides are embedded differently: what the rows were made for -> what a query is made for."""


def find(
    store: Store,
    embedder: Embedder,
    query: Any,
    *,
    k: int,
    modality: str | Sequence[str] | None,
    where: Where | None,
) -> list[Hit]:
    """The k segments nearest to a query, best first.

    Scores are raw cosines: they rank fairly within one modality, and mixed lists as the model's space allows.

    Args:
        store: the rows.
        embedder: of the model that made them.
        query: str is text, `Path` a file; else whatever `engine.inputs.as_content` takes.
        k: most hits to return.
        modality: only segments of this one, or of any of these.
        where: filter on path, size, mtime and metadata; see `types.Where`.

    Raises:
        InvalidInput: the query cannot be embedded, or k, the modality or the filter is not possible.
    """
    condition = _condition(modality, where)
    task = Task.parse(store.spec.task)
    vector = embedder.embed(as_query(query), store.spec.dim, _QUERY_TASKS.get(task, task) if task else None)[0]
    return [to_hit(*row) for row in store.search(vector, k, condition)]


def as_query(query: Any) -> Content:
    """One content from a query; nothing is guessed from how a string looks."""
    from onesense.engine.inputs import as_content

    return Content(Part.file(query)) if isinstance(query, Path) else as_content(query)


def to_hit(id_: str, score: float, payload: Payload) -> Hit:
    """A row that was found, as the caller sees it."""
    metadata, facts = payload.get("metadata"), payload.get("facts")
    return Hit(
        id=id_,
        path=str(payload.get("path", id_)),
        locator=Locator.from_dict(payload.get("locator") or {}),
        modality=str(payload.get("modality", "")),
        score=score,
        confidence=None,
        preview=str(payload.get("preview", "")),
        metadata=metadata if isinstance(metadata, Mapping) else {},
        facts=facts if isinstance(facts, Mapping) else {},
    )


def _condition(modality: str | Sequence[str] | None, where: Where | None) -> Where | None:
    if modality is None:
        return where
    if where and "modality" in where:
        raise InvalidInput("the modality is given twice: as an argument and in the filter")
    wanted = [modality] if isinstance(modality, str) else list(modality)
    known = {*plugins.names("modalities"), MIXED}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise InvalidInput(f"unknown modality `{unknown[0]}`: there are {', '.join(sorted(known))}")
    return {**(where or {}), "modality": wanted}
