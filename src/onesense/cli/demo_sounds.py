"""The demo's sounds, synthesised from their physics: bells ring down, an engine fires, rain falls drop by drop.

Every function returns float32 [S] at 16 kHz, peak 0.8, and always the same samples. Their constants were chosen by what
YAMNet, the bundled model's ear for sounds, takes them for; so the demo shows that the ways between the senses work, and
the model card how well they work on recordings.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from onesense.types import SAMPLE_RATE_HZ, Array

RATE = SAMPLE_RATE_HZ


# --- building blocks ----------------------------------------------------------------------------------------------


def _time(seconds: float) -> Array:
    return np.arange(int(seconds * RATE)) / RATE


def _noise(seconds: float, seed: int) -> Array:
    return np.random.default_rng(seed).standard_normal(int(seconds * RATE))


def _band(x: Array, low_hz: float, high_hz: float, tilt: float = 0.0) -> Array:
    """Keep a band of frequencies; `tilt` is the power of 1/f that shapes it (1 is pink in power 2, brown)."""
    spectrum = np.fft.rfft(x)
    hz = np.fft.rfftfreq(len(x), 1 / RATE)
    keep = (hz >= low_hz) & (hz <= high_hz)
    return np.fft.irfft(spectrum * keep / np.maximum(hz, 1.0) ** tilt, len(x))


def _tone(hz: Array) -> Array:
    """A sine whose frequency is given at each sample."""
    return np.sin(2 * np.pi * np.cumsum(hz) / RATE)


def _harmonics(hz: Array, weights: list[float]) -> Array:
    return sum((w * _tone(hz * (n + 1)) for n, w in enumerate(weights)), np.zeros(len(hz)))


def _add(track: Array, sound: Array, at_s: float) -> None:
    """Mix a sound into a track in place, cut where the track ends."""
    start = int(at_s * RATE)
    stop = min(len(track), start + len(sound))
    track[start:stop] += sound[: stop - start]


def _done(x: Array) -> Array:
    return np.asarray(0.8 * x / np.abs(x).max(), np.float32)


def _ring(partials: dict[float, tuple[float, float]], seconds: float) -> Array:
    """Decaying partials: frequency in Hz -> (amplitude, decay time in seconds)."""
    t = _time(seconds)
    return sum((a * np.sin(2 * np.pi * f * t) * np.exp(-t / d) for f, (a, d) in partials.items()), np.zeros(len(t)))


def _room(x: Array, reverb_s: float, share: float) -> Array:
    """Add the echo of a room: the sound convolved with noise that dies away within `reverb_s`."""
    n = int(reverb_s * RATE)
    echo = _noise(reverb_s, 3) * np.exp(-6 * np.arange(n) / n)
    size = len(x) + n
    wet = np.fft.irfft(np.fft.rfft(x, size) * np.fft.rfft(echo / np.linalg.norm(echo), size), size)[: len(x)]
    return np.asarray(x + share * wet)


# --- the sounds ---------------------------------------------------------------------------------------------------


def siren() -> Array:
    """A police siren that wails up and down every two seconds."""
    t = _time(6)
    sweep = 1000 + 420 * np.sin(2 * np.pi * t / 2.2 - np.pi / 2)
    return _done(_harmonics(sweep, [1, 0.5, 0.35, 0.2, 0.1]))


def church_bell() -> Array:
    """Three strokes of a bell whose partials beat: hum, prime, tierce, quint, nominal and those above."""
    partials: dict[float, tuple[float, float]] = {}
    for ratio, loud, decay_s in _BELL:
        partials[699.3 * ratio] = (loud, decay_s)
        partials[700.7 * ratio + 0.3] = (0.8 * loud, decay_s)
    stroke = _ring(partials, 4.0)
    _add(stroke, 0.4 * _band(_noise(0.05, 9), 800, 6000) * np.exp(-_time(0.05) / 0.01), 0.0)  # the clapper
    track = np.zeros(6 * RATE)
    for at_s in (0.0, 1.9, 3.8):
        _add(track, stroke, at_s)
    return _done(_room(track, 1.2, 0.3))


_BELL = (
    (0.5, 0.5, 3.0), (1, 1, 2.2), (1.183, 0.8, 1.8), (1.506, 0.4, 1.2), (2, 1, 1.4), (2.514, 0.4, 0.8),
    (2.662, 0.35, 0.7), (3.011, 0.4, 0.6), (4.166, 0.35, 0.4), (5.433, 0.25, 0.3), (6.796, 0.2, 0.2), (8.2, 0.1, 0.15),
)  # fmt: skip
"""Ratio to the prime, loudness, decay in seconds: hum, prime, tierce, quint, nominal, and seven above them."""


def telephone() -> Array:
    """The bell of an old telephone: two gongs struck thirty times a second, two seconds on, one off."""
    low, high = 1060, 1571
    gong = _ring({low: (1, 0.25), high: (0.8, 0.225), low * 2.5: (0.5, 0.125), high * 2.7: (0.4, 0.1),
                  low * 4.6: (0.2, 0.075)}, 0.6)  # fmt: skip
    track = np.zeros(6 * RATE)
    for burst_s in (0.0, 3.0):
        for n in range(60):
            _add(track, gong, burst_s + n / 30)
    return _done(_room(track, 0.2, 0.07))


def clock_ticking() -> Array:
    """Tick, tock: a click of steel with some ring, and the room around it."""
    track = 0.0002 * _band(_noise(6, 1), 50, 4000, 0.5)
    for n in range(6):
        base = 2334 if n % 2 else 2798
        tick = _ring({base: (1, 0.0084), base * 1.286: (0.6, 0.0059), base * 4.2: (0.35, 0.0042)}, 0.06)
        click = _band(_noise(0.06, 50 + n % 2), 1110, 4742) * np.exp(-_time(0.06) / 0.0079)
        _add(track, (1.0 if n % 2 else 0.8) * (tick + 3.76 * click / np.abs(click).max()), 0.1 + n)
    return _done(_room(track, 0.054, 0.72))


def heartbeat() -> Array:
    """Lub-dub, seventy times a minute."""
    lub = _ring({45: (1, 0.05), 70: (0.7, 0.04), 110: (0.3, 0.025)}, 0.25)
    dub = _ring({60: (0.8, 0.035), 95: (0.6, 0.03), 140: (0.2, 0.02)}, 0.2)
    track = 0.003 * _band(_noise(6, 2), 20, 300)
    for n in range(7):
        _add(track, lub, 0.1 + n * 0.85)
        _add(track, dub, 0.42 + n * 0.85)
    return _done(track)


def rain() -> Array:
    """Rain: a hiss and nine hundred drops that ring for a millisecond each."""
    rng = np.random.default_rng(3)
    track = _band(_noise(6, 4), 848, 8000)
    track *= 0.708 / track.std()
    for _ in range(926):
        hz = rng.uniform(1500, 6500)
        drop = _ring({hz: (rng.exponential(0.3), rng.uniform(0.0004, 0.0017))}, 0.02)
        _add(track, 5.12 * drop, rng.uniform(0, 5.9))
    return _done(track)


def stream() -> Array:
    """A brook: a soft hiss and three thousand bubbles that ring for some milliseconds each."""
    rng = np.random.default_rng(3)
    track = _band(_noise(6, 4), 300, 7900, 0.2)
    track /= track.std()
    for _ in range(3000):
        hz = rng.uniform(1500, 6500)
        bubble = _ring({hz: (rng.exponential(0.3), rng.uniform(0.001, 0.004))}, 0.02)
        _add(track, 4.0 * bubble, rng.uniform(0, 5.9))
    return _done(track)


def waterfall() -> Array:
    """Water that falls all the time: pink noise."""
    return _done(_band(_noise(6, 4), 100, 8000, 0.5))


def sea_waves() -> Array:
    """Surf: brown noise that swells and ebbs."""
    t = _time(7)
    swell = 0.55 + 0.45 * np.sin(2 * np.pi * t / 3.1) * np.sin(2 * np.pi * t / 1.7 + 1)
    return _done(_band(_noise(7, 10), 20, 8000, 1.0) * swell)


def fire() -> Array:
    """A camp fire: three thousand snaps over a soft hiss."""
    rng = np.random.default_rng(3)
    track = _band(_noise(6, 4), 200, 7900, 0.2)
    track *= 0.3 / track.std()
    for _ in range(3000):
        snap = _band(rng.standard_normal(160), 800, 7800) * np.exp(-np.arange(160) / rng.uniform(8, 40))
        _add(track, 2.0 * rng.exponential(1) * snap, rng.uniform(0, 5.9))
    return _done(track)


def motorcycle() -> Array:
    """A V-twin that idles, revs twice and falls back."""
    t = _time(6)
    revs = 456 * (1 + 0.41 * np.exp(-(((t - 2.2) / 0.5) ** 2)) + 0.49 * np.exp(-(((t - 4.4) / 0.6) ** 2)))
    turns = np.cumsum(revs / 60 / RATE)
    fire = np.exp(-23 * (turns % 1.0)) + 0.8 * np.exp(-26.6 * ((turns + 0.45) % 1.0))
    rough = fire * (1 + 0.833 * _noise(6, 12))
    body = _band(rough - rough.mean(), 32, 7527, 1.07)
    return _done(_room(np.tanh(1.73 * body / body.std()), 0.3, 0.41))


def helicopter() -> Array:
    """Rotor blades that slap the air twenty-two times a second."""
    slap = np.exp(-12 * ((_time(6) * 22) % 1.0))
    return _done(_band(_noise(6, 13) * (0.15 + slap), 50, 8000, 1.0))


def birdsong() -> Array:
    """Chirps: fast sweeps between two and six kilohertz, in phrases."""
    rng = np.random.default_rng(15)
    track = 0.002 * _noise(6, 16)
    for phrase in range(5):
        base = rng.uniform(3000, 4500)
        for n in range(rng.integers(4, 8)):
            t = _time(0.09)
            sweep = base + 1200 * np.sin(np.pi * t / 0.09 + phrase) + 80 * np.sin(2 * np.pi * 60 * t)
            _add(track, _tone(sweep) * np.sin(np.pi * t / 0.09) ** 2, 0.2 + phrase * 1.15 + n * 0.13)
    return _done(track)


def crickets() -> Array:
    """Two crickets: pulses of a pure high tone, three to a chirp."""
    track = 0.003 * _noise(6, 17)
    for hz, first, gap in ((4600, 0.0, 0.6), (4900, 0.27, 0.53)):
        t = _time(0.018)
        pulse = np.sin(2 * np.pi * hz * t) * np.sin(np.pi * t / 0.018) ** 2
        for n in range(10):
            for k in range(4):
                _add(track, pulse, first + n * gap + k * 0.032)
    return _done(track)


def cat_meow() -> Array:
    """Three meows, each a little higher: a voice whose mouth opens and closes."""
    track = 0.0003 * _noise(5, 18)
    for n, at_s in enumerate((0.2, 1.7, 3.4)):
        _add(track, _meow(475.5 * (1 + 0.06 * n)), at_s)
    return _done(_room(track, 0.25, 0.15))


def _meow(base_hz: float) -> Array:
    """Pitch that rises at once and falls slowly; two formants that open and close."""
    t = _time(1.55)
    x = t / t[-1]
    pitch = base_hz * (1 + 0.27 * np.minimum(1, x / 0.1) - 0.066 * np.maximum(0, (x - 0.1) / 0.9))
    pitch *= 1 + 0.01 * np.sin(2 * np.pi * 6.5 * t)
    opening = np.sin(np.pi * x**1.165)
    voice = 0.17 * _band(_noise(1.55, 7), 1500, 7000) * opening
    for n in range(1, 20):
        hz = pitch * n
        first = np.exp(-(((hz - (987 + 1734 * opening)) / 659) ** 2))
        second = 0.7 * np.exp(-(((hz - (1581 + 458 * opening)) / 320) ** 2))
        voice += (0.014 / n + first + second) * (hz < 7800) * _tone(hz)
    return np.asarray(voice * np.minimum(1, x * 9) * np.minimum(1, (1 - x) * 3) * (0.25 + opening))


def dog_bark() -> Array:
    """Six barks, in pairs."""
    track = 0.0003 * _noise(5, 19)
    for n, at_s in enumerate((0.2, 0.75, 1.9, 2.5, 3.6, 4.2)):
        _add(track, _bark(480 * (1 + 0.03 * (n % 3)), 20 + n), at_s)
    return _done(_room(track, 0.3, 0.15))


def _bark(base_hz: float, seed: int) -> Array:
    """A tenth of a second of rough voice whose pitch jumps up and falls."""
    seconds = 0.117
    t = _time(seconds)
    pitch = base_hz * (1 + 0.816 * np.exp(-(((t - 0.05) / 0.0276) ** 2)) - 1.155 * t)
    voice = np.zeros(len(t))
    for n in range(1, 20):
        hz = pitch * n
        first, second = np.exp(-(((hz - 854) / 379) ** 2)), 0.6 * np.exp(-(((hz - 1648) / 480) ** 2))
        voice += (first + second + 0.18 / n) * (hz < 7800) * _tone(hz)
    breath = _band(_noise(seconds, seed), 427, 3356)
    rough = voice * (1 + 1.3 * _band(_noise(seconds, seed + 5), 20, 120)) + 0.072 * breath / breath.std()
    return np.asarray(rough * np.minimum(1, t * 26.4) * np.exp(-((t / 0.138) ** 2)))


def applause() -> Array:
    """Sixty people clap, each at an own pace."""
    rng = np.random.default_rng(21)
    track = np.zeros(6 * RATE)
    for person in range(60):
        hz, pace, loud = rng.uniform(700, 2200), rng.uniform(0.2, 0.32), rng.uniform(0.3, 1)
        clap = _band(_noise(0.05, 100 + person), hz * 0.5, hz * 2.2) * np.exp(-_time(0.05) / 0.006)
        for at_s in np.arange(rng.uniform(0, 0.3), 5.9, pace):
            _add(track, loud * clap, max(0.0, at_s + rng.normal(0, 0.02)))
    return _done(track)


def guitar() -> Array:
    """A plucked chord and a little tune, by Karplus and Strong's string."""
    track = np.zeros(6 * RATE)
    notes = [110, 165, 220, 277, 330, 440, 330, 277, 220, 294, 370, 440, 370, 294, 220, 330]
    for n, hz in enumerate(notes):
        _add(track, _string(hz, 2.0, 200 + n), n * 0.32)
    return _done(track)


def _string(hz: float, seconds: float, seed: int) -> Array:
    """Karplus and Strong 1983: a burst of noise in a delay line that averages neighbours."""
    period = int(RATE / hz)
    line = np.random.default_rng(seed).uniform(-1, 1, period)
    out = np.empty(int(seconds * RATE))
    for start in range(0, len(out), period):
        stop = min(start + period, len(out))
        out[start:stop] = line[: stop - start]
        line = 0.996 * 0.5 * (line + np.roll(line, 1))
    return out


def rocket_roar() -> Array:
    """Lift-off: a deep roar that swells, crackles and recedes."""
    t = _time(8)
    shape = np.minimum(1, t / 1.5) * np.exp(-np.maximum(0, t - 4) / 3)
    low, crackle = _band(_noise(8, 23), 20, 900, 0.7), _noise(8, 24)
    burst = np.where(np.abs(crackle) > 2.4, crackle, 0) * (low > 0)
    return _done(shape * (low / low.std() + 0.35 * _band(burst, 200, 5000, 0.2) / burst.std()))


def coins_falling() -> Array:
    """Coins that drop on a table and spin out."""
    rng = np.random.default_rng(25)
    track = 0.001 * _noise(4, 26)
    for at_s in (0.2, 0.55, 1.4, 2.3):
        base = rng.uniform(3200, 4200)
        clink = _ring({base: (1, 0.12), base * 1.52: (0.7, 0.09), base * 1.87: (0.5, 0.06)}, 0.4)
        gap, when = 0.28, at_s
        for bounce in range(9):
            _add(track, clink * 0.75**bounce, when)
            when, gap = when + gap, gap * 0.68
    return _done(track)


SOUNDS: dict[str, Callable[[], Array]] = {
    "applause": applause,
    "birdsong": birdsong,
    "cat": cat_meow,
    "church-bell": church_bell,
    "clock": clock_ticking,
    "coins": coins_falling,
    "crickets": crickets,
    "dog": dog_bark,
    "fire": fire,
    "guitar": guitar,
    "heartbeat": heartbeat,
    "helicopter": helicopter,
    "motorcycle": motorcycle,
    "rain": rain,
    "rocket": rocket_roar,
    "sea": sea_waves,
    "siren": siren,
    "stream": stream,
    "telephone": telephone,
    "waterfall": waterfall,
}
"""File name -> sound."""
