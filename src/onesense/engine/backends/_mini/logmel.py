"""Log-mel spectrograms of the two hearing networks, in NumPy: Whisper's (speech) and YAMNet's (sound)."""

from __future__ import annotations

from functools import cache

import numpy as np

from onesense.errors import EmptyInput, InvalidInput
from onesense.types import SAMPLE_RATE_HZ, Array

WINDOW = 400  # samples, 25 ms, both networks
HOP = 160  # samples, 10 ms, both networks
WHISPER_MELS = 80
WHISPER_TAIL_S = 0.5  # silence behind a clip; without it the states of 1.5 s clips drift (cosine .81, with it .88)
YAMNET_MELS = 64
YAMNET_PATCH = 96  # frames that YAMNet reads at once, 0.96 s

_STATE = 4 * HOP  # samples of one 25/s state of the ear: lengths are cut to whole ones


def whisper_logmel(samples: Array, tail_s: float = WHISPER_TAIL_S) -> Array:
    """Log-mel spectrogram as Whisper reads it, of the clip and a short silence instead of a clip padded to 30 s.

    Args:
        samples: float32 [S] mono 16 kHz, -1..1.
        tail_s: seconds of silence added behind the clip before it is cut to whole 40 ms.

    Returns:
        float32 [80, F], 100 frames per second, F a multiple of 4; about -1.5..1.5 (one unit is 40 dB; the floor lies
        80 dB below the loudest bin).

    Raises:
        EmptyInput: there are no samples.
        InvalidInput: the array is not one-dimensional, holds NaN or infinity, or is shorter than 40 ms with its tail.

    Source: openai/whisper `audio.py: log_mel_spectrogram` (n_fft 400, hop 160, periodic Hann, reflected edges, Slaney
    mel filters 0..8000 Hz); the reference pads to 30 s.
    """
    checked = _checked(samples)
    n = (len(checked) + round(tail_s * SAMPLE_RATE_HZ)) // _STATE * _STATE
    if n < _STATE:
        raise InvalidInput(f"a clip of {len(checked)} samples is too short for a log-mel: at least {_STATE} are needed")
    clip = np.zeros(n, np.float32)
    clip[: min(n, len(checked))] = checked[:n]
    frames = _frames(np.pad(clip, WINDOW // 2, mode="reflect"))[:-1]  # [F, 400]; the reference drops the last frame
    power = np.abs(np.fft.rfft(frames * _hann(), axis=1)) ** 2  # [F, 201]
    mel = np.log10(np.maximum(power @ _slaney_filters(), 1e-10))  # [F, 80]
    scaled = (np.maximum(mel, mel.max() - 8.0) + 4.0) / 4.0
    return np.ascontiguousarray(scaled.T, dtype=np.float32)


def yamnet_logmel(samples: Array) -> Array:
    """Log-mel spectrogram as YAMNet reads it; a network input is 96 frames of it.

    Args:
        samples: float32 [S] mono 16 kHz, -1..1. A sound shorter than one patch (15,600 samples) is followed by silence.

    Returns:
        float32 [frames, 64], 100 frames per second, frames = 1 + (max(S, 15600) - 400) // 160 >= 96;
        natural logarithm of magnitude (not power) plus 0.001.

    Raises:
        EmptyInput: there are no samples.
        InvalidInput: the array is not one-dimensional or holds NaN or infinity.

    Source: tensorflow/models `research/audioset/yamnet/features.py` (n_fft 512, HTK mel filters 125..7500 Hz).
    """
    checked = _checked(samples)
    shortest = WINDOW + (YAMNET_PATCH - 1) * HOP
    clip = np.pad(checked, (0, max(0, shortest - len(checked))))
    magnitude = np.abs(np.fft.rfft(_frames(clip) * _hann(), 512, axis=1))  # [frames, 257]
    return np.log(magnitude @ _htk_filters() + 0.001).astype(np.float32)


def _checked(samples: Array) -> Array:
    """Samples as float32 [S]; refuses what has no spectrum."""
    if samples.ndim != 1:
        raise InvalidInput(f"samples must be one mono channel [S], not an array of shape {list(samples.shape)}")
    if not len(samples):
        raise EmptyInput("the sound has no samples")
    if not np.isfinite(samples).all():
        raise InvalidInput("the sound holds NaN or infinite samples")
    return samples.astype(np.float32, copy=False)


def _frames(samples: Array) -> Array:
    """Overlapping windows, a view [frames, 400] of the samples."""
    return np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]


@cache
def _hann() -> Array:
    """Periodic Hann window, float32 [400]."""
    return np.hanning(WINDOW + 1)[:-1].astype(np.float32)


@cache
def _slaney_filters() -> Array:
    """Triangular filters of equal area on Slaney's scale (linear to 1 kHz, then logarithmic), float32 [201, 80]."""
    hz_per_mel, knee_hz, log_step = 200 / 3, 1000.0, np.log(6.4) / 27
    knee = knee_hz / hz_per_mel
    mels = np.linspace(0, knee + np.log(SAMPLE_RATE_HZ / 2 / knee_hz) / log_step, WHISPER_MELS + 2)
    edges_hz = np.where(mels < knee, mels * hz_per_mel, knee_hz * np.exp(log_step * (mels - knee)))
    bins_hz = np.linspace(0, SAMPLE_RATE_HZ / 2, WINDOW // 2 + 1)
    triangles = _triangles(bins_hz, edges_hz)
    filters: Array = triangles * 2 / (edges_hz[2:] - edges_hz[:-2])
    return filters.astype(np.float32)


@cache
def _htk_filters() -> Array:
    """Triangular filters of equal height on the HTK mel scale, the direct current left out, float32 [257, 64]."""
    low, high = _htk_mel(np.array([125.0, 7500.0]))
    bins = _htk_mel(np.linspace(0, SAMPLE_RATE_HZ / 2, 257))
    filters = _triangles(bins, np.linspace(low, high, YAMNET_MELS + 2))
    filters[0] = 0.0
    return filters.astype(np.float32)


def _htk_mel(hz: Array) -> Array:
    mels: Array = 1127.0 * np.log(1.0 + hz / 700.0)
    return mels


def _triangles(bins: Array, edges: Array) -> Array:
    """Filter k rises from edge k to k+1 and falls to k+2, float64 [bins, filters]."""
    steps = np.diff(edges)
    rising = (bins[:, None] - edges[None, :-2]) / steps[None, :-1]
    falling = (edges[None, 2:] - bins[:, None]) / steps[None, 1:]
    return np.maximum(0.0, np.minimum(rising, falling))
