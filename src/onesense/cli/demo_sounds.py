"""The demo's sounds, synthesised from their physics: bells ring down, engines fire, rain falls drop by drop.

Every function returns float32 [S] at 16 kHz, peak 0.8, and always the same samples.
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


# --- the sounds ---------------------------------------------------------------------------------------------------


def siren() -> Array:
    """A police siren that wails up and down every two seconds."""
    t = _time(6)
    sweep = 1000 + 420 * np.sin(2 * np.pi * t / 2.2 - np.pi / 2)
    return _done(_harmonics(sweep, [1, 0.5, 0.35, 0.2, 0.1]))


def church_bell() -> Array:
    """Three strokes of a bell with its hum, prime, tierce, quint and nominal."""
    stroke = _ring(
        {f * 440: (a, d) for f, a, d in [(0.5, 0.6, 2.4), (1, 1, 1.8), (1.2, 0.8, 1.5), (1.5, 0.4, 1.0),
         (2, 0.9, 1.1), (2.5, 0.4, 0.7), (3, 0.3, 0.5), (4.2, 0.25, 0.3)]}, 4.0,
    )  # fmt: skip
    track = np.zeros(6 * RATE)
    for at_s in (0.0, 1.9, 3.8):
        _add(track, stroke, at_s)
    return _done(track)


def telephone() -> Array:
    """The bell of an old telephone: two gongs struck twenty times a second, two seconds on, one off."""
    gong = _ring({1150: (1, 0.25), 1480: (0.8, 0.22), 2900: (0.5, 0.12), 3700: (0.4, 0.1), 5200: (0.2, 0.06)}, 0.6)
    track = np.zeros(6 * RATE)
    for burst in (0.0, 3.0):
        for n in range(40):
            _add(track, gong * (1 if n % 2 else 0.8), burst + n / 20)
    return _done(track)


def alarm_clock() -> Array:
    """Four quick beeps a second, then a pause."""
    t = _time(0.07)
    beep = np.sign(np.sin(2 * np.pi * 2000 * t)) * np.minimum(1, (0.07 - t) * 200)
    track = np.zeros(5 * RATE)
    for n in range(20):
        _add(track, _band(beep, 500, 7000), n // 4 + (n % 4) * 0.125)
    return _done(track)


def clock_ticking() -> Array:
    """Tick, tock, twice a second."""
    track = 0.002 * _noise(6, 1)
    for n in range(12):
        base = 2600 if n % 2 else 2100
        click = _ring({base: (1, 0.006), base * 1.7: (0.7, 0.004), base * 2.4: (0.5, 0.003), 420: (0.3, 0.012)}, 0.08)
        _add(track, click, 0.1 + n * 0.5)
    return _done(track)


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
    """A steady hiss and two thousand drops."""
    rng = np.random.default_rng(3)
    track = 0.12 * _band(_noise(6, 4), 400, 7900, 0.3) / 0.05
    track /= np.abs(track).max() * 4
    for _ in range(1500):
        hz = rng.uniform(1500, 6500)
        _add(track, _ring({hz: (rng.exponential(0.25), rng.uniform(0.001, 0.006))}, 0.03), rng.uniform(0, 5.9))
    return _done(track)


def thunder() -> Array:
    """A crack, then a long roll."""
    t = _time(6)
    roll = _band(_noise(6, 5), 20, 400, 1.0)
    shape = np.exp(-t / 1.8) * (1 + 0.7 * _band(_noise(6, 6), 0.3, 4) / 0.02).clip(0.1, 3)
    crack = _band(_noise(6, 7), 100, 6000, 0.6)
    return _done(roll / roll.std() * shape + 0.6 * crack / crack.std() * np.exp(-t / 0.15))


def sea_waves() -> Array:
    """Surf that swells and breaks every four seconds."""
    t = _time(8)
    swell = (0.5 + 0.5 * np.sin(2 * np.pi * t / 4)) ** 2
    low, high = _band(_noise(8, 8), 60, 1200, 0.8), _band(_noise(8, 9), 800, 7000, 0.4)
    return _done(low / low.std() * (0.25 + swell) + 0.8 * high / high.std() * swell**2)


def wind() -> Array:
    """Gusts: noise through a resonance that wanders."""
    t = _time(7)
    gust = 0.6 + 0.4 * np.sin(2 * np.pi * t / 3.1) * np.sin(2 * np.pi * t / 1.7)
    low = _band(_noise(7, 10), 30, 500, 0.9)
    howl = _band(_noise(7, 11), 350, 700, 0.0)
    return _done(low / low.std() * gust + 0.5 * howl / howl.std() * gust**3)


def engine(rpm: float = 1500.0, seconds: float = 6.0) -> Array:
    """A two-cylinder motorcycle that idles, revs twice and falls back."""
    t = _time(seconds)
    revs = rpm * (1 + 1.8 * np.exp(-(((t - 2.2) / 0.5) ** 2)) + 2.2 * np.exp(-(((t - 4.4) / 0.6) ** 2)))
    phase = np.cumsum(revs / 60 / RATE)  # turns; each cylinder fires every second turn, unevenly as in a V-twin
    fire = np.exp(-14 * (phase % 1.0)) + 0.8 * np.exp(-14 * ((phase + 0.37) % 1.0))
    grit = 1 + 0.5 * _noise(seconds, 12)
    body = _band(fire * grit - (fire * grit).mean(), 30, 5000, 0.35)
    return _done(np.tanh(2.5 * body / body.std() * 0.4))


def helicopter() -> Array:
    """Rotor blades that slap the air eleven times a second over a turbine."""
    t = _time(6)
    slap = np.exp(-18 * ((t * 11) % 1.0))
    body = _band(_noise(6, 13) * slap, 30, 1500, 0.7)
    turbine = _band(_noise(6, 14), 200, 3000, 0.5)
    return _done(body / body.std() + 0.15 * turbine / turbine.std())


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
    """Two meows: a voice whose pitch arches and whose mouth opens and closes."""
    track = 0.001 * _noise(5, 18)
    for at_s, base in ((0.3, 560.0), (2.4, 620.0)):
        _add(track, _meow(base), at_s)
    return _done(track)


def _meow(base_hz: float) -> Array:
    t = _time(0.95)
    x = t / t[-1]
    pitch = base_hz * (0.8 + 0.45 * np.sin(np.pi * x**0.7) - 0.12 * x) * (1 + 0.01 * np.sin(2 * np.pi * 6.5 * t))
    opening = np.sin(np.pi * x**0.8) ** 1.2
    voice = np.zeros(len(t))
    for n in range(1, 14):
        hz = pitch * n
        first = np.exp(-(((hz - (700 + 800 * opening)) / 450) ** 2))
        second = 0.7 * np.exp(-(((hz - (1900 + 900 * opening)) / 600) ** 2))
        voice += (0.12 / n + first + second) * (hz < 7500) * _tone(hz)
    return np.asarray(voice * np.minimum(1, x * 12) * np.minimum(1, (1 - x) * 5) * (0.3 + opening))


def dog_bark() -> Array:
    """Four barks: a burst of rough voice that falls in pitch."""
    track = 0.001 * _noise(5, 19)
    for n, at_s in enumerate((0.2, 0.75, 2.3, 2.9)):
        _add(track, _bark(20 + n), at_s)
    return _done(track)


def _bark(seed: int) -> Array:
    t = _time(0.28)
    pitch = 330 * (1 + 0.5 * np.exp(-(((t - 0.05) / 0.05) ** 2)) - 0.9 * t) + 25 * _band(_noise(0.28, seed), 20, 200)
    voice = np.zeros(len(t))
    for n in range(1, 18):
        hz = pitch * n
        voice += (np.exp(-(((hz - 850) / 420) ** 2)) + 0.5 * np.exp(-(((hz - 1700) / 500) ** 2)) + 0.04) * _tone(hz)
    rough = voice + 1.2 * _band(_noise(0.28, seed + 50), 500, 3500, 0.3) / 0.06 * 0.5
    return np.asarray(rough * np.minimum(1, t * 60) * np.exp(-((t / 0.14) ** 2)))


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


def train_horn() -> Array:
    """Two blasts of a five-note horn."""
    track = 0.3 * _band(_noise(6, 22), 100, 2000, 0.5)
    for at_s, seconds in ((0.2, 1.6), (2.4, 2.8)):
        t = _time(seconds)
        for hz in (311, 370, 415, 494, 622):
            note = _harmonics(np.full(len(t), hz), [1, 0.8, 0.6, 0.45, 0.3, 0.2])
            _add(track, note * np.minimum(1, t * 12) * np.minimum(1, (seconds - t) * 10), at_s)
    return _done(track)


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


def camera_shutter() -> Array:
    """A mirror that slaps up, a shutter, a mirror that falls back; three times."""
    track = 0.001 * _noise(4, 27)
    for n in range(3):
        for delay, low, high, loud in ((0.0, 300, 4000, 1.0), (0.055, 1500, 7000, 0.6), (0.12, 400, 5000, 0.8)):
            click = _band(_noise(0.06, 300 + n), low, high) * np.exp(-_time(0.06) / 0.008)
            _add(track, loud * click, 0.3 + n * 1.2 + delay)
    return _done(track)


def footsteps() -> Array:
    """Hard heels on a floor, two a second."""
    track = 0.002 * _noise(6, 28)
    for n in range(11):
        heel = _band(_noise(0.12, 400 + n), 80, 2500, 0.5) * np.exp(-_time(0.12) / 0.018)
        toe = _band(_noise(0.1, 500 + n), 800, 5000, 0.2) * np.exp(-_time(0.1) / 0.012)
        _add(track, heel / heel.std(), 0.2 + n * 0.52)
        _add(track, 0.25 * toe / toe.std(), 0.3 + n * 0.52)
    return _done(track)


def cat_purr() -> Array:
    """A purr: twenty-five soft pulses a second, louder on each breath in."""
    t = _time(6)
    pulse = np.exp(-9 * ((t * 25) % 1.0))
    breath = 0.65 + 0.35 * np.sin(2 * np.pi * t / 1.6)
    return _done(_band(_noise(6, 29) * pulse * breath, 40, 900, 0.6))


SOUNDS: dict[str, Callable[[], Array]] = {
    "siren": siren,
    "church-bell": church_bell,
    "telephone": telephone,
    "alarm-clock": alarm_clock,
    "clock-ticking": clock_ticking,
    "heartbeat": heartbeat,
    "rain": rain,
    "thunder": thunder,
    "sea-waves": sea_waves,
    "wind": wind,
    "motorcycle": engine,
    "helicopter": helicopter,
    "birdsong": birdsong,
    "crickets": crickets,
    "cat-meow": cat_meow,
    "cat-purr": cat_purr,
    "dog-bark": dog_bark,
    "applause": applause,
    "guitar": guitar,
    "train-horn": train_horn,
    "rocket": rocket_roar,
    "coins": coins_falling,
    "camera": camera_shutter,
    "footsteps": footsteps,
}
"""File name -> sound."""
