"""Words printed in pictures: does a word find the one sign or screenshot on which it stands?

The pictures are drawn here with the fonts of the machine (DejaVu, Liberation; Pillow's own where neither is
installed): glossary terms of the development split, lemmas in seven languages, and names that nobody has ever used.
Half of them are signs (turned, blurred, compressed), half are screenshots (small type among other words).
"""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...types import Part
from .. import splits
from ..encoder import Encoder
from ..packs import Packs
from ..task import EvalTask, Result, Scope, retrieval
from .glossary import PACK as GLOSSARY
from .glossary import dev_entries

if TYPE_CHECKING:
    from PIL import Image

FONTS = Path("/usr/share/fonts")
FAMILIES = ("DejaVuS", "Liberation")  # DejaVu's mathematical fonts have no letters
LEMMAS = "text/omw_lemmas.tsv.xz"
LANGUAGES = ("de", "fr", "es", "pt", "it", "pl", "fi")
MOST = 40  # words of a kind
FILLER = (
    "All changes are saved when you close this window.",
    "Last opened three days ago by another user.",
    "Press the button below to go on to the next step.",
)
SYLLABLES = ("bra", "vel", "kor", "tis", "mun", "dal", "qui", "sor", "fen", "zal", "pro", "lim", "gra", "nex")
FORMS = ("sign", "screenshot")


def words(packs: Packs, n: int = MOST) -> list[tuple[str, str]]:
    """(kind, word) of three kinds, at most `n` each."""
    rng = random.Random(0)
    terms = sorted({term for term, _ in dev_entries(packs) if 4 <= len(term) <= 26})
    rows = packs.rows(LEMMAS)
    spelt = ((row["lang"], row["lemma"].replace("_", " ")) for row in rows)
    lemmas = sorted({w for lang, w in spelt if lang in LANGUAGES and 5 <= len(w) <= 20 and splits.is_dev_term(w)})
    found = [("term", term) for term in rng.sample(terms, min(n, len(terms)))]
    found += [("other language", lemma) for lemma in rng.sample(lemmas, min(n, len(lemmas)))]
    return found + [("made-up name", _name(rng)) for _ in range(n)]


def _name(rng: random.Random) -> str:
    return " ".join("".join(rng.sample(SYLLABLES, 3)).capitalize() for _ in range(2))


def picture(word: str, seed: int) -> bytes:
    """A sign (even seeds) or a screenshot (odd ones) with this word, as JPEG."""
    rng = random.Random(seed)
    canvas = _sign(word, rng) if seed % 2 == 0 else _screenshot(word, rng)
    out = io.BytesIO()
    canvas.save(out, "JPEG", quality=rng.randint(40, 85))
    return out.getvalue()


@cache
def _files() -> list[str]:
    found = (file for file in FONTS.rglob("*.ttf") if file.name.startswith(FAMILIES))
    return [str(file) for file in sorted(found, key=lambda file: file.name)]


def _font(rng: random.Random, size: int) -> Any:
    from PIL import ImageFont

    if not _files():
        return ImageFont.load_default(size)
    return ImageFont.truetype(rng.choice(_files()), size)


def _sign(word: str, rng: random.Random) -> Image.Image:
    from PIL import Image, ImageDraw, ImageFilter

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
    from PIL import Image, ImageDraw

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


def pictures(chosen: Sequence[tuple[str, str]]) -> list[Part]:
    """The picture of each word."""
    return [Part.bytes(picture(word, seed), "image/jpeg") for seed, (_, word) in enumerate(chosen)]


def run(encoder: Encoder, packs: Packs, scope: Scope) -> list[Result]:
    """A word is asked for as it stands, among all pictures."""
    chosen = scope.pick(words(packs))
    seen = encoder.embed(pictures(chosen))
    scores = encoder.embed(word for _, word in chosen) @ seen.T
    return retrieval("word → picture", scores, range(len(chosen)), (10, 1), [kind for kind, _ in chosen])


task = EvalTask(
    name="reading",
    measures="a word finds the drawn sign or screenshot on which it stands",
    split="glossary terms and lemmas whose sha256 starts with a byte divisible by 10, and names of invented syllables",
    prompts=("{text}",),
    packs=(GLOSSARY, LEMMAS),
    run=run,
)
