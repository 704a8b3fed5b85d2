"""Leaks, looked for: development rows that stand among the training rows, word for word or nearly.

Texts count as near when the sets of their runs of five letters overlap by 70 % (Jaccard), pictures when their
difference hashes are close and their thumbnails look alike. `onesense eval --overlap` prints all of it; a training run
looks at a sample before its first step.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import numpy as np

from ..types import Array
from .overlap import IS_DEV, WORD_LISTS, Row, _is_long, _pack, _rows, _texts, normal
from .packs import Packs

SHINGLE = 5  # letters
MAX_CHARS = 1000  # of a text: a passage is compared by its beginning
MIN_CHARS = 20  # shorter texts have too few shingles to be called near; they are compared word for word
NEAR = 0.7
SKETCH = 8  # shingles that stand for a development text
SHARED = 3
"""Of them, how many a training text must share: at the threshold one in a hundred is missed (binomial, 8 times 0.7)."""
COMMON = 20  # development texts that share a shingle before it is too common to make candidates
QUICK_ROWS = 150_000
"""Training texts, and a hundredth as many pictures a pack, that a run looks at before it begins."""
SIDE = 16  # of a thumbnail and of a difference hash, which so has 256 bits
MAX_BITS = 24
MIN_CORRELATION = 0.95
"""Of two thumbnails: drawings on white share most bits of their hashes without looking alike."""
N_EXAMPLES = 3
_SET_BITS = np.array([i.bit_count() for i in range(1 << 16)], np.uint8)


@dataclass(slots=True)
class Leak:
    """What was found of one pack's development rows."""

    kind: str
    """`text` or `picture`."""
    pack: str
    n_dev: int
    """Development texts of three words and more, or pictures, that were looked for; distinct ones."""
    n_exact: int = 0
    """Of them, how many stand in training rows word for word (normalised), or with equal bytes of pixels."""
    n_near: int = 0
    """Of the others, how many nearly do."""
    found_in: dict[str, int] = field(default_factory=dict)
    """Training pack -> how many of the texts stand in it word for word; the first pack that has a text counts."""
    examples: list[tuple[str, str, str]] = field(default_factory=list)
    """Development text or key, training text or key, training pack; near ones only."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """The report of one look."""

    leaks: tuple[Leak, ...]
    n_texts: int
    """Distinct training texts that were compared, word for word all of them."""
    n_compared: int
    """Of them, how many were compared by shingles."""
    n_pictures: int
    """Training pictures that were compared."""
    most: int | None
    """The cap under which it was done, None for everything."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        leaks = [{name: getattr(leak, name) for name in Leak.__slots__} for leak in self.leaks]
        totals = {name: getattr(self, name) for name in ("n_texts", "n_compared", "n_pictures", "most")}
        return {"format": "onesense.overlap.v1", **totals, "leaks": leaks}

    def lines(self) -> list[str]:
        """A Markdown table for people, and what it stands on."""
        rows = ["| development rows of | kind | looked for | word for word | nearly |", "|---|---|---:|---:|---:|"]
        rows += [f"| {x.pack} | {x.kind} | {x.n_dev:,} | {x.n_exact:,} | {x.n_near:,} |" for x in self.leaks]
        sample = "" if self.most is None else "; a sample: the counts of near ones are lower bounds"
        rows.append(
            f"Among {self.n_texts:,} distinct training texts, {self.n_compared:,} of them by shingles, "
            f"and {self.n_pictures:,} training pictures{sample}."
        )
        return rows


def check(packs: Packs, *, most: int | None = None, pictures: bool = True, seed: int = 0) -> Overlap:
    """Look for the development rows of a data folder among its training rows.

    Args:
        packs: the data folder; packs that it lacks are not looked at.
        most: compare at most so many training texts by shingles, and a hundredth as many training and development
            pictures a pack; None for all. Word for word, everything is compared.
        pictures: whether to look at pictures at all, which are the slower part.
        seed: of the sample.
    """
    wanted = development_texts(packs)
    texts = _Texts(wanted)
    share = 1.0 if most is None else min(1.0, most / 1_200_000)  # about as many distinct texts as our packs hold
    rng = random.Random(seed)
    seen: set[int] = set()
    n_compared = 0
    for pack, text in _training(packs):
        plain = normal(text)
        if not _is_long(plain) or (key := hash(plain)) in seen:
            continue
        seen.add(key)
        is_compared = rng.random() < share and (most is None or n_compared < most)
        n_compared += is_compared
        texts.meet(plain, pack, by_shingles=is_compared)
    found = texts.leaks()
    n_pictures = 0
    if pictures:
        seen_pictures, n_pictures = _pictures(packs, None if most is None else most // 100)
        found += seen_pictures
    return Overlap(tuple(found), len(seen), n_compared, n_pictures, most)


# --- texts ----------------------------------------------------------------------------------------------------------


def development_texts(packs: Packs) -> dict[str, set[str]]:
    """Texts of three words and more of the development rows, normalised, by pack."""
    out: dict[str, set[str]] = {}
    for pack in sorted({_pack(name) for name in packs.names()} & set(IS_DEV)):
        rows = (row for row in _rows(packs, pack) if IS_DEV[pack](row))
        plain = (normal(text) for row in rows for text in _texts(row))
        out[pack] = {text for text in plain if _is_long(text)}
    return out


def _training(packs: Packs) -> Iterator[tuple[str, str]]:
    names = [name for name in packs.names() if not name.startswith(("teachers/", *WORD_LISTS))]
    for pack in sorted({_pack(name) for name in names}):
        is_dev = IS_DEV.get(pack)
        for row in _rows(packs, pack):
            if is_dev is None or not is_dev(row):
                yield from ((pack, text) for text in _texts(row))


def shingles(plain: str) -> set[str]:
    """All runs of five letters in the first thousand of a normalised text."""
    cut = plain[:MAX_CHARS]
    return {cut[i : i + SHINGLE] for i in range(max(1, len(cut) - SHINGLE + 1))}


def jaccard(a: set[str], b: set[str]) -> float:
    """Share of the common shingles among all shingles of two texts, 0..1."""
    return len(a & b) / max(1, len(a | b))


class _Texts:
    """Development texts by a sketch of their shingles; training texts pass by once."""

    def __init__(self, wanted: Mapping[str, set[str]]) -> None:
        self.packs = {pack: sorted(texts) for pack, texts in wanted.items()}
        self.exact: dict[str, str] = {}
        self.near: dict[str, tuple[str, str]] = {}
        self.texts = sorted(set().union(*wanted.values()))
        self.known = set(self.texts)
        self.sketched = self._sketch()

    def _sketch(self) -> dict[str, list[str]]:
        """Shingle -> development texts that it stands for: the eight rarest-hashed of each that are not too common."""
        long = [text for text in self.texts if len(text) >= MIN_CHARS]
        count = Counter(shingle for text in long for shingle in shingles(text))
        out: dict[str, list[str]] = {}
        for text in long:
            mine = shingles(text)
            rare = [s for s in mine if count[s] <= COMMON] or mine
            for shingle in sorted(rare, key=lambda s: crc32(s.encode()))[:SKETCH]:
                out.setdefault(shingle, []).append(text)
        return out

    def meet(self, plain: str, pack: str, *, by_shingles: bool) -> None:
        """Compare one normalised training text with all development texts."""
        if plain in self.known:
            self.exact.setdefault(plain, pack)
        if not by_shingles or len(plain) < MIN_CHARS:
            return
        mine = shingles(plain)
        met = Counter(text for shingle in self.sketched.keys() & mine for text in self.sketched[shingle])
        for text in (text for text, n_shared in met.items() if n_shared >= SHARED):
            if text != plain and text not in self.near and jaccard(mine, shingles(text)) >= NEAR:
                self.near[text] = (plain, pack)

    def leaks(self) -> list[Leak]:
        """What was found, by pack of the development rows."""
        out = []
        for pack, texts in self.packs.items():
            near = [text for text in texts if text in self.near and text not in self.exact]
            found = Counter(self.exact[text] for text in texts if text in self.exact)
            leak = Leak("text", pack, len(texts), found.total(), len(near), dict(found))
            leak.examples = [(text, *self.near[text]) for text in near[:N_EXAMPLES]]
            out.append(leak)
        return out


# --- pictures -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Prints:
    """Fingerprints of pictures, one a row."""

    keys: list[str]
    bits: Array
    """uint64 [n, 4], difference hashes."""
    thumbs: Array
    """float32 [n, 272], thumbnails at mean zero and length one."""


def fingerprint(pixels: Array) -> tuple[Array, Array]:
    """Difference hash and thumbnail of a picture.

    Args:
        pixels: uint8 [H, W, 3].

    Returns:
        uint64 [4], a bit for each of 16 x 16 neighbours of which the right one is brighter; and the grey thumbnail,
        float32 [272], at mean zero and length one.

    Source: dHash (Krawetz 2013, hackerfactor.com/blog/archives/529), at 16 x 16 instead of 8 x 8.
    """
    from PIL import Image

    grey = Image.fromarray(pixels).convert("L").resize((SIDE + 1, SIDE), Image.Resampling.BOX)
    thumb = np.asarray(grey, np.float32)
    bits = np.packbits(thumb[:, 1:] > thumb[:, :-1]).view(np.uint64)
    flat = thumb.ravel() - thumb.mean()
    return bits, flat / max(float(np.linalg.norm(flat)), 1e-6)


def alike(dev: Prints, train: Prints) -> Iterator[tuple[int, int, bool]]:
    """Pairs (row of dev, row of train, equal) of pictures that look alike; the most alike one of each of dev."""
    for i in range(len(dev.keys) if train.keys else 0):
        distance = _SET_BITS[(train.bits ^ dev.bits[i]).view(np.uint16)].sum(1)
        rows = np.flatnonzero(distance <= MAX_BITS)
        if not len(rows):
            continue
        same = train.thumbs[rows] @ dev.thumbs[i]
        best = int(same.argmax())
        if same[best] >= MIN_CORRELATION:
            yield i, int(rows[best]), bool(same[best] > 1 - 1e-6)


def _pictures(packs: Packs, most: int | None) -> tuple[list[Leak], int]:
    names = sorted({_pack(name) for name in packs.names("images/")})
    sides = {pack: (_prints(packs, pack, dev=True, most=most), _prints(packs, pack, dev=False, most=most))
             for pack in names}  # fmt: skip
    leaks = []
    for pack, (dev, _) in sides.items():
        if not dev.keys:
            continue
        leak = Leak("picture", pack, len(dev.keys))
        found: dict[int, bool] = {}
        for other, (_, train) in sides.items():
            for i, j, is_equal in alike(dev, train):
                if i not in found and len(leak.examples) < N_EXAMPLES and not is_equal:
                    leak.examples.append((dev.keys[i], train.keys[j], other))
                found[i] = found.get(i, False) or is_equal
        leak.n_exact = sum(found.values())
        leak.n_near = len(found) - leak.n_exact
        leaks.append(leak)
    return leaks, sum(len(train.keys) for _, train in sides.values())


def _never(row: Row) -> bool:
    return False


def _prints(packs: Packs, pack: str, *, dev: bool, most: int | None) -> Prints:
    """Fingerprints of one side of a pack; evenly spread ones under a cap."""
    from ..media import image

    is_dev = IS_DEV.get(pack, _never)
    keys = [key for key, meta in packs.metas(pack) if is_dev({**meta, "key": key}) is dev]
    if most is not None and len(keys) > most:
        keys = [keys[i] for i in np.linspace(0, len(keys) - 1, most).round().astype(int)]
    wanted = set(keys)
    keys = []
    bits: list[Array] = []
    thumbs: list[Array] = []
    for sample in packs.samples(pack, lambda key, meta: key in wanted):
        hashed, thumb = fingerprint(image.modality.decode(sample.media, sample.part).pixels)
        keys.append(sample.key)
        bits.append(hashed)
        thumbs.append(thumb)
    return Prints(keys, *(np.stack(x) if x else np.zeros((0, 1)) for x in (bits, thumbs)))
