"""Question -> vector and words -> candidates of each modality -> chances -> one fair ranking -> a page of hits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from onesense.types import Hit, Locator, Payload, SearchResult, Sectioned, Store, Where, Worded

from . import calibrate, group, words
from .calibrate import NO_MATCH, Calibration, Spread
from .query import Ask, Target, aim

if TYPE_CHECKING:
    from onesense.engine.embedder import Embedder

POOL = 50  # candidates a modality; a page that ends beyond half of it takes a pool of twice the size, and so on
WORD_POOL = 50  # rows that are read because they hold words of the query
IDENTICAL = 0.999  # cosine from which a row is a copy of what was asked for, whatever else stands out more
CERTAIN = 60.0  # log-odds of a copy

_Row = tuple[str, float, Payload]


def find(store: Store, embedder: Embedder, ask: Ask, known: Calibration | None) -> SearchResult:
    """A page of what is nearest to a question.

    Args:
        store: the rows.
        embedder: of the model that made them.
        ask: the question.
        known: how to read the scores; without it hits are ranked by cosine and have no confidence.

    Raises:
        InvalidInput: the question cannot be embedded, or its filter is not possible.
        NotFound: `like` names nothing of the collection.
    """
    where = ask.condition()
    target = aim(store, embedder, ask)
    n_pool = _pool(ask.offset + ask.k + len(target.left_out))
    pool = {id_: (id_, score, payload) for id_, score, payload in _near(store, target, ask, where, known, n_pool)}
    held = _with_words(store, target, where, known) if ask.words and ask.rank == "confidence" else {}
    pool |= _scored(store, target, {id_: row for id_, row in held.items() if id_ not in pool})
    rows = [row for id_, row in pool.items() if id_ not in target.left_out]
    ranked = _ranked(rows, _Judge(target, known, _modalities(ask, known)), held, ask)
    shaped = _shaped(store, ranked, ask)
    page = shaped[ask.offset : ask.offset + ask.k]
    more = ask.offset + ask.k if len(shaped) > ask.offset + ask.k else None
    return SearchResult(tuple(page), _verdict(ranked), more)


def _pool(needed: int) -> int:
    """Candidates to take: the same for all pages up to a depth, so that their order is one order."""
    size = POOL
    while size < 2 * needed:
        size *= 2
    return size


def _modalities(ask: Ask, known: Calibration | None) -> list[str]:
    """Modalities that are searched, of those that the collection has."""
    there = [] if known is None else sorted(known.counts)
    given = ask.modality if ask.modality is not None else (ask.where or {}).get("modality")
    if given is None or isinstance(given, Mapping):
        return there
    wanted = {given} if isinstance(given, str) else set(given)
    return [name for name in there if name in wanted]


def _near(
    store: Store, target: Target, ask: Ask, where: Where | None, known: Calibration | None, n: int
) -> Iterable[_Row]:
    """The nearest rows, of each modality for itself where scores are not compared by cosine."""
    names = _modalities(ask, known) if ask.rank == "confidence" else []
    rest = {field: wanted for field, wanted in (where or {}).items() if field != "modality"}
    if len(names) < 2 or isinstance((where or {}).get("modality"), Mapping):
        return store.search(target.vector, n, where)
    if isinstance(store, Sectioned):
        return store.search_each(target.vector, n, names, rest)
    found = (store.search(target.vector, n, {**rest, "modality": [name]}) for name in names)
    return (row for rows in found for row in rows)


# --- words --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Held:
    """A row that holds words of the query."""

    payload: Payload
    words: tuple[str, ...]
    coverage: float
    """Share of the query's words, by rarity, 0..1."""


def _with_words(store: Store, target: Target, where: Where | None, known: Calibration | None) -> dict[str, _Held]:
    asked = words.asked(target.text)
    if not asked or known is None or not isinstance(store, Worded):
        return {}
    rarity = {word: known.rarity(word) for word in asked}
    total = sum(rarity.values())
    held = {}
    for id_, _, payload in store.find_words(asked, WORD_POOL, where):
        there = set(words.of_payload(payload).split())
        found = tuple(word for word in asked if word in there)
        held[id_] = _Held(payload, found, sum(rarity[word] for word in found) / total)
    return held


def _scored(store: Store, target: Target, rows: Mapping[str, _Held]) -> dict[str, _Row]:
    """Rows that were found by words alone, with their cosines."""
    if not rows:
        return {}
    scores = store.vectors(list(rows)) @ target.vector
    return {id_: (id_, float(score), row.payload) for (id_, row), score in zip(rows.items(), scores, strict=True)}


# --- ranking ------------------------------------------------------------------------------------------------------


class _Judge:
    """Reads scores of one question. Backgrounds are made once a modality."""

    def __init__(self, target: Target, known: Calibration | None, names: Sequence[str]) -> None:
        self._target, self._known = target, known
        self._n_rows = 0 if known is None else sum(known.counts[name] for name in names)
        self._spreads: dict[str, Spread | None] = {}

    def log_odds(self, score: float, modality: str, coverage: float) -> float | None:
        """How likely a row is what was looked for; None where its modality's background is not known."""
        if self._known is None:
            return None
        if score >= IDENTICAL:
            return CERTAIN
        if modality not in self._spreads:
            target = self._target
            self._spreads[modality] = self._known.background(target.vector, target.modality, modality)
        spread = self._spreads[modality]
        if spread is None:
            return None
        return calibrate.evidence((score - spread.mean) / spread.std, self._n_rows, coverage)


def _ranked(rows: Sequence[_Row], judge: _Judge, held: Mapping[str, _Held], ask: Ask) -> list[Hit]:
    """Hits, best first, ties by id. Where not all can be judged, or cosines are asked for, these decide."""
    judged = [
        judge.log_odds(score, str(payload.get("modality", "")), held[id_].coverage if id_ in held else 0.0)
        for id_, score, payload in rows
    ]
    by_cosine = ask.rank == "cosine" or None in judged
    keys = [score if by_cosine or odds is None else odds for (_, score, _), odds in zip(rows, judged, strict=True)]
    order = sorted(range(len(rows)), key=lambda i: (-keys[i], rows[i][0]))
    return [to_hit(*rows[i], judged[i], held[rows[i][0]].words if rows[i][0] in held else ()) for i in order]


def to_hit(id_: str, score: float, payload: Payload, log_odds: float | None, found: tuple[str, ...] = ()) -> Hit:
    """A row that was found, as the caller sees it."""
    return Hit(
        id=id_,
        path=str(payload.get("path", id_)),
        locator=Locator.from_dict(payload.get("locator") or {}),
        modality=str(payload.get("modality", "")),
        score=score,
        confidence=None if log_odds is None else round(calibrate.chance(log_odds), 4),
        preview=str(payload.get("preview", "")),
        metadata=_mapping(payload.get("metadata")),
        facts=_mapping(payload.get("facts")),
        words=found,
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _verdict(ranked: Sequence[Hit]) -> bool | None:
    """Whether any hit is a match; None where nobody can tell. Nothing at all is no match."""
    known = [hit.confidence for hit in ranked if hit.confidence is not None]
    if not known:
        return None if ranked else False
    return max(known) >= NO_MATCH


def _shaped(store: Store, ranked: list[Hit], ask: Ask) -> list[Hit]:
    if ask.collapse:
        ranked = group.collapsed(ranked, store.vectors)
    return group.by_file(ranked) if ask.group == "file" else ranked
