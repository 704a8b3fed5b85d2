"""From Whisper's states to tokens of the trunk, in NumPy: pauses left out, windows of a third of a second, a small net.

    states [n, 512] at 50/s ── pairs ── voiced ones ── windows of ~0.32 s with both neighbours ── adapter ── [L, 384]

Training reads the same functions, so the rule stands once; `onesense.train.model.ear.Adapter` is the net in torch.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from onesense.errors import CorruptData, InvalidInput
from onesense.types import SAMPLE_RATE_HZ, Array

STATES_PER_S = 25
WINDOW_STATES = 8  # 0.32 s: about 3.1 tokens per second of voice
MAX_CLIP_S = 29.5  # the encoder has positions for 30 s, half a second of it the silence behind the clip
WIDTH = 512
FEATURES = 3 * WIDTH
FORMAT = "onesense.ear.v1"

_PAUSE_DROP = 0.8  # units of whisper_logmel, 32 dB below the loud states of the clip
_GROW = 2  # states kept on both sides of a voiced one, so that soft consonants stay


@dataclass(frozen=True, slots=True, eq=False)
class Adapter:
    """The weights between windows and tokens. float32; `F` = 1536 features, `H` hidden units.

    tokens = linear(x) + out(relu(hidden(x))) with x = (windows - mean) / scale.
    """

    mean: Array
    """[F], of the training windows."""
    scale: Array
    """[F], their standard deviation."""
    linear_weight: Array
    """[384, F], in closed form at first."""
    linear_bias: Array
    """[384], near the mean of the word vectors."""
    hidden_weight: Array
    """[H, F]."""
    hidden_bias: Array
    """[H]."""
    out_weight: Array
    """[384, H]."""
    out_bias: Array
    """[384]."""

    @classmethod
    def load(cls, file: Path) -> Adapter:
        """Read an `.npz` with these keys.

        Raises:
            CorruptData: a key is missing or two shapes do not fit together.
        """
        with np.load(file) as stored:
            missing = {f.name for f in fields(cls)} - set(stored.files)
            if missing:
                raise CorruptData(f"{file} lacks the ear's `{min(missing)}`")
            adapter = cls(**{f.name: stored[f.name].astype(np.float32) for f in fields(cls)})
        hidden, width = len(adapter.hidden_bias), len(adapter.linear_bias)
        expected = {
            "linear_weight": (width, FEATURES),
            "hidden_weight": (hidden, FEATURES),
            "out_weight": (width, hidden),
        }
        for name, shape in expected.items():
            if getattr(adapter, name).shape != shape:
                raise CorruptData(f"{file}: `{name}` is {list(getattr(adapter, name).shape)}, expected {list(shape)}")
        return adapter

    def __call__(self, features: Array) -> Array:
        """Windows float32 [L, F] to tokens float32 [L, 384], raw vectors like rows of the word table."""
        x = (features - self.mean) / self.scale
        hidden = np.maximum(x @ self.hidden_weight.T + self.hidden_bias, 0.0)
        tokens: Array = x @ self.linear_weight.T + self.linear_bias + hidden @ self.out_weight.T + self.out_bias
        return tokens.astype(np.float32)


def adapt(adapter: Adapter, states: Array, mel: Array, n_samples: int) -> Array:
    """Tokens of one clip.

    Args:
        adapter: the weights.
        states: float32 [n, 512] at 50/s, Whisper's output for `mel`.
        mel: float32 [80, 2n] of `whisper_logmel`.
        n_samples: length of the clip without the silence behind it.

    Returns:
        float32 [L, 384], L >= 1, about 3.1 a second of voice, without `<s>` and `</s>`.

    Raises:
        InvalidInput: the states do not belong to this log-mel.
    """
    if states.ndim != 2 or states.shape[1] != WIDTH or mel.shape[1] != 2 * len(states):
        raise InvalidInput(f"states {list(states.shape)} do not belong to a log-mel of {list(mel.shape)}")
    halved = pool_pairs(states, n_samples)
    return adapter(windows(halved, voiced(loudness(mel, n_samples))))


def n_states(n_samples: int, n_frames: int) -> int:
    """States at 25/s that belong to the clip itself, not to the silence behind it: ceil(25 * seconds), at least 1."""
    return max(1, min(n_frames // 4, -(-n_samples * STATES_PER_S // SAMPLE_RATE_HZ)))


def pool_pairs(states: Array, n_samples: int) -> Array:
    """Mean of each two states: float32 [n, 512] at 50/s to [n_states, 512] at 25/s."""
    pairs: Array = states[: len(states) // 2 * 2].reshape(-1, 2, states.shape[1]).mean(1)
    return pairs[: n_states(n_samples, 2 * len(states))]


def loudness(mel: Array, n_samples: int) -> Array:
    """Loudest mel bin of each 25/s state, float32 [n_states], in the units of `whisper_logmel` (one is 40 dB)."""
    per_state: Array = mel.max(0)[: mel.shape[1] // 4 * 4].reshape(-1, 4).max(1)
    return per_state[: n_states(n_samples, mel.shape[1])]


def voiced(loud: Array) -> Array:
    """Which states are within 32 dB of the loud ones of their clip or beside such a state, bool [n], never all False.

    Pauses carry no text: with them in, windows of silence become tokens that mean nothing and move the mean.
    """
    above = loud >= np.quantile(loud.astype(np.float32), 0.95) - _PAUSE_DROP
    padded = np.pad(above, _GROW)
    grown: Array = np.lib.stride_tricks.sliding_window_view(padded, 2 * _GROW + 1).max(1)
    return grown


def windows(states: Array, keep: Array) -> Array:
    """Equal windows of about 0.32 s over the states that are kept, each with the one before and after it.

    Args:
        states: float32 or float16 [n, 512] at 25/s.
        keep: bool [n], at least one True.

    Returns:
        float32 [L, 1536]: previous, own, next window (zeros beyond the ends), L = max(1, round(kept / 8)).
    """
    kept = states[keep].astype(np.float32)
    n = max(1, round(len(kept) / WINDOW_STATES))
    own = _means(kept, n)
    zero = np.zeros_like(own[:1])
    beside = np.concatenate([zero, own, zero])
    return np.concatenate([beside[:-2], own, beside[2:]], axis=1)


def _means(values: Array, n: int) -> Array:
    """Means over n equal stretches of [T, D]; a value on a border counts for both sides by its share."""
    total = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, 0, dtype=np.float64)])
    edges = np.linspace(0, len(values), n + 1)
    whole = np.minimum(edges.astype(int), len(values) - 1)
    at_edges = total[whole] + (edges - whole)[:, None] * values[whole]
    means: Array = np.diff(at_edges, axis=0) / np.diff(edges)[:, None]
    return means.astype(np.float32)
