"""Text layers: words that an optional reader writes down beside the tokens of a sense, as a PDF has its text layer.

A model's name asks for them, `onesense-mini+ocr`, and everything that changes the words is part of its record, so that
collections made with and without them never mix. Nothing of a reader is imported before it is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from ....types import Array, ModelInfo
from . import ocr, transcript
from .written import Line

IMAGE_SIDE = 800  # px; an A4 sheet photographed or scanned keeps 97 dpi at least, ten-point type 13 px


class Reader(Protocol):
    """Writes down the words of one medium. Any thread may call it; one reading runs at a time."""

    def __call__(self, medium: Array, /) -> list[Line]:
        """Lines in the order in which a person would read or hear them; none where there are no words.

        Args:
            medium: uint8 [H, W, 3] sRGB for `ocr`; float32 [S], mono, 16 kHz, for `transcribe`.
        """
        ...


@dataclass(frozen=True, slots=True)
class Layer:
    """One kind of text layer."""

    adds: str
    """What it adds and which extra it needs, for the model's description."""
    version: Callable[[], str]
    """Name of its networks; raises MissingExtra or NotFound, with what to do, where they are not there."""
    open: Callable[[int], Reader]
    """Load them; takes the number of threads, 0 for one a core."""


LAYERS: Mapping[str, Layer] = {
    "ocr": Layer("the words in pictures [ocr]", ocr.version, ocr.Ocr),
    "transcribe": Layer("the words of speech [transcribe]", transcript.version, transcript.Transcriber),
}
"""Name as in a model's name -> layer; a name lists them in alphabetical order."""


def described(info: ModelInfo, names: Sequence[str]) -> ModelInfo:
    """The record of the model with these layers; the record itself without any.

    Raises:
        MissingExtra: the package of a layer is not installed.
        NotFound: the networks of a layer are not where the settings say.
    """
    if not names:
        return info
    versions = [f"{name}:{LAYERS[name].version()}" for name in names]
    return replace(
        info,
        name="+".join([info.name, *names]),
        description=f"with {' and '.join(LAYERS[name].adds for name in names)}; else as {info.name}",
        preprocessing="+".join([info.preprocessing, *versions]),
        image_side=IMAGE_SIDE if "ocr" in names else info.image_side,
    )
