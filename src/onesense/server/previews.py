"""Small pictures and outlines of media files, as a page of results shows them.

Everything goes through the decoders of `onesense.media`, with their limits. What reads a file stands at the top of this
module and answers arrays, numbers and text, so that a `Sandbox` can run it in another process.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import EmptyInput, InvalidInput, UnsupportedMedia
from ..media import _av, decode, image, pdf, sniff, video
from ..types import LIMITS, SAMPLE_RATE_HZ, Array, Part

MAX_SIDE = 1_600  # px of the longer side of a picture that is shown on its own
_QUALITY = 80  # of WebP; below it skies show bands
_PEAK_HZ = 200  # outline values per second that are kept before they are joined to the wanted number


def picture(path: Path, modality: str, side: int, page: int | None, at_s: float | None) -> Array:
    """What is seen of a file, or of a place in it.

    Args:
        path: a picture, video or PDF.
        modality: which of them.
        side: px of the longer side that are enough.
        page: 1-based page of a PDF, the first when None.
        at_s: second of a video, the first frame when None.

    Returns:
        uint8 [H, W, 3].

    Raises:
        UnsupportedMedia: nothing can be seen in this modality.
        InvalidInput: the file is damaged, or the place is not in it.
    """
    if modality == "image":
        return image.modality.decode(path, Part(path), replace(LIMITS, image_side=max(64, side // 2))).pixels
    if modality == "pdf":
        return pdf.modality.decode(path, Part(path, pages=(page or 1,))).pages[0].image.pixels
    if modality == "video":
        return frame(path, at_s or 0.0, side)
    raise UnsupportedMedia(f"there is nothing to see in {modality}: ask for a picture, a video or a PDF")


def text(path: Path, page: int | None) -> str:
    """The text of a file, or the text layer of a PDF's page.

    Raises:
        InvalidInput: there is none, or the file is damaged.
    """
    _, value = decode(Part.file(path) if page is None else Part(path, pages=(page,)))
    return value if isinstance(value, str) else "\n".join(p.text for p in getattr(value, "pages", ()))


def frame(path: Path, at_s: float, side: int) -> Array:
    """The frame of a video that is seen at a second, uint8 [H, W, 3]; the last one where the video is shorter.

    Raises:
        EmptyInput: the video has no frame.
        DecodeError: it is damaged.
    """
    shown: Array | None = None
    for start_s in (max(0.0, at_s), 0.0):
        stretch = (start_s, math.inf)
        for _, shown in _av.frames(path, stretch, video.MAX_FPS, side, LIMITS):
            return shown
    raise EmptyInput(f"`{path.name}` is a video without a frame")


def webp(pixels: Array, side: int) -> bytes:
    """A picture, uint8 [H, W, 3], scaled down to `side` px on its longer side, as WebP."""
    from PIL import Image as pil

    picture = pil.fromarray(pixels)
    picture.thumbnail((side, side), reducing_gap=2.0)
    encoded = io.BytesIO()
    picture.save(encoded, "WEBP", quality=_QUALITY, method=2)
    return encoded.getvalue()


# --- sound ------------------------------------------------------------------------------------------------------------


def peaks(path: Path, n_peaks: int) -> tuple[Array, float]:
    """The outline of a sound.

    Args:
        path: a sound, or a video with sound.
        n_peaks: values wanted.

    Returns:
        float32 [n_peaks], the loudest sample of each stretch, 0..1; and the length in seconds.

    Raises:
        EmptyInput: there is no sound.
        DecodeError: it is damaged.
    """
    found, n_samples = [], 0
    for block in _bins(_av.sound(path, 0.0, math.inf, LIMITS), SAMPLE_RATE_HZ // _PEAK_HZ):
        found.append(np.abs(block).max(1))
        n_samples += block.size
    if not found:
        raise EmptyInput(f"`{path.name}` holds no sound")
    outline = np.concatenate(found)
    edges = np.linspace(0, len(outline), n_peaks, endpoint=False).astype(int)
    return np.maximum.reduceat(outline, edges).astype(np.float32), n_samples / SAMPLE_RATE_HZ


def _bins(blocks: Iterator[Array], width: int) -> Iterator[Array]:
    """Blocks of samples as rows of `width`; the rest of the last one is filled with silence."""
    rest = np.zeros(0, np.float32)
    for block in blocks:
        joined = np.concatenate([rest, block])
        whole = len(joined) // width * width
        if whole:
            yield joined[:whole].reshape(-1, width)
        rest = joined[whole:]
    if len(rest):
        yield np.pad(rest, (0, width - len(rest)))[None, :]


# --- originals ------------------------------------------------------------------------------------------------------

MIME_OF_ORIGINAL = {
    **{mime: mime for mime in ("image/jpeg", "image/png", "image/gif", "image/webp", "image/avif", "image/bmp")},
    **{mime: mime for mime in ("audio/mpeg", "audio/wav", "audio/flac", "audio/ogg", "audio/aac", "audio/mp4")},
    **{mime: mime for mime in ("video/mp4", "video/webm", "video/ogg", "audio/webm")},
    "video/quicktime": "video/mp4",  # the same boxes; browsers try what is inside
    "audio/quicktime": "audio/mp4",
}
"""MIME types that a browser shows or plays and cannot run -> what they are sent as. All others are downloads."""


def safe_type(path: Path) -> str | None:
    """The type that a file may be shown as, by its bytes; None for what may only be downloaded."""
    try:
        return MIME_OF_ORIGINAL.get(sniff.sniff(path)[1])
    except InvalidInput:
        return None
