"""What the text layers bring and cost: words on signs and screenshots, milliseconds a page and a second of speech.

    python bench/text_layers.py reading --data ../shared/data
    ONESENSE_WHISPER=whisper-base python bench/text_layers.py speech --data ../shared/data

The pictures are drawn here with fonts of this machine (DejaVu, Liberation): glossary terms of the development split,
lemmas in seven languages, and names that nobody has ever used. Half of them are signs (turned, blurred, compressed),
half are screenshots (small type among other words). A word is asked for as it stands, among all pictures.
"""

from __future__ import annotations

import argparse
import csv
import io
import lzma
import random
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from _results import record
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from onesense import Embedder
from onesense.engine import models
from onesense.evals import splits
from onesense.evals.packs import Packs
from onesense.evals.task import retrieval
from onesense.evals.tasks.glossary import dev_entries
from onesense.types import Content, Part

FONTS = Path("/usr/share/fonts/truetype")
LANGUAGES = ("de", "fr", "es", "pt", "it", "pl", "fi")
FILLER = (
    "All changes are saved when you close this window.",
    "Last opened three days ago by another user.",
    "Press the button below to go on to the next step.",
)
MODELS = ("onesense-mini", "onesense-mini+ocr")


def words(data: Path, n: int) -> list[tuple[str, str]]:
    """(kind, word) of three kinds, `n` each."""
    rng = random.Random(0)
    terms = sorted({term for term, _ in dev_entries(Packs(data)) if 4 <= len(term) <= 26})
    found = [("term", term) for term in rng.sample(terms, n)]
    found += [("other language", lemma) for lemma in rng.sample(sorted(_lemmas(data)), n)]
    return found + [("made-up name", _name(rng)) for _ in range(n)]


def _lemmas(data: Path) -> Iterator[str]:
    with lzma.open(data / "text/omw_lemmas.tsv.xz", "rt", encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream, delimiter="\t"):
            lemma = row["lemma"].replace("_", " ")
            if row["lang"] in LANGUAGES and 5 <= len(lemma) <= 20 and splits.is_dev_term(lemma):
                yield lemma


def _name(rng: random.Random) -> str:
    syllables = ["bra", "vel", "kor", "tis", "mun", "dal", "qui", "sor", "fen", "zal", "pro", "lim", "gra", "nex"]
    return " ".join("".join(rng.sample(syllables, 3)).capitalize() for _ in range(2))


def picture(word: str, seed: int) -> bytes:
    """A sign (even seeds) or a screenshot (odd ones) with this word, as JPEG."""
    rng = random.Random(seed)
    canvas = _sign(word, rng) if seed % 2 == 0 else _screenshot(word, rng)
    out = io.BytesIO()
    canvas.save(out, "JPEG", quality=rng.randint(40, 85))
    return out.getvalue()


def _font(rng: random.Random, size: int) -> Any:
    files = sorted(f for f in FONTS.rglob("*.ttf") if "Math" not in f.name)
    return ImageFont.truetype(str(rng.choice(files)), size)


def _sign(word: str, rng: random.Random) -> Image.Image:
    dark, light = [rng.randint(0, 90) for _ in range(3)], [rng.randint(170, 255) for _ in range(3)]
    ground, ink = rng.sample([tuple(dark), tuple(light)], 2)
    canvas = Image.new("RGB", (640, 480), ground)
    font = _font(rng, rng.randint(26, 56))
    wide = font.getlength(word)
    if wide > 580:
        font = font.font_variant(size=int(font.size * 580 / wide))
    place = (rng.uniform(10, max(11, 620 - font.getlength(word))), rng.uniform(60, 340))
    ImageDraw.Draw(canvas).text(place, word, ink, font)
    turned = canvas.rotate(rng.uniform(-6, 6), Image.Resampling.BICUBIC, fillcolor=ground)
    return turned.filter(ImageFilter.GaussianBlur(rng.uniform(0, 1.2)))


def _screenshot(word: str, rng: random.Random) -> Image.Image:
    canvas = Image.new("RGB", (1280, 800), "#f3f3f3")
    draw = ImageDraw.Draw(canvas)
    draw.rectangle((0, 0, 1280, 34), "#3b4252")
    draw.text((12, 8), "File   Edit   View   Help", "white", _font(rng, 15))
    top = rng.randint(80, 500)
    draw.text((80, top), word, "black", _font(rng, rng.randint(18, 26)))
    font = _font(rng, 15)
    for i, line in enumerate(rng.sample(FILLER, 2)):
        draw.text((80, top + 60 + 28 * i), line, "#333333", font)
    return canvas


def reading(data: Path, n: int) -> None:
    """Words to pictures, R@10, with and without OCR."""
    chosen = words(data, n)
    pictures = [Part.bytes(picture(word, i)) for i, (_, word) in enumerate(chosen)]
    found: dict[str, Any] = {}
    for name in MODELS:
        with Embedder(name) as embedder:
            start = time.process_time()
            seen = embedder.embed([Content(part) for part in pictures])
            ms = (time.process_time() - start) * 1_000 / len(pictures)
            scores = embedder.embed([word for _, word in chosen]) @ seen.T
        results = retrieval("word → picture", scores, range(len(chosen)), (10, 1), [kind for kind, _ in chosen])
        by_form = {form: float(np.mean([r <= 10 for r in _ranks(scores)[at::2]])) for at, form in enumerate(FORMS)}
        found[name] = {r.metric: r.value for r in results} | results[0].detail["by"] | by_form | {"cpu_ms": round(ms)}
    plain, read = (found[name] for name in MODELS)
    summary = (
        f"R@10 of {len(chosen)} pictures {100 * plain['R@10']:.1f} % → with OCR {100 * read['R@10']:.1f} % (R@1 "
        f"{100 * read['R@1']:.1f} %), {plain['cpu_ms']} → {read['cpu_ms']} CPU ms a picture"
    )
    record("words on signs and screenshots", summary, found, None)


FORMS = ("sign", "screenshot")


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
