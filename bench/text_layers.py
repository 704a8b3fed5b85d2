"""What the text layers bring and cost: words on signs and screenshots, milliseconds a page and a second of speech.

    python bench/text_layers.py reading --data ../shared/data
    ONESENSE_WHISPER=whisper-base python bench/text_layers.py speech --data ../shared/data

The pictures are those of the task `reading`. A word is asked for as it stands, among all pictures.
"""

from __future__ import annotations

import argparse
import time
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from _results import record

from onesense import Embedder
from onesense.engine import models
from onesense.evals import splits
from onesense.evals.packs import Packs
from onesense.evals.task import retrieval
from onesense.evals.tasks.reading import FORMS, pictures, words
from onesense.types import Content, Part

MODELS = ("onesense-mini", "onesense-mini+ocr")


def reading(data: Path, n: int) -> None:
    """Words to pictures, R@10, with the model's own reader and with OCR."""
    chosen = words(Packs(data), n)
    shown = pictures(chosen)
    found: dict[str, Any] = {}
    for name in MODELS:
        with Embedder(name) as embedder:
            start = time.process_time()
            seen = embedder.embed([Content(part) for part in shown])
            ms = (time.process_time() - start) * 1_000 / len(shown)
            scores = embedder.embed([word for _, word in chosen]) @ seen.T
        results = retrieval("word → picture", scores, range(len(chosen)), (10, 1), [kind for kind, _ in chosen])
        by_form = {form: float(np.mean([r <= 10 for r in _ranks(scores)[at::2]])) for at, form in enumerate(FORMS)}
        found[name] = {r.metric: r.value for r in results} | results[0].detail["by"] | by_form | {"cpu_ms": round(ms)}
    plain, read = (found[name] for name in MODELS)
    summary = (
        f"R@10 / R@1 of {len(chosen)} pictures {100 * plain['R@10']:.1f} / {100 * plain['R@1']:.1f} % → with OCR "
        f"{100 * read['R@10']:.1f} / {100 * read['R@1']:.1f} %, {plain['cpu_ms']} → {read['cpu_ms']} CPU ms a picture"
    )
    record("words on signs and screenshots", summary, found, None)


def _ranks(scores: Any) -> list[int]:
    """Rank of the right picture, 1 the best, for each word."""
    own = np.diag(scores)[:, None]
    return [int(r) for r in (scores > own).sum(1) + 1]


def speech(data: Path, n: int) -> None:
    """CPU milliseconds a second of narrated speech, with and without a transcript."""
    rows = Packs(data).samples("audio/stories_speech", lambda _, meta: splits.is_dev_story(meta["story"]))
    parts = [sample.part for sample in islice(rows, n)]
    found: dict[str, Any] = {}
    for name in ("onesense-mini", "onesense-mini+transcribe"):
        backend = models.resolve(name)
        backend.prepare(Content(parts[0]))  # loads
        start = time.process_time()
        for part in parts:
            backend.prepare(Content(part))
        found[name] = round((time.process_time() - start) * 1_000)
    found["seconds"] = round(sum(_seconds(part) for part in parts), 1)
    each = [found[name] / found["seconds"] for name in ("onesense-mini", "onesense-mini+transcribe")]
    summary = f"{each[0]:.0f} → with a transcript {each[1]:.0f} CPU ms per second of speech ({found['seconds']} s)"
    record("transcripts, cost", summary, found, None)


def _seconds(part: Part) -> float:
    from onesense import media

    _, sound = media.decode(part)
    return float(sound.duration_s)  # type: ignore[union-attr]


def main() -> None:
    """Run one question."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("question", choices=("reading", "speech"))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--n", type=int, default=40, help="words of each kind, or narrations")
    asked = parser.parse_args()
    {"reading": reading, "speech": speech}[asked.question](asked.data, asked.n)


if __name__ == "__main__":
    main()
