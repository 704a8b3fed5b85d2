from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image
from planted import tar, tsv
from typer.testing import CliRunner

from onesense.cli.main import app
from onesense.evals import near
from onesense.evals.packs import Packs, write_pack

LEARNT = "Every morning the baker opens the small blue door of his shop at six"


def scene(seed: int, *, quality: int = 95, box: tuple[int, int, int, int] | None = None) -> bytes:
    """A picture of soft blobs, encoded."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 255, (6, 6, 3), dtype=np.uint8))
    stream = io.BytesIO()
    small.resize((96, 96), Image.Resampling.BICUBIC).crop(box).save(stream, "WEBP", quality=quality)
    return stream.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("leaky")
    row = {"lang": "de", "variant": "deu"}
    train = [row | {"line": 1, "text": LEARNT, "english": "a sentence to learn"}]
    dev = [
        row | {"line": 1501, "text": LEARNT.lower() + "!", "english": "only there to measure"},
        row | {"line": 1502, "text": LEARNT.replace("six", "seven"), "english": "quite another text than the others"},
    ]
    pictures = {
        "t1": (scene(1), {"split": "train", "label": "a"}),
        "t2": (scene(2), {"split": "train", "label": "b"}),
        "d1": (scene(1, quality=40), {"split": "test", "label": "a"}),
        "d2": (scene(2), {"split": "test", "label": "b"}),
        "d3": (scene(3), {"split": "test", "label": "b"}),
    }
    write_pack(
        path, {"text/ntrex_1-1600.tsv.xz": tsv(*train, *dev), "images/caltech101-000.tar": tar(pictures, "webp")}
    )
    return path


def test_texts_word_for_word_and_nearly(folder):
    report = near.check(Packs(folder), pictures=False)
    leak = {x.pack: x for x in report.leaks}["text/ntrex_1-1600"]
    assert (leak.n_dev, leak.n_exact, leak.n_near) == (4, 1, 1)
    assert leak.found_in == {"text/ntrex_1-1600": 1}
    text, met, pack = leak.examples[0]
    assert text.endswith("at seven") and met.endswith("at six") and pack == "text/ntrex_1-1600"
    assert report.n_texts == 2 == report.n_compared


def test_pictures_that_look_alike(folder):
    report = near.check(Packs(folder))
    leak = next(x for x in report.leaks if x.kind == "picture")
    assert (leak.n_dev, leak.n_exact, leak.n_near) == (3, 1, 1)
    assert leak.examples == [("d1", "t1", "images/caltech101")] and report.n_pictures == 2


def test_a_cap_compares_fewer_by_likeness_and_says_so(folder):
    report = near.check(Packs(folder), most=1, pictures=False)
    assert report.n_compared <= 1 and report.leaks[0].n_exact + report.leaks[1].n_exact == 1
    assert "lower bounds" in report.lines()[-1]


def test_the_verb_prints_a_table_or_json(folder):
    shown = CliRunner().invoke(app, ["eval", "--overlap", "--data", str(folder)])
    assert shown.exit_code == 0 and "| text/ntrex_1-1600 | text | 4 | 1 | 1 |" in shown.stdout
    told = CliRunner().invoke(app, ["eval", "--overlap", "--data", str(folder), "--json"])
    assert json.loads(told.stdout)["format"] == "onesense.overlap.v1"


@pytest.mark.parametrize(("a", "b", "value"), [("abcdef", "abcdef", 1.0), ("abcdef", "ghijkl", 0.0)])
def test_jaccard(a, b, value):
    assert near.jaccard(near.shingles(a), near.shingles(b)) == value


def test_drawings_on_white_are_not_all_alike():
    """Most bits of their hashes agree; their thumbnails tell them apart."""
    sheets = []
    for x in (10, 60):
        pixels = np.full((96, 96, 3), 255, np.uint8)
        pixels[20:70, x : x + 12] = 0
        sheets.append(near.fingerprint(pixels))
    dev, train = (near.Prints(["k"], bits[None], thumb[None]) for bits, thumb in sheets)
    assert list(near.alike(dev, train)) == []
