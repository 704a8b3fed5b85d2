"""The nouns of the house and the Protocols between its rooms.

Axis letters, the same everywhere: `B` items, `L` tokens, `N` packed tokens (sum of L), `P` patches, `T` video frames,
`F` audio frames, `S` samples, `H W C` pixels, `M` mel bins, `D` width, `d` output dim, `K` hits.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from .errors import EmptyInput, InvalidInput, OnesenseError

Array = npt.NDArray[Any]
SAMPLE_RATE_HZ = 16_000  # every sound in the house is mono at this rate

_Bytes = bytes  # `Part.bytes` would shadow the builtin in annotations


class Task(StrEnum):
    """What a vector is for, in the words of Gemini's documented prefixes (GEMINI_API.md §1.5)."""

    SEARCH_QUERY = "search query"
    SEARCH_DOCUMENT = "search document"
    QUESTION_ANSWERING = "question answering"
    FACT_CHECKING = "fact checking"
    CODE_RETRIEVAL = "code retrieval"
    CLASSIFICATION = "classification"
    CLUSTERING = "clustering"
    SENTENCE_SIMILARITY = "sentence similarity"

    @classmethod
    def parse(cls, name: str | Task | None) -> Task | None:
        """Read a task name; None stays None.

        Raises:
            InvalidInput: no task has this name; the message lists those that exist.
        """
        if name is None or isinstance(name, cls):
            return name
        try:
            return cls(name.strip().lower().replace("_", " "))
        except (AttributeError, ValueError):
            known = ", ".join(f"`{t.value}`" for t in cls)
            raise InvalidInput(f"unknown task `{name}`: use one of {known}, or none") from None


# --- canonical media: what `media` decodes every file into -------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """A picture: sRGB, upright, alpha laid on white."""

    pixels: Array
    """uint8 [H, W, 3]."""


@dataclass(frozen=True, slots=True, eq=False)
class Audio:
    """A sound: mono, 16 kHz."""

    samples: Array
    """float32 [S], -1..1."""

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True, eq=False)
class Video:
    """A moving picture (or a stretch of one): sampled frames with their times, and its sound."""

    frames: Array
    """uint8 [T, H, W, 3], sRGB."""
    times_s: Array
    """float32 [T], seconds from the start of the file, ascending."""
    sound: Audio | None
    """The sound of the same stretch, None where the file has none."""
    duration_s: float
    """Length of the stretch in seconds."""


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """One page of a document: how it looks and what its text layer says."""

    image: Image
    text: str
    """The text layer in reading order, '' for a scan."""
    number: int
    """1-based."""


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """The pages of a PDF."""

    pages: tuple[Page, ...]


Decoded = str | Image | Audio | Video | Page | Document


# --- inputs -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of a content. The type of `value` says what it is: nothing is guessed from how a string looks.

    str is text; `Path` a file to read; bytes an encoded file; a canonical media object is taken as it is.
    """

    value: str | _Bytes | Path | Image | Audio | Video | Page | Document
    mime_type: str | None = None
    """Declared MIME type of bytes or a file; checked against the magic bytes."""
    start_s: float | None = None
    """Sound and video: take from this second."""
    end_s: float | None = None
    """Sound and video: take up to this second."""
    fps: float | None = None
    """Video: frames per second to sample, 0 < fps <= 24 (default 1)."""
    pages: tuple[int, ...] | None = None
    """Documents: the 1-based pages to take, all by default."""
    sound: bool = True
    """Video: whether its own sound is taken too."""

    @classmethod
    def text(cls, text: str) -> Part:
        """A piece of text."""
        if not isinstance(text, str):
            raise InvalidInput(f"Part.text takes a str, not {type(text).__name__}")
        return cls(text)

    @classmethod
    def file(cls, path: str | Path, mime_type: str | None = None) -> Part:
        """A file on this machine, read when it is embedded."""
        return cls(Path(path).expanduser(), mime_type)

    @classmethod
    def bytes(cls, data: _Bytes, mime_type: str | None = None) -> Part:
        """An encoded file held in memory."""
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise InvalidInput(f"Part.bytes takes bytes, not {type(data).__name__}; use Part.text for text")
        return cls(bytes(data), mime_type)


@dataclass(frozen=True, slots=True, init=False)
class Content:
    """An ordered mix of parts that becomes ONE vector, however many parts it has."""

    parts: tuple[Part, ...]
    title: str | None
    """Title of a document; used by the prompts of the search-document task."""
    instruction: str | None
    """What a model that takes instructions is told beside the content; `tasks.apply` puts it there."""

    def __init__(self, *parts: str | Part, title: str | None = None, instruction: str | None = None) -> None:
        if not parts:
            raise EmptyInput("a Content needs at least one part: Content('text') or Content(Part.file('a.jpg'))")
        for part in parts:
            if not isinstance(part, (str, Part)):
                kind = type(part).__name__
                raise InvalidInput(f"a Content holds str and Part, not {kind}; see Part.file and Part.bytes")
        object.__setattr__(self, "parts", tuple(Part(p) if isinstance(p, str) else p for p in parts))
        object.__setattr__(self, "title", title)
        object.__setattr__(self, "instruction", instruction)


# --- outputs ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """One vector and what it cost."""

    values: Array
    """float32 [d], unit length."""
    n_tokens: int = 0
    """Tokens that the model read."""
    usage: Mapping[str, int] = field(default_factory=dict)
    """Tokens by modality name, adding up to `n_tokens`."""
    truncated: bool = False
    """True when the input was longer than the model reads, so its end was left out."""
    words: str = ""
    """What the model's readers found printed or said in it, a line each."""


@dataclass(frozen=True, slots=True)
class Locator:
    """Where inside a file: a page, a stretch of seconds, of characters, a box. Unused fields are None."""

    page: int | None = None
    """1-based."""
    start_s: float | None = None
    end_s: float | None = None
    start_char: int | None = None
    end_char: int | None = None
    box: tuple[float, float, float, float] | None = None
    """x0, y0, x1, y1 as shares of width and height, 0..1."""

    def __str__(self) -> str:
        if self.page is not None:
            return f"page {self.page}"
        if self.start_s is not None:
            end = f"–{_clock(self.end_s)}" if self.end_s is not None else ""
            return f"{_clock(self.start_s)}{end}"
        if self.start_char is not None:
            return f"chars {self.start_char}–{self.end_char}"
        return ""

    def to_dict(self) -> dict[str, Any]:
        """The fields that are set, ready for JSON."""
        return {k: v for k in self.__slots__ if (v := getattr(self, k)) is not None}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Locator:
        """The inverse of `to_dict`; keys that this version does not know are ignored."""
        known = {k: v for k, v in fields.items() if k in cls.__slots__}
        if "box" in known:
            known["box"] = tuple(known["box"])
        return cls(**known)


def _clock(seconds: float | None) -> str:
    minutes, rest = divmod(seconds or 0.0, 60)
    return f"{int(minutes)}:{rest:04.1f}"


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a file that gets a vector of its own."""

    content: Content
    locator: Locator
    modality: str
    """Name of the modality plug-in, e.g. `image`."""
    preview: str
    """One line for a list of results."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One search result."""

    id: str
    """Segment id, unique in the collection."""
    path: str
    """File (or record id) that the segment belongs to."""
    locator: Locator
    modality: str
    score: float
    """Cosine of query and segment, -1..1; comparable within one pair of modalities."""
    confidence: float | None
    """0..1, the chance that this is what was looked for, the same scale for every pair of modalities; None where the
    collection is too small to tell."""
    preview: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the file says of itself: mime, width, height, duration_s, taken, lat, lon, n_pages, language."""
    words: tuple[str, ...] = ()
    """Words of the query that stand in it (text, captions, file name), folded."""
    segments: tuple[Hit, ...] = ()
    """Of a hit that stands for a file (`group="file"`): its best segments, best first."""
    duplicates: tuple[str, ...] = ()
    """Ids of hits that look or sound the same and were put under this one (`collapse`)."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; lists that are empty are left out."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        fields |= {"locator": self.locator.to_dict(), "metadata": dict(self.metadata), "facts": dict(self.facts)}
        lists = {name: list(fields.pop(name)) for name in ("words", "segments", "duplicates")}
        lists["segments"] = [hit.to_dict() for hit in self.segments]
        return fields | {name: values for name, values in lists.items() if values}


@dataclass(frozen=True, slots=True)
class SearchResult(Sequence[Hit]):
    """Hits, best first, and what may be said of them together. Compares with a list like a list."""

    hits: tuple[Hit, ...] = ()
    is_confident: bool | None = None
    """Whether there is a match at all: False is the verdict "no confident match"; None where nobody can tell."""
    next_offset: int | None = None
    """`offset` of the next page, None after the last one."""

    def __len__(self) -> int:
        return len(self.hits)

    def __getitem__(self, at: Any) -> Any:
        """A hit, or a list of them for a slice."""
        return list(self.hits[at]) if isinstance(at, slice) else self.hits[at]

    def __eq__(self, other: object) -> bool:
        return self.hits == tuple(other) if isinstance(other, Sequence) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.hits)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        hits = [hit.to_dict() for hit in self.hits]
        return {"hits": hits, "is_confident": self.is_confident, "next_offset": self.next_offset}


# --- models -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Price:
    """What a service takes for reading."""

    usd_per_million: Mapping[str, float]
    """US dollars for a million tokens, by modality."""
    as_of: str
    """Day on which the source said so, as 2026-11-23."""
    source: str
    """The page that says so."""

    def usd(self, tokens: Mapping[str, float]) -> float | None:
        """What these tokens by modality cost; None where one of them has no price here."""
        if not set(tokens) <= set(self.usd_per_million):
            return None
        return sum(n * self.usd_per_million[name] for name, n in tokens.items()) / 1e6


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The record of a model: everything that the house may know about it."""

    name: str
    revision: str
    """Pins the weights: a hash or a version."""
    licence: str
    modalities: frozenset[str]
    dim: int
    """Full output dimension D; any 1 <= d <= D can be asked for."""
    mrl_dims: tuple[int, ...]
    """Output sizes that were trained or measured, descending."""
    max_tokens: int
    """Longest input, all modalities together; more is cut and reported as truncated."""
    description: str = ""
    prompts: Mapping[Task, str] = field(default_factory=dict)
    """Template a task, with `{text}` and `{title}`; a task that is missing leaves the text bare."""
    instructions: Mapping[Task, str] = field(default_factory=dict)
    """What the model is told a task, beside any content (`Content.instruction`); most models take no instructions."""
    dtype_class: str = "fp32"
    """Vectors of different classes (fp32, bf16, int8) are not mixed in one collection."""
    preprocessing: str = "1"
    """Version of everything between bytes and tokens."""
    image_side: int = 224
    """Pixels of the short side that it wants pictures to keep, see `Limits.image_side`."""
    is_remote: bool = False
    """Contents leave this machine: a service embeds them."""
    price: Price | None = None
    """What the service takes; None where it is free or nobody here knows."""
    batch_tokens: int | None = None
    """Padded tokens that it takes best at once; None leaves that to the batcher."""

    def fingerprint(self, dim: int, task: Task | None) -> str:
        """Digest of what makes two vectors comparable: model, revision, dtype class, preprocessing, size and task."""
        key = [self.name, self.revision, self.dtype_class, self.preprocessing, dim, task.value if task else None]
        return hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class TextLayer:
    """Words that a backend's reader wrote down for one medium of a content."""

    name: str
    """Which reader, as in the model's name."""
    text: str
    """'' where it found no words."""
    n_tokens: int
    ms: float


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """One content, prepared for one model. `payload` belongs to the backend; nobody else looks inside."""

    payload: Any
    n_tokens: int
    usage: Mapping[str, int] = field(default_factory=dict)
    truncated: bool = False
    layers: tuple[TextLayer, ...] = ()
    """For people who want to know what was read; the tokens are in `payload` already."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Contents that go through a model together."""

    features: tuple[Features, ...]

    def __len__(self) -> int:
        return len(self.features)

    @property
    def n_tokens(self) -> int:
        """Tokens of all items, padding not counted."""
        return sum(f.n_tokens for f in self.features)


@runtime_checkable
class Backend(Protocol):
    """A model that embeds. One file in `engine/backends/`, one class `Backend`.

    `prepare` is called from many threads; `embed` from one at a time. Both may raise `OnesenseError`s.
    """

    info: ModelInfo

    def prepare(self, content: Content) -> Features:
        """Decode and tokenise one content. CPU only."""
        ...

    def embed(self, batch: Batch) -> Array:
        """Float32 [B, D], pooled, not normalised, in the order of the batch."""
        ...

    def close(self) -> None:
        """Free the weights. Calling it twice is fine."""
        ...


@runtime_checkable
class Prompted(Protocol):
    """A backend that puts a content into words of its own, a chat template for instance."""

    def prompt(self, content: Content) -> str:
        """Exactly what is tokenised for a content, media as placeholders."""
        ...


@runtime_checkable
class Explaining(Protocol):
    """A backend that can say which places of a picture speak for a vector."""

    def regions(self, content: Content, vector: Array) -> Array:
        """How near each cell of a picture is to a vector.

        Args:
            content: one picture, PDF page or frame.
            vector: float32 [d], unit length, 1 <= d <= D, of a query.

        Returns:
            float32 [h, w] cosines, -1..1, rows from top to bottom.

        Raises:
            UnsupportedModality: there is no picture in it.
        """
        ...


@runtime_checkable
class Layered(Protocol):
    """A backend class with optional text layers, which a model's name asks for: `name+layer`.

    Its constructor takes `layers`, names in alphabetical order.
    """

    layer_names: tuple[str, ...]

    @classmethod
    def layered(cls, names: Sequence[str]) -> ModelInfo:
        """The record with these layers. Raises MissingExtra or NotFound where they cannot be used here."""
        ...


@runtime_checkable
class Family(Protocol):
    """A backend class that opens many models. One name opens one: `name` of its catalogue, or `plug-in:model`.

    Its constructor takes `model`, the name without the plug-in's.
    """

    @classmethod
    def catalogue(cls) -> Mapping[str, ModelInfo | OnesenseError]:
        """Models that it knows by name: the record, or why this one cannot be used here."""
        ...

    @classmethod
    def describe(cls, model: str) -> ModelInfo:
        """The record of a model, read without its weights. Raises NotFound or MissingExtra where it cannot be used."""
        ...


@runtime_checkable
class Metered(Protocol):
    """A backend that learns from the answer how many tokens were read: a service counts them itself."""

    def metered(self, features: Features) -> Features:
        """Features that were embedded, with the tokens and the truncation that the answer told."""
        ...


# --- media --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of one file may be read or held at once. Beyond a limit the file is refused with `TooLarge`."""

    max_bytes: int = 2 * 1024**3
    """Size of any file: that of Gemini's Files API (2 GB)."""
    max_text_bytes: int = 64 * 1024**2
    """Size of a text, which is held whole; about 100,000 segments."""
    max_pixels: int = 120_000_000
    """Header size of a picture or video frame: above the 108 MP of the largest common sensors; 480 MB decoded."""
    image_side: int = 224
    """Pixels of the short side that a picture keeps at least, where it has them, and at most twice as many: what the
    bundled model and most picture towers look at. Decoding a JPEG at half size is 2 to 6 times cheaper."""
    max_pages: int = 100
    """Pages of a document decoded at once, about 2 MB each; indexing goes page by page and has no such limit."""
    max_seconds: float = 3_600.0
    """Seconds of sound or video decoded at once, 230 MB of sound; indexing goes window by window."""
    max_frames: int = 120
    """Frames of a video decoded at once, as many as Gemini Embedding 2 reads."""
    max_stream_s: float = 24 * 3_600.0
    """Seconds of one file that are indexed, so that an endless file ends."""


LIMITS = Limits()


@runtime_checkable
class Modality(Protocol):
    """A kind of media. One file in `media/` that holds an object `modality` of this shape."""

    name: str
    mimes: frozenset[str]
    """MIME types it reads."""
    suffixes: frozenset[str]
    """File name endings, with the dot, lower case; a hint only, the bytes decide."""

    def sniff(self, head: bytes) -> str | None:
        """The MIME type that the first 4096 bytes show, None when they are of another kind."""
        ...

    def decode(self, source: bytes | Path, part: Part, limits: Limits = LIMITS) -> Decoded:
        """Whole file (or the stretch that `part` asks for) to its canonical form."""
        ...

    def segments(self, source: bytes | Path, limits: Limits = LIMITS) -> Iterator[Segment]:
        """The stretches of a file that are indexed, in order, decoded as they are needed."""
        ...

    def preview(self, value: Decoded) -> str:
        """One line that tells a person what this is."""
        ...


# --- stores -------------------------------------------------------------------------------------------------------

Payload = Mapping[str, Any]
Where = Mapping[str, Any]
"""Filter: field -> value, list of values (any of), or {"gte": x, "lte": y, "prefix": s}. Fields are joined by AND."""


@dataclass(frozen=True, slots=True)
class StoreSpec:
    """What a collection is made of; stored with it and compared when it is opened."""

    dim: int
    fingerprint: str
    model: str
    revision: str
    task: str | None = None
    format: str = "onesense.collection.v1"
    dtype: str = "float32"
    """How vectors are kept on disk: float32, float16, int8 or binary. They come back as float32 of unit length."""


@runtime_checkable
class Store(Protocol):
    """Where vectors and payloads live. One file in `index/stores/`, one class `Store`.

    A row is (id, unit vector, payload). Writes are atomic per call and durable when it returns.
    """

    features: frozenset[str]
    """What it can do beyond the contract: `filter`, `text`, `ann`."""
    spec: StoreSpec

    @classmethod
    def read_spec(cls, path: Path) -> StoreSpec | None:
        """The spec of what is at `path`, None when nothing is there. Raises CorruptData when it is no collection."""
        ...

    @classmethod
    def open(cls, path: Path, spec: StoreSpec) -> Store:
        """Open or create. Raises FingerprintMismatch when what is there was made by another model, size or task."""
        ...

    def upsert(self, ids: Sequence[str], vectors: Array, payloads: Sequence[Payload]) -> None:
        """Insert or replace rows; vectors float32 [n, d] of unit length."""
        ...

    def delete(self, ids: Sequence[str]) -> None:
        """Remove rows; unknown ids are ignored."""
        ...

    def search(self, vector: Array, k: int, where: Where | None = None) -> list[tuple[str, float, Payload]]:
        """The k rows of highest cosine that pass the filter, best first; ties by id."""
        ...

    def rows(self, where: Where | None = None) -> Iterator[tuple[str, Payload]]:
        """Ids and payloads of all rows that pass the filter."""
        ...

    def vectors(self, ids: Sequence[str]) -> Array:
        """Float32 [n, d] of these ids, in order. Raises NotFound for an id that is not there."""
        ...

    def count(self) -> int:
        """Number of rows."""
        ...

    def close(self) -> None:
        """Release files. Calling it twice is fine."""
        ...


@runtime_checkable
class Worded(Protocol):
    """A store that finds words; it keeps `index.words.of_payload` of each row."""

    def find_words(self, words: Sequence[str], k: int, where: Where | None = None) -> list[tuple[str, float, Payload]]:
        """The k rows with the highest BM25 that hold any of these folded words and pass the filter, best first."""
        ...


@runtime_checkable
class Sectioned(Protocol):
    """A store that searches several modalities at once, for less than one search each."""

    def search_each(
        self, vector: Array, k: int, modalities: Sequence[str], where: Where | None = None
    ) -> list[tuple[str, float, Payload]]:
        """The k rows of highest cosine of each of these modalities that pass the filter; all of them, best first."""
        ...


@runtime_checkable
class Noted(Protocol):
    """A store that keeps small notes about the collection beside its rows (how it is calibrated, and the like)."""

    def read_note(self, name: str) -> Mapping[str, Any] | None:
        """The note of this name, None where there is none or it cannot be read: a note can always be made again."""
        ...

    def write_note(self, name: str, note: Mapping[str, Any]) -> None:
        """Keep a note, atomically. Raises OSError where the place is read only or full."""
        ...


@runtime_checkable
class Sampling(Protocol):
    """A store that can draw rows without reading all of them."""

    def sample(self, most: int) -> Mapping[str, tuple[int, list[str]]]:
        """By modality: how many rows there are, and the ids of at most `most`, evenly spread over all by id."""
        ...


@runtime_checkable
class Versioned(Protocol):
    """A store that can tell cheaply whether it has changed, so that what was made of its rows can be kept."""

    def version(self) -> Hashable:
        """Another value after every write, of this process or another; to be compared for equality only."""
        ...


def as_float32(values: Sequence[float] | Array) -> Array:
    """A contiguous float32 array of the same values."""
    return np.ascontiguousarray(values, dtype=np.float32)
