"""What the development set is made of: rows that training leaves out and the development measurements use.

The rules are fixed and read by both sides; a rule that changes makes every earlier number a stranger.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

_DEV_SHARE = 5  # one voice in five


def is_dev_story(story: str) -> bool:
    """Whether a storybook belongs to the development set, in all languages: text, pictures and narrations.

    Args:
        story: collection and number, e.g. `asp-0013`; the rule is "the number ends in 3".
    """
    return int(story.split("-")[1]) % 10 == 3


def is_dev_speech(record: Mapping[str, Any]) -> bool:
    """Whether a recording of the real-speech pack belongs to the development set, decided voice by voice.

    The voice is `speaker`, else `reader`, else the source and the first part of the key, so that the two collections
    that do not tell their speakers apart (voice orders, wake words) fall on one side as a whole.

    Args:
        record: JSON of the pack, with `key` (file name without its ending) and `source`.
    """
    identity = record.get("speaker") or record.get("reader") or _collection(record)
    return hashlib.sha256(str(identity).encode()).digest()[0] % _DEV_SHARE == 0


def _collection(record: Mapping[str, Any]) -> str:
    return f"{record['source']}/{str(record['key']).split('-')[0]}"


def is_dev_ntrex(line: int) -> bool:
    """Whether a line of NTREX belongs to the development set: 1501 to 1600, in all variants."""
    return 1501 <= line <= 1600


def is_dev_table(table: str) -> bool:
    """Whether a table of WikiTableQuestions belongs to the development set, with all its questions.

    Args:
        table: id of the pack, e.g. `204/590`; the rule is "the first byte of its sha256 is divisible by 10".
    """
    return hashlib.sha256(table.encode()).digest()[0] % 10 == 0


def is_dev_term(term: str) -> bool:
    """Whether a glossary term belongs to the development set, with all its definitions; same rule, lower case."""
    return is_dev_table(term.lower())


def is_dev_sound(label: str) -> bool:
    """Whether a sound's name belongs to the development set, with all its recordings: one name in ten."""
    return is_dev_table(label)


def is_dev_caption(key: str) -> bool:
    """Whether a captioned picture belongs to the development set, with all its captions: one key in ten."""
    return is_dev_table(key)


def is_dev_class(imagenet_index: int) -> bool:
    """Whether a class is kept out of composed training (picture + words): one in five."""
    return imagenet_index % 5 == 0


def is_dev_letters(number: str) -> bool:
    """Whether a sentence of SIB-200 is kept out of training in the scripts that the imported model cannot read.

    Args:
        number: the sentence's id, the same in all languages; the rule is "it ends in 9".
    """
    return int(number) % 10 == 9
