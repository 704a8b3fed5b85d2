"""The answer without a language model: the passages themselves, each with its mark."""

from __future__ import annotations

from collections.abc import Sequence

from onesense.index.calibrate import NO_MATCH

from .retrieve import seated
from .types import Passage

SHOWN = 5  # passages in an answer; all that were found stand beside it
NO_LLM = (
    "no language model is set up, so these are the passages themselves: set ONESENSE_LLM, or --llm, to have them read"
)
_NAMES = {"image": "picture", "audio": "sound", "video": "video", "pdf": "page"}


def lines(passages: Sequence[Passage]) -> list[str]:
    """One line a likely passage: its nearest sentence in quotation marks, or what kind of thing it is, and its mark."""
    likely = [p for p in passages if p.hit.confidence is None or p.hit.confidence >= NO_MATCH]
    return [f"{_said(passage)} [{passage.number}]\n" for passage in seated(likely or passages[:1], SHOWN)]


def _said(passage: Passage) -> str:
    return f"“{passage.quote}”" if passage.quote else f"{_NAMES.get(passage.hit.modality, 'item')} {passage.place}"
