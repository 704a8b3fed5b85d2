"""The senses at run time, eye, ear for sounds and ear for speech: each turns a canonical medium into tokens."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ....types import SAMPLE_RATE_HZ, Array
from . import compose, detail, soft
from .ear import MAX_CLIP_S, Adapter, adapt
from .graph import Graph, widen
from .logmel import HOP, YAMNET_PATCH, whisper_logmel, yamnet_logmel
from .package import Package
from .picture import prepare

EYE_BATCH = 1  # pictures a run: 17 ms each alone, 24 in eights, which leave the cache (one core, dev/LOG.md)
PATCH_S = YAMNET_PATCH * HOP / SAMPLE_RATE_HZ  # 0.96
SPEECH_LOUD = 0.3  # probability of speech from which a patch counts as spoken
SPEECH_SHARE = 0.25  # share of spoken patches from which the ear listens to what is said


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """One picture as the model sees it."""

    tokens: Array
    """float32 [10, 384]: the whole, then 3 x 3 cells."""
    concept: Array
    """float32 [384], unit, centred text space."""
    look: Array
    """float32 [672], unit: its own features, for the detail part."""


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """One sound as the model hears it."""

    tokens: Array
    """float32 [L, 384] soft words, one every 0.96 s."""
    times_s: Array
    """float32 [L], the middle of each."""
    speech: Array
    """float32 [W, 384] tokens of what is said, W = 0 where nobody speaks."""
    concept: Array
    """float32 [384], unit, centred text space."""
    spoken: float
    """Share of the sound that is speech, 0..1."""
    look: Array
    """float32 [672], unit: its own features, for the detail part."""


class _Standard:
    """Standardised features: what training saw (`onesense.train.data.senses.Sense`)."""

    def __init__(self, sense: str, bridge: Mapping[str, Array]) -> None:
        self.mean, self.scale = bridge[f"{sense}.mean"], bridge[f"{sense}.spread"]

    def __call__(self, features: Array) -> Array:
        out: Array = (features - self.mean) * self.scale
        return out


class Eye:
    """Pictures to tokens. Thread-safe."""

    def __init__(self, package: Package, bridge: Mapping[str, Array], threads: int) -> None:
        self._table = widen(package.arrays("eye_table.npz"))
        rows = {"rows": self._table.pop("W").T, "bias": self._table.pop("b")}  # packed once, as BLAS would each time
        self._graph = Graph(package.file("eye.onnx"), widen(package.arrays("eye.npz")) | rows, threads)
        self._bridge, self._standard = bridge, _Standard("picture", bridge)

    def __call__(self, pictures: list[Array]) -> list[Seen]:
        """See pictures.

        Args:
            pictures: uint8 [H, W, 3] each, sRGB.
        """
        seen: list[Seen] = []
        for start in range(0, len(pictures), EYE_BATCH):
            pixels = np.stack([prepare(p) for p in pictures[start : start + EYE_BATCH]])
            features, logits = self._graph.run(pixels=pixels)
            seen += map(self._see, features, logits)
        return seen

    def cells(self, picture: Array) -> Array:
        """What each of the 3 x 3 cells of a picture shows: float32 [9, 384] unit concepts, row by row."""
        _, logits = self._graph.run(pixels=prepare(picture)[None])
        shares = soft.picture_shares(logits[0][1:], float(self._table["temperature"]))
        concepts = shares @ self._table["out"]
        return np.stack([_unit(concept) for concept in concepts])

    def _see(self, features: Array, logits: Array) -> Seen:
        """Features float32 [10, 1280] of the whole and its cells, and logits [10, K] of the table's concepts."""
        table = self._table
        shares = soft.picture_shares(logits, float(table["temperature"]))
        standard = self._standard(features)
        tokens = compose.soft_tokens("picture", shares @ table["soft"], standard, self._bridge)
        concept = shares[0] @ table["out"]
        return Seen(tokens, _unit(concept), detail.features("picture", standard[0]))


class Ears:
    """Sounds to tokens; the ear for speech is loaded when somebody first speaks. Thread-safe."""

    def __init__(self, package: Package, bridge: Mapping[str, Array], threads: int) -> None:
        self._package, self._threads = package, threads
        self._graph = Graph(package.file("sound.onnx"), widen(package.arrays("sound.npz")), threads)
        self._table = widen(package.arrays("sound_table.npz"))
        self._speech_rows = self._table["speech_rows"]
        self._bridge, self._standard = bridge, _Standard("sound", bridge)
        self._speech: tuple[Graph, Adapter] | None = None
        self._loading = threading.Lock()

    def __call__(self, samples: Array) -> Heard:
        """Hear a sound.

        Args:
            samples: float32 [S], mono, 16 kHz, S >= 1.
        """
        features, logits, times = self._patches(samples)
        loud = soft.sigmoid(logits[:, self._speech_rows]).max(1)  # [P]
        spoken = float((loud > SPEECH_LOUD).mean())
        is_speech = spoken >= SPEECH_SHARE
        shares = soft.sound_shares(logits, self._speech_rows if is_speech else None)
        standard = self._standard(features)
        tokens = compose.soft_tokens("sound", shares @ self._table["soft"], standard, self._bridge)
        keep = loud <= SPEECH_LOUD if is_speech else np.ones(len(loud), bool)
        speech = self._listen(samples) if is_speech else np.zeros((0, tokens.shape[1]), np.float32)
        look = detail.features("sound", standard.mean(0))
        concept = _unit(shares.mean(0) @ self._table["out"])
        return Heard(tokens[keep], times[keep], speech, concept, spoken if is_speech else 0.0, look)

    def _patches(self, samples: Array) -> tuple[Array, Array, Array]:
        """Features [P, 1024], logits [P, 521] and times [P] of patches of 0.96 s, side by side."""
        patches, times = sound_patches(samples)
        found = [self._graph.run(patches=patches[i : i + 32]) for i in range(0, len(patches), 32)]
        return np.concatenate([f[0] for f in found]), np.concatenate([f[1] for f in found]), times

    def _listen(self, samples: Array) -> Array:
        """Tokens of what is said, float32 [W, 384], in stretches that the encoder can read."""
        graph, adapter = self._ear()
        longest = int(MAX_CLIP_S * SAMPLE_RATE_HZ)
        n_parts = -(-len(samples) // longest)
        out = []
        for part in np.array_split(samples, n_parts):
            mel = whisper_logmel(part)
            (states,) = graph.run(mel=mel[None])
            out.append(adapt(adapter, states[0], mel, len(part)))
        return np.concatenate(out)

    def _ear(self) -> tuple[Graph, Adapter]:
        with self._loading:
            if self._speech is None:
                weights = widen(self._package.arrays("ear.npz"))
                graph = Graph(self._package.file("ear.onnx"), weights, self._threads)
                self._speech = graph, Adapter(**widen(self._package.arrays("adapter.npz")))
            return self._speech


def sound_patches(samples: Array) -> tuple[Array, Array]:
    """Log-mel patches of a sound, float32 [P, 96, 64], and the second in the middle of each, float32 [P]; P >= 1.

    Patches stand side by side; a last one that the sound does not fill is moved back until it does, so nothing is
    lost and no silence added.
    """
    frames = yamnet_logmel(samples)
    last = len(frames) - YAMNET_PATCH
    starts = np.array([*range(0, last, YAMNET_PATCH), last])
    times = (starts + YAMNET_PATCH / 2) * (HOP / SAMPLE_RATE_HZ)
    return np.stack([frames[s : s + YAMNET_PATCH] for s in starts]), times.astype(np.float32)


def _unit(x: Array) -> Array:
    out: Array = x / max(float(np.linalg.norm(x)), 1e-12)
    return out
