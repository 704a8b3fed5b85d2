"""A dry run: what indexing would do, counted without writing, and how long it would take by a small sample."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onesense.engine import pieces
from onesense.errors import OnesenseError
from onesense.types import Store

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

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return dataclasses.asdict(self)


def make(store: Store, embedder: Embedder, sources: Iterable[Source | Failure]) -> Plan:
    """Look at every source, hash and decode none but a sample."""
    plan = Plan()
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


def _estimate(plan: Plan, samples: dict[str, list[tuple[File, float]]], embedder: Embedder) -> None:
    """Measure the samples, one modality after the other, and scale up: by seconds of media, else by bytes."""
    until = time.monotonic() + SAMPLE_S
    for modality, files in sorted(samples.items()):
        tally = plan.by_modality[modality]
        spent = [cost for n, (file, _) in enumerate(files) if (cost := _cost(file, embedder, until, n)) is not None]
        weights = sum(weight for _, weight in files[: len(spent)])
        if spent and weights:
            tally.estimated_s = sum(spent) * ((tally.media_s or tally.n_bytes) / weights)
    known = [tally.estimated_s for tally in plan.by_modality.values() if tally.estimated_s is not None]
    plan.estimated_s = sum(known) if known else None


def _cost(file: File, embedder: Embedder, until: float, n: int) -> float | None:
    """Seconds that a file takes; None when it fails or the time for samples is over."""
    if n and time.monotonic() > until:
        return None
    try:
        if n == 0:  # the first of a modality loads what it needs
            _work(file, embedder, 1)
        start_s = time.perf_counter()
        share = _work(file, embedder, SAMPLE_SEGMENTS)
        return (time.perf_counter() - start_s) / share
    except (OnesenseError, OSError):
        return None


def _work(file: File, embedder: Embedder, most: int) -> float:
    """Decode and embed at most so many segments; the share of the file that they are, as far as it can be told."""
    found = list(islice(file.segments(pieces.limits(embedder.info)), most))
    embedder.try_embed([segment.content for segment in found])
    last = found[-1].locator if found else None
    whole_s = float(facts.of_file(Path(file.path)).get("duration_s") or 0.0)
    if len(found) < most or last is None or not last.end_s or not whole_s:
        return 1.0
    return min(1.0, last.end_s / whole_s)
