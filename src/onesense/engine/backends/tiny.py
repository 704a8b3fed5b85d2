"""`tiny`: a real transformer of 2 layers and width 64, made from seed 0 in memory; no weights, no download.

It has learnt nothing, but it reads every modality, in order, to the last token that fits. It is there to test and to
develop the house against, and texts that share words come out near each other.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from onesense.engine import pieces
from onesense.errors import BackendError, EmptyInput
from onesense.types import (
    SAMPLE_RATE_HZ,
    Array,
    Audio,
    Batch,
    Content,
    Decoded,
    Document,
    Features,
    Image,
    ModelInfo,
    Page,
    Video,
)

WIDTH = 64
HEADS = 4
LAYERS = 2
DIM = 3072
MAX_TOKENS = 512
GRID = 32  # pixels a side that are left of a picture
PATCH = 8  # pixels a side of a patch, so 16 tokens a picture
VIDEO_GRID = 16  # pixels a side that are left of a video frame, so 4 tokens a frame
HOP = SAMPLE_RATE_HZ // 2  # samples a sound token
BUCKETS = 4_096  # rows of a word table; two tables with different hashes keep two words apart
WORD = re.compile(r"\w{1,12}|[^\w\s]")
KINDS = ("text", "image", "audio", "video")


class Backend:
    """The model. Immutable after construction, so any thread may call anything."""

    info = ModelInfo(
        name="tiny",
        revision="seed-0",
        licence="Apache-2.0",
        modalities=frozenset({"text", "image", "audio", "video", "pdf"}),
        dim=DIM,
        mrl_dims=(3072, 1536, 768, 512, 256, 128),
        max_tokens=MAX_TOKENS,
        description="2 layers of width 64 from seed 0: reads everything, has learnt nothing; for tests",
    )

    def __init__(self) -> None:
        self._weights: dict[str, Array] | None = _make_weights()

    def prepare(self, content: Content) -> Features:
        """Turn every part into tokens: float32 [L, 64], 1 <= L <= 512, in the order of the parts.

        Raises:
            EmptyInput: not one token in it.
            InvalidInput: a part cannot be decoded.
        """
        rows: list[Array] = []
        usage: dict[str, int] = {}
        left = MAX_TOKENS
        is_truncated = False
        for modality, value in pieces.decode(content, self.info):
            for tokens in self._tokens(value):
                taken = tokens[:left]
                is_truncated |= len(taken) < len(tokens)
                left -= len(taken)
                rows.append(taken)
                usage[modality] = usage.get(modality, 0) + len(taken)
        if left == MAX_TOKENS:
            raise EmptyInput("there is nothing to embed: no word, no sample, no pixel")
        return Features(np.concatenate(rows), MAX_TOKENS - left, {k: n for k, n in usage.items() if n}, is_truncated)

    def embed(self, batch: Batch) -> Array:
        """Float32 [B, 3072]: two pre-norm layers, mean over the tokens, one projection."""
        lengths = np.array([f.n_tokens for f in batch.features])
        x = np.zeros((len(batch), lengths.max(), WIDTH), np.float32)  # [B, L, D]
        for row, features in zip(x, batch.features, strict=True):
            row[: features.n_tokens] = features.payload
        is_token = np.arange(x.shape[1]) < lengths[:, None]  # [B, L]
        x += 0.3 * _positions(x.shape[1])
        for layer in range(LAYERS):
            x = x + self._attend(_norm(x), is_token, layer)
            x = x + _gelu(_norm(x) @ self._w(f"up{layer}")) @ self._w(f"down{layer}")
        pooled = (_norm(x) * is_token[..., None]).sum(1) / lengths[:, None]  # [B, D]
        return np.asarray(pooled @ self._w("out"), np.float32)  # [B, 3072]

    def close(self) -> None:
        """Free the weights. Calling it twice is fine."""
        self._weights = None

    def _w(self, name: str) -> Array:
        if self._weights is None:
            raise BackendError("`tiny` is closed")
        return self._weights[name]

    def _attend(self, x: Array, is_token: Array, layer: int) -> Array:
        """Self-attention over the tokens of each item; padding gets weight zero."""
        b, n, _ = x.shape
        qkv = (x @ self._w(f"qkv{layer}")).reshape(b, n, 3, HEADS, WIDTH // HEADS)
        q, k, v = qkv.transpose(2, 0, 3, 1, 4)  # [B, heads, L, 16] each
        scores = q @ k.swapaxes(-1, -2) / math.sqrt(WIDTH // HEADS)  # [B, heads, L, L]
        scores = np.where(is_token[:, None, None, :], scores, -np.inf)
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        mixed = (shares @ v).swapaxes(1, 2).reshape(b, n, WIDTH)
        return np.asarray(mixed @ self._w(f"proj{layer}"), np.float32)

    def _tokens(self, value: Decoded) -> Iterator[Array]:
        """Runs of tokens float32 [n, 64] of one canonical value, in reading order."""
        match value:
            case str():
                yield self._of_kind("text", self._word_tokens(value))
            case Image():
                yield self._of_kind("image", self._patch_tokens(value.pixels, GRID))
            case Audio():
                yield self._of_kind("audio", self._sound_tokens(value.samples))
            case Video():
                yield from self._video_tokens(value)
            case Page():
                yield from self._tokens(value.image)
                yield from self._tokens(value.text)
            case Document():
                for page in value.pages:
                    yield from self._tokens(page)

    def _of_kind(self, kind: str, tokens: Array) -> Array:
        return np.asarray(tokens + 0.3 * self._w("kinds")[KINDS.index(kind)])

    def _word_tokens(self, text: str) -> Array:
        """One token a word, of at most 12 characters; longer words take several."""
        words = WORD.findall(text)[: MAX_TOKENS + 1]
        if not words:
            return np.zeros((0, WIDTH), np.float32)
        keys = [w.lower().encode() for w in words]
        first = [zlib.crc32(key) % BUCKETS for key in keys]
        second = [zlib.crc32(key[::-1], 7) % BUCKETS for key in keys]
        is_capital = np.array([w != w.lower() for w in words], np.float32)[:, None]
        table = self._w("words")
        # a capital is a small change of its word
        return np.asarray(table[0][first] + table[1][second] + 0.1 * is_capital * self._w("kinds")[-1], np.float32)

    def _patch_tokens(self, pixels: Array, grid: int) -> Array:
        """One token a patch of 8 x 8, after the picture is averaged down to `grid` pixels a side."""
        small = _shrink(pixels, grid) / 255.0 - 0.5  # [g, g, 3]
        n = grid // PATCH
        patches = small.reshape(n, PATCH, n, PATCH, 3).swapaxes(1, 2).reshape(n * n, -1)  # [n*n, 192]
        return np.asarray(patches @ self._w("patch"), np.float32)

    def _sound_tokens(self, samples: Array) -> Array:
        """One token a half second: log energy in 64 bands."""
        cut = np.asarray(samples[: HOP * (MAX_TOKENS + 1)], np.float32)
        n = -(-len(cut) // HOP)
        windows = np.pad(cut, (0, n * HOP - len(cut))).reshape(n, HOP)
        power = np.abs(np.fft.rfft(windows)) ** 2  # [n, 4001]
        bands = np.add.reduceat(power, _band_edges(), axis=1)  # [n, 64]
        return np.asarray(np.log1p(bands) @ self._w("sound"), np.float32)

    def _video_tokens(self, video: Video) -> Iterator[Array]:
        """Four tokens a frame, with its time; then the sound."""
        for frame, time_s in zip(video.frames[: MAX_TOKENS // 4 + 1], video.times_s, strict=False):
            clock = 0.3 * _angles(np.array([float(time_s) * 10.0]))
            yield self._of_kind("video", self._patch_tokens(frame, VIDEO_GRID) + clock)
        if video.sound is not None:
            yield from self._tokens(video.sound)


def _make_weights() -> dict[str, Array]:
    """All weights. `RandomState` is used for its stream, which NumPy has promised not to change."""
    random = np.random.RandomState(0)

    def normal(*shape: int, fan_in: int) -> Array:
        return (random.standard_normal(shape) / math.sqrt(fan_in)).astype(np.float32)

    weights = {
        "words": normal(2, BUCKETS, WIDTH, fan_in=2),
        "kinds": normal(len(KINDS) + 1, WIDTH, fan_in=1),
        "patch": 4.0 * normal(PATCH * PATCH * 3, WIDTH, fan_in=PATCH),
        "sound": normal(WIDTH, WIDTH, fan_in=WIDTH),
        "out": normal(WIDTH, DIM, fan_in=WIDTH),
    }
    for layer in range(LAYERS):
        weights[f"qkv{layer}"] = normal(WIDTH, 3 * WIDTH, fan_in=WIDTH)
        weights[f"proj{layer}"] = 0.5 * normal(WIDTH, WIDTH, fan_in=WIDTH)
        weights[f"up{layer}"] = normal(WIDTH, 2 * WIDTH, fan_in=WIDTH)
        weights[f"down{layer}"] = 0.5 * normal(2 * WIDTH, WIDTH, fan_in=2 * WIDTH)
    return weights


def _norm(x: Array) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    return np.asarray(centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5))


def _gelu(x: Array) -> Array:
    return np.asarray(0.5 * x * (1 + np.tanh(0.7978846 * (x + 0.044715 * x**3))))  # Hendrycks and Gimpel 2016, eq. 2


@cache
def _positions(n: int) -> Array:
    """Float32 [n, 64]: sines and cosines of the place in the sequence. Source: Vaswani et al. 2017, section 3.5."""
    return _angles(np.arange(n, dtype=np.float64))


def _angles(places: Array) -> Array:
    rates = 10_000.0 ** (-np.arange(WIDTH // 2) / (WIDTH // 2))
    angles = places[:, None] * rates
    return np.concatenate([np.sin(angles), np.cos(angles)], -1).astype(np.float32)


@cache
def _band_edges() -> Any:
    """First FFT bin of each of 64 bands, narrow below and wide above, all different."""
    wide = np.geomspace(1, HOP // 2, WIDTH).astype(np.int64)
    return np.maximum(wide, np.arange(WIDTH))


def _shrink(pixels: Array, grid: int) -> Array:
    """Average uint8 [H, W, 3] down to float32 [grid, grid, 3]; a smaller picture repeats its pixels."""
    height, width, _ = pixels.shape
    if height == 0 or width == 0:
        raise EmptyInput("this picture has no pixels")
    ys, xs = (np.arange(grid) * side // grid for side in (height, width))
    rows = np.add.reduceat(pixels, ys, axis=0, dtype=np.uint32)
    cells = np.add.reduceat(rows, xs, axis=1)
    n_rows, n_columns = (np.maximum(np.diff(i, append=side), 1) for i, side in ((ys, height), (xs, width)))
    return np.asarray(cells / (n_rows[:, None, None] * n_columns[None, :, None]), np.float32)
