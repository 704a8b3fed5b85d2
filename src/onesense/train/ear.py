"""Fit the ear's adapter: closed form first, then the net beside it, then through the frozen trunk.

    python -m onesense.train.speech DIR dev            # 1 CPU-minute
    python -m onesense.train.speech DIR train --minutes 22
    python -m onesense.train.ear DIR fit               # 1 CPU-minute, no gradient
    python -m onesense.train.ear DIR windows           # 2 CPU-minutes, gradient on windows alone
    python -m onesense.train.ear DIR tune --minutes 15 # one core
    python -m onesense.train.ear DIR eval

Writes DIR/adapter.npz (the keys of `engine.backends._mini.ear.Adapter`, and `speech_mean` [384], the mean unit vector
of training speech). Reached on the development split by `windows` with 1540 recordings, 2.8 h (R@1/R@10,
dev/LOG.md): own text 57/94 (floor 60 at 10), English sentences of unknown voices, text -> speech, 80/97 of 319 (floor
50 at 10).
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..engine.backends._mini import ear as runtime
from ..evals.metrics import recall_at
from ..types import Array
from .losses import centred, distance, info_nce
from .model.ear import Adapter
from .speech import Clip
from .text import BOS, EOS, TextEncoder, pad

log = logging.getLogger(__name__)

RIDGE = 3000.0  # on standardised features, as in the prototype; not tuned on the development split
MIN_COVER = 0.05  # windows that less text than this share lies on have no target
HUMAN_WEIGHT = 3  # hours of synthetic voices would drown the people: narrations lose 6 points at 1 (dev/LOG.md)
TEMPERATURE = 0.06
BATCH = 48
WINDOW_BATCH = 512
_MEAN_CLIPS = 300


@dataclass(frozen=True, slots=True, eq=False)
class Speech:
    """Clips as windows, all in memory."""

    clips: list[Clip]
    features: Array
    """float16 [W, 1536], clip after clip."""
    starts: Array
    """int64 [clips + 1], first row of each clip in `features`."""
    positions: list[Array]
    """float32 [n_states + 1] a clip: how far in its voiced time, 0..1, each state begins."""

    @classmethod
    def load(cls, folder: Path, name: str) -> Speech:
        """Read what `onesense.train.speech` wrote and cut it into windows."""
        record = json.loads((folder / f"{name}_states.json").read_text())
        clips = [Clip(**clip) for clip in record["clips"]]
        n = clips[-1].offset + clips[-1].n_states
        states = np.memmap(folder / f"{name}_states.f16", np.float16, "r", shape=(n, runtime.WIDTH))
        loud = np.fromfile(folder / f"{name}_loudness.f16", np.float16, n)
        found, positions = [], []
        for clip in clips:
            rows = slice(clip.offset, clip.offset + clip.n_states)
            keep = runtime.voiced(loud[rows])
            found.append(runtime.windows(states[rows], keep).astype(np.float16))
            positions.append((np.concatenate([[0], np.cumsum(keep)]) / keep.sum()).astype(np.float32))
        starts = np.concatenate([[0], np.cumsum([len(f) for f in found])])
        return cls(clips, np.concatenate(found), starts, positions)

    def windows(self, i: int) -> Array:
        """Float32 [L, 1536] of one clip."""
        rows: Array = self.features[self.starts[i] : self.starts[i + 1]].astype(np.float32)
        return rows


def piece_spans(clip: Clip, position: Array, offsets: Sequence[tuple[int, int]]) -> Array:
    """Where each piece lies in the voiced time of its clip.

    Synthetic clips know when their words begin; in others the letters are spread evenly over the voice.

    Args:
        clip: the record.
        position: float32 [n_states + 1], see `Speech.positions`.
        offsets: characters of each piece.

    Returns:
        float64 [pieces, 2], begin and end, 0..1.
    """
    chars = np.array([[a, max(b, a + 1)] for a, b in offsets], np.float64)
    n_chars = max(1, len(clip.text))
    if not clip.anchors:
        return chars / n_chars
    at, second = zip(*clip.anchors, (n_chars, clip.n_states / runtime.STATES_PER_S), strict=True)
    state = np.interp(chars, at, second) * runtime.STATES_PER_S
    spans: Array = np.interp(state, np.arange(len(position)), position)
    spans[:, 1] = np.maximum(spans[:, 1], spans[:, 0] + 1e-3)
    return spans


def cover(spans: Array, n: int) -> Array:
    """How much of each of n equal windows each piece covers, float64 [n, pieces]."""
    window = np.arange(n)[:, None]
    shared: Array = np.minimum(spans[:, 1] * n, window + 1) - np.maximum(spans[:, 0] * n, window)
    return shared.clip(min=0)


def word_targets(speech: Speech, text: TextEncoder) -> tuple[Array, Array]:
    """What each window should say.

    Returns:
        float32 [W, 384], the mean of the word vectors under the window, and bool [W], whether there is any.
    """
    texts = [clip.text for clip in speech.clips]
    targets = np.zeros((len(speech.features), 384), np.float32)
    has = np.zeros(len(targets), bool)
    for i, (ids, offsets) in enumerate(zip(text.tokenize(texts), text.offsets(texts), strict=True)):
        rows = slice(speech.starts[i], speech.starts[i + 1])
        share = cover(piece_spans(speech.clips[i], speech.positions[i], offsets), rows.stop - rows.start)
        total = share.sum(1, keepdims=True)
        targets[rows] = (share / (total + 1e-6)) @ text.words(ids)
        has[rows] = total[:, 0] > MIN_COVER
    return targets, has


def weighted(speech: Speech, has: Array) -> Array:
    """Rows to fit on, int64: windows that have words, those of people `HUMAN_WEIGHT` times."""
    counts = np.zeros(len(speech.features), np.int64)
    for i, clip in enumerate(speech.clips):
        counts[speech.starts[i] : speech.starts[i + 1]] = HUMAN_WEIGHT if clip.kind in ("story", "real") else 1
    return np.repeat(np.arange(len(counts)), counts * has)


def closed_form(features: Array, targets: Array) -> Adapter:
    """Ridge from windows onto word vectors, scaled back to the length that word vectors have; no gradient, no net.

    Args:
        features: float16 [W, 1536].
        targets: float32 [W, 384].
    """
    x = features.astype(np.float32)
    mean, scale = x.mean(0), x.std(0) + 1e-3
    x = (x - mean) / scale
    centre = targets.mean(0)
    y = targets - centre
    gram = x.T @ x + RIDGE * np.eye(x.shape[1], dtype=np.float32)
    weight = np.linalg.solve(gram, x.T @ y)
    said = x @ weight
    gain = np.linalg.norm(y, axis=1).mean() / np.linalg.norm(said, axis=1).mean()
    log.info("%d windows, gain %.2f, cosine %.3f", len(x), gain, _mean_cosine(said, y))
    adapter = Adapter(hidden=1)
    with torch.no_grad():
        adapter.mean.copy_(torch.from_numpy(mean))
        adapter.scale.copy_(torch.from_numpy(scale))
        adapter.linear.weight.copy_(torch.from_numpy((weight * gain).T))
        adapter.linear.bias.copy_(torch.from_numpy(centre))
    return adapter


def pretrain(adapter: Adapter, features: Array, targets: Array, epochs: int = 6) -> None:
    """Train the net beside the linear map on windows alone: no trunk, a hundredth of its cost.

    Cosine and contrast to the window's own words among those of the batch, at the length that words have; a tenth of
    the features is dropped, because voices are few.

    Args:
        adapter: in closed form; changed in place.
        features: float16 [W, 1536].
        targets: float32 [W, 384].
        epochs: passes over the windows.
    """
    x, y = torch.from_numpy(features), torch.from_numpy(targets)
    centre = y.mean(0)
    length = (y - centre).norm(dim=1).mean()
    optimiser = torch.optim.AdamW(adapter.parameters(), lr=1e-3, weight_decay=0.05)
    steps = epochs * (len(x) // WINDOW_BATCH)
    for step in range(steps):
        _set_rates(optimiser, (1e-3,), min(1.0, (step + 1) / 50) * (1 - step / steps))
        rows = torch.randint(len(x), (WINDOW_BATCH,))
        said = adapter(torch.nn.functional.dropout(x[rows].float() - adapter.mean, 0.1) + adapter.mean) - centre
        own = torch.nn.functional.normalize(y[rows] - centre, dim=-1)
        unit = torch.nn.functional.normalize(said, dim=-1)
        loss = distance(unit, own) + 0.3 * info_nce(unit, own, temperature=0.1)
        loss = loss + 0.1 * ((said.norm(dim=1) / length) - 1).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 100 == 0:
            log.info("window step %d of %d, loss %.3f", step, steps, loss.item())


def _mean_cosine(a: Array, b: Array) -> float:
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1) + 1e-9
    return float(((a * b).sum(1) / norms).mean())


class Listener:
    """Adapter and frozen trunk: clips to pooled vectors."""

    def __init__(self, adapter: Adapter, text: TextEncoder) -> None:
        self.adapter = adapter
        self.text = text
        text.trunk.requires_grad_(requires_grad=False)
        self.ends = torch.from_numpy(text.words([BOS, EOS]))

    def __call__(self, clips: Sequence[Array]) -> Tensor:
        """Windows [L_i, 1536] of some clips to float32 [B, 384], pooled, not normalised."""
        tokens = self.adapter(torch.from_numpy(np.concatenate(clips)))
        parts = tokens.split([len(clip) for clip in clips])
        x, mask = pad([torch.cat([self.ends[:1], part, self.ends[1:]]) for part in parts])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            pooled: Tensor = self.text.trunk(x, mask)
        return pooled.float()

    @torch.no_grad()
    def embed(self, speech: Speech, chosen: Sequence[int]) -> Array:
        """Unit vectors of the chosen clips, float32 [n, 384]."""
        out = np.zeros((len(chosen), 384), np.float32)
        order = sorted(range(len(chosen)), key=lambda k: int(np.diff(speech.starts)[chosen[k]]))
        for at in range(0, len(order), BATCH):
            batch = order[at : at + BATCH]
            pooled = self([speech.windows(chosen[k]) for k in batch])
            out[batch] = torch.nn.functional.normalize(pooled, dim=-1).numpy()
        return out

    def speech_mean(self, speech: Speech) -> Array:
        """Mean unit vector of an even sample of training clips, float32 [384]."""
        step = max(1, len(speech.clips) // _MEAN_CLIPS)
        mean: Array = self.embed(speech, range(0, len(speech.clips), step)).mean(0)
        return mean


class Vectors:
    """Unit vectors of texts by the imported encoder, computed once a folder and kept in `text_vectors.npz`."""

    def __init__(self, folder: Path, text: TextEncoder) -> None:
        self.file = folder / "text_vectors.npz"
        self.text = text
        self.known: dict[str, Array] = {}
        if self.file.is_file():
            with np.load(self.file) as stored:
                self.known = dict(zip(json.loads(str(stored["texts"])), stored["vectors"], strict=True))

    def __call__(self, texts: Sequence[str]) -> Array:
        """Float32 [n, 384]."""
        missing = sorted(set(texts) - self.known.keys())
        if missing:
            self.known |= dict(zip(missing, self.text.encode(missing), strict=True))
            names = json.dumps(list(self.known), ensure_ascii=False)
            np.savez(self.file, texts=names, vectors=np.stack(list(self.known.values())))
        return np.stack([self.known[t] for t in texts])


def evaluate(listener: Listener, dev: Speech, train: Speech, vectors: Vectors) -> dict[str, dict[str, float]]:
    """Retrieval on the development split, all vectors centred on means of the training side.

    Returns:
        Measure -> {r1, r10, n} in percent: stories to own text, stories to the English page, and both directions for
        the English and the German sentences of unknown voices.
    """
    spoken = listener.embed(dev, range(len(dev.clips)))
    spoken = _centred(spoken, listener.speech_mean(train))
    text_mean = vectors([clip.text for clip in train.clips[:: max(1, len(train.clips) // 600)]]).mean(0)
    groups = {
        "story->own text": ([i for i, c in enumerate(dev.clips) if c.kind == "story"], "text"),
        "story->English page": ([i for i, c in enumerate(dev.clips) if c.kind == "story" and c.english], "english"),
        "English sentences": ([i for i, c in enumerate(dev.clips) if (c.kind, c.language) == ("real", "en")], "text"),
        "German sentences": ([i for i, c in enumerate(dev.clips) if (c.kind, c.language) == ("real", "de")], "text"),
    }
    found: dict[str, dict[str, float]] = {}
    for name, (chosen, field) in groups.items():
        said = [str(getattr(dev.clips[i], field)) for i in chosen]
        texts = sorted(set(said))
        scores = spoken[chosen] @ _centred(vectors(texts), text_mean).T
        own = np.array([texts.index(t) for t in said])
        found[name] = _recalls(scores, [[j] for j in own])
        found[f"{name}, text->speech"] = _recalls(
            scores.T, [np.flatnonzero(own == j).tolist() for j in range(len(texts))]
        )
    return found


def _recalls(scores: Array, relevant: Sequence[Sequence[int]]) -> dict[str, float]:
    return {f"r{k}": round(100 * recall_at(scores, relevant, k), 1) for k in (1, 10)} | {"n": len(relevant)}


def _centred(unit: Array, mean: Array) -> Array:
    away = unit - mean
    scaled: Array = away / np.linalg.norm(away, axis=1, keepdims=True)
    return scaled


def tune(listener: Listener, train: Speech, vectors: Vectors, minutes: float, seed: int = 0) -> None:
    """Contrast and cosine against text vectors through the frozen trunk; own text, and its English half as much.

    Half of every batch are people, half are synthetic voices; both texts of a clip come from `vectors`.
    """
    rng, adapter = random.Random(seed), listener.adapter
    own = torch.from_numpy(vectors([c.text for c in train.clips]))
    english = torch.from_numpy(vectors([c.english or c.text for c in train.clips]))
    mean = torch.nn.functional.normalize(own, dim=-1).mean(0)
    own, english = centred(own, mean), centred(english, mean)
    people = [i for i, c in enumerate(train.clips) if c.kind in ("story", "real")]
    synthetic = [i for i, c in enumerate(train.clips) if c.kind not in ("story", "real")] or people
    net = [*adapter.hidden.parameters(), *adapter.out.parameters()]
    groups = [{"params": adapter.linear.parameters(), "lr": 1e-4}, {"params": net, "lr": 5e-4}]
    optimiser = torch.optim.AdamW(groups, weight_decay=0.01)
    speech_mean = torch.from_numpy(listener.speech_mean(train))
    begun, step, losses = time.monotonic(), 0, 0.0
    while (done := (time.monotonic() - begun) / 60 / minutes) < 1:
        _set_rates(optimiser, (1e-4, 5e-4), min(1.0, (step + 1) / 20) * max(0.05, 1 - done))
        chosen = rng.sample(people, BATCH // 2) + rng.sample(synthetic, BATCH // 2)
        pooled = listener([train.windows(i) for i in chosen])
        unit = torch.nn.functional.normalize(pooled, dim=-1)
        speech_mean = 0.95 * speech_mean + 0.05 * unit.detach().mean(0)
        said = centred(pooled, speech_mean)
        loss = _against(said, own[chosen]) + 0.5 * _against(said, english[chosen])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(adapter.parameters(), 1.0)
        optimiser.step()
        step, losses = step + 1, losses + loss.item()
        if step % 50 == 0:
            log.info("step %d, %.0f %% of the time, loss %.3f", step, 100 * done, losses / 50)
            losses = 0.0


def _against(said: Tensor, target: Tensor) -> Tensor:
    contrast = info_nce(said, target, temperature=TEMPERATURE) + info_nce(target, said, temperature=TEMPERATURE)
    return 0.25 * contrast + distance(said, target)


def _set_rates(optimiser: torch.optim.Optimizer, rates: Sequence[float], factor: float) -> None:
    for group, rate in zip(optimiser.param_groups, rates, strict=True):
        group["lr"] = rate * factor


def save(folder: Path, adapter: Adapter, speech_mean: Array) -> None:
    """Write `adapter.npz`."""
    weights: dict[str, Any] = adapter.arrays()
    np.savez(folder / "adapter.npz", speech_mean=speech_mean, **weights)


def restore(folder: Path) -> Adapter:
    """The adapter of `adapter.npz`, in torch."""
    stored = runtime.Adapter.load(folder / "adapter.npz")
    adapter = Adapter(hidden=len(stored.hidden_bias))
    by_name = {key: torch.from_numpy(getattr(stored, key.replace(".", "_"))) for key in adapter.state_dict()}
    adapter.load_state_dict(by_name, strict=True)
    return adapter


def with_net(adapter: Adapter) -> Adapter:
    """The same map with an untrained net of full size beside it, where there was none."""
    if len(adapter.hidden.bias) > 1:
        return adapter
    full = Adapter()
    full.mean.copy_(adapter.mean)
    full.scale.copy_(adapter.scale)
    full.linear.load_state_dict(adapter.linear.state_dict())
    return full


def main() -> None:
    """Fit, tune or measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("step", choices=("fit", "windows", "tune", "eval"))
    parser.add_argument("--minutes", type=float, default=15.0)
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    text = TextEncoder()
    vectors = Vectors(chosen.folder, text)
    dev, train = (Speech.load(chosen.folder, name) for name in ("dev", "train"))
    if chosen.step in ("fit", "windows"):
        targets, has = word_targets(train, text)
        rows = weighted(train, has)
        adapter = closed_form(train.features[rows], targets[rows])
        if chosen.step == "windows":
            adapter = with_net(adapter)
            pretrain(adapter, train.features[rows], targets[rows])
    else:
        adapter = restore(chosen.folder)
    if chosen.step == "tune":
        adapter = with_net(adapter)
    listener = Listener(adapter, text)
    if chosen.step == "tune":
        tune(listener, train, vectors, chosen.minutes)
    if chosen.step != "eval":
        save(chosen.folder, adapter, listener.speech_mean(train))
    for name, numbers in evaluate(listener, dev, train, vectors).items():
        log.info("%-36s %s", name, numbers)


if __name__ == "__main__":
    main()
