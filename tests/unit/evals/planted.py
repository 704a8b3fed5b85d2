"""A small data folder in which every row, picture and sound carries a marker, and embedders that read the markers.

A text of `thing7` and a picture whose bytes hold `thing7` mean the same to the oracle, so every task's value is known.
"""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import re
import tarfile

import numpy as np

from onesense.evals import splits, synth
from onesense.types import Audio, Content, ModelInfo, Page, Part, Video

DIM = 256
MARKER = re.compile(r"thing\d+")
N = 14  # development items of a pack


def info(**changes) -> ModelInfo:
    fields = dict(
        name="planted",
        revision="1",
        licence="none",
        modalities=frozenset({"text", "image", "audio", "video", "pdf"}),
        dim=DIM,
        mrl_dims=(DIM,),
        max_tokens=999,
    )
    return ModelInfo(**(fields | changes))


def direction(concept: str) -> np.ndarray:
    seed = int.from_bytes(hashlib.sha256(concept.encode()).digest()[:8], "big")
    vector = np.random.default_rng(seed).standard_normal(DIM)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


class Oracle:
    """Sums the directions of all markers that it finds; a text without any is a concept of its own."""

    def __init__(self) -> None:
        self.info = info()
        self.calls: list[tuple[Content, str | None]] = []
        self._names = {sound.samples.tobytes(): name for name, sound in synth.sounds(0)}

    def embed(self, contents, *, dim=None, task=None):
        self.calls += [(content, task) for content in contents]
        return np.stack([self._vector(content) for content in contents])

    def _vector(self, content: Content) -> np.ndarray:
        markers = [marker for part in content.parts for marker in self.markers(part)]
        total = sum(direction(marker) for marker in markers)
        return (total / np.linalg.norm(total)).astype(np.float32)

    def markers(self, part: Part) -> list[str]:
        value = part.value
        if isinstance(value, Audio):
            return [self._names[value.samples.tobytes()]]
        if isinstance(value, Video):
            return [f"thing{int(value.frames[0, 0, 0, 0])}"]
        if isinstance(value, Page):
            value = value.text or f"scan {hashlib.sha256(value.image.pixels.tobytes()).hexdigest()}"
        text = value.decode("latin-1") if isinstance(value, bytes) else value
        return MARKER.findall(text) or [text]


class Guesser(Oracle):
    """A vector at random for each content: what a model that understands nothing gives."""

    def markers(self, part: Part) -> list[str]:
        return [f"{super().markers(part)} {part.value!r}"]


class Noisy(Oracle):
    """An oracle whose vectors also hold something of their own, so that short prefixes lose."""

    def _vector(self, content: Content) -> np.ndarray:
        return super()._vector(content) + 0.4 * direction(repr(content))


def dev(rule, names, n: int = N) -> list[str]:
    """The first n names that a split rule puts into the development set."""
    found = [name for name in names if rule(name)]
    assert len(found) >= n
    return found[:n]


def tsv(*rows: dict[str, object]) -> bytes:
    lines = ["\t".join(rows[0]), *("\t".join(str(value) for value in row.values()) for row in rows)]
    return lzma.compress(("\n".join(lines) + "\n").encode())


def jsonl(*rows: dict[str, object]) -> bytes:
    return lzma.compress("".join(json.dumps(row) + "\n" for row in rows).encode())


def tar(samples: dict[str, tuple[bytes, dict[str, object]]], ending: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for key, (media, meta) in samples.items():
            for name, content in ((f"{key}.{ending}", media), (f"{key}.json", json.dumps(meta).encode())):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def moving_picture(red: int) -> bytes:
    """An animated WebP of three frames, told apart by their red."""
    from PIL import Image

    frames = [Image.new("RGB", (16, 16), (red, 40 * i, 0)) for i in range(3)]
    stream = io.BytesIO()
    frames[0].save(stream, "WEBP", save_all=True, append_images=frames[1:], duration=166, lossless=True)
    return stream.getvalue()


def picture(seed: int) -> bytes:
    """A WebP of smooth patches, so that every window of it looks different."""
    from PIL import Image

    coarse = np.random.default_rng(seed).integers(0, 255, (12, 16, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(coarse).resize((160, 120)).save(stream, "WEBP", quality=90)
    return stream.getvalue()


def text_packs() -> dict[str, bytes]:
    sts = [
        {"split": "dev", "row": i, "lang": ("en", "de", "fr")[i % 3], "sentence1": "thing900", "score": i / 9}
        | {"sentence2": "thing900 " * i + "thing901 " * (45 - i), "genre": "x"}
        for i in range(45)
    ]
    ntrex = [
        {"line": 1490 + i, "lang": v, "text": f"{v} thing{i}", "english": f"en words thing{i}", "variant": v}
        for i in range(40)
        for v in ("deu", "swa")
    ]
    sib = [
        {"id": i, "lang": lang, "text": f"{lang} facts thing{i}", "english": f"en facts thing{i}"}
        for i in range(130)
        for lang in ("sat", "tzm", "de")
    ]
    ids = dev(splits.is_dev_table, (f"200/{i}" for i in range(999)))
    tables = [
        {"id": name, "title": f"title thing{i}", "heading": "", "caption": "", "csv": "a,b\n1,2\n"}
        for i, name in enumerate([*ids, *(t for t in map("201/{}".format, range(20)) if not splits.is_dev_table(t))])
    ]
    questions = [
        {"id": f"nt-{i}", "table": t["id"], "lang": "en", "question": f"which thing{i}?", "answer": "1"}
        for i, t in enumerate(tables)
    ]
    terms = dev(splits.is_dev_term, (f"thing{i}" for i in range(999)))
    glossary = [{"term": term, "definition": f"means {term}", "book": "b", "lang": "en"} for term in terms]
    lemmas = [{"lang": "de", "lemma": lemma} for lemma in dev(splits.is_dev_term, (f"wort {i}" for i in range(999)))]
    return {
        "text/omw_lemmas.tsv.xz": tsv(*lemmas),
        "text/stsb_ccbysa_train_dev.tsv.xz": tsv(*sts),
        "text/ntrex_1-1600.tsv.xz": tsv(*ntrex),
        "text/sib200_train_dev.tsv.xz": tsv(*sib),
        "text/wtq_tables_train.jsonl.xz": jsonl(*tables),
        "text/wtq_questions_train.tsv.xz": tsv(*questions),
        "text/openstax_glossary.jsonl.xz": jsonl(*glossary),
    }


def media_packs() -> dict[str, bytes]:
    captioned = dev(splits.is_dev_caption, (f"coco-thing{i}" for i in range(999)))
    sounds = [*dev(splits.is_dev_sound, (f"thing{i}" for i in range(999))), "thing2000", "thing2001"]
    voices = dev(lambda v: splits.is_dev_speech({"speaker": v}), (f"voice-{i}" for i in range(999)))
    stories = [f"asp-00{i // 2}3" for i in range(N)]
    page = {"split": "train", "licence": "x"}
    packs: dict[str, tuple[str, dict]] = {
        "images/captions": (
            "webp",
            {k: (k.encode(), page | {"captions": [f"a {k[5:]}", f"the {k[5:]}"]}) for k in captioned},
        ),
        "images/stories": (
            "webp",
            {
                f"{s}-{i}": (b"thing%d" % i, page | {"story": s, "captions": [f"page thing{i}", "title"]})
                for i, s in enumerate(stories)
            },
        ),
        "audio/stories_speech": (
            "ogg",
            {
                f"{s}-{i}": (
                    b"thing%d" % i,
                    page | {"story": s, "lang": "ar", "text": f"ar thing{i}", "english": f"en thing{i}"},
                )
                for i, s in enumerate(stories)
            },
        ),
        "audio/sounds": (
            "ogg",
            {f"s{i}": (b"OggS %s" % s.encode(), page | {"label": s, "captions": [s]}) for i, s in enumerate(sounds)},
        ),
        "audio/speech_real": (
            "ogg",
            {
                f"v{i}": (b"thing%d" % i, page | {"speaker": v, "language": "en", "source": "s", "text": f"thing{i}"})
                for i, v in enumerate(voices)
            },
        ),
        "video/clips": (
            "webp",
            {
                f"c{i}": (moving_picture(i), page | {"fps": 6, "seconds": 0.5, "captions": [f"a thing{i} moves"]})
                for i in range(9)
            },
        ),
    }
    return {f"{name}-000.tar": tar(samples, ending) for name, (ending, samples) in packs.items()}


def class_packs() -> dict[str, bytes]:
    """Caltech in two shards, and ImageNet labels of which every fifth is held out."""
    labels = [
        {"output": i + 1, "imagenet": i, "wnid": "n", "offset": f"{i:08d}-n", "label": f"thing{i}, other"}
        for i in range(100)
    ]
    shards: list[dict] = [{}, {}]
    for i in range(20):
        for j, split in enumerate(("train", "test", "test")):
            meta = {"label": f"thing{i}", "wordnet": f"{i:08d}-n", "split": split, "captions": [f"thing{i}"]}
            shards[i % 2][f"c{i}_{j}"] = (picture(i) + b"thing%d " % i, meta)
    header = "\t".join(labels[0]) + "\n"
    body = "".join("\t".join(str(v) for v in row.values()) + "\n" for row in labels)
    return {
        "teachers/imagenet_labels.tsv": (header + body).encode(),
        "images/caltech101-000.tar": tar(shards[0], "webp"),
        "images/caltech101-001.tar": tar(shards[1], "webp"),
    }
