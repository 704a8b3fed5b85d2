"""A question -> the passages that a reader is given: nearest, diverse, no more than fit.

Diversity is maximal marginal relevance (Carbonell and Goldstein 1998): the next passage is the one that is most likely
and least like those that are taken already. Vectors are compared within one modality of one collection only, since
cosines do not compare across them; a second passage of one file costs a little as well.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from onesense.errors import InvalidInput
from onesense.index import places, words
from onesense.index.calibrate import NO_MATCH
from onesense.types import Array, Where

from .library import Library, numbered, verdict
from .types import Passage

POOL = 5  # candidates a passage that is wanted
LIKENESS = 0.3  # weight of likeness to what is taken, against confidence
SAME_FILE = 0.05  # of confidence, for each passage of the same file that is taken
LEAST = 0.1  # of the best one's confidence; less is noise that only costs tokens
CHARS_PER_TOKEN = (
    4  # of English; scripts without spaces have 1 to 2, so their passages come out shorter than allowed for
)
MEDIA_TOKENS = {"image": 1_000, "pdf": 1_000}
"""Tokens of a picture: the largest count among OpenAI's, Anthropic's and Google's rules for 1,024 px."""
TOKENS_PER_S = {"audio": 32.0, "video": 300.0}
"""Tokens a second, Google's documented rates; video counts its frames and its sound."""
MAX_SENTENCES = 40  # of a passage that are embedded to find its quote
COVERAGE = 0.5  # weight of the share of the question's words beside the cosine of a sentence
QUOTE_CHARS = 400
HEADING_CHARS = 40  # a "sentence" shorter than this says little, so the next one is quoted with it


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to retrieve."""

    k: int = 8
    """Most passages."""
    modality: Sequence[str] = ()
    """Only these; all when empty."""
    where: Where | None = None
    """Filter, as in `Collection.search`."""
    budget_tokens: int = 6_000
    """Of all passages together, as text and as media; the last one is cut to fit."""

    def __post_init__(self) -> None:
        if self.k < 1 or self.budget_tokens < 100:
            raise InvalidInput(
                f"k is 1 or more and the budget 100 tokens or more, not {self.k} and {self.budget_tokens}"
            )


@dataclass(frozen=True, slots=True)
class Found:
    """What was retrieved."""

    passages: tuple[Passage, ...]
    is_confident: bool | None
    searched: str


def retrieve(library: Library, question: str, wanted: Wanted, kinds: frozenset[str] = frozenset()) -> Found:
    """The passages for a question, with their quotes, best first.

    Args:
        library: where to look.
        question: what is asked.
        wanted: how much.
        kinds: media that the reader takes: image, audio, video; others cost it no tokens.

    Raises:
        InvalidInput: the question is empty, or a modality or filter is not possible.
    """
    if not question.strip():
        raise InvalidInput("the question is empty")
    candidates, verdicts = [], []
    for name in library.names:
        result = library.collection(name).search(
            question, wanted.k * POOL, list(wanted.modality) or None, wanted.where or None, collapse=True
        )
        verdicts.append(result.is_confident)
        candidates += library.passages(name, result.hits)
    chosen = within(diverse(library, candidates, wanted.k), wanted.budget_tokens, kinds)
    quoted = [quote(library, passage, question) for passage in chosen]
    return Found(tuple(numbered(quoted)), verdict(verdicts), question)


def diverse(library: Library, candidates: Sequence[Passage], k: int) -> list[Passage]:
    """At most k of these, most likely first, each unlike the ones before; see `seated`."""
    best = max((_likely(p) for p in candidates), default=0.0)
    left = [p for p in candidates if _likely(p) >= LEAST * best]
    vectors = _vectors(library, left)
    taken: list[Passage] = []
    while left and len(taken) < k:
        chosen = max(left, key=lambda p: (_gain(p, taken, vectors), -len(p.hit.path), p.hit.id))
        taken.append(chosen)
        left.remove(chosen)
    return seated([*taken, *sorted(left, key=_likely, reverse=True)], k)


def seated(passages: Sequence[Passage], n: int) -> list[Passage]:
    """The first n, of which the last give way to likely passages that were found in another way than all of them.

    Words of the question lift the confidence of what holds them, so that texts in the question's language would crowd
    out what can only be found by meaning: pictures, sounds, and texts in other languages.
    """
    chosen = list(passages[:n])
    for passage in passages[n:]:
        ways = [_way(p) for p in chosen]
        doubled = [i for i, way in enumerate(ways) if ways.index(way) < i]
        confidence = passage.hit.confidence
        if doubled and _way(passage) not in ways and confidence is not None and confidence >= NO_MATCH:
            chosen.pop(doubled[-1])
            chosen.append(passage)
    return chosen


def _way(passage: Passage) -> tuple[str, bool]:
    """How a passage was found: its modality, and whether it holds a word of the question that says something."""
    return passage.hit.modality, any(word not in places.FREQUENT for word in passage.hit.words)


def within(passages: Sequence[Passage], budget_tokens: int, kinds: frozenset[str] = frozenset()) -> list[Passage]:
    """The first passages that fit into a budget; the text of the one that does not fit whole is cut."""
    kept: list[Passage] = []
    left = budget_tokens
    for passage in passages:
        media = media_tokens(passage, kinds)
        if kept and media >= left:
            break
        room = max(0, left - media) * CHARS_PER_TOKEN
        kept.append(dataclasses.replace(passage, text=passage.text[:room]))
        left -= media + len(passage.text) // CHARS_PER_TOKEN
        if left <= 0:
            break
    return kept


def media_tokens(passage: Passage, kinds: frozenset[str]) -> int:
    """About how many tokens a language model that takes these kinds reads of a passage's picture, sound or video."""
    kind, place = passage.hit.modality, passage.hit.locator
    if ("image" if kind == "pdf" else kind) not in kinds:
        return 0
    if kind in TOKENS_PER_S and place.start_s is not None and place.end_s is not None:
        return round(TOKENS_PER_S[kind] * (place.end_s - place.start_s))
    return MEDIA_TOKENS.get(kind, 0)


def quote(library: Library, passage: Passage, question: str) -> Passage:
    """The passage with the sentence that is nearest to the question, by meaning and by words."""
    spans = places.sentences(passage.text)[:MAX_SENTENCES]
    if not spans:
        return passage
    sentences = [passage.text[a:b] for a, b in spans]
    best = 0
    if len(sentences) > 1:
        rows = library.collection(passage.collection).embed([question, *sentences])
        asked = {word for word in words.asked(question) if word not in places.FREQUENT}
        scores = rows[1:] @ rows[0] + [COVERAGE * _coverage(sentence, asked) for sentence in sentences]
        best = int(scores.argmax())
    n_quoted = 2 if len(sentences[best]) < HEADING_CHARS else 1
    said = " ".join(" ".join(sentences[best : best + n_quoted]).split())
    return dataclasses.replace(passage, quote=said if len(said) <= QUOTE_CHARS else f"{said[:QUOTE_CHARS]}…")


def _coverage(sentence: str, asked: set[str]) -> float:
    return len(asked & set(words.tokens(sentence))) / len(asked) if asked else 0.0


def _likely(passage: Passage) -> float:
    """0..1; the cosine where nobody can tell."""
    confidence = passage.hit.confidence
    return confidence if confidence is not None else max(0.0, passage.hit.score)


def _gain(passage: Passage, taken: Sequence[Passage], vectors: Mapping[str, Array]) -> float:
    likeness = [float(vectors[_key(passage)] @ vectors[_key(t)]) for t in taken if _compares(passage, t)]
    n_same = sum(_file(t) == _file(passage) for t in taken)
    return _likely(passage) - LIKENESS * max([0.0, *likeness]) * _likely(passage) - SAME_FILE * n_same


def _compares(a: Passage, b: Passage) -> bool:
    return a.collection == b.collection and a.hit.modality == b.hit.modality


def _vectors(library: Library, passages: Sequence[Passage]) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for name in {p.collection for p in passages}:
        own = [p for p in passages if p.collection == name]
        rows = library.collection(name).vectors([p.hit.id for p in own])
        found |= {_key(p): row for p, row in zip(own, rows, strict=True)}
    return found


def _key(passage: Passage) -> str:
    return f"{passage.collection}\0{passage.hit.id}"


def _file(passage: Passage) -> tuple[str, str]:
    return passage.collection, passage.hit.path
