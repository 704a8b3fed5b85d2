"""The words printed in a picture, read by PP-OCR through the package `rapidocr`, whose networks come inside it.

Latin script with its accents, Chinese and Japanese; other scripts are not read. Nothing is ever downloaded.
"""

from __future__ import annotations

import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ....errors import BackendError, MissingExtra
from ....types import Array
from .graph import cores
from .reading_order import reading_order
from .written import Line, digest, fitting

MIN_CONFIDENCE = 0.7  # right lines have .9 and more, guesses at other scripts about .8 and less; not tuned
MAX_CHARS = 4_000  # a dense page; about 1,200 pieces
MIN_SIDE = 12  # px; less cannot show a letter
LONG_SIDE = 2_000  # px; the detector's cost grows with the area: 0.6 CPU s a megapixel
LONGEST = 4  # times the short side: the detector enlarges the short side to 736 px, so a thin strip would grow huge
_PACKAGES = ("rapidocr", "cv2", "omegaconf")
_NEED = "reading words in pictures needs the package rapidocr: pip install 'onesense[ocr]'"


def version() -> str:
    """Digest of the networks inside the package.

    Raises:
        MissingExtra: it is not installed, or comes without them.
    """
    return digest(_networks())


def _networks() -> list[Path]:
    """Files of the networks that detect lines and that recognise them."""
    if any(find_spec(package) is None for package in _PACKAGES):
        raise MissingExtra(_NEED)
    spec = find_spec("rapidocr")
    folder = Path(str(spec.origin)).parent / "models" if spec else Path()
    found = [sorted(folder.glob(f"*_{kind}_*.onnx"))[:1] for kind in ("det", "rec")]
    if not all(found):
        raise MissingExtra(f"the installed rapidocr has no networks in {folder}: pip install -U 'onesense[ocr]'")
    return [files[0] for files in found]


class Ocr:
    """Reads the words of pictures. Any thread may call it, one picture is read at a time."""

    def __init__(self, threads: int = 0) -> None:
        """Load the networks.

        Args:
            threads: of each session, 0 for one a core that this process may use.

        Raises:
            MissingExtra: the package is not installed.
        """
        detector, recogniser = _networks()
        try:
            import cv2
            from rapidocr import RapidOCR
        except ImportError as cause:  # OpenCV's full build needs system libraries that a server may lack
            raise MissingExtra(f"{_NEED} ({cause}; opencv-python-headless needs no system library)") from cause
        n_threads = threads or cores()
        self._faults: tuple[type[Exception], ...] = (cv2.error,)
        self._lock = threading.Lock()  # the detector keeps the picture's scale in itself
        self._engine: Any = RapidOCR(
            params={
                "Global.log_level": "critical",  # a picture without words is no reason for a warning
                "Global.text_score": MIN_CONFIDENCE,
                "Global.use_cls": False,  # pictures come upright; looking for lines upside down costs a tenth
                "Det.model_path": str(detector),
                "Rec.model_path": str(recogniser),
                "EngineConfig.onnxruntime.intra_op_num_threads": n_threads,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            }
        )

    def __call__(self, medium: Array) -> list[Line]:
        """Lines of print in reading order, at most `MAX_CHARS` characters.

        Args:
            medium: uint8 [H, W, 3], sRGB.

        Raises:
            BackendError: OpenCV failed on this picture.
        """
        if min(medium.shape[:2]) < MIN_SIDE:
            return []
        with self._lock:
            try:
                found = self._engine(np.ascontiguousarray(_fitted(medium)[:, :, ::-1]))  # it wants BGR, as OpenCV
            except self._faults as cause:
                raise BackendError(f"OCR failed on a picture of {medium.shape[:2]} pixels: {cause}") from cause
        if found.txts is None or found.boxes is None:
            return []
        return fitting((Line(found.txts[i]) for i in reading_order(_upright(found.boxes))), MAX_CHARS)


def _fitted(pixels: Array) -> Array:
    """The picture with a long side of at most `LONG_SIDE`, and padded to `LONGEST` to one where it is a strip."""
    from PIL import Image

    height, width = pixels.shape[:2]
    scale = min(1.0, LONG_SIDE / max(height, width))
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        pixels = np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).resize(size, Image.Resampling.BICUBIC))
    least = -(-max(pixels.shape[:2]) // LONGEST)
    missing = [max(0, max(least, 2 * MIN_SIDE) - side) for side in pixels.shape[:2]]
    if not any(missing):
        return pixels
    return np.pad(pixels, [(n // 2, n - n // 2) for n in missing] + [(0, 0)], mode="edge")


def _upright(corners: Array) -> Array:
    """float32 [n, 4] x0, y0, x1, y1 round the corners float32 [n, 4, 2] of each line."""
    corners = np.asarray(corners, np.float32)
    return np.concatenate([corners.min(1), corners.max(1)], 1)
