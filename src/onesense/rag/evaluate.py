"""How well questions are answered: the right places retrieved, the right places cited, no answer where there is none.

Questions are JSON Lines, yours or those of the generated meetings:

    {"question": "What does it cost?", "gold": [{"path": "slides.pdf", "page": 2}, {"path": "a.wav", "t": [41, 49]}]}

`path` is the end of a file's path; `page` or `t` (seconds) may be left out; an empty `gold` says that the library does
not hold the answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath
from typing import Any

from onesense.errors import InvalidInput, NotFound
from onesense.types import Hit

from .ask import Conversation
from .library import Library
from .retrieve import Wanted
from .types import Answer

KS = (1, 3, 8)
"""Cut-offs of recall."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an answer stands."""

    path: str
    page: int | None = None
    t: tuple[float, float] | None = None

    def holds(self, hit: Hit) -> bool:
        """Whether a hit is of this file and place."""
        ends, wanted = PurePath(hit.path).parts, PurePath(self.path).parts
        if ends[-len(wanted) :] != wanted:
            return False
        if self.page is not None:
            return hit.locator.page == self.page
        start_s, end_s = hit.locator.start_s, hit.locator.end_s
        if self.t is None or start_s is None or end_s is None:
            return self.t is None
        return start_s < self.t[1] and self.t[0] < end_s


@dataclass(frozen=True, slots=True)
class Question:
    """A question and where its answer stands."""

    text: str
    gold: tuple[Place, ...]
    """Any of them will do; none: there is no answer."""
    kind: str = ""
    """To report by, e.g. `slides`."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a question."""

    question: Question
    answer: Answer
    rank: int | None
    """Of the first right passage, from 1; None where none is right."""
    n_right: int
    """Citations that are right."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        cited = [passage.link for passage in self.answer.citations]
        asked = {"question": self.question.text, "kind": self.question.kind, "rank": self.rank}
        return asked | {"is_found": self.answer.is_found, "cited": cited, "n_right": self.n_right}


@dataclass(frozen=True, slots=True)
class RagReport:
    """All outcomes, and the measures over them."""

    outcomes: Sequence[Outcome]
    llm: str | None

    def measures(self, kind: str | None = None) -> dict[str, float | None]:
        """Shares 0..1, of one kind of question or of all; None where there is nothing to measure.

        `recall@k`: a right passage among the first k. `cites_right`: answers that cite at least one right place.
        `citation_precision`: right ones among all citations. `refused_right`: questions without an answer that were
        told so. `refused_wrong`: questions with one that were refused.
        """
        chosen = [o for o in self.outcomes if kind is None or o.question.kind == kind]
        there, absent = [o for o in chosen if o.question.gold], [o for o in chosen if not o.question.gold]
        recalls = {f"recall@{k}": _share(there, partial(_is_within, k)) for k in KS}
        n_cited = sum(len(o.answer.citations) for o in there)
        return recalls | {
            "cites_right": _share(there, lambda o: o.n_right > 0),
            "citation_precision": round(sum(o.n_right for o in there) / n_cited, 4) if n_cited else None,
            "refused_wrong": _share(there, lambda o: not o.answer.is_found),
            "refused_right": _share(absent, lambda o: not o.answer.is_found),
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        kinds = sorted({o.question.kind for o in self.outcomes} - {""})
        return {
            "n": len(self.outcomes),
            "llm": self.llm,
            "all": self.measures(),
            "by_kind": {kind: self.measures(kind) for kind in kinds},
            "outcomes": [outcome.to_dict() for outcome in self.outcomes],
        }


def evaluate(
    library: Library,
    questions: Sequence[Question],
    *,
    llm: Any = None,
    wanted: Wanted | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> RagReport:
    """Ask every question, each in a conversation of its own.

    Raises:
        InvalidInput: there is no question.
    """
    if not questions:
        raise InvalidInput("there are no questions to measure")
    outcomes = []
    for n, question in enumerate(questions):
        if progress is not None:
            progress(n, len(questions), question.text)
        outcomes.append(_outcome(question, Conversation(library, llm=llm, wanted=wanted).ask(question.text)))
    return RagReport(outcomes, Conversation(library, llm=llm).llm)


def read_questions(path: Path) -> list[Question]:
    """Questions of a JSON Lines file.

    Raises:
        NotFound: there is no such file.
        InvalidInput: a line is no question; the message has its number.
    """
    if not path.is_file():
        raise NotFound(f"`{path}` does not exist: questions are JSON Lines, a question and its gold places a line")
    lines = path.read_text(encoding="utf-8").splitlines()
    found = [_question(line, n) for n, line in enumerate(lines, start=1) if line.strip()]
    if not found:
        raise InvalidInput(f"`{path}` holds no questions")
    return found


def _question(line: str, number: int) -> Question:
    try:
        fields = json.loads(line)
        gold = tuple(_place(place) for place in fields["gold"])
        return Question(str(fields["question"]), gold, str(fields.get("kind", "")))
    except (ValueError, LookupError, TypeError, AttributeError) as cause:
        shape = '{"question": "...", "gold": [{"path": "a.pdf", "page": 2}]}'
        raise InvalidInput(f"line {number} is no question: expected {shape} ({cause})") from cause


def _place(fields: Mapping[str, Any]) -> Place:
    t = fields.get("t")
    page = fields.get("page")
    stretch = None if t is None else (float(t[0]), float(t[1]))
    return Place(str(fields["path"]), None if page is None else int(page), stretch)


def _outcome(question: Question, answer: Answer) -> Outcome:
    right = [any(place.holds(passage.hit) for place in question.gold) for passage in answer.passages]
    n_right = sum(any(place.holds(passage.hit) for place in question.gold) for passage in answer.citations)
    return Outcome(question, answer, right.index(True) + 1 if True in right else None, n_right)


def _is_within(k: int, outcome: Outcome) -> bool:
    return outcome.rank is not None and outcome.rank <= k


def _share(outcomes: Sequence[Outcome], is_so: Callable[[Outcome], bool]) -> float | None:
    return round(sum(map(is_so, outcomes)) / len(outcomes), 4) if outcomes else None
