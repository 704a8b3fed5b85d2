import numpy as np
import pytest

from onesense.engine.backends._mini import ear
from onesense.engine.backends._mini.logmel import whisper_logmel
from onesense.errors import CorruptData, InvalidInput

RNG = np.random.default_rng(0)


def small_adapter(seed: int = 0, hidden: int = 8) -> ear.Adapter:
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> np.ndarray:
        return (rng.standard_normal(shape) * 0.05).astype(np.float32)

    features, width = ear.FEATURES, 384
    return ear.Adapter(
        mean=draw(features), scale=np.abs(draw(features)) + 0.5,
        linear_weight=draw(width, features), linear_bias=draw(width),
        hidden_weight=draw(hidden, features), hidden_bias=draw(hidden),
        out_weight=draw(width, hidden), out_bias=draw(width),
    )  # fmt: skip


def spoken(seconds: float, pause: slice | None = None) -> np.ndarray:
    samples = (RNG.standard_normal(int(16_000 * seconds)) * 0.1).astype(np.float32)
    if pause is not None:
        samples[pause] *= 1e-4
    return samples


def states_for(mel: np.ndarray) -> np.ndarray:
    return RNG.standard_normal((mel.shape[1] // 2, 512)).astype(np.float32)


@pytest.mark.parametrize(("seconds", "tokens"), [(0.01, 1), (0.3, 1), (3.2, 10), (29.0, 91)])
def test_about_three_tokens_a_second_of_voice(seconds: float, tokens: int):
    samples = spoken(seconds)
    mel = whisper_logmel(samples)
    out = ear.adapt(small_adapter(), states_for(mel), mel, len(samples))
    assert out.shape == (tokens, 384) and out.dtype == np.float32
    assert np.isfinite(out).all()


def test_a_pause_makes_no_tokens_and_its_states_do_not_matter():
    samples = spoken(6.0, slice(32_000, 64_000))
    mel = whisper_logmel(samples)
    states = states_for(mel)
    first = ear.adapt(small_adapter(), states, mel, len(samples))
    states[110:190] = 9.0  # 2.2 s..3.8 s, inside the pause
    states[300:] = 9.0  # the silence behind the clip
    assert len(first) == 13  # 4 s of voice, and 0.08 s kept on both sides of the pause
    assert np.array_equal(first, ear.adapt(small_adapter(), states, mel, len(samples)))


def test_all_silent_is_one_stretch_not_nothing():
    mel = whisper_logmel(np.zeros(16_000, np.float32))
    assert ear.adapt(small_adapter(), states_for(mel), mel, 16_000).shape == (3, 384)


def test_windows_hold_their_neighbours():
    states = np.arange(24, dtype=np.float32)[:, None] * np.ones(512, np.float32)
    found = ear.windows(states, np.ones(24, bool)).reshape(3, 3, 512)[:, :, 0]
    assert np.allclose(found, [[0, 3.5, 11.5], [3.5, 11.5, 19.5], [11.5, 19.5, 0]])


def test_windows_share_what_lies_on_a_border():
    found = ear.windows(np.array([[3.0], [0.0], [0.0]], np.float32).repeat(512, 1).repeat(7, 0), np.ones(21, bool))
    assert found.shape == (3, 1536)
    assert found.reshape(3, 3, 512)[0, 1, 0] == pytest.approx(3.0)


def test_adapter_file_round_trip_and_refusals(tmp_path):
    adapter = small_adapter()
    stored = {name: getattr(adapter, name) for name in ear.Adapter.__slots__}
    np.savez(tmp_path / "a.npz", **stored)
    features = RNG.standard_normal((2, ear.FEATURES)).astype(np.float32)
    assert np.array_equal(ear.Adapter.load(tmp_path / "a.npz")(features), adapter(features))
    np.savez(tmp_path / "b.npz", **{k: v for k, v in stored.items() if k != "scale"})
    with pytest.raises(CorruptData, match="scale"):
        ear.Adapter.load(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", **{**stored, "linear_weight": stored["linear_weight"][:, :100]})
    with pytest.raises(CorruptData, match="linear_weight"):
        ear.Adapter.load(tmp_path / "c.npz")


def test_states_of_another_clip_are_refused():
    mel = whisper_logmel(spoken(1.0))
    with pytest.raises(InvalidInput, match="do not belong"):
        ear.adapt(small_adapter(), states_for(mel)[:-2], mel, 16_000)
