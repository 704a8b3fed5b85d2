"""A dry run: what indexing would do, counted without writing, how long it would take by a small sample, what it costs.

Nothing is sent to a model that lies behind a network: its tokens are counted here, its time is not measured.
"""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onesense.engine import pieces
from onesense.errors import OnesenseError
from onesense.types import Price, Segment, Store

from . import facts
from .ingest import LOOKUP
from .reading import Known
from .sources import Failure, File, Source, printable

if TYPE_CHECKING:
    from onesense.engine.embedder import Embedder

SAMPLE_FILES = 6  # measured a modality
SAMPLE_SEGMENTS = 8  # of each; a longer file counts by its share of seconds or bytes
SAMPLE_S = 10.0  # for all of them


@dataclass(slots=True)
class Tally:
    """What there is to do of one modality."""

    n_files: int = 0
    n_bytes: int = 0
    media_s: float = 0.0
    """Seconds of sound or video, as far as headers say."""
    estimated_s: float | None = None
    """On this machine as busy as it is; None where no file could be measured."""
    n_segments: int = 0
    """Vectors there will be, by the sample."""
    tokens: dict[str, int] = field(default_factory=dict)
    """Tokens that the model will read, by the sample; by modality, as a page holds a text too."""


@dataclass(slots=True)
class Plan:
    """What `add` would do."""

    n_new: int = 0
    n_changed: int = 0
    """Touched files too: only their hash would tell."""
    n_unchanged: int = 0
    by_modality: dict[str, Tally] = field(default_factory=dict)
    """Of what is new or changed."""
    failed: list[Failure] = field(default_factory=list)
    estimated_s: float | None = None
    is_remote: bool = False
    """Contents would leave this machine."""
    price: Price | None = None
    """What the model's service takes, where that is known."""

    @property
    def tokens(self) -> Counter[str]:
        """Tokens of all, by modality."""
        return sum((Counter(tally.tokens) for tally in self.by_modality.values()), Counter())

    @property
    def usd(self) -> float | None:
        """What the service will take, in US dollars; None where its price is not known."""
        return self.price.usd(self.tokens) if self.price is not None else None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return dataclasses.asdict(self) | {"tokens": dict(self.tokens), "usd": self.usd}


def make(store: Store, embedder: Embedder, sources: Iterable[Source | Failure]) -> Plan:
    """Look at every source, hash and decode none but a sample."""
    plan = Plan(is_remote=embedder.info.is_remote, price=embedder.info.price)
    samples: dict[str, list[tuple[File, float]]] = {}
    iterator = iter(sources)
    while chunk := list(islice(iterator, LOOKUP)):
        paths = [s.path for s in chunk if not isinstance(s, Failure) and printable(s.path) == s.path]
        known: dict[str, Known] = {}
        for id_, payload in store.rows({"path": paths}) if paths else ():
            known.setdefault(str(payload["path"]), Known()).add(id_, payload)
        for source in chunk:
            _count(plan, samples, source, known.get(source.path))
    _estimate(plan, samples, embedder)
    return plan


def _count(
    plan: Plan, samples: dict[str, list[tuple[File, float]]], source: Source | Failure, known: Known | None
) -> None:
    if isinstance(source, Failure):
        plan.failed.append(source)
        return
    try:
        stamp = source.stamp()
        if known is not None and known.is_whole and stamp is not None and known.stamps == {stamp}:
            plan.n_unchanged += 1
            return
        modality = _modality(source)
    except (OnesenseError, OSError) as cause:
        plan.failed.append(Failure.of(source.path, cause))
        return
    plan.n_new += known is None
    plan.n_changed += known is not None
    tally = plan.by_modality.setdefault(modality, Tally())
    tally.n_files += 1
    tally.n_bytes += stamp[0] if stamp else 0
    media_s = float(facts.of_file(Path(source.path)).get("duration_s") or 0.0) if modality in ("audio", "video") else 0
    tally.media_s += media_s
    if isinstance(source, File) and stamp is not None:
        kept = samples.setdefault(modality, [])
        if len(kept) < SAMPLE_FILES or tally.n_files % (tally.n_files // SAMPLE_FILES) == 0:
            kept[(tally.n_files - 1) % SAMPLE_FILES : (tally.n_files - 1) % SAMPLE_FILES + 1] = [
                (source, media_s or stamp[0])
            ]


def _modality(source: Source) -> str:
    from onesense.media import fetch, sniff

    return sniff.sniff(fetch.fetch(Path(source.path)))[0].name if isinstance(source, File) else "record"


@dataclass(frozen=True, slots=True)
class _Cost:
    """What one file takes, all of it, as far as its sample tells."""

    seconds: float
    n_segments: float
    tokens: Mapping[str, float]


def _estimate(plan: Plan, samples: dict[str, list[tuple[File, float]]], embedder: Embedder) -> None:
    """Measure the samples, one modality after the other, and scale up: by seconds of media, else by bytes."""
    if plan.is_remote:
        embedder.count_tokens("a")  # a key that is missing is told here, not file by file
    until = time.monotonic() + SAMPLE_S
    for modality, files in sorted(samples.items()):
        tally = plan.by_modality[modality]
        spent = [cost for n, (file, _) in enumerate(files) if (cost := _cost(file, embedder, until, n)) is not None]
        weights = sum(weight for _, weight in files[: len(spent)])
        if spent and weights:
            by_size = (tally.media_s or tally.n_bytes) / weights
            is_singly = not tally.media_s and all(cost.n_segments == 1 for cost in spent)
            _scale(tally, spent, tally.n_files / len(spent) if is_singly else by_size)
            tally.estimated_s = None if plan.is_remote else sum(cost.seconds for cost in spent) * by_size
    known = [tally.estimated_s for tally in plan.by_modality.values() if tally.estimated_s is not None]
    plan.estimated_s = sum(known) if known else None


def _scale(tally: Tally, spent: Sequence[_Cost], factor: float) -> None:
    """Segments and tokens of all files from those of the sample."""
    tally.n_segments = round(sum(cost.n_segments for cost in spent) * factor)
    names = {name for cost in spent for name in cost.tokens}
    tally.tokens = {name: round(sum(cost.tokens.get(name, 0) for cost in spent) * factor) for name in sorted(names)}


def _cost(file: File, embedder: Embedder, until: float, n: int) -> _Cost | None:
    """What a file takes; None when it fails or the time for samples is over."""
    if n and time.monotonic() > until:
        return None
    try:
        if n == 0 and not embedder.info.is_remote:  # the first of a modality loads what it needs
            _work(file, embedder, 1)
        start_s = time.perf_counter()
        share, n_segments, tokens = _work(file, embedder, SAMPLE_SEGMENTS)
        seconds = time.perf_counter() - start_s
        return _Cost(seconds / share, n_segments / share, {name: n / share for name, n in tokens.items()})
    except (OnesenseError, OSError):
        return None


def _work(file: File, embedder: Embedder, most: int) -> tuple[float, int, Counter[str]]:
    """Decode and embed at most so many segments.

    Returns:
        The share of the file that they are, as far as it can be told; their number; their tokens by modality.
    """
    found = list(islice(file.segments(pieces.limits(embedder.info)), most))
    contents = [segment.content for segment in found]
    usages = embedder.count_tokens(contents) if embedder.info.is_remote else embedder.try_embed(contents)
    tokens: Counter[str] = Counter()
    for outcome in usages:
        tokens.update({} if isinstance(outcome, OnesenseError) else outcome.usage)
    return _share(file, found, most), len(found), tokens


def _share(file: File, found: Sequence[Segment], most: int) -> float:
    """How much of the file lies before the end of the last segment: of its seconds, pages or characters, 0..1."""
    if len(found) < most:
        return 1.0
    last, whole = found[-1].locator, facts.of_file(Path(file.path))
    stamp = file.stamp()
    measures = (
        (last.end_s, whole.get("duration_s")),
        (last.page, whole.get("n_pages")),
        (last.end_char, stamp[0] if stamp else None),  # bytes stand for characters
    )
    return min([1.0, *(float(done) / float(all_) for done, all_ in measures if done and all_)])
