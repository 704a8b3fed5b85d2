"""`onesense-mini`, the bundled model: every modality becomes tokens of one sequence that one trunk reads.

text ids ── rows of the word table ─┐
picture ─── soft words ─────────────┤
sound ───── soft words ─────────────┼→ sequence [L, 384] → trunk → mean → less half the text mean, plus concepts → 3072
speech ──── the ear's tokens ───────┤
video, page ─ the above, in order ──┘

What is printed in a picture comes as the pieces of its words. The two text layers, `onesense-mini+ocr` and
`onesense-mini+transcribe`, read more scripts than the model's own reader does, and write down what is said.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from ...errors import EmptyInput, UnsupportedModality
from ...types import Array, Audio, Batch, Content, Decoded, Document, Features, Image, ModelInfo, Page, TextLayer, Video
from ...vectors import cosine
from .. import pieces
from ._mini import compose, detail
from ._mini.graph import widen
from ._mini.layers import LAYERS, Reader, described
from ._mini.motion import MOTIONS, motions
from ._mini.package import MAX_TOKENS, Package, read_info
from ._mini.printed import PrintReader
from ._mini.runtime import Trunk
from ._mini.senses import PATCH_S, Ears, Eye, Heard, Seen
from ._mini.tokenizer import Tokenizer
from ._mini.words import BOS, EOS, WordTable

WIDTH = 384
WINDOW = 512  # tokens the trunk reads at once, with <s> and </s>
SHORT_WINDOW = 256  # longer inputs are read in windows of this: linear, and 16 % cheaper a token than 512 (MODEL.md)
RUN_TOKENS = 512  # padded tokens a run of the trunk: stays in the cache; 2048 is a third slower (dev/LOG.md)
SOUND_TOKENS_PER_S = 3.2 + 1 / PATCH_S
WRITTEN_TOKENS_PER_S = 4.0  # pieces of a transcript of quick talk
MOTION = "motion"  # what brings words that stand for what moves, among the events of a video
FRAMES_READ = 4  # of a video, evenly spread: OCR takes a second a frame, and words stay on the screen
PRINT = "print"  # the model's own reader of words in pictures; `ocr` takes its place where it is on

_Sense = TypeVar("_Sense", Eye, Ears, Reader, PrintReader)


@dataclass(slots=True)
class _Sequence:
    """One content on its way: spans of tokens in order, and what goes round the trunk."""

    spans: list[Array] = field(default_factory=list)
    """Each int64 [n] piece ids or float32 [n, 384] raw vectors."""
    usage: dict[str, int] = field(default_factory=dict)
    ids: list[int] = field(default_factory=list)
    """All pieces of text, for the lexical detail."""
    concepts: list[tuple[Array, float]] = field(default_factory=list)
    """Concept vectors with their weights."""
    looks: dict[str, list[Array]] = field(default_factory=dict)
    """`picture` and `sound` features for the detail part."""
    senses: dict[str, int] = field(default_factory=dict)
    """Tokens that each of `compose.SENSES` brought."""
    layers: list[TextLayer] = field(default_factory=list)
    """What the readers wrote down."""
    n_parts: int = 0
    left: int = MAX_TOKENS - 2
    truncated: bool = False

    def add(self, modality: str, tokens: Array, sense: str | None = None) -> None:
        """Append tokens, as many as still fit; `sense` is what brought them, None for words."""
        taken = tokens[: self.left]
        self.truncated |= len(taken) < len(tokens)
        if len(taken):
            self.spans.append(taken)
            self.left -= len(taken)
            self.usage[modality] = self.usage.get(modality, 0) + len(taken)
            if sense:
                self.senses[sense] = self.senses.get(sense, 0) + len(taken)

    def add_words(self, modality: str, ids: Array) -> None:
        """Append pieces of text, int64 [n]."""
        self.ids += ids[: self.left].tolist()
        self.add(modality, ids)


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared:
    spans: tuple[Array, ...]
    concept: Array
    """float32 [384], weighted mean of unit concept vectors, unit or zero."""
    share: float
    """How much of the content the concepts stand for, 0..1."""
    senses: Array
    """float32 [3], share of the tokens that each of `compose.SENSES` brought."""
    detail: Array
    """float32 [2688], unit or zero."""


class Backend:
    """The model. `prepare` may run in many threads, `embed` in one at a time; weights are read only."""

    info = read_info()
    layer_names = tuple(LAYERS)

    @classmethod
    def layered(cls, names: Sequence[str]) -> ModelInfo:
        """The record with these text layers; what they need must be installed, see `_mini.layers.described`."""
        return described(cls.info, names)

    def __init__(self, package: Package | None = None, threads: int = 0, layers: Sequence[str] = ()) -> None:
        """Load words and trunk; the senses are loaded when they are first needed.

        Args:
            package: another model folder of the same format; the bundled one by default.
            threads: intra-op threads of each session, 0 for one a core.
            layers: text layers, names of `LAYERS` in alphabetical order.

        Raises:
            MissingExtra: a text layer needs a package that is not installed.
            NotFound: the networks of a text layer are not there.
        """
        self.info = described(type(self).info, layers)
        self._layers = frozenset(layers)
        self._package = package or Package()
        self._threads = threads
        self._table = WordTable.open(self._package)
        with ThreadPoolExecutor(1) as second:  # the two slow parts of a cold start side by side
            made = second.submit(Tokenizer, self._package.arrays("tokenizer.npz"))
            self._loaded: Trunk | None = Trunk(self._package, threads)
            self._tokenizer = made.result()
        self._bridge = widen(self._package.arrays("bridge.npz"))
        self._word_weights = self._package.arrays("word_weights.npz")["idf"]
        self._senses: dict[str, Eye | Ears | Reader | PrintReader] = {}
        self._loading = threading.RLock()

    # --- contents to sequences -----------------------------------------------------------------------------------

    def prepare(self, content: Content) -> Features:
        """Turn every part into tokens, in the order of the parts; at most 8192 tokens, the rest is cut.

        Raises:
            EmptyInput: not one token in it.
            InvalidInput: a part cannot be decoded.
        """
        sequence = _Sequence()
        for modality, value in pieces.decode(content, self.info):
            sequence.n_parts += 1
            self._add(sequence, modality, value)
        if not sequence.spans:
            raise EmptyInput("there is nothing to embed: no word, no sample, no pixel")
        payload = self._finish(sequence)
        first = next(iter(sequence.usage))
        sequence.usage[first] += 2  # <s> and </s>
        n_tokens = sum(sequence.usage.values())
        return Features(payload, n_tokens, sequence.usage, sequence.truncated, tuple(sequence.layers))

    def _add(self, sequence: _Sequence, modality: str, value: Decoded) -> None:
        adders: dict[type, Callable[..., None]] = {
            str: self._add_text, Image: self._add_picture, Audio: self._add_sound, Video: self._add_video,
            Page: self._add_page, Document: self._add_document,
        }  # fmt: skip
        adders[type(value)](sequence, modality, value)

    def _add_text(self, sequence: _Sequence, modality: str, text: str) -> None:
        ids = self._tokenizer.encode(text[: 16 * MAX_TOKENS])
        sequence.truncated |= len(text) > 16 * MAX_TOKENS
        sequence.add_words(modality, np.array(ids, np.int64))

    def _add_picture(self, sequence: _Sequence, modality: str, picture: Image) -> None:
        words = self._printed(sequence, picture.pixels)
        self._add_look(sequence, modality, picture, sum(map(len, words)))
        for ids in words:
            sequence.add_words(modality, ids)

    def _add_look(self, sequence: _Sequence, modality: str, picture: Image, n_words: int = 0) -> None:
        """What a picture looks like, beside `n_words` pieces of what is printed in it."""
        (seen,) = self._eye([picture.pixels])
        tokens = np.concatenate([self._bridge["picture.prefix"], seen.tokens])
        sequence.add(modality, tokens, "picture")
        self._note_seen(sequence, [seen], len(tokens) / (len(tokens) + n_words))

    def _add_sound(self, sequence: _Sequence, modality: str, sound: Audio) -> None:
        heard = self._hear(sequence, sound)
        if len(heard.speech):
            sequence.add(modality, heard.speech, "speech")
            for _, ids in self._said(sequence, sound.samples[: self._longest]):
                sequence.add_words(modality, ids)
        if len(heard.tokens):
            sequence.add(modality, np.concatenate([self._bridge["sound.prefix"], heard.tokens]), "sound")
        self._note_heard(sequence, heard)

    def _add_video(self, sequence: _Sequence, modality: str, video: Video) -> None:
        events: list[tuple[float, Array, str | None]] = []
        if len(video.frames):
            frames = list(video.frames[: sequence.left])
            seen = self._eye(frames)
            events += [(t, self._moved(name), MOTION) for t, name in motions(frames, video.times_s)]
            events += [(float(t), s.tokens[:1], "picture") for t, s in zip(video.times_s, seen, strict=False)]
            read = list(self._read_frames(sequence, video))
            events += read
            self._note_seen(sequence, seen, len(seen) / (len(seen) + sum(len(ids) for _, ids, _ in read)))
        if video.sound is not None and len(video.sound.samples):
            heard = self._hear(sequence, video.sound)
            start = float(video.times_s[0]) if len(video.times_s) else 0.0
            spread = np.linspace(0, video.sound.duration_s, len(heard.speech), endpoint=False)
            for sense, times, tokens in (("sound", heard.times_s, heard.tokens), ("speech", spread, heard.speech)):
                events += [(start + float(t), token[None], sense) for t, token in zip(times, tokens, strict=True)]
            if len(heard.speech):
                said = self._said(sequence, video.sound.samples[: self._longest])
                events += [(start + t, ids, None) for t, ids in said]
            self._note_heard(sequence, heard)
        if events:
            events.sort(key=lambda event: event[0])
            sequence.add(modality, self._bridge["video.prefix"])
            for _, tokens, source in events:
                if source is None:
                    sequence.add_words(modality, tokens)
                else:
                    sequence.add(modality, tokens, None if source == MOTION else source)

    def _moved(self, motion: str) -> Array:
        """Pieces of the words for a motion, int64 [n]. They were not written by anybody: no lexical detail."""
        return np.array(self._tokenizer.encode(MOTIONS[motion]), np.int64)

    def _read_frames(self, sequence: _Sequence, video: Video) -> Iterator[tuple[float, Array, None]]:
        """Pieces of the words on a few frames, each line once, at the time when it is first seen."""
        places = np.unique(np.linspace(0, len(video.frames) - 1, FRAMES_READ).round().astype(int))
        known: set[tuple[int, ...]] = set()
        for place in places:
            for ids in self._printed(sequence, video.frames[place]):
                if tuple(ids) not in known:
                    known.add(tuple(ids))
                    yield float(video.times_s[place]), ids, None

    def _add_page(self, sequence: _Sequence, modality: str, page: Page) -> None:
        has_text = bool(page.text.strip())
        written = [] if has_text else self._printed(sequence, page.image.pixels)
        if not has_text and not written:
            self._add_look(sequence, modality, page.image)
            return
        (seen,) = self._eye([page.image.pixels])
        sequence.add(modality, seen.tokens[:1], "picture")
        sequence.looks.setdefault("picture", []).append(seen.look)
        if has_text:
            self._add_text(sequence, modality, page.text)
        for ids in written:
            sequence.add_words(modality, ids)

    def _add_document(self, sequence: _Sequence, modality: str, document: Document) -> None:
        for page in document.pages:
            if sequence.left <= 0:
                sequence.truncated = True
                return
            self._add_page(sequence, modality, page)

    def _eye(self, pictures: list[Array]) -> list[Seen]:
        return self._sense("eye", lambda: Eye(self._package, self._bridge, self._threads))(pictures)

    def _hear(self, sequence: _Sequence, sound: Audio) -> Heard:
        ears = self._sense("ears", lambda: Ears(self._package, self._bridge, self._threads))
        sequence.truncated |= len(sound.samples) > self._longest
        return ears(sound.samples[: self._longest])

    @property
    def _longest(self) -> int:
        """Samples of a sound whose tokens fit the sequence."""
        per_s = SOUND_TOKENS_PER_S + WRITTEN_TOKENS_PER_S * ("transcribe" in self._layers)
        return int(MAX_TOKENS / per_s * 16_000)

    def _printed(self, sequence: _Sequence, pixels: Array) -> list[Array]:
        """Int64 [n] pieces of each line of print in a picture, uint8 [H, W, 3]; noted in the sequence."""
        name = "ocr" if "ocr" in self._layers else PRINT
        return [ids for _, ids in self._note(sequence, name, pixels)]

    def _said(self, sequence: _Sequence, samples: Array) -> list[tuple[float, Array]]:
        """Start in seconds and int64 [n] pieces of what is said, noted in the sequence; nothing without the layer."""
        return self._note(sequence, "transcribe", samples) if "transcribe" in self._layers else []

    def _note(self, sequence: _Sequence, name: str, medium: Array) -> list[tuple[float, Array]]:
        """Start in seconds and int64 [n] pieces of each line that a reader writes down."""
        start = time.perf_counter()
        lines = self._reader(name)(medium)
        spent_ms = (time.perf_counter() - start) * 1_000
        found = [(line.start_s, np.array(self._tokenizer.encode(line.text), np.int64)) for line in lines]
        if lines or name != PRINT:
            text = " ".join(line.text for line in lines)
            sequence.layers.append(TextLayer(name, text, sum(len(ids) for _, ids in found), spent_ms))
        return found

    def _reader(self, name: str) -> Reader:
        if name == PRINT:
            return self._sense(name, lambda: PrintReader(self._package, self._threads))
        return self._sense(name, lambda: LAYERS[name].open(self._threads))

    def _sense(self, name: str, make: Callable[[], _Sense]) -> _Sense:
        with self._loading:
            if name not in self._senses:
                self._senses[name] = make()
            return self._senses[name]  # type: ignore[return-value]  # the name says which

    @staticmethod
    def _note_seen(sequence: _Sequence, seen: Sequence[Seen], share: float = 1.0) -> None:
        """Keep concepts and looks; `share` of the tokens is what was seen, the rest words (R@10 91 → 100, LOG.md)."""
        mean = np.mean([s.concept for s in seen], 0)
        sequence.concepts.append((mean / max(float(np.linalg.norm(mean)), 1e-12), share))
        sequence.looks.setdefault("picture", []).append(np.mean([s.look for s in seen], 0))

    @staticmethod
    def _note_heard(sequence: _Sequence, heard: Heard) -> None:
        if heard.spoken < 1:
            sequence.concepts.append((heard.concept, 1.0 - heard.spoken))
        sequence.looks.setdefault("sound", []).append(heard.look)

    def _finish(self, sequence: _Sequence) -> _Prepared:
        weights = [w for _, w in sequence.concepts]
        concept = np.zeros(WIDTH, np.float32)
        for vector, weight in sequence.concepts:
            concept += vector * weight
        norm = float(np.linalg.norm(concept))
        parts = {kind: _unit_mean(rows) for kind, rows in sequence.looks.items()}
        if sequence.ids:
            parts["text"] = detail.lexical(sequence.ids, self._word_weights)
        share = min(1.0, sum(weights) / sequence.n_parts)
        counts = [sequence.senses.get(sense, 0) for sense in compose.SENSES]
        senses = np.array(counts, np.float32) / sum(sequence.usage.values())
        concept = concept / norm if norm > 0 else concept
        return _Prepared(tuple(sequence.spans), concept, share, senses, detail.place(parts))

    # --- sequences to vectors ------------------------------------------------------------------------------------

    def embed(self, batch: Batch) -> Array:
        """Float32 [B, 3072]: 384 shared dimensions, then detail; not normalised."""
        items: list[_Prepared] = [f.payload for f in batch.features]
        pooled = self._pool(items)
        skip, share = np.stack([i.concept for i in items]), np.array([[i.share] for i in items], np.float32)
        senses = np.stack([i.senses for i in items])
        joined = compose.joined(pooled, skip, share, senses, self._bridge) @ self._bridge["head.map"]
        joined /= np.linalg.norm(joined, axis=1, keepdims=True)
        portion = float(self._bridge["head.detail"])  # of the squared length
        fine = np.stack([i.detail for i in items])
        return np.concatenate([joined * (1 - portion) ** 0.5, fine * portion**0.5], 1)

    def _pool(self, items: Sequence[_Prepared]) -> Array:
        """Mean token state of each item over all its windows, float32 [B, 384]."""
        windows = [(row, ids) for row, item in enumerate(items) for ids in self._windows(item)]
        windows.sort(key=lambda w: len(w[1]))
        total = np.zeros((len(items), WIDTH), np.float32)
        count = np.zeros((len(items), 1), np.float32)
        for run in _runs([len(tokens) for _, tokens in windows]):
            x = np.zeros((len(run), len(windows[run[-1]][1]), WIDTH), np.float32)
            mask = np.zeros(x.shape[:2], np.float32)
            for at, i in enumerate(run):
                tokens = windows[i][1]
                x[at, : len(tokens)], mask[at, : len(tokens)] = tokens, 1.0
            pooled = self._trunk(x, mask)
            for at, i in enumerate(run):
                total[windows[i][0]] += pooled[at] * len(windows[i][1])
                count[windows[i][0]] += len(windows[i][1])
        out: Array = total / count
        return out

    def _windows(self, item: _Prepared) -> Iterator[Array]:
        """Raw token vectors [L <= 512, 384] of each window, with <s> and </s>."""
        rows = [self._table(span) if span.ndim == 1 else span for span in item.spans]
        tokens = np.concatenate(rows)
        ends = self._table([BOS, EOS])
        n = 1 if len(tokens) + 2 <= WINDOW else -(-len(tokens) // (SHORT_WINDOW - 2))
        for part in np.array_split(tokens, n):
            yield np.concatenate([ends[:1], part, ends[1:]])

    def regions(self, content: Content, vector: Array) -> Array:
        """How near each cell of a picture is to a vector, in the shared dimensions; see `types.Explaining`.

        Returns:
            float32 [3, 3]; of a video the mean over its frames, of several pictures the first one's.
        """
        for _, value in pieces.decode(content, self.info):
            pictures = _pictures(value)
            if len(pictures):
                eye = self._sense("eye", lambda: Eye(self._package, self._bridge, self._threads))
                shared = np.mean([eye.cells(picture) for picture in pictures], 0) @ self._bridge["head.map"]
                side = round(compose.CELLS**0.5)
                return cosine(shared[:, : len(vector)], vector[None, : shared.shape[1]]).reshape(side, side)
        raise UnsupportedModality("only pictures, pages and videos have regions: there is no picture in this content")

    @property
    def _trunk(self) -> Trunk:
        if self._loaded is None:
            from ...errors import BackendError

            raise BackendError("`onesense-mini` is closed: make a new Embedder")
        return self._loaded

    def close(self) -> None:
        """Free the weights. Calling it twice is fine."""
        self._loaded = None
        self._senses.clear()


def _pictures(value: Decoded) -> Sequence[Array]:
    """uint8 [H, W, 3] each; empty for what cannot be seen."""
    if isinstance(value, Document):
        return [value.pages[0].image.pixels]
    if isinstance(value, (Image, Page)):
        return [value.pixels if isinstance(value, Image) else value.image.pixels]
    return list(value.frames) if isinstance(value, Video) else []


def _unit_mean(rows: Sequence[Array]) -> Array:
    mean = np.mean(rows, 0)
    norm = float(np.linalg.norm(mean))
    out: Array = mean / norm if norm > 0 else mean
    return out


def _runs(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Indices of ascending lengths in groups of at most `RUN_TOKENS` padded tokens."""
    run: list[int] = []
    for i, length in enumerate(lengths):
        if run and (len(run) + 1) * length > RUN_TOKENS:
            yield run
            run = []
        run.append(i)
    if run:
        yield run
