"""What a reader of a text layer writes down."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_SAMPLED_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Line:
    """Words that belong together: a line of print, a stretch of speech."""

    text: str
    start_s: float = 0.0
    """Where it begins, seconds from the start of a sound; 0 for print."""


def fitting(lines: Iterable[Line], max_chars: int) -> list[Line]:
    """The first lines, at most `max_chars` characters together; a line is kept whole or left out with the rest."""
    kept, left = [], max_chars
    for line in lines:
        left -= len(line.text)
        if left < 0:
            break
        kept.append(line)
    return kept


def digest(files: Iterable[Path]) -> str:
    """Eight hex digits that tell networks apart: names, sizes and first 64 KiB, as reading 100 MB whole takes long."""
    found = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            found.update(f"{file.name} {file.stat().st_size} ".encode() + stream.read(_SAMPLED_BYTES))
    return found.hexdigest()[:8]
