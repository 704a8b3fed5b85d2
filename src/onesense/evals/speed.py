"""How fast models are on this machine, and how far they agree: the same inputs, round after round, in turns.

Turns, because a machine does not stay as fast as it was; medians, because something else always runs. What a model is
worth is measured elsewhere (`evals.run`): here another model's nearest neighbours only tell whether a runtime of the
same weights still says the same.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ..engine.embedder import Embedder
from ..engine.models import open_model
from ..errors import InvalidInput, OnesenseError
from ..types import Array, Content, Part
from .metrics import neighbours_kept

RUNTIME = "ONESENSE_RUNTIME"
"""The setting that `MODEL@RUNTIME` stands for, while the model is loaded."""
SINGLE = 24
"""Most inputs that are also sent one at a time."""
TOP = 10
"""Neighbours that are compared; of few inputs a third, or every model would agree with every other."""
_WORDS = (
    "harbour", "engine", "violet", "winter", "signal", "garden", "window", "copper", "market", "silent", "Brücke",
    "montaña", "lumière", "река", "مدينة", "शहर", "山", "海辺", "the", "of", "and", "was", "in", "a",
)  # fmt: skip
_LENGTHS = (3, 9, 24, 70)
"""Words of a made-up text: a query, a sentence, a paragraph, half a page."""


@dataclass(frozen=True, slots=True)
class Speed:
    """One model with one kind of input."""

    model: str
    kind: str
    n: int = 0
    """Inputs of a round."""
    per_s: tuple[float, ...] = ()
    """Inputs a second, one a round."""
    tokens_per_s: float = 0.0
    """Of the median round."""
    one_ms: tuple[float, ...] = ()
    """Milliseconds of inputs that came alone."""
    kept: float | None = None
    """Share of the first model's nearest neighbours that are its own as well, 0..1; None for the first model."""
    reason: str = ""
    """Why it was not measured."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values with medians, ready for JSON."""
        rates, waits = np.array(self.per_s or [0.0]), np.array(self.one_ms or [0.0])
        return asdict(self) | {
            "median_per_s": float(np.median(rates)),
            "p50_ms": float(np.percentile(waits, 50)),
            "p99_ms": float(np.percentile(waits, 99)),
        }


@dataclass(slots=True)
class _Runner:
    name: str
    embedder: Embedder
    rates: list[float] = field(default_factory=list)
    vectors: Array | None = None


def race(
    models: Sequence[str],
    inputs: Mapping[str, Sequence[Content]],
    *,
    rounds: int = 5,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[Speed]:
    """Measure models with each kind of input.

    Args:
        models: names, the first is what the others are compared with; `MODEL@RUNTIME` loads it with that setting of
            `ONESENSE_RUNTIME`.
        inputs: name of a kind -> its contents.
        rounds: times that each model embeds all of a kind, in turns; one more comes first and is not counted.
        progress: told steps done, steps in all, and what is measured.

    Returns:
        By kind, then by model, in their order. A model that cannot take a kind says why.

    Raises:
        InvalidInput: no model, no input, or fewer than one round.
        NotFound, MissingExtra, BackendError: a model cannot be loaded.
    """
    if not models or not any(inputs.values()) or rounds < 1:
        raise InvalidInput("nothing to measure: expected one model, one input and one round at least")
    runners = [_Runner(name, _open(name)) for name in models]
    try:
        found: list[Speed] = []
        for i, (kind, contents) in enumerate(inputs.items()):
            if progress is not None:
                progress(i, len(inputs), kind)
            found += _kind(runners, kind, list(contents), rounds)
    finally:
        for runner in runners:
            runner.embedder.close()
    return found


def _open(name: str) -> Embedder:
    model, _, runtime = name.partition("@")
    with _setting(runtime):
        return Embedder(open_model(model))


@contextmanager
def _setting(runtime: str) -> Iterator[None]:
    before = os.environ.get(RUNTIME)
    if runtime:
        os.environ[RUNTIME] = runtime
    try:
        yield
    finally:
        if runtime and before is None:
            del os.environ[RUNTIME]
        elif runtime and before is not None:
            os.environ[RUNTIME] = before


def _kind(runners: Sequence[_Runner], kind: str, contents: list[Content], rounds: int) -> list[Speed]:
    reasons: dict[str, str] = {}
    for runner in runners:
        runner.rates, runner.vectors = [], None
        try:
            runner.vectors = runner.embedder.embed(contents)
        except OnesenseError as error:
            reasons[runner.name] = str(error)
    able = [runner for runner in runners if runner.name not in reasons]
    for _ in range(rounds):
        for runner in able:
            start = time.perf_counter()
            runner.embedder.embed(contents)
            runner.rates.append(len(contents) / (time.perf_counter() - start))
    first = runners[0].vectors
    return [
        Speed(runner.name, kind, reason=reasons[runner.name])
        if runner.name in reasons
        else _told(runner, kind, contents, None if runner is runners[0] else first)
        for runner in runners
    ]


def _told(runner: _Runner, kind: str, contents: list[Content], first: Array | None) -> Speed:
    n_tokens = sum(f.n_tokens for f in runner.embedder.count_tokens(contents))
    kept = None
    if first is not None and runner.vectors is not None and len(contents) > 1:
        kept = neighbours_kept(first, runner.vectors, min(TOP, max(1, len(contents) // 3)))
    per_token = n_tokens / len(contents)
    tokens_per_s = float(np.median(runner.rates)) * per_token
    return Speed(
        runner.name, kind, len(contents), tuple(runner.rates), tokens_per_s, _alone(runner, contents[:SINGLE]), kept
    )


def _alone(runner: _Runner, contents: Sequence[Content]) -> tuple[float, ...]:
    spent = []
    for content in contents:
        start = time.perf_counter()
        runner.embedder.embed(content)
        spent.append(1_000 * (time.perf_counter() - start))
    return tuple(spent)


# --- inputs of our own ----------------------------------------------------------------------------------------------


def samples(n: int, seed: int = 0) -> dict[str, list[Content]]:
    """Made-up inputs of three kinds, the same for the same numbers.

    Args:
        n: texts; of pictures (JPEG, 640 x 480) a half, of sounds (3 s) a quarter, one at least.
        seed: of what is drawn.
    """
    random = np.random.default_rng(seed)
    texts = [" ".join(random.choice(_WORDS, _LENGTHS[i % len(_LENGTHS)])) for i in range(n)]
    pictures = [Part.bytes(_jpeg(random), "image/jpeg") for _ in range(max(1, n // 2))]
    sounds = [Part.bytes(_wav(random), "audio/wav") for _ in range(max(1, n // 4))]
    kinds: dict[str, list[Any]] = {"text": texts, "image": pictures, "audio": sounds}
    return {kind: [Content(part) for part in parts] for kind, parts in kinds.items()}


def _jpeg(random: np.random.Generator) -> bytes:
    """Coloured shapes over a gradient, about as hard to decode as a photograph."""
    from PIL import Image, ImageDraw

    picture = Image.linear_gradient("L").resize((640, 480)).convert("RGB")
    draw = ImageDraw.Draw(picture)
    for _ in range(60):
        x, y, w, h = random.integers(0, (640, 480, 160, 160))
        draw.ellipse((x, y, x + w, y + h), fill=tuple(random.integers(0, 256, 3).tolist()))
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=90)
    return out.getvalue()


def _wav(random: np.random.Generator) -> bytes:
    import wave

    rate, seconds = 16_000, 3
    times = np.arange(rate * seconds) / rate
    tones = sum(np.sin(2 * np.pi * hz * times) for hz in random.uniform(80, 2_000, 3))
    noise = random.standard_normal(len(times)) * random.uniform(0.0, 0.5)
    values = np.clip((tones / 4 + noise / 4) * 32_000, -32_768, 32_767).astype("<i2")
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, rate, len(values), "NONE", ""))
        file.writeframes(values.tobytes())
    return out.getvalue()
