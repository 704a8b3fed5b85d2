"""Data of one's own: JSONL and WebDataset shards of queries and what answers them, in text, pictures and sounds.

JSONL, one object a line; a side is text, `{"file": "photo.jpg"}` (relative to the JSONL), or a list of these in order:

    {"query": "a red bicycle", "document": {"file": "bike.jpg"}, "negatives": ["a red car", {"file": "car.jpg"}]}

WebDataset, `key.{jpg,jpeg,png,webp,ogg,wav,flac}` beside `key.json` and perhaps `key.txt`: the media file is the
document; the query is `query`, `caption`, each of `captions`, `text` or `label` of the JSON, else the text file.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ... import media
from ...engine.backends._mini.graph import widen
from ...engine.backends._mini.package import Package
from ...engine.backends._mini.senses import Ears, Eye, sound_patches
from ...errors import InvalidInput, NotFound, OnesenseError
from ...types import Array, Audio, Image, Part

log = logging.getLogger(__name__)

MEDIA = {"jpg", "jpeg", "png", "webp", "ogg", "wav", "flac"}
CAPTIONS = ("query", "caption", "captions", "text", "label")
N_SHOWN = 5  # bad rows that an error names


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a row, and where its media came from, for the cache: a name beside each part, '' for text."""

    parts: tuple[Part, ...]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """A query and what answers it."""

    query: Side
    document: Side
    negatives: tuple[Side, ...]
    where: str
    """File and line (or shard and key), for messages."""


@dataclass(slots=True)
class Faults:
    """Rows that could not be used: each is told, and too many are an error."""

    most: int
    told: list[str] = field(default_factory=list)

    def add(self, where: str, reason: object) -> None:
        """Note one bad row.

        Raises:
            InvalidInput: it is one more than may be skipped.
        """
        self.told.append(f"{where}: {reason}")
        log.warning("skipped %s", self.told[-1])
        if len(self.told) > self.most:
            shown = "; ".join(self.told[:N_SHOWN])
            raise InvalidInput(f"{len(self.told)} bad rows, more than the {self.most} that may be skipped: {shown}")


def read(path: Path, faults: Faults) -> Iterator[Row]:
    """Rows of a `.jsonl` or `.tar` file, or of all such files in a folder, in order of their names.

    Args:
        path: file or folder.
        faults: takes the rows that cannot be used.

    Raises:
        NotFound: there is no such file, or the folder holds none.
        InvalidInput: a file of another kind, or too many bad rows.
    """
    files = sorted(f for f in path.iterdir() if f.suffix in (".jsonl", ".tar")) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise NotFound(f"no data of your own at {path}: give a .jsonl file, a .tar shard or a folder of them")
    for file in files:
        if file.suffix == ".jsonl":
            yield from _jsonl(file, faults)
        elif file.suffix == ".tar":
            yield from _shard(file, faults)
        else:
            raise InvalidInput(f"{file} is neither .jsonl nor .tar")


def _jsonl(file: Path, faults: Faults) -> Iterator[Row]:
    for number, line in enumerate(file.read_bytes().splitlines(), 1):
        where = f"{file.name} line {number}"
        try:
            if line.strip():
                yield _row(json.loads(line), file.parent, where)
        except (OnesenseError, UnicodeDecodeError, json.JSONDecodeError) as reason:
            faults.add(where, reason)


def _row(value: Any, folder: Path, where: str) -> Row:
    if not isinstance(value, dict) or not {"query", "document"} <= set(value):
        raise InvalidInput("expected an object with `query` and `document`")
    if unknown := set(value) - {"query", "document", "negatives"}:
        raise InvalidInput(f"unknown {sorted(unknown)}: a row has `query`, `document` and `negatives`")
    negatives = value.get("negatives", [])
    if not isinstance(negatives, list):
        raise InvalidInput("`negatives` is a list")
    sides = [side(v, folder) for v in (value["query"], value["document"], *negatives)]
    return Row(sides[0], sides[1], tuple(sides[2:]), where)


def side(value: Any, folder: Path) -> Side:
    """One side of a row: a text, `{"text": ...}`, `{"file": ...}` (relative to `folder`), or a list of these.

    Raises:
        InvalidInput: it is none of these, or empty.
    """
    found = [_part(v, folder) for v in (value if isinstance(value, list) else [value])]
    if not found:
        raise InvalidInput("a side is empty")
    return Side(tuple(part for part, _ in found), tuple(name for _, name in found))


def _part(value: Any, folder: Path) -> tuple[Part, str]:
    text = value.get("text") if isinstance(value, dict) and set(value) == {"text"} else value
    if isinstance(text, str):
        if not text.strip():
            raise InvalidInput("an empty text")
        return Part.text(text), ""
    if isinstance(value, dict) and set(value) == {"file"} and isinstance(value["file"], str):
        return Part.file(folder / value["file"]), value["file"]
    raise InvalidInput(f'expected a text, {{"text": ...}} or {{"file": ...}}, not {json.dumps(value)[:60]}')


def _shard(file: Path, faults: Faults) -> Iterator[Row]:
    samples: dict[str, dict[str, bytes]] = {}
    try:
        with tarfile.open(file) as tar:
            for member in tar:
                key, _, ending = member.name.rpartition(".")
                stream = tar.extractfile(member)
                if stream is not None:
                    samples.setdefault(key, {})[ending.lower()] = stream.read()
    except tarfile.TarError as reason:
        raise InvalidInput(f"{file} is not a readable tar file: {reason}") from reason
    for key, files in samples.items():
        where = f"{file.name} {key}"
        try:
            yield from _sample(files, f"{file.name}/{key}", where)
        except (OnesenseError, UnicodeDecodeError, json.JSONDecodeError) as reason:
            faults.add(where, reason)


def _sample(files: dict[str, bytes], name: str, where: str) -> Iterator[Row]:
    meta = json.loads(files.get("json", b"{}"))
    if not isinstance(meta, dict):
        raise InvalidInput("the JSON beside it is no object")
    heard = [Part.bytes(files[e]) for e in sorted(files) if e in MEDIA]
    text = files["txt"].decode("utf-8") if "txt" in files else ""
    found = next((meta[k] for k in CAPTIONS if meta.get(k)), text if heard else "")
    captions = [c for c in (found if isinstance(found, list) else [found]) if isinstance(c, str) and c.strip()]
    if heard:
        document = Side(tuple(heard), tuple(f"{name}.{e}" for e in sorted(files) if e in MEDIA))
    else:
        document = side(meta.get("document", text), Path())
    if not captions:
        raise InvalidInput(f"no text to find it by: the JSON needs one of {', '.join(CAPTIONS)}")
    negatives = tuple(side(v, Path()) for v in meta.get("negatives", []))
    for caption in captions:
        yield Row(Side((Part.text(caption),), ("",)), document, negatives, where)


# --- what the model perceives ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Perceived:
    """A picture or sound as the bundled model's senses give it, before the bridge."""

    sense: str
    """`picture` or `sound`."""
    soft: Array
    """float16 [L, 384] soft words; L = 0 for a sound that is all speech."""
    features: Array
    """float16 [L, F], standardised."""
    speech: Array
    """float16 [W, 384] the ear's tokens, W = 0 where nobody speaks."""


class Senses:
    """The senses of the bundled model, with what they perceived kept in a folder.

    A file is looked up by its name, size and time, so a cache that travels without the media still serves.
    """

    def __init__(self, cache: Path, package: Package | None = None) -> None:
        self.cache = cache
        self._package = package or Package()
        self._index_file = cache / f"index-{self._package.manifest['revision']}.json"
        self._index: dict[str, str] = {}
        if self._index_file.is_file():
            self._index = json.loads(self._index_file.read_text(encoding="utf-8"))
        self._made: dict[str, Any] = {}

    def perceive(self, part: Part, name: str) -> Perceived:
        """One picture or sound, from the cache where it is there.

        Args:
            part: a file or bytes.
            name: what it is called in the data, for the cache.

        Raises:
            InvalidInput: it cannot be decoded, or is neither picture nor sound.
            NotFound: there is neither the file nor a cached one of this name.
        """
        key = self._index.get(_stamp(part, name), "")
        file = self.cache / f"{key}.npz"
        if not key or not file.is_file():
            key = self._learn(part)
            file = self.cache / f"{key}.npz"
            self._index |= {_stamp(part, name): key, name: key}
        with np.load(file, allow_pickle=False) as z:
            return Perceived(str(z["sense"]), z["soft"], z["features"], z["speech"])

    def save(self) -> None:
        """Write the index of the cache."""
        self.cache.mkdir(parents=True, exist_ok=True)
        self._index_file.write_text(json.dumps(self._index), encoding="utf-8")

    def _learn(self, part: Part) -> str:
        kind, value = media.decode(part)
        if isinstance(value, Image):
            arrays = self._see(value)
        elif isinstance(value, Audio):
            arrays = self._hear(value)
        else:
            raise InvalidInput(f"this is {kind}: rows hold text, pictures and sounds")
        stream = io.BytesIO()
        np.savez(stream, **arrays)  # type: ignore[arg-type]
        key = hashlib.sha256(stream.getvalue()).hexdigest()[:32]
        self.cache.mkdir(parents=True, exist_ok=True)
        (self.cache / f"{key}.npz").write_bytes(stream.getvalue())
        return key

    def _see(self, picture: Image) -> dict[str, Array]:
        eye, noted = self._once("eye", lambda: _noting(Eye, self._package, "picture"))
        (seen,) = eye([picture.pixels])
        return _halves("picture", seen.tokens, noted.last, np.zeros((0, seen.tokens.shape[1])))

    def _hear(self, sound: Audio) -> dict[str, Array]:
        ears, noted = self._once("ears", lambda: _noting(Ears, self._package, "sound"))
        heard = ears(sound.samples)
        keep = np.isin(sound_patches(sound.samples)[1], heard.times_s)  # speech stands for the other patches
        return _halves("sound", heard.tokens, noted.last[keep], heard.speech)

    def _once(self, name: str, make: Any) -> Any:
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]


class _Noting:
    """Standardises as the sense does and keeps what it gave last."""

    def __init__(self, standard: Any) -> None:
        self.standard, self.last = standard, np.zeros((0, 0), np.float32)

    def __call__(self, features: Array) -> Array:
        self.last = self.standard(features)
        return self.last


def _noting(make: type[Eye] | type[Ears], package: Package, name: str) -> tuple[Any, _Noting]:
    """A sense whose tokens are bare soft words (its bridge does nothing), and what notes its features."""
    bridge = widen(package.arrays("bridge.npz"))
    bridge[f"{name}.gain"] = np.ones_like(bridge[f"{name}.gain"])
    for part in ("path", "place"):
        bridge[f"{name}.{part}"] = np.zeros_like(bridge[f"{name}.{part}"])
    sense = make(package, bridge, 1)
    sense._standard = noted = _Noting(sense._standard)  # type: ignore[assignment]
    return sense, noted


def _halves(name: str, words: Array, features: Array, speech: Array) -> dict[str, Array]:
    arrays = {"soft": words, "features": features, "speech": speech}
    return {"sense": np.array(name)} | {k: v.astype(np.float16) for k, v in arrays.items()}


def _stamp(part: Part, name: str) -> str:
    """Name, size and time of a file (its name alone when it is gone), or digest of bytes."""
    if isinstance(part.value, Path):
        if not part.value.is_file():
            return name
        found = part.value.stat()
        return f"{name} {found.st_size} {found.st_mtime_ns}"
    return hashlib.sha256(part.value).hexdigest() if isinstance(part.value, bytes) else name
