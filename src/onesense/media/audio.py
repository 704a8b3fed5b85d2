"""Sound: WAV, MP3, FLAC, OGG, Opus, M4A, AAC, AIFF and the sound of a video, to float32 mono at 16 kHz.

A file whose end is missing or damaged yields what can be heard before it, as players do: half a recording is true,
half a picture is not. A file from which nothing can be decoded, or whose greater part is damaged, is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..errors import DecodeError, EmptyInput, TooLarge
from ..types import LIMITS, SAMPLE_RATE_HZ, Array, Audio, Content, Decoded, Limits, Locator, Part, Segment
from . import _av, fetch
from ._windows import is_silent, windows

_MAGIC = (
    (b"OggS\x00", "audio/ogg"),
    (b"fLaC\x00\x00\x00\x22", "audio/flac"),
    (b"fLaC\x80\x00\x00\x22", "audio/flac"),
    (b"caff\x00\x01", "audio/x-caf"),
    (b".snd\x00\x00\x00", "audio/basic"),
    (b"#!AMR", "audio/amr"),
    (b"ID3\x02", "audio/mpeg"),
    (b"ID3\x03", "audio/mpeg"),
    (b"ID3\x04", "audio/mpeg"),
)
_CHUNKED = {
    (b"RIFF", b"WAVE"): "audio/wav",
    (b"RF64", b"WAVE"): "audio/wav",
    (b"FORM", b"AIFF"): "audio/aiff",
    (b"FORM", b"AIFC"): "audio/aiff",
}
_MIMES = {*(mime for _, mime in _MAGIC), *_CHUNKED.values(), "audio/aac", "audio/opus", "audio/vorbis"}


class AudioModality:
    """Sound. Stateless, so any thread may use it."""

    name = "audio"
    mimes = frozenset(_MIMES | {f"audio/{subtype}" for subtype in _av.CONTAINERS})
    suffixes = frozenset({".wav", ".mp3", ".flac", ".ogg", ".oga", ".opus", ".m4a", ".aac", ".aif", ".aiff", ".amr"})

    def sniff(self, head: bytes) -> str | None:
        """The sound type, or the container, that the first bytes show."""
        for magic, mime in _MAGIC:
            if head.startswith(magic):
                return mime
        if chunked := _CHUNKED.get((head[:4], head[8:12])):
            return chunked
        if framed := _mpeg_frame(head.lstrip(b"\x00")):
            return framed
        container = _av.shared_container(head)
        return f"audio/{container}" if container else None

    def reads(self, source: bytes | Path) -> int:
        """All of a file with sound only (an album's cover does not count), a part of one with video, else nothing."""
        try:
            contents = _av.probe(source)
        except DecodeError:
            return 0
        return int(contents.has_sound) * (1 if contents.has_pictures else 2)

    def decode(self, source: bytes | Path, part: Part, limits: Limits = LIMITS) -> Audio:
        """The sound of the stretch that `part` asks for.

        Returns:
            Audio of float32 [S], mono, 16 kHz, -1..1.

        Raises:
            EmptyInput: there is no sound in the file, or none in this stretch.
            DecodeError: not one sample, or less than half of the packets, can be decoded.
            TooLarge: longer than `limits.max_seconds`.
        """
        start_s, end_s = _av.stretch(part)
        blocks, n_samples = [], 0
        for block in _av.sound(source, start_s, end_s, limits):
            blocks.append(block)
            n_samples += len(block)
            if n_samples > limits.max_seconds * SAMPLE_RATE_HZ:
                advice = "give start_s and end_s, or index the file"
                found = f"more than the {limits.max_seconds:,.0f} s of sound that are decoded at once"
                raise TooLarge(f"{fetch.label(source)} has {found}: {advice}")
        if not n_samples:
            raise EmptyInput(_nothing(source, part))
        return Audio(np.concatenate(blocks))

    def segments(self, source: bytes | Path, limits: Limits = LIMITS) -> Iterator[Segment]:
        """Windows of about 10 s, cut at pauses. Silent ones are left out, unless the whole file is silent.

        Raises:
            EmptyInput: there is no sound in the file.
            DecodeError: less than half of the packets can be decoded; windows before that have been given.
        """
        silent: Segment | None = None
        heard = False
        for first, samples in windows(_av.sound(source, 0.0, float("inf"), limits)):
            segment = _segment(first, samples)
            if not is_silent(samples):
                heard = True
                yield segment
            elif silent is None:
                silent = segment
        if heard:
            return
        if silent is None:
            raise EmptyInput(_nothing(source, Part(source)))
        yield silent

    def preview(self, value: Decoded) -> str:
        """How long it lasts."""
        assert isinstance(value, Audio)
        return f"sound {clock(value.duration_s)}"


modality = AudioModality()


def clock(seconds: float) -> str:
    """Minutes and seconds as players show them; tenths below ten seconds."""
    if seconds < 10:
        return f"0:{seconds:04.1f}"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def _segment(first: int, samples: Array) -> Segment:
    start_s = first / SAMPLE_RATE_HZ
    end_s = start_s + len(samples) / SAMPLE_RATE_HZ
    where = Locator(start_s=round(start_s, 3), end_s=round(end_s, 3))
    sound = Audio(samples)
    return Segment(Content(Part(sound)), where, modality.name, modality.preview(sound))


def _nothing(source: bytes | Path, part: Part) -> str:
    if part.start_s is None and part.end_s is None:
        return f"{fetch.label(source)} holds no sound: 0 seconds were decoded"
    end = "its end" if part.end_s is None else f"{part.end_s:g} s"
    return f"{fetch.label(source)} has no sound between {part.start_s or 0:g} s and {end}"


def _mpeg_frame(head: bytes) -> str | None:
    """MPEG audio or AAC by the header of its first frame (ISO/IEC 11172-3, section 2.4.1.3; 13818-7, section 6.2)."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    if head[1] & 0xF6 == 0xF0 and head[2] >> 2 & 15 < 13:
        return "audio/aac"
    # Layer I is left out: its sync word is the byte-order mark of UTF-16.
    is_known = version != 1 and layer in (1, 2) and head[2] >> 4 not in (0, 15) and head[2] >> 2 & 3 != 3
    return "audio/mpeg" if is_known else None
