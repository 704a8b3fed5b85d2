"""A content as the items of a message, in the order given: that order is canonical, and changing it changes the vector.

A page is its picture, then its text layer. A video is its frames, then its sound where the model hears.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from onesense.engine import pieces
from onesense.errors import EmptyInput
from onesense.types import SAMPLE_RATE_HZ, Array, Audio, Content, Decoded, Document, Image, ModelInfo, Page, Video

_CLOCK_HZ = 1_000  # frame times are told to the processors in milliseconds
_CHARS_PER_TOKEN = 16  # more characters than this a token are cut before they are tokenised


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of one medium the processor of a checkpoint reads."""

    n_frames: int
    """Of a video, evenly spread."""
    n_samples: int
    """Of a sound, from its start."""


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """One piece of a message."""

    kind: str
    """`text`, `image`, `video` or `audio`: what the model sees in it."""
    value: Any
    """str; uint8 [H, W, 3]; `Frames`; float32 [S] at 16 kHz."""
    owner: str
    """Name of the modality that it came as."""
    is_cut: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """The frames of a video."""

    pixels: Array
    """uint8 [T, H, W, 3]."""
    times_s: Array
    """float32 [T]."""
    duration_s: float

    @property
    def fps(self) -> float:
        """Frames a second, on the whole."""
        span = float(self.times_s[-1] - self.times_s[0])
        return (len(self.times_s) - 1) / span if span > 0 else 1.0

    def metadata(self) -> dict[str, Any]:
        """For transformers' `VideoMetadata`: exact times, as frame numbers of a clock of 1000 Hz."""
        places = [round(float(t) * _CLOCK_HZ) for t in self.times_s]
        return {
            "total_num_frames": max(len(places), round(self.duration_s * _CLOCK_HZ)),
            "fps": float(_CLOCK_HZ),
            "duration": self.duration_s,
            "frames_indices": places,
        }


def items(content: Content, info: ModelInfo, bounds: Bounds) -> list[Item]:
    """Decode a content for one model.

    Raises:
        EmptyInput: no word, no sample, no pixel.
        InvalidInput: a part cannot be decoded, or the model has no sense for it.
    """
    found = [
        item
        for modality, value in pieces.decode(content, info)
        for item in _of(value, modality, info, bounds)
        if len(item.value if item.kind != "video" else item.value.pixels)
    ]
    if not found or all(item.kind == "text" and not item.value.strip() for item in found):
        raise EmptyInput("there is nothing to embed: no word, no sample, no pixel")
    return found


def _of(value: Decoded, owner: str, info: ModelInfo, bounds: Bounds) -> Iterator[Item]:
    match value:
        case str():
            longest = _CHARS_PER_TOKEN * info.max_tokens
            yield Item("text", value[:longest], owner, is_cut=len(value) > longest)
        case Image():
            yield Item("image", value.pixels, owner)
        case Audio():
            samples = np.ascontiguousarray(value.samples[: bounds.n_samples], np.float32)
            yield Item("audio", samples, owner, is_cut=len(value.samples) > bounds.n_samples)
        case Video():
            yield _frames(value, owner, bounds.n_frames)
            if value.sound is not None and "audio" in info.modalities:
                yield from _of(value.sound, owner, info, bounds)
        case Page():
            if "image" in info.modalities:
                yield from _of(value.image, owner, info, bounds)
            yield from _of(value.text, owner, info, bounds)
        case Document():
            for page in value.pages:
                yield from _of(page, owner, info, bounds)


def _frames(video: Video, owner: str, most: int) -> Item:
    places = np.arange(len(video.frames))
    if len(places) > most:
        places = np.linspace(0, len(places) - 1, most).astype(int)
    return Item("video", Frames(video.frames[places], video.times_s[places], video.duration_s), owner)


def shortened(found: list[Item], tokenizer: Any, excess: int) -> list[Item]:
    """The items without the last `excess` tokens of text, from the last text backwards.

    Args:
        found: the items.
        tokenizer: a fast tokeniser, for the places of its tokens.
        excess: tokens too many, > 0.
    """
    left = list(found)
    for place in range(len(left) - 1, -1, -1):
        item = left[place]
        if excess <= 0 or item.kind != "text":
            continue
        tokens = tokenizer(item.value, add_special_tokens=False, return_offsets_mapping=True)
        starts = [start for start, _ in tokens["offset_mapping"]]
        kept = max(0, len(starts) - excess)
        excess -= len(starts) - kept
        left[place] = replace(item, value=item.value[: starts[kept]] if kept < len(starts) else item.value, is_cut=True)
    return left


def samples_of(seconds: float) -> int:
    """Samples of a stretch of sound."""
    return int(seconds * SAMPLE_RATE_HZ)
