"""Leaks, counted: texts of the development sets that also stand among the rows that training may read."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

from .packs import Meta, Packs
from .splits import is_dev_caption, is_dev_ntrex, is_dev_sound, is_dev_speech, is_dev_story, is_dev_table, is_dev_term

MIN_WORDS = 3
"""Shorter texts are names: everybody has them, and none is a leak."""
WORD_LISTS = ("text/cldr_names.", "text/omw_lemmas.", "text/gatitos.", "text/id_tagging.")
"""Packs of names, which are not read here for the same reason."""

Row = Meta
IS_DEV: dict[str, Callable[[Row], bool]] = {
    "text/stsb_ccbysa_train_dev": lambda row: row["split"] == "dev",
    "text/ntrex_1-1600": lambda row: is_dev_ntrex(int(row["line"])),
    "text/wtq_tables_train": lambda row: is_dev_table(row["id"]),
    "text/wtq_questions_train": lambda row: is_dev_table(row["table"]),
    "text/openstax_glossary": lambda row: is_dev_term(row["term"]),
    "text/stories": lambda row: is_dev_story(row["story"]),
    "images/stories": lambda row: is_dev_story(row["story"]),
    "audio/stories_speech": lambda row: is_dev_story(row["story"]),
    "audio/speech_real": is_dev_speech,
    "audio/sounds": lambda row: is_dev_sound(row["label"]),
    "images/captions": lambda row: is_dev_caption(row["key"]),
    "images/caltech101": lambda row: row["split"] == "test",
    "video/clips": lambda row: True,
}
"""Pack -> whether a row of it belongs to the development set; of a pack that is not named here every row may train."""


def training_texts(packs: Packs) -> Iterator[str]:
    """Every text of every row that training may read, word lists left out; long rows field by field."""
    for pack in sorted({_pack(name) for name in packs.names() if not name.startswith(("teachers/", *WORD_LISTS))}):
        is_dev = IS_DEV.get(pack)
        for row in _rows(packs, pack):
            if is_dev is None or not is_dev(row):
                yield from _texts(row)


def count(wanted: dict[str, set[str]], packs: Packs) -> dict[str, tuple[int, int]]:
    """For each set of texts: how many stand in training rows, and how many there are.

    Args:
        wanted: name of a task -> its texts; those below three words are left out of both numbers.
        packs: the data folder; one pass over it serves all sets.
    """
    plain = {name: {p for text in texts if _is_long(p := normal(text))} for name, texts in wanted.items()}
    everything = set().union(*plain.values())
    long = (text for text in training_texts(packs) if _is_long(text)) if everything else iter(())
    seen = {p for text in long if (p := normal(text)) in everything}
    return {name: (len(texts & seen), len(texts)) for name, texts in plain.items()}


def normal(text: str) -> str:
    """A text without regard to case, width of letters, punctuation at its ends, and spacing."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(folded.split()).strip(" .,;:!?\"'()[]“”‘’…。！？")


def _is_long(text: str) -> bool:
    """Three words, or as many letters where a script writes without spaces."""
    return text.count(" ") + 1 >= MIN_WORDS or (len(text) >= 4 * MIN_WORDS and not text.isascii())


def _pack(name: str) -> str:
    folder, _, file = name.partition("/")
    stem = file.split(".")[0]
    return f"{folder}/{stem.rpartition('-')[0]}" if name.endswith(".tar") else f"{folder}/{stem}"


def _rows(packs: Packs, pack: str) -> Iterator[Row]:
    files = [name for name in packs.names() if _pack(name) == pack]
    if files[0].endswith(".tar"):
        yield from ({**meta, "key": key} for key, meta in packs.metas(pack))
    elif files[0].endswith(".jsonl.xz"):
        yield from packs.records(files[0])
    else:
        yield from packs.rows(files[0])


def _texts(value: Any) -> Iterator[str]:
    """All texts in a row, whatever its fields are called."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)
