"""Pictures as the eye wants them: the whole picture, squashed to a square of bytes.

Nothing is cropped, so that what stands at the edge is seen too, and nothing is padded, so that every cell of the
feature map shows picture. Normalisation is part of the graph.
"""

from __future__ import annotations

import numpy as np

from onesense.errors import InvalidInput
from onesense.types import Array

RESOLUTION = 224  # pixels of a side; see dev/LOG.md for 224 against 260 and squash against crop and padding
_REDUCING_GAP = 1.0  # Pillow first shrinks by whole factors, as a JPEG's `draft` does: 2x faster than from 640 x 480


def prepare(pixels: Array, resolution: int = RESOLUTION) -> Array:
    """Scale a picture to a square.

    Args:
        pixels: uint8 [H, W, 3], sRGB, any size from 1 x 1.
        resolution: pixels of a side.

    Returns:
        uint8 [3, R, R].

    Raises:
        InvalidInput: not a picture of this type and shape.
    """
    from PIL import Image

    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise InvalidInput(f"a picture is uint8 [H, W, 3], this one is {pixels.dtype} {list(pixels.shape)}")
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    square = picture.resize((resolution, resolution), Image.Resampling.BICUBIC, reducing_gap=_REDUCING_GAP)
    return np.ascontiguousarray(np.asarray(square).transpose(2, 0, 1))
