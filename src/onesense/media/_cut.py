"""A sound or video as a small file of its own, for people and services: WAV, or MP4 (H.264 and AAC)."""

from __future__ import annotations

import io
import wave
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import EmptyInput, InvalidInput
from ..types import LIMITS, SAMPLE_RATE_HZ, Array, Audio, Limits, Video
from . import _av, fetch

RATE_HZ = 48_000  # what AAC and every player take; the house's own 16 kHz is for models
FPS = 25.0
SHORT_SIDE = 480  # px
MAX_S = 120.0  # of one clip: a clip is cut while somebody waits
_CLOCK = 90_000  # ticks a second of the video track, the usual of MPEG


def sound(source: bytes | Path, start_s: float, end_s: float, limits: Limits = LIMITS) -> bytes:
    """The stretch as WAV, 16 bits, mono, 48 kHz.

    Raises:
        InvalidInput: the stretch is empty, or longer than `MAX_S`.
        EmptyInput: there is no sound in it.
        DecodeError: less than half of the packets can be decoded.
    """
    samples = _samples(source, *_checked(start_s, end_s), limits)
    if not len(samples):
        raise EmptyInput(f"{fetch.label(source)} has no sound between {start_s:g} s and {end_s:g} s")
    return _wav(samples, RATE_HZ)


def video(source: bytes | Path, start_s: float, end_s: float, limits: Limits = LIMITS) -> bytes:
    """The stretch as MP4, short side at most 480 px, 25 frames a second, with its sound where there is some.

    Raises:
        InvalidInput: the stretch is empty, or longer than `MAX_S`.
        EmptyInput: there is no frame in it.
        DecodeError: less than half of the packets can be decoded.
    """
    stretch = _checked(start_s, end_s)
    frames = _av.frames(source, stretch, FPS, SHORT_SIDE, limits)
    first = next(frames, None)
    if first is None:
        raise EmptyInput(f"{fetch.label(source)} has no frame between {start_s:g} s and {end_s:g} s")
    return _mp4(_from(first, frames), first[1], start_s, _samples(source, *stretch, limits), RATE_HZ)


def of_audio(audio: Audio) -> bytes:
    """A decoded sound as WAV: 16 bits, mono, 16 kHz."""
    return _wav(_as_int16(audio.samples), SAMPLE_RATE_HZ)


def of_video(film: Video) -> bytes:
    """Decoded frames as MP4 at their own times and size, with their sound."""
    samples = film.sound.samples if film.sound is not None else np.zeros(0, np.float32)
    frames = zip(map(float, film.times_s), film.frames, strict=True)
    return _mp4(frames, film.frames[0], float(film.times_s[0]), _as_int16(samples), SAMPLE_RATE_HZ)


def _wav(samples: Array, rate_hz: int) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(samples.tobytes())
    return out.getvalue()


def _mp4(frames: Iterator[tuple[float, Array]], like: Array, start_s: float, samples: Array, rate_hz: int) -> bytes:
    """MP4 of (seconds, uint8 [H, W, 3]) frames of the size of `like`, and of int16 [S] where there are any."""
    import av

    out = io.BytesIO()
    with av.open(
        out, "w", format="mp4", options={"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    ) as container:
        pictures = _picture_track(container, like)
        voice = container.add_stream("aac", rate=rate_hz, layout="mono") if len(samples) else None
        _write_pictures(container, pictures, frames, start_s)
        if voice is not None:
            _write_sound(container, voice, samples, rate_hz)
    return out.getvalue()


def _checked(start_s: float, end_s: float) -> tuple[float, float]:
    if not 0 <= start_s < end_s or end_s - start_s > MAX_S:
        raise InvalidInput(f"a clip is 0 to {MAX_S:g} s long, not from {start_s:g} s to {end_s:g} s")
    return start_s, end_s


def _samples(source: bytes | Path, start_s: float, end_s: float, limits: Limits) -> Array:
    """int16 [S] at 48 kHz; empty where there is no sound."""
    blocks = list(_av.sound(source, start_s, end_s, limits, RATE_HZ))
    joined = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    return _as_int16(joined)


def _as_int16(samples: Array) -> Array:
    return np.asarray(np.rint(np.clip(samples, -1.0, 1.0) * 32_767), np.int16)


def _picture_track(container: Any, picture: Array) -> Any:
    track = container.add_stream("libx264", rate=round(FPS))
    track.height, track.width = (side - side % 2 or 2 for side in picture.shape[:2])  # yuv420p halves both sides
    track.pix_fmt = "yuv420p"
    track.time_base = track.codec_context.time_base = Fraction(1, _CLOCK)
    track.options = {"preset": "veryfast", "crf": "26", "bf": "0"}  # two frames of delay are seconds at 1 a second
    return track


def _from(first: tuple[float, Array], rest: Iterator[tuple[float, Array]]) -> Iterator[tuple[float, Array]]:
    yield first
    yield from rest


def _write_pictures(container: Any, track: Any, frames: Iterator[tuple[float, Array]], start_s: float) -> None:
    from av import VideoFrame

    for time_s, picture in frames:
        frame = VideoFrame.from_ndarray(picture, format="rgb24").reformat(track.width, track.height, "yuv420p")
        frame.pts, frame.time_base = round(max(0.0, time_s - start_s) * _CLOCK), Fraction(1, _CLOCK)
        container.mux(track.encode(frame))
    container.mux(track.encode(None))


def _write_sound(container: Any, track: Any, samples: Array, rate_hz: int) -> None:
    from av import AudioFrame, AudioResampler

    resampler = AudioResampler(track.format, track.layout, rate_hz, track.codec_context.frame_size)
    whole = AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
    whole.sample_rate, whole.pts, whole.time_base = rate_hz, 0, Fraction(1, rate_hz)
    for frame in [*resampler.resample(whole), *resampler.resample(None)]:
        container.mux(track.encode(frame))
    container.mux(track.encode(None))
