"""The way into FFmpeg's libraries that sound and video share: what is in a file, its sound, its frames.

A file is handed over as an open stream with a fixed list of container formats, so libav never resolves a name, a
playlist or a URL. Its log is silent: PyAV installs an empty C callback unless somebody calls `av.logging.set_level`,
which we never do, because routing the log through Python takes the GIL in libav's threads and can deadlock.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DecodeError, InvalidInput, TooLarge
from ..types import SAMPLE_RATE_HZ, Array, Limits, Part
from . import fetch
from ._ftyp import ftyp_brands

_FORMATS = (
    "aac,ac3,aiff,amr,asf,au,avi,caf,eac3,flac,flv,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpeg,mpegts,ogg,wav,w64"
)
"""Demuxers that may open a file: no playlists (hls, concat, dash), no devices."""

_INDEXED = {"mov", "matroska", "webm", "wav", "w64", "flac", "ogg", "avi"}
"""Containers whose seek lands where their time stamps say; others are decoded from the start."""

_LEAD_S = 2.0  # decoded before a stretch: codecs with memory (MP3, AAC, Opus) need up to 0.1 s, and seeks land roughly
_MIN_RATE_HZ, _MAX_RATE_HZ = 1_000, 768_000  # telephony has 8,000; below it a tiny file would swell to days of sound

_CONTAINERS = {
    b"\x1aE\xdf\xa3": "x-matroska",
    b"FLV\x01": "x-flv",
    b"\x00\x00\x01\xba": "mpeg",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": "x-ms-wmv",
}
CONTAINERS = frozenset({*_CONTAINERS.values(), "mp4", "quicktime", "3gpp", "webm", "x-msvideo", "mp2t", "ogg"})
"""Subtypes that hold sound, video or both: `audio/…` and `video/…` exist of each."""

_ROUNDING_S = 1e-3  # time stamps of Matroska and AVI are rounded to milliseconds

_UNSPECIFIED = 2  # AVCOL_SPC_UNSPECIFIED
_SWS_BT709, _SWS_BT601 = 1, 5  # SWS_CS_ITU709, SWS_CS_ITU601 in libswscale/swscale.h

_PICTURE_BRANDS = {b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"mif2", b"msf1"}


def shared_container(head: bytes) -> str | None:
    """Subtype of a container that may hold sound, video or both, e.g. `mp4`; None for other bytes."""
    brands = ftyp_brands(head)
    if brands and not _PICTURE_BRANDS.intersection(brands[:1]):
        main = brands[0]
        return "quicktime" if main == b"qt  " else "3gpp" if main[:2] == b"3g" else "mp4"
    if head[4:8] in {b"moov", b"mdat", b"wide"} and head[:2] == b"\x00\x00":  # QuickTime before ftyp
        return "quicktime"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "x-msvideo"
    if head[:1] == head[188:189] == head[376:377] == b"G":
        return "mp2t"
    found = next((subtype for magic, subtype in _CONTAINERS.items() if head.startswith(magic)), None)
    return "webm" if found == "x-matroska" and b"webm" in head[:64] else found


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a file."""

    has_sound: bool
    has_pictures: bool
    """A moving picture; the cover of an album does not count."""
    duration_s: float | None
    """As the header says, None where it does not."""


@dataclass(slots=True)
class _Tally:
    n_good: int = 0
    n_bad: int = 0


def stretch(part: Part) -> tuple[float, float]:
    """The seconds [start, end) that a part asks for; end is infinite when it asks for the rest.

    Raises:
        InvalidInput: start or end is negative, not a number, or not in order.
    """
    start = 0.0 if part.start_s is None else float(part.start_s)
    end = math.inf if part.end_s is None else float(part.end_s)
    if not (math.isfinite(start) and 0.0 <= start < end):
        raise InvalidInput(f"the stretch from {part.start_s} s to {part.end_s} s is not possible: 0 <= start < end")
    return start, end


def probe(source: bytes | Path) -> Contents:
    """Look at the streams of a file without decoding them.

    Raises:
        DecodeError: libav cannot open it.
    """
    with opened(source) as container:
        duration_s = container.duration / 1e6 if container.duration and container.duration > 0 else None
        return Contents(_sound_stream(container) is not None, _picture_stream(container) is not None, duration_s)


def header(source: bytes | Path) -> dict[str, Any]:
    """Width, height, duration_s (each None where it is not told) and the tags of a file, without decoding it."""
    with opened(source) as container:
        stream = _picture_stream(container)
        duration_s = round(container.duration / 1e6, 3) if container.duration and container.duration > 0 else None
        size = {name: getattr(stream, name, None) for name in ("width", "height")}
        return {**size, "duration_s": duration_s, "tags": dict(container.metadata)}


@contextmanager
def opened(source: bytes | Path) -> Iterator[Any]:
    """An open libav container; what libav raises while it is used becomes a DecodeError."""
    import av

    with faults(source), io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as stream:
        options = {"format_whitelist": _FORMATS, "protocol_whitelist": "none"}
        # Tags are often in old encodings, which must not stop the sound from being read.
        with av.open(stream, container_options=options, metadata_errors="replace") as container:
            yield container


@contextmanager
def faults(source: bytes | Path) -> Iterator[None]:
    """Turn what PyAV raises for a damaged file into DecodeError."""
    import av

    try:
        yield
    except (av.error.FFmpegError, OSError, ValueError, OverflowError, MemoryError) as cause:
        detail = getattr(cause, "strerror", None) or " ".join(str(cause).split()) or type(cause).__name__
        raise DecodeError(f"{fetch.label(source)} is damaged or no sound or video: {detail}") from cause


def sound(
    source: bytes | Path, start_s: float, end_s: float, limits: Limits, rate_hz: int = SAMPLE_RATE_HZ
) -> Iterator[Array]:
    """The sound of a file as mono at `rate_hz`, block by block, in memory that does not grow with its length.

    Packets that cannot be decoded are skipped, as players do, and a file that breaks off yields what was there.

    Args:
        source: a sound or video file.
        start_s: first second, from the start of the file.
        end_s: last second, exclusive; may be infinite.
        limits: `max_stream_s` ends endless files.
        rate_hz: samples per second; the house's own by default, more for people who listen.

    Yields:
        float32 [S] in -1..1, together the samples of [start_s, end_s); silence where the sound starts late.

    Raises:
        DecodeError: more packets are damaged than whole.
        TooLarge: more than `limits.max_stream_s`.
    """
    first, last = round(start_s * rate_hz), end_s * rate_hz
    with opened(source) as container:
        stream = _sound_stream(container)
        if stream is None:
            return
        _check_rate(stream.codec_context.sample_rate, source)
        at: int | None = None  # sample position of the next block, from the start of the file
        for block, time_s in _blocks(container, stream, start_s, source, rate_hz):
            if at is None:
                at = round(time_s * rate_hz)
                yield from _silence(first, min(at, last, first + limits.max_stream_s * rate_hz), rate_hz)
            if at + len(block) - first > limits.max_stream_s * rate_hz:
                raise TooLarge(f"{fetch.label(source)} goes on for more than {limits.max_stream_s / 3600:g} hours")
            stop = len(block) if last == math.inf else max(0, round(last) - at)
            wanted = block[max(0, first - at) : stop]
            at += len(block)
            if len(wanted):
                yield wanted
            if at >= last:
                return


def frames(
    source: bytes | Path, stretch_s: tuple[float, float], fps: float, short_side: int, limits: Limits
) -> Iterator[tuple[float, Array]]:
    """Sampled frames of a video with their times, by decoding through (a seek per frame costs 3.5x more CPU).

    Args:
        source: a video file.
        stretch_s: seconds [start, end) from the start of the file.
        fps: frames per second to sample; where the video has fewer, each of its frames comes once.
        short_side: frames are scaled down, never up, to this short side in px.
        limits: `max_pixels` a frame and `max_stream_s`.

    Yields:
        Time in seconds from the start of the file, ascending, and uint8 [H, W, 3] sRGB, upright.

    Raises:
        DecodeError: more packets are damaged than whole.
        TooLarge: a limit is passed.
    """
    start_s, end_s = stretch_s
    with opened(source) as container:
        stream = _picture_stream(container)
        if stream is None:
            return
        _check_frame(stream.codec_context, source, limits)
        stream.thread_type = "AUTO"
        origin_s = _origin_s(container)
        _skip_to(container, start_s)
        painter = _Painter(short_side)
        due_s = start_s
        for frame in _decoded(container, stream, source):
            time_s = due_s if frame.time is None else frame.time - origin_s
            if time_s >= end_s:
                return
            if time_s - start_s > limits.max_stream_s:
                raise TooLarge(f"{fetch.label(source)} goes on for more than {limits.max_stream_s / 3600:g} hours")
            if time_s < due_s - _ROUNDING_S:
                continue
            due_s = start_s + (math.floor((time_s + _ROUNDING_S - start_s) * fps) + 1) / fps
            yield max(time_s, 0.0), painter.paint(frame)


class _Painter:
    """Frames to upright RGB of one size; keeps the scaler between frames. One a video, not thread-safe."""

    def __init__(self, short_side: int) -> None:
        from av.video.reformatter import VideoReformatter

        self._short_side = short_side
        self._size: tuple[int, int] | None = None
        self._turns = 0
        self._scaler = VideoReformatter()

    def paint(self, frame: Any) -> Array:
        """uint8 [H, W, 3]; all frames get the first one's size and turn."""
        if self._size is None:
            self._size = self._fitted(frame)
            self._turns = round(frame.rotation / 90) % 4  # from degrees, counter-clockwise
        width, height = self._size
        # What carries no colour matrix is BT.709 from 720 lines up and BT.601 below, as players assume.
        matrix: int | None = None
        if frame.colorspace == _UNSPECIFIED:
            matrix = _SWS_BT709 if frame.height >= 720 else _SWS_BT601
        rgb = self._scaler.reformat(frame, width, height, "rgb24", matrix, interpolation="AREA")
        return np.ascontiguousarray(np.rot90(rgb.to_ndarray(), self._turns))

    def _fitted(self, frame: Any) -> tuple[int, int]:
        aspect = getattr(frame, "sample_aspect_ratio", None)
        shape = float(aspect) if aspect and 0.1 < aspect < 10 else 1.0
        width, height = frame.width * shape, frame.height
        scale = min(1.0, self._short_side / min(width, height), 16 * self._short_side / max(width, height))
        return max(1, round(width * scale)), max(1, round(height * scale))


def _sound_stream(container: Any) -> Any | None:
    return next((s for s in container.streams.audio if s.codec_context is not None), None)


def _picture_stream(container: Any) -> Any | None:
    from av.stream import Disposition

    for stream in container.streams.video:
        if stream.codec_context is not None and not stream.disposition & Disposition.attached_pic:
            return stream
    return None


def _origin_s(container: Any) -> float:
    return float(container.start_time or 0) / 1e6


def _skip_to(container: Any, start_s: float) -> None:
    names = set(container.format.name.split(","))
    target_s = start_s - _LEAD_S
    if target_s > 0 and names & _INDEXED:
        container.seek(int((target_s + _origin_s(container)) * 1e6))


def _decoded(container: Any, stream: Any, source: bytes | Path) -> Iterator[Any]:
    """Frames of one stream; damaged packets are skipped unless they are the greater part."""
    import av

    tally = _Tally()
    packets = container.demux(stream)
    while True:
        try:
            frames = next(packets).decode()
        except StopIteration:
            break
        except av.error.FFmpegError:
            tally.n_bad += 1
            continue
        tally.n_good += 1
        yield from frames
    if tally.n_bad > tally.n_good:
        raise DecodeError(f"{fetch.label(source)} is damaged: {tally.n_bad} of its packets cannot be decoded")


def _blocks(
    container: Any, stream: Any, start_s: float, source: bytes | Path, rate_hz: int
) -> Iterator[tuple[Array, float]]:
    """Resampled float32 blocks; the time of the frame that each came from, in seconds from the start of the file."""
    from av import AudioResampler

    origin_s = _origin_s(container)
    _skip_to(container, start_s)
    resampler: Any = None
    setup, time_s = None, 0.0
    for frame in _decoded(container, stream, source):
        found = (frame.format.name, frame.layout.name, frame.sample_rate)
        if found != setup:  # a stream may change its layout half-way
            _check_rate(frame.sample_rate, source)
            if resampler is not None:
                yield from ((_samples(out), time_s) for out in resampler.resample(None))
            resampler, setup = AudioResampler("flt", "mono", rate_hz), found
        time_s = frame.time - origin_s if frame.time is not None else time_s
        yield from ((_samples(out), time_s) for out in resampler.resample(frame))
    if resampler is not None:
        yield from ((_samples(out), time_s) for out in resampler.resample(None))


def _samples(frame: Any) -> Array:
    """float32 [S] in -1..1; floating-point files may hold anything."""
    samples = np.nan_to_num(frame.to_ndarray().reshape(-1).astype(np.float32, copy=False))
    clipped: Array = np.clip(samples, -1.0, 1.0)
    return clipped


def _silence(start: int, end: float, rate_hz: int) -> Iterator[Array]:
    for at in range(start, int(end), rate_hz):
        yield np.zeros(min(rate_hz, int(end) - at), dtype=np.float32)


def _check_rate(rate_hz: int, source: bytes | Path) -> None:
    if not _MIN_RATE_HZ <= rate_hz <= _MAX_RATE_HZ:
        raise DecodeError(f"{fetch.label(source)} is damaged: its header says {rate_hz} samples per second")


def _check_frame(codec: Any, source: bytes | Path, limits: Limits) -> None:
    if codec.width * codec.height > limits.max_pixels:
        found = f"frames of {codec.width}x{codec.height} pixels"
        raise TooLarge(f"{fetch.label(source)} has {found}: at most {limits.max_pixels / 1e6:g} megapixels are read")
    codec.options = {"max_pixels": str(limits.max_pixels)}  # a stream can change its size after the header
