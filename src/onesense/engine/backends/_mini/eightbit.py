"""Whether this processor multiplies 8-bit numbers exactly.

x86 processors without VNNI add two products of uint8 and int8 in 16 bits and cut off what does not fit, which ONNX
Runtime lets happen unless it is told otherwise. Flags of a processor are read in another way on every system; a product
is not.
"""

from __future__ import annotations

from base64 import b64decode
from functools import cache

import numpy as np

_PRODUCT = b64decode(  # ONNX, opset 17: c = MatMulInteger(a uint8 [m, k], b int8 [k, n])
    "CAo6YgoYCgFhCgFiEgFjIg1NYXRNdWxJbnRlZ2VyEgFwWhUKAWESEAoOCAISCgoDEgFtCgMSAWtaFQoBYhIQCg4IAxIKCgMSAWsKAxIBbmIVCgFjEhAK"
    "DggGEgoKAxIBbQoDEgFuQgQKABAR"
)
_SIDE = 64
_MOST = np.iinfo(np.uint8).max * np.iinfo(np.int8).max


@cache
def is_exact() -> bool:
    """Whether sums of the largest products come out right; a few milliseconds, once a process."""
    import onnxruntime as ort

    session = ort.InferenceSession(_PRODUCT, providers=["CPUExecutionProvider"])
    shape = (_SIDE, _SIDE)
    (found,) = session.run(None, {"a": np.full(shape, 255, np.uint8), "b": np.full(shape, 127, np.int8)})
    return bool((found == _MOST * _SIDE).all())
