"""Speech for the ear, heard once: real recordings and espeak-ng's voices, encoded by Whisper and kept at 25 states/s.

    python -m onesense.train.speech OUT dev            # 484 clips of the development split: 1 CPU-minute
    python -m onesense.train.speech OUT train --minutes 20

Writes OUT/{train,dev}_states.f16 (float16 [N, 512], clip after clip), OUT/{train,dev}_loudness.f16 (float16 [N], the
loudest mel bin of each state) and OUT/{train,dev}_states.json (one record a clip, see `Clip`). One core encodes about
60 seconds of speech in one. Synthetic items come in random order, so whatever time allows is an even sample of them; a
second run goes on behind the first.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import logging
import os
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ..engine.backends._mini import ear
from ..engine.backends._mini.logmel import whisper_logmel
from ..evals.packs import Packs
from ..evals.splits import is_dev_speech, is_dev_story
from ..types import SAMPLE_RATE_HZ, Array
from . import sources
from .espeak import Speaker
from .importers import whisper
from .model.ear import Encoder

log = logging.getLogger(__name__)

Encode = Callable[[Array], Array]

MAX_CLIP_S = 29.0  # the encoder has positions for 30 s, half a second of it silence
MAX_SPOKEN_CHARS = 110
NTREX_DEV_LINES = range(1501, 1601)
_RICH = ("zh", "ar", "fil", "es", "fa", "nb", "sv", "gu", "eo", "de", "fr", "nl")
VOICES = {
    "en": ["en-us", "en-us", "en-gb-scotland", "en-gb-x-rp", "en-029", "en-gb-x-gbcwmd"],
    "es": ["es", "es-419"], "fr": ["fr", "fr-be", "fr-ch"], "pt": ["pt", "pt-br"], "pt-BR": ["pt-br"], "zh": ["cmn"],
    "zh-CN": ["cmn"], "zh-Hans": ["cmn"], "fil": ["id"], "nn": ["nb"], "nb": ["nb"], "no": ["nb"],
    "sr-Cyrl": ["sr"], "az-Latn": ["az"], "prs": ["fa"],
} | {
    code: [code] for code in (
        "af am ar az bg bn ca cs cy da de el eo et eu fa fi ga gu he hi hr hu hy id is it ka kk kn ko ky lt lv mk ml "
        "mr ms mt my nl om pa pl ro ru si sk sl sq sr sv sw ta te tr tt uk ur uz vi"
    ).split()
}  # fmt: skip
"""Language of a text -> espeak-ng languages that read it. Filipino has no voice: Indonesian reads it (prototype)."""
_SAME = {"zh-CN": "zh", "zh-Hans": "zh", "no": "nb", "sr-Cyrl": "sr", "az-Latn": "az", "pt-BR": "pt", "es-MX": "es"}
VARIANTS = (
    "m1 m2 m3 m4 m5 m6 m7 m8 f1 f2 f3 f4 f5 klatt klatt2 klatt4 Alex Alicia Andrea Andy Annie Denis Diogo Gene "
    "Henrique Hugo Jacky Lee Marco Mario Michael Mike Nguyen adam anika antonio aunty belinda benjamin boris david ed "
    "edward grandma grandpa iven iven2 john linda max michel miguel norbert pablo paul pedro quincy rob robert sandro "
    "shelby steph steph2 travis victor zac"
).split()


@dataclass(frozen=True, slots=True)
class Clip:
    """What is known of an encoded clip."""

    key: str
    offset: int
    """First row in the file of states."""
    n_states: int
    """Rows; the half second of silence behind the clip is not among them."""
    seconds: float
    text: str
    english: str
    """The same in English, '' where nobody translated it."""
    language: str
    kind: str
    """story, real, or the kind of text that espeak-ng spoke: words, sentence."""
    anchors: list[tuple[int, float]]
    """Synthetic only: (character, second) at which each word begins."""


@dataclass(frozen=True, slots=True)
class Line:
    """A text to be spoken."""

    language: str
    text: str
    english: str
    kind: str


@dataclass(frozen=True, slots=True)
class Heard:
    """A clip before it is encoded."""

    key: str
    samples: Array
    line: Line
    anchors: list[tuple[int, float]]


def decode(encoded: bytes) -> Array:
    """An encoded recording as float32 [S] mono 16 kHz."""
    import av

    with av.open(io.BytesIO(encoded), mode="r") as container:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE_HZ)
        frames = [f for frame in container.decode(audio=0) for f in resampler.resample(frame)]
        frames += resampler.resample(None)
    return np.concatenate([f.to_ndarray()[0] for f in frames])


def recordings(packs: Packs, known: set[str], *, dev: bool) -> Iterator[Heard]:
    """The human voices of one side of the split, without the keys that are known."""
    for sample in packs.samples("audio/stories_speech", lambda key, _: key not in known):
        meta = sample.meta
        if is_dev_story(meta["story"]) == dev:
            line = Line(meta["lang"], meta["text"], meta.get("english", ""), "story")
            yield Heard(sample.key, decode(sample.media), line, [])
    for sample in packs.samples("audio/speech_real", lambda key, _: key not in known):
        meta = {**sample.meta, "key": sample.key}
        if is_dev_speech(meta) == dev:
            english = meta["text"] if meta["language"] == "en" else ""
            yield Heard(sample.key, decode(sample.media), Line(meta["language"], meta["text"], english, "real"), [])


def spoken_lines(out: Path, packs: Packs) -> list[Line]:
    """The texts for the synthesiser, chosen once a folder and kept in `lines.json`."""
    file = out / "lines.json"
    if not file.is_file():
        file.write_text(json.dumps([dataclasses.asdict(line) for line in lines(packs)], ensure_ascii=False))
    return [Line(**line) for line in json.loads(file.read_text())]


def lines(packs: Packs, seed: int = 0) -> list[Line]:
    """Texts for the synthesiser: many languages, words and sentences, in random order, nothing of a development set."""
    rng = random.Random(seed)
    pools = {
        "story": (_stories(packs), 700, 150, 60),
        "ntrex": (_ntrex(packs), 500, 120, 50),
        "phrases": (_columns(packs, "text/everyday_phrases.tsv.xz"), 1200, 100, 40),
        "commands": (_columns(packs, "text/ha_commands.tsv.xz"), 250, 30, 15),
        "words": (_words(packs), 3500, 200, 80),
        "frequent": (_columns(packs, "text/gatitos.tsv.xz"), 1500, 100, 40),
        "examples": (_examples(packs), 2000, 0, 0),
    }
    chosen = [line for pool, *quotas in pools.values() for line in _sample(pool, quotas, rng)]
    rng.shuffle(chosen)
    return chosen


def _sample(pool: Iterable[Line], quotas: list[int], rng: random.Random) -> Iterator[Line]:
    """At most so many texts a language (English, the narrated languages, others), and the same number of English."""
    english, rich, other = quotas
    by_language: dict[str, dict[str, Line]] = {}
    for line in pool:
        language = _SAME.get(line.language, line.language)
        text = re.sub(r"\s+", " ", line.text).strip()
        if line.language in VOICES and 2 <= len(text) <= MAX_SPOKEN_CHARS:
            by_language.setdefault(language, {})[text] = dataclasses.replace(line, language=language, text=text)
        if 2 <= len(line.english) <= MAX_SPOKEN_CHARS:
            by_language.setdefault("en", {})[line.english] = Line("en", line.english, line.english, line.kind)
    for language, found in sorted(by_language.items()):
        quota = english if language == "en" else rich if language in _RICH else other
        candidates = sorted(found.values(), key=lambda x: x.text)
        yield from rng.sample(candidates, min(quota, len(candidates)))


def _stories(packs: Packs) -> Iterator[Line]:
    for row in packs.rows("text/stories.tsv.xz"):
        if not is_dev_story(row["story"]):
            yield Line(row["lang"], row["text"], row["english"], "sentence")


def _ntrex(packs: Packs) -> Iterator[Line]:
    for row in packs.rows("text/ntrex_1-1600.tsv.xz"):
        if int(row["line"]) not in NTREX_DEV_LINES:
            yield Line(row["lang"], row["text"], row["english"], "sentence")


def _columns(packs: Packs, name: str) -> Iterator[Line]:
    kind = "words" if "gatitos" in name else "sentence"
    for row in packs.rows(name):
        yield Line(row["lang"], row["text"], row["english"], kind)


def _words(packs: Packs) -> Iterator[Line]:
    """Nouns of ImageNet and nouns that many wordnets know: a fair stand-in for how common a word is."""
    known: Counter[str] = Counter()
    rows: list[tuple[Line, str, bool]] = []
    for row in packs.rows("text/omw_lemmas.tsv.xz"):
        known[row["offset"]] += 1
        if row["offset"].endswith("-n") and row["english"] and len(row["lemma"]) < 20 and row["lang"] in VOICES:
            line = Line(row["lang"], row["lemma"].replace("_", " "), row["english"].replace("_", " "), "words")
            rows.append((line, row["offset"], bool(row["imagenet"])))
    for line, offset, pictured in rows:
        if pictured or known[offset] >= 60:
            yield line


def _examples(packs: Packs) -> Iterator[Line]:
    for row in packs.rows("text/english_sentences.tsv.xz"):
        if row["source"] == "wordnet_example" and 12 < len(row["text"]) < 80:
            yield Line("en", row["text"], row["text"], "sentence")


def synthetic(chosen: Iterable[Line], known: set[str]) -> Iterator[Heard]:
    """The lines, spoken by random voices in random rooms; each line has its own seed, so any can be left out."""
    speaker = Speaker()
    for i, line in enumerate(chosen):
        key = f"synth-{i:06}"
        if key in known:
            continue
        rng = random.Random(i)
        voice = f"{rng.choice(VOICES[line.language])}+{rng.choice(VARIANTS)}"
        spoken = speaker.say(
            line.text, voice, words_per_min=rng.randint(115, 210), pitch=rng.randint(20, 80),
            pitch_range=rng.randint(20, 80),
        )  # fmt: skip
        if spoken is None:
            log.warning("%s ends espeak-ng (voice %s), left out: %r", key, voice, line.text)
        elif len(spoken.samples) > SAMPLE_RATE_HZ // 5:
            yield Heard(key, room(spoken.samples, np.random.default_rng(i)), line, spoken.anchors)


def room(samples: Array, rng: np.random.Generator) -> Array:
    """A clip at a random loudness, one in three with an echo, all with some noise (30..60 dB below the voice)."""
    if rng.random() < 0.33:
        decay = np.exp(-np.arange(4800) / SAMPLE_RATE_HZ / rng.uniform(0.02, 0.08)) * rng.standard_normal(4800)
        decay[0] = rng.uniform(4, 12)  # the direct sound
        n = len(samples) + len(decay)
        samples = np.fft.irfft(np.fft.rfft(samples, n) * np.fft.rfft(decay, n), n)[: len(samples)]
    samples = samples / (np.abs(samples).max() + 1e-6) * rng.uniform(0.1, 0.9)
    level = np.sqrt((samples**2).mean()) * 10 ** rng.uniform(-3, -1.5)
    noisy: Array = samples + level * rng.standard_normal(len(samples))
    return noisy.astype(np.float32)


def compiled(encoder: Encoder) -> Encode:
    """The encoder as a function of one log-mel: OpenVINO in bf16 where it is installed, 1.6 to 2 times torch's pace.

    Returns:
        float32 [1, 80, F] to float32 [1, F/2, 512]; F a multiple of 4.
    """
    try:
        import openvino
    except ImportError:
        return partial(_by_torch, encoder)
    model = openvino.convert_model(encoder, example_input=torch.zeros(1, whisper.MELS, 200))
    model.reshape([1, whisper.MELS, openvino.Dimension(4, 2 * whisper.POSITIONS)])
    settings = {"INFERENCE_PRECISION_HINT": "bf16", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    network = openvino.Core().compile_model(model, "CPU", settings)
    return lambda mel: np.asarray(network(mel)[0])


@torch.no_grad()
def _by_torch(encoder: Encoder, mel: Array) -> Array:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        states: Array = encoder(torch.from_numpy(mel)).float().numpy()
    return states


def hear(encode: Encode, samples: Array) -> tuple[Array, Array]:
    """States of one clip, pooled in pairs.

    Args:
        encode: see `compiled`.
        samples: float32 [S] mono 16 kHz, at most 29 s.

    Returns:
        float16 [n, 512] at 25/s and float16 [n], the loudest mel bin of each state; n = ceil(25 * seconds).
    """
    mel = whisper_logmel(samples)
    states = ear.pool_pairs(encode(mel[None])[0], len(samples))
    return states.astype(np.float16), ear.loudness(mel, len(samples)).astype(np.float16)


def write(out: Path, name: str, clips: Callable[[set[str]], Iterable[Heard]], minutes: float) -> None:
    """Encode clips until they or the minutes are used up; go on behind what an earlier run has left."""
    encode = compiled(Encoder.imported(whisper.read(sources.path("whisper"))))
    out.mkdir(parents=True, exist_ok=True)
    index = _written(out, name)
    begun = time.monotonic()
    with (out / f"{name}_states.f16").open("ab") as states_file, (out / f"{name}_loudness.f16").open("ab") as loud_file:
        for heard in clips({clip.key for clip in index}):
            seconds = len(heard.samples) / SAMPLE_RATE_HZ
            if seconds <= MAX_CLIP_S:
                states, loud = hear(encode, heard.samples)
                states_file.write(states.tobytes())
                loud_file.write(loud.tobytes())
                offset = index[-1].offset + index[-1].n_states if index else 0
                line = heard.line
                index.append(Clip(heard.key, offset, len(states), round(seconds, 3), line.text, line.english,
                                  line.language, line.kind, heard.anchors))  # fmt: skip
                if len(index) % 500 == 0:
                    states_file.flush()
                    loud_file.flush()
                    _write_index(out, name, index, begun)
            if time.monotonic() - begun > 60 * minutes:
                break
    _write_index(out, name, index, begun)


def _written(out: Path, name: str) -> list[Clip]:
    """The clips of an earlier run; the files are cut to what its index knows."""
    file = out / f"{name}_states.json"
    if not file.is_file():
        for stale in (out / f"{name}_states.f16", out / f"{name}_loudness.f16"):
            stale.unlink(missing_ok=True)
        return []
    index = [Clip(**clip) for clip in json.loads(file.read_text())["clips"]]
    rows = index[-1].offset + index[-1].n_states if index else 0
    os.truncate(out / f"{name}_states.f16", rows * whisper.WIDTH * 2)
    os.truncate(out / f"{name}_loudness.f16", rows * 2)
    return index


def _write_index(out: Path, name: str, index: list[Clip], begun: float) -> None:
    record = {"format": "onesense.speech_states.v1", "width": whisper.WIDTH, "states_per_s": ear.STATES_PER_S}
    record["clips"] = [dataclasses.asdict(clip) for clip in index]
    unfinished = out / f"{name}_states.json.partial"
    unfinished.write_text(json.dumps(record, ensure_ascii=False))
    unfinished.replace(out / f"{name}_states.json")
    hours = sum(clip.seconds for clip in index) / 3600
    log.info("%s: %d clips, %.2f h, after %.1f min", name, len(index), hours, (time.monotonic() - begun) / 60)


def main() -> None:
    """Encode one side of the split."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("side", choices=("dev", "train"))
    parser.add_argument("--minutes", type=float, default=20.0)
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    packs = Packs(sources.data_root())

    def clips(known: set[str]) -> Iterator[Heard]:
        yield from recordings(packs, known, dev=chosen.side == "dev")
        if chosen.side == "train":
            yield from synthetic(spoken_lines(chosen.out, packs), known)

    write(chosen.out, chosen.side, clips, chosen.minutes)


if __name__ == "__main__":
    main()
