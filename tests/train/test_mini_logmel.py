import numpy as np
import pytest
import torch

from onesense.engine.backends._mini.logmel import _slaney_filters, whisper_logmel, yamnet_logmel
from onesense.errors import EmptyInput, InvalidInput


def tone(hz: float, seconds: float = 1.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(int(16_000 * seconds)) / 16_000)).astype(np.float32)


def noise(n: int, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(n) * 0.1).astype(np.float32)


def torch_whisper_logmel(samples: np.ndarray) -> np.ndarray:
    """The reference's own steps: torch.stft, centred, reflected, last frame dropped."""
    window = torch.hann_window(400)
    spectrum = torch.stft(torch.from_numpy(samples), 400, 160, window=window, center=True, return_complex=True)
    power = spectrum[:, :-1].abs() ** 2
    mel = torch.clamp(torch.from_numpy(_slaney_filters()).T @ power, min=1e-10).log10()
    return ((torch.maximum(mel, mel.max() - 8.0) + 4.0) / 4.0).numpy()


def test_whisper_equals_the_reference_steps_in_torch():
    samples = np.concatenate([tone(700, 0.5), noise(8_000)])
    assert np.allclose(whisper_logmel(samples, tail_s=0.0), torch_whisper_logmel(samples), atol=2e-4)


def test_whisper_filters_are_the_shipped_ones():
    """Values of librosa.filters.mel(sr=16000, n_fft=400, n_mels=80), which Whisper ships; the areas are one."""
    filters = _slaney_filters()
    areas = filters.sum(0) * 40.0  # bins are 40 Hz apart
    assert filters.shape == (201, 80)
    assert np.allclose(areas[60:], 1.0, atol=0.03)  # the low, narrow ones are sampled too coarsely for that
    assert filters[1, 0] == pytest.approx(0.02486259, abs=1e-6)  # first value of the shipped mel_filters.npz


@pytest.mark.parametrize(("n", "frames"), [(16_000, 148), (640, 52), (1, 48), (160_000, 1048)])
def test_whisper_adds_half_a_second_and_whole_states(n: int, frames: int):
    mel = whisper_logmel(noise(n))
    assert mel.shape == (80, frames) and frames % 4 == 0
    assert np.isfinite(mel).all()


def test_whisper_peak_is_at_the_tone_and_the_tail_is_the_floor():
    low, high = whisper_logmel(tone(400)), whisper_logmel(tone(3_000))
    assert low[:, :90].mean(1).argmax() < high[:, :90].mean(1).argmax()
    assert np.allclose(low[:, -20:], low.max() - 2.0)  # 80 dB below the peak, in units of 40 dB


def test_yamnet_shape_padding_and_peak():
    assert yamnet_logmel(noise(16_000)).shape == (98, 64)
    short = yamnet_logmel(tone(1_000, 0.3))
    assert short.shape == (96, 64) and short.dtype == np.float32
    assert np.allclose(short[-1], np.log(0.001))
    low, high = yamnet_logmel(tone(300)), yamnet_logmel(tone(5_000))
    assert low.mean(0).argmax() < 20 < 45 < high.mean(0).argmax()


def test_yamnet_is_magnitude_not_power():
    """Ten times louder is ln 10 more, not twice that."""
    quiet, loud = yamnet_logmel(noise(16_000) * 3), yamnet_logmel(noise(16_000) * 30)
    assert np.allclose(np.median(loud - quiet), np.log(10), atol=0.02)


@pytest.mark.parametrize("logmel", [whisper_logmel, yamnet_logmel])
def test_bad_samples_are_refused(logmel):
    with pytest.raises(EmptyInput):
        logmel(np.zeros(0, np.float32))
    with pytest.raises(InvalidInput, match="mono"):
        logmel(np.zeros((2, 16_000), np.float32))
    with pytest.raises(InvalidInput, match="NaN"):
        logmel(np.full(16_000, np.nan, np.float32))
    assert np.isfinite(logmel(np.zeros(16_000, np.float32))).all()


def test_too_short_without_a_tail_is_refused():
    with pytest.raises(InvalidInput, match="too short"):
        whisper_logmel(noise(100), tail_s=0.0)
