"""The tokeniser: SentencePiece's unigram segmentation, over as many pieces as a text needs.

Building the segmenter of all 228 thousand pieces costs a second, which one query should not wait for. The most likely
segmentation of a text uses only pieces that occur in it, so the first texts are segmented over those alone, with the
same result; once more has been read than a person types, the whole segmenter is built.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ....types import Array

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Segmenter

WHOLE_AFTER_CHARS = 3_000  # about where building everything is cheaper than looking for pieces
SPACE = "▁"


class Tokenizer:
    """Texts to piece ids. Thread-safe.

    Args:
        stored: what `pack` returned.
    """

    def __init__(self, stored: Mapping[str, Array]) -> None:
        self._settings: dict[str, Any] = json.loads(stored["settings"].tobytes())
        self._pieces = stored["pieces"].tobytes().decode().split("\n")
        self._scores = np.cumsum(stored["score_steps"], dtype=np.int32).view(np.float32)
        self._ids = dict(zip(self._pieces, range(len(self._pieces)), strict=True))
        self._longest = max(map(len, self._pieces))
        self._lowest = int(self._scores.argmin())
        self._unknown = int(self._settings["model"]["unk_id"])
        """The last of the special pieces, which come first."""
        specials = self._pieces[: self._unknown + 1]
        self._split = re.compile("|".join(map(re.escape, specials))).split
        self._read_chars = 0
        self._lock = threading.Lock()
        self._whole: Segmenter | None = None
        self._blank = self._segmenter(range(self._unknown + 1))

    def encode(self, text: str) -> list[int]:
        """Piece ids of a text, without `<s>` and `</s>`."""
        whole = self._whole or self._grow(text)
        if whole is not None:
            ids: list[int] = whole.encode(text, add_special_tokens=False).ids
            return ids
        kept = self._kept(text)
        ids = self._segmenter(kept).encode(text, add_special_tokens=False).ids
        return [kept[i] for i in ids]

    def whole(self) -> Segmenter:
        """A segmenter of all pieces, for whoever needs the library's own object."""
        return self._segmenter(range(len(self._pieces)))

    def _grow(self, text: str) -> Segmenter | None:
        """The whole segmenter, once enough has been read; None before."""
        with self._lock:
            self._read_chars += len(text)
            if self._whole is None and self._read_chars > WHOLE_AFTER_CHARS:
                self._whole = self.whole()
            return self._whole

    def _kept(self, text: str) -> list[int]:
        """Ids of all pieces that occur in a text, ascending.

        The special pieces keep their places, and the least likely piece stays: what an unknown character costs is
        counted from it.
        """
        normal = [SPACE + self._blank.normalizer.normalize_str(s).replace(" ", SPACE) for s in self._split(text)]
        spans = {s[i : i + n] for s in normal for i in range(len(s)) for n in range(1, self._longest + 1)}
        found = {self._ids[span] for span in spans if span in self._ids}
        return sorted(found | {*range(self._unknown + 1), self._lowest})

    def _segmenter(self, ids: range | list[int]) -> Segmenter:
        """A segmenter over these pieces; ids begin with the special ones."""
        from tokenizers import Tokenizer, models

        specials = [[self._pieces[i], float(self._scores[i])] for i in range(self._unknown + 1)]
        made = Tokenizer.from_str(
            json.dumps({**self._settings, "model": {**self._settings["model"], "vocab": specials}})
        )
        if len(ids) > len(specials):
            scores = self._scores[list(ids)].tolist()
            made.model = models.Unigram([(self._pieces[i], s) for i, s in zip(ids, scores, strict=True)], self._unknown)
        return made


def pack(settings: Mapping[str, Any]) -> dict[str, Array]:
    """Arrays of a `tokenizer.json` with a unigram model, to be kept in a compressed npz file.

    Args:
        settings: the parsed file; no piece may hold a line end.

    Returns:
        `settings` uint8 (JSON without pieces), `pieces` uint8 (UTF-8, a line each), `score_steps` int32 (differences
        of the bits of the float32 scores, which are small because pieces are sorted by score).
    """
    vocabulary = settings["model"]["vocab"]
    bare = {**settings, "model": {k: v for k, v in settings["model"].items() if k != "vocab"}}
    scores = np.array([score for _, score in vocabulary], np.float32).view(np.int32)
    return {
        "settings": _bytes(json.dumps(bare, ensure_ascii=False, separators=(",", ":"))),
        "pieces": _bytes("\n".join(piece for piece, _ in vocabulary)),
        "score_steps": np.diff(scores, prepend=np.int32(0)).astype(np.int32),
    }


def _bytes(text: str) -> Array:
    return np.frombuffer(text.encode(), np.uint8)
