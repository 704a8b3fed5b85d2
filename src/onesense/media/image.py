"""Pictures: JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC and AVIF to upright sRGB of a size that models need.

A canonical picture has a short side of at most 512 px and a long side of at most 4096 px; smaller ones keep their
size. Nothing here looks at a file's name, and Pillow's global registry and limits are left as they are: each type is
opened by its own reader, so no format is guessed and no process-wide setting is touched.
"""

from __future__ import annotations

import io
import logging
import re
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DecodeError, TooLarge
from ..types import LIMITS, Array, Content, Decoded, Image, Limits, Locator, Part, Segment
from . import fetch
from ._ftyp import ftyp_brands

if TYPE_CHECKING:
    from PIL.Image import Image as Pillow

LONG_SIDE = 4096  # px; bounds pictures of extreme shape

_READERS = {
    "image/jpeg": ("PIL.JpegImagePlugin", "JpegImageFile"),
    "image/png": ("PIL.PngImagePlugin", "PngImageFile"),
    "image/gif": ("PIL.GifImagePlugin", "GifImageFile"),
    "image/webp": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "image/bmp": ("PIL.BmpImagePlugin", "BmpImageFile"),
    "image/tiff": ("PIL.TiffImagePlugin", "TiffImageFile"),
    "image/avif": ("PIL.AvifImagePlugin", "AvifImageFile"),
    "image/heic": ("pillow_heif", "HeifImageFile"),
}
"""MIME type -> the class that reads it."""

_MAGIC = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"II+\x00", "image/tiff"),
    (b"MM\x00+", "image/tiff"),
)
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"mif2"}
_BMP_HEADERS = {12, 16, 40, 52, 56, 64, 108, 124}  # sizes of the DIB headers there are
_ORIENTATION = 0x0112

_DAMAGE = (
    OSError,  # truncated, and PIL.UnidentifiedImageError
    SyntaxError,  # Pillow's word for a broken header
    ValueError,
    EOFError,
    RuntimeError,  # libheif, libavif
    struct.error,
    ArithmeticError,
    LookupError,
    TypeError,  # a header field that is missing or of the wrong type
    AttributeError,
    MemoryError,
)
"""What Pillow and its plug-ins raise for damaged files; caught round their calls only."""


class ImageModality:
    """Still pictures; of an animation the first frame. Stateless, so any thread may use it."""

    name = "image"
    mimes = frozenset({*_READERS, "image/heif"})
    suffixes = frozenset({".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif"})

    def sniff(self, head: bytes) -> str | None:
        """The picture type that the first bytes show."""
        for magic, mime in _MAGIC:
            if head.startswith(magic):
                return mime
        if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
            return "image/webp"
        if head[:2] == b"BM" and len(head) >= 18 and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
            return "image/bmp"
        brands = ftyp_brands(head)
        if _AVIF_BRANDS.intersection(brands):
            return "image/avif"
        return "image/heic" if _HEIC_BRANDS.intersection(brands[:1]) else None

    def decode(self, source: bytes | Path, part: Part, limits: Limits = LIMITS) -> Image:
        """Upright sRGB pixels.

        Args:
            source: an encoded picture.
            part: not used: a picture has no stretch to choose.
            limits: `max_pixels` is compared with the header, before anything is decoded.

        Returns:
            Image of uint8 [H, W, 3]: EXIF turned, ICC profile converted to sRGB, alpha laid on white.

        Raises:
            DecodeError: truncated or damaged; a picture is whole or refused.
            TooLarge: more than `limits.max_pixels`.
        """
        mime = self.sniff(fetch.head(source))
        if mime is None:
            raise DecodeError(f"{fetch.label(source)} is not a picture of a known type")
        with _pillow_faults(source), _stream(source) as stream:
            module, reader = _READERS[mime]
            picture: Pillow = getattr(import_module(module), reader)(stream)
            _check_size(picture.size, source, limits)
            return Image(_canonical(picture, limits.image_side))

    def segments(self, source: bytes | Path, limits: Limits = LIMITS) -> Iterator[Segment]:
        """The whole picture."""
        picture = self.decode(source, Part(source), limits)
        yield Segment(Content(Part(picture)), Locator(), self.name, self.preview(picture))

    def preview(self, value: Decoded) -> str:
        """The size as read, which is at most twice `Limits.image_side` on the short side."""
        assert isinstance(value, Image)
        height, width = value.pixels.shape[:2]
        return f"picture, {width}x{height} as read"


modality = ImageModality()


def header(source: bytes | Path) -> tuple[tuple[int, int], dict[int, Any]]:
    """Width and height in pixels as stored, and the EXIF fields by tag (0x8769 and 0x8825 hold fields of their own).

    Nothing is decoded. Raises DecodeError where the header is damaged; damaged EXIF counts as none.
    """
    mime = modality.sniff(fetch.head(source))
    if mime is None:
        raise DecodeError(f"{fetch.label(source)} is not a picture of a known type")
    with _pillow_faults(source), _stream(source) as stream:
        module, reader = _READERS[mime]
        picture: Pillow = getattr(import_module(module), reader)(stream)
        return picture.size, _exif(picture)


def _exif(picture: Pillow) -> dict[int, Any]:
    try:
        exif = picture.getexif()
        return {**exif, **{tag: dict(exif.get_ifd(tag)) for tag in (0x8769, 0x8825)}}
    except _DAMAGE:
        return {}


def _check_size(size: tuple[int, int], source: bytes | Path, limits: Limits) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise DecodeError(f"{fetch.label(source)} is damaged: its header says {width}x{height} pixels")
    if width * height > limits.max_pixels:
        found = f"{width}x{height} = {width * height / 1e6:.0f} megapixels"
        raise TooLarge(f"{fetch.label(source)} has {found}: at most {limits.max_pixels / 1e6:g} are read; scale it")


@contextmanager
def _stream(source: bytes | Path) -> Iterator[Any]:
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as stream:
        yield stream


@contextmanager
def _pillow_faults(source: bytes | Path) -> Iterator[None]:
    """Turn what the libraries raise into DecodeError, and keep their warnings off stderr.

    What libtiff prints itself about a damaged TIFF cannot be caught without touching the process's stderr.
    """
    # `warnings.catch_warnings` swaps process-wide state and is not thread-safe; one filter for Pillow's modules is.
    logger = logging.getLogger("PIL")
    if not logger.handlers:  # else Python prints the errors of a logger without a handler
        logger.addHandler(logging.NullHandler())
    quiet = ("ignore", None, Warning, re.compile(r"PIL\."), 0)
    if quiet not in warnings.filters:
        warnings.filterwarnings("ignore", module=r"PIL\.")
    from PIL.Image import DecompressionBombError

    try:
        yield
    except DecompressionBombError as cause:  # a GIF whose first frame is larger than its header says
        raise TooLarge(f"{fetch.label(source)} has too many pixels: {cause}") from cause
    except _DAMAGE as cause:
        detail = " ".join(str(cause).split()) or type(cause).__name__
        raise DecodeError(f"{fetch.label(source)} is a damaged picture: {detail}") from cause


def _canonical(picture: Pillow, side: int) -> Array:
    """uint8 [H, W, 3] from an opened, not yet loaded picture; its short side at least `side`, at most twice that."""
    icc = picture.info.get("icc_profile")
    if picture.format == "JPEG":  # decoding at 1/2, 1/4 or 1/8 size is 6x cheaper at 12 MP (bench: JPEG `draft`)
        picture.draft(picture.mode, _fitted(picture.size, side))
    picture.load()
    turn = _orientation(picture)
    picture = _resized(_widened(picture), 2 * side)
    picture = _on_white(_to_srgb(picture, icc))
    if turn is not None:
        picture = picture.transpose(turn)
    return np.array(picture, dtype=np.uint8)


def _fitted(size: tuple[int, int], short_side: int) -> tuple[int, int]:
    """The size scaled down, never up, to the short side, and to LONG_SIDE; at least 1 px either way."""
    scale = min(1.0, short_side / min(size), LONG_SIDE / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _resized(picture: Pillow, short_side: int) -> Pillow:
    from PIL.Image import Resampling

    size = _fitted(picture.size, short_side)
    if size == picture.size:
        return picture
    return picture.resize(size, Resampling.BICUBIC, reducing_gap=3.0)


def _orientation(picture: Pillow) -> Any:
    """The transposition that EXIF asks for, None when upright or when its EXIF is damaged."""
    from PIL.Image import Transpose as T

    turns = {
        2: T.FLIP_LEFT_RIGHT,
        3: T.ROTATE_180,
        4: T.FLIP_TOP_BOTTOM,
        5: T.TRANSPOSE,
        6: T.ROTATE_270,
        7: T.TRANSVERSE,
        8: T.ROTATE_90,
    }
    try:
        return turns.get(picture.getexif().get(_ORIENTATION, 1))
    except _DAMAGE:
        return None  # broken metadata does not make the pixels unreadable


def _widened(picture: Pillow) -> Pillow:
    """The same picture in a mode that resizes well: L, LA, RGB, RGBA, CMYK or LAB, 8 bits a channel."""
    if picture.mode.startswith(("I", "F")):
        return _from_deep(picture)
    has_alpha = "transparency" in picture.info or picture.mode in {"PA", "La", "RGBa"}
    if has_alpha and picture.mode not in {"LA", "RGBA"}:
        return picture.convert("RGBA")
    plain = {"1": "L", "P": "RGB", "YCbCr": "RGB", "HSV": "RGB", "RGBX": "RGB"}
    mode = plain.get(picture.mode, picture.mode)
    return picture if mode == picture.mode else picture.convert(mode)


def _from_deep(picture: Pillow) -> Pillow:
    """L from 16-bit, 32-bit or floating-point grey; what lies outside 0..65535 or 0..1 is stretched to its range."""
    from PIL import Image as pil

    grey = np.nan_to_num(np.asarray(picture, dtype=np.float32))
    low, high = float(grey.min()), float(grey.max())
    full = 1.0 if picture.mode == "F" else 65_535.0
    if 0.0 <= low and high <= full:
        low, high = 0.0, full
    return pil.fromarray(((grey - low) * (255.0 / max(high - low, 1e-12)) + 0.5).astype(np.uint8))


def _to_srgb(picture: Pillow, icc: bytes | None) -> Pillow:
    """RGB or RGBA in sRGB; a profile that is damaged or of another colour space is left out."""
    alpha = picture.getchannel("A") if picture.mode in {"LA", "RGBA"} else None
    colour = picture.convert("L" if picture.mode == "LA" else "RGB") if alpha else picture
    converted = _through_profile(colour, icc) if icc or colour.mode == "LAB" else None
    rgb = converted or colour.convert("RGB")
    if alpha:
        rgb.putalpha(alpha)
    return rgb


def _through_profile(colour: Pillow, icc: bytes | None) -> Pillow | None:
    from PIL import ImageCms

    try:
        own: Any = ImageCms.createProfile("LAB") if icc is None else ImageCms.ImageCmsProfile(io.BytesIO(icc))
        return ImageCms.profileToProfile(colour, own, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _on_white(picture: Pillow) -> Pillow:
    if picture.mode != "RGBA":
        return picture
    from PIL import Image as pil

    white = pil.new("RGBA", picture.size, (255, 255, 255, 255))
    return pil.alpha_composite(white, picture).convert("RGB")
