"""A stream of sound blocks cut into windows of about ten seconds, at pauses where there are some."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from ..types import SAMPLE_RATE_HZ, Array

WINDOW_S = 10.0
REACH_S = 2.0  # a pause this near to the border is taken
OVERLAP_S = 0.5  # where there is no pause, so that a word on the border is whole in one of the two windows
MIN_TAIL_S = 2.0  # a shorter rest joins the window before it
PAUSE_S = 0.2  # shortest pause: the gap between phrases, longer than the closure of a stop consonant
SILENCE = 1e-3  # peak of full scale, -60 dB: below the noise of a 16-bit recording of a quiet room

_HOP = SAMPLE_RATE_HZ // 50  # 20 ms


def windows(blocks: Iterable[Array]) -> Iterator[tuple[int, Array]]:
    """Cut a sound into windows.

    Args:
        blocks: float32 [S] pieces of one sound, in order.

    Yields:
        Position of the first sample, and float32 [S] samples of 8 to 14 seconds (the last or only one may be
        shorter). Windows cover the sound without a gap and overlap by 0.5 s where they are not cut at a pause.
    """
    reader = Reader(blocks)
    first = 0
    held = np.zeros(0, dtype=np.float32)
    longest = _samples(WINDOW_S + REACH_S + MIN_TAIL_S)
    while True:
        held = np.concatenate([held, reader.take(longest + 1 - len(held))])
        if len(held) <= longest:
            break
        border, is_pause = _border(held)
        yield first, held[:border]
        step = border if is_pause else border - _samples(OVERLAP_S)
        first, held = first + step, held[step:]
    if len(held):
        yield first, held


def is_silent(samples: Array) -> bool:
    """True when nothing can be heard."""
    return float(np.abs(samples).max(initial=0.0)) < SILENCE


class Reader:
    """Takes as many samples as are asked for from a stream of blocks. Not thread-safe."""

    def __init__(self, blocks: Iterable[Array]) -> None:
        self._blocks = iter(blocks)
        self._rest: Array = np.zeros(0, dtype=np.float32)

    def take(self, n_samples: int) -> Array:
        """float32 [n_samples], fewer at the end of the stream."""
        gathered, n = [self._rest], len(self._rest)
        while n < n_samples and (block := next(self._blocks, None)) is not None:
            gathered.append(block)
            n += len(block)
        joined = np.concatenate(gathered)
        self._rest = joined[n_samples:].copy()
        return joined[:n_samples]


def _samples(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE_HZ)


def _border(held: Array) -> tuple[int, bool]:
    """Where to end the first window of what is held, and whether a pause is there."""
    near, far = _samples(WINDOW_S - REACH_S), _samples(WINDOW_S + REACH_S)
    energy = np.square(held[: far - far % _HOP].reshape(-1, _HOP)).mean(axis=1)  # [hops]
    width = round(PAUSE_S * SAMPLE_RATE_HZ / _HOP)
    smooth = np.convolve(energy, np.full(width, 1 / width), mode="valid")[near // _HOP :]
    quietest = int(smooth.argmin())
    if smooth[quietest] > 0.01 * energy.mean():  # 20 dB below the window's own level
        return _samples(WINDOW_S), False
    return near + quietest * _HOP + _samples(PAUSE_S) // 2, True
