"""Text pairs from the packs: two texts that mean the same, or a question and what answers it.

Each pack is one source; a batch is drawn from one source (and, where it has many, any of its languages by the square
root of their size), so that in-batch negatives are of one kind. Rows of the development sets are left out here.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from ...evals.packs import Packs
from ...evals.splits import is_dev_story

NTREX_TRAIN_LINES = 1500  # lines 1501-1600 are the development set
MAX_ROWS = 160_000  # a source: more would not be seen in a run of this length
MAX_CHARS = 600
UNREAD = re.compile(
    "[\u0700-\u074f\u0780-\u07ff\u0f00-\u0fff\u13a0-\u167f\u1800-\u18af\u1a20-\u1aaf\u1c50-\u1c7f\u2d30-\u2d7f"
    "\ua000-\ua4cf\ua500-\ua63f\ua980-\ua9df\uaa80-\uaadf\uabc0-\uabff\U00010400-\U000104ff\U00010d00-\U00010d3f"
    "\U00011100-\U0001137f\U0001e900-\U0001e95f]"
)
"""Scripts that the imported model has no pieces for: their texts are a task of their own (`letters`)."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two texts that belong together."""

    text: str
    other: str
    lang: str


@dataclass(slots=True)
class TextSource:
    """One pack's pairs by language."""

    name: str
    weight: float
    pairs: dict[str, list[Pair]] = field(default_factory=lambda: defaultdict(list))

    def sample(self, n: int, rng: random.Random) -> list[Pair]:
        """Draw n pairs, languages by the square root of their size."""
        langs = list(self.pairs)
        chosen = rng.choices(langs, [len(self.pairs[lang]) ** 0.5 for lang in langs], k=n)
        return [rng.choice(self.pairs[lang]) for lang in chosen]


WEIGHTS = {
    "everyday": 1.5, "tico": 1.5, "sib": 1.5, "stories": 2.5, "ntrex": 1.0, "words": 1.5, "lemmas": 1.0, "gloss": 0.7,
    "interface": 0.7, "objects": 0.7, "commands": 0.4, "manuals": 0.7, "rights": 0.3, "tables": 0.5, "code": 0.5,
}  # fmt: skip
"""How often a source is drawn: everyday language and stories most, because E5 saw little of them."""


def sources(packs: Packs, seed: int = 0) -> list[TextSource]:
    """All text sources that have rows, each cut to `MAX_ROWS` random ones."""
    found = (_source(name, weight, packs, seed) for name, weight in WEIGHTS.items())
    return [source for source in found if source.pairs]


def _source(name: str, weight: float, packs: Packs, seed: int) -> TextSource:
    rng = random.Random(f"{seed}-{name}")
    kept: list[Pair] = []
    for seen, pair in enumerate(p for p in _READERS[name](packs) if _usable(p)):
        if len(kept) < MAX_ROWS:
            kept.append(pair)
        elif (at := rng.randrange(seen + 1)) < MAX_ROWS:  # reservoir sampling (Vitter 1985)
            kept[at] = pair
    source = TextSource(name, weight)
    for pair in kept:
        source.pairs[pair.lang].append(pair)
    return source


def _usable(pair: Pair) -> bool:
    fits = 0 < len(pair.text) <= MAX_CHARS and 0 < len(pair.other) <= MAX_CHARS
    return fits and UNREAD.search(pair.text) is None


def _parallel(packs: Packs, *names: str) -> Iterator[Pair]:
    for name in names:
        for row in packs.rows(f"text/{name}.tsv.xz"):
            yield Pair(row["text"], row["english"], row["lang"])


def _ntrex(packs: Packs) -> Iterator[Pair]:
    for row in packs.rows("text/ntrex_1-1600.tsv.xz"):
        if int(row["line"]) <= NTREX_TRAIN_LINES:
            yield Pair(row["text"], row["english"], row["lang"])


def _stories(packs: Packs) -> Iterator[Pair]:
    for row in packs.rows("text/stories.tsv.xz"):
        if not is_dev_story(row["story"]):
            yield Pair(row["text"], row["english"], row["lang"])


def _lemmas(packs: Packs) -> Iterator[Pair]:
    for row in packs.rows("text/omw_lemmas.tsv.xz"):
        yield Pair(row["lemma"].replace("_", " "), row["english"].replace("_", " "), row["lang"])


def _gloss(packs: Packs) -> Iterator[Pair]:
    for record in packs.records("text/oewn.jsonl.xz"):
        if record["definition"]:
            yield Pair(record["lemmas"][0].replace("_", " "), record["definition"][0], "en")


def _manuals(packs: Packs) -> Iterator[Pair]:
    for row in packs.rows("text/tldr.tsv.xz"):
        yield Pair(row["description"], row["english"], row["lang"])


def _tables(packs: Packs) -> Iterator[Pair]:
    from ...evals.splits import is_dev_table

    tables = {
        r["id"]: f"{r['title']} {r['heading']} {r['csv']}"[:500]
        for r in packs.records("text/wtq_tables_train.jsonl.xz")
    }
    for row in packs.rows("text/wtq_questions_train.tsv.xz"):
        if row["table"] in tables and not is_dev_table(row["table"]):
            yield Pair(f"query: {row['question']}", f"passage: {tables[row['table']]}", "en")


def _code(packs: Packs) -> Iterator[Pair]:
    for record in packs.records("text/python_docstring_code.jsonl.xz"):
        yield Pair(f"query: {record['docstring']}", record["code"][:500], "en")


_READERS = {
    "everyday": lambda p: _parallel(p, "everyday_phrases"),
    "tico": lambda p: _parallel(p, "tico19"),
    "sib": lambda p: _parallel(p, "sib200_train_dev"),
    "stories": _stories,
    "ntrex": _ntrex,
    "words": lambda p: _parallel(p, "gatitos"),
    "lemmas": _lemmas,
    "gloss": _gloss,
    "interface": lambda p: _parallel(p, "www_l10n"),
    "objects": lambda p: _parallel(p, "id_tagging"),
    "commands": lambda p: _parallel(p, "ha_commands"),
    "manuals": _manuals,
    "rights": lambda p: _parallel(p, "udhr"),
    "tables": _tables,
    "code": _code,
}


def sentences(packs: Packs, most: int = 60_000, seed: int = 0) -> list[str]:
    """English sentences to keep the text model by, a uniform sample; OpenStax is left out, it is measured on."""
    rows = [r["text"] for r in packs.rows("text/english_sentences.tsv.xz") if not r["source"].startswith("openstax")]
    return random.Random(seed).sample(rows, min(most, len(rows)))
