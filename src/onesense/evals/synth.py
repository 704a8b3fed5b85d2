"""Sounds made by code, each with its name: material of which no recording can have been in a training set."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..types import SAMPLE_RATE_HZ, Array, Audio

DURATION_S = 3.0
_PEAK = 0.6  # of full scale: loud enough for every front end, far from clipping

Random = np.random.Generator


def sounds(seed: int, variants: int = 3) -> list[tuple[str, Audio]]:
    """Name and sound of each recipe in several variants (other pitch, tempo or noise).

    Args:
        seed: the same seed gives the same samples.
        variants: sounds of each name.
    """
    made = []
    for number, (name, recipe) in enumerate(RECIPES.items()):
        for variant in range(variants):
            random = np.random.default_rng([seed, number, variant])
            samples = recipe(random)
            made.append((name, Audio((samples * (_PEAK / np.abs(samples).max())).astype(np.float32))))
    return made


def _times() -> Array:
    return np.arange(int(DURATION_S * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ


def _noise(random: Random) -> Array:
    return random.standard_normal(len(_times()))


def _tone(hz: Array | float) -> Array:
    """Sine of a constant or changing frequency."""
    steps = np.broadcast_to(np.asarray(hz, np.float64), _times().shape)
    tone: Array = np.sin(2 * np.pi * np.cumsum(steps) / SAMPLE_RATE_HZ)
    return tone


def _low_pass(signal: Array, cutoff_hz: float) -> Array:
    spectrum = np.fft.rfft(signal)
    hz = np.fft.rfftfreq(len(signal), 1 / SAMPLE_RATE_HZ)
    return np.fft.irfft(spectrum / (1 + (hz / cutoff_hz) ** 4), len(signal))


def _struck(period_s: float, decay_s: float) -> Array:
    """Envelope that jumps to 1 every period and dies away."""
    envelope: Array = np.exp(-(_times() % period_s) / decay_s)
    return envelope


def _siren(random: Random) -> Array:
    sweep = np.sin(2 * np.pi * random.uniform(0.3, 0.7) * _times())
    return _tone(900 + 350 * sweep)


def _beep(random: Random) -> Array:
    return _tone(random.uniform(700, 1300)) * ((_times() % 0.5) < 0.2)


def _clock(random: Random) -> Array:
    return _noise(random) * _struck(0.5, 0.004) * np.where(_times() % 1.0 < 0.5, 1.0, 0.7)


def _heart(random: Random) -> Array:
    period = random.uniform(0.8, 1.0)
    second = np.exp(-(np.maximum(_times() % period - 0.25, 0)) / 0.05) * (_times() % period > 0.25) * 0.7
    return _tone(55.0) * (_struck(period, 0.05) + second)


def _waves(random: Random) -> Array:
    swell = 0.15 + 0.85 * np.sin(np.pi * _times() / random.uniform(2.5, 3.5)) ** 2
    return _low_pass(_noise(random), 1500) * swell


def _static(random: Random) -> Array:
    return _noise(random)


def _bell(random: Random) -> Array:
    pitch = random.uniform(350, 600)
    partials = sum(_tone(pitch * ratio) / (i + 1) for i, ratio in enumerate((1.0, 2.0, 2.4, 3.0, 4.5)))
    rung: Array = partials * _struck(1.5, 0.5)
    return rung


def _bird(random: Random) -> Array:
    phase = (_times() % random.uniform(0.2, 0.3)) / 0.1
    return _tone(3000 + 1500 * np.sin(6 * phase)) * (phase < 1) * np.sin(np.pi * np.minimum(phase, 1))


def _phone(random: Random) -> Array:
    trill = 0.5 + 0.5 * np.sign(np.sin(2 * np.pi * 20 * _times()))
    return (_tone(random.uniform(1000, 1200)) + _tone(1350.0)) * trill * (_times() % 1.5 < 1.0)


def _drum(random: Random) -> Array:
    period = random.uniform(0.3, 0.5)
    return _tone(60 + 80 * np.exp(-(_times() % period) / 0.04)) * _struck(period, 0.12)


def _engine(random: Random) -> Array:
    rate = random.uniform(22, 32)
    return _low_pass(_noise(random) * _struck(1 / rate, 0.008), 600) + 0.02 * _tone(rate)


RECIPES: dict[str, Callable[[Random], Array]] = {
    "a siren wailing": _siren,
    "a machine beeping": _beep,
    "a clock ticking": _clock,
    "a heartbeat": _heart,
    "ocean waves": _waves,
    "radio static": _static,
    "a bell ringing": _bell,
    "a bird chirping": _bird,
    "a telephone ringing": _phone,
    "a drum beating": _drum,
    "an engine running": _engine,
}
"""Name -> recipe; the name is the query."""
