"""`onesense explain`: the way of one file through the house, with real shapes and milliseconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from .verb import DEFAULT_MODEL, Dim, Json, Model, print_json

if TYPE_CHECKING:
    from onesense.types import Backend, Decoded, Features, Segment

T = TypeVar("T")
_MAX_SEGMENTS = 8  # a long recording is explained by its first stretches
_LISTED = 4


@dataclass(slots=True)
class Stage:
    """One stop on the way."""

    name: str
    """The room and function that did it."""
    made: str
    """What came out."""
    ms: float
    details: list[str] = field(default_factory=list)


class Journey:
    """Runs stages one after another and keeps what each made and how long it took."""

    def __init__(self) -> None:
        self.stages: list[Stage] = []

    def step(self, name: str, work: Callable[[], T], tell: Callable[[T], str | list[str]]) -> T:
        """Do `work`, time it, and note what `tell` says about its result: a line, or a line and its details."""
        start = time.perf_counter()
        result = work()
        spent_ms = (time.perf_counter() - start) * 1000
        told = tell(result)
        first, *details = [told] if isinstance(told, str) else told
        self.stages.append(Stage(name, first, round(spent_ms, 2), details))
        return result


def command(
    file: Annotated[Path, typer.Argument(help="The file to follow.")],
    dim: Dim = None,
    model: Model = DEFAULT_MODEL,
    as_json: Json = False,
) -> None:
    """Show the way of one file through the house: each stage with what it made and its milliseconds."""
    stages = follow(file.expanduser(), model, dim)
    if as_json:
        print_json({"file": str(file), "model": model, "stages": [asdict(stage) for stage in stages]})
    else:
        _print(file, model, stages)


def follow(file: Path, model: str, dim: int | None) -> list[Stage]:
    """Take a file all the way to its vectors.

    Args:
        file: any file that a modality reads.
        model: name of the model.
        dim: output size, the model's own by default.

    Raises:
        InvalidInput: the file cannot be read; the error is that of the stage where it stopped.
    """
    import numpy as np

    from onesense.engine import batcher, models, pieces
    from onesense.media import fetch, sniff
    from onesense.types import Part
    from onesense.vectors import check_dim, truncate_normalize

    info = models.info(model)
    check_dim(dim or info.dim, info.dim)
    limits = pieces.limits(info)
    way = Journey()
    source = way.step("media.fetch", lambda: fetch.fetch(file), lambda _: f"{file.stat().st_size:,} bytes")
    modality, _ = way.step("media.sniff", lambda: sniff.sniff(source), lambda found: f"{found[0].name}, {found[1]}")
    way.step(
        f"media.{modality.name}.decode",
        lambda: modality.decode(source, Part.file(file), limits),
        lambda value: [describe(value), modality.preview(value)],
    )
    segments = way.step(
        f"media.{modality.name}.segments", lambda: _first(modality.segments(source, limits)), _tell_segments
    )
    loaded = way.step("engine.models.acquire", lambda: models.acquire(model), lambda m: _tell_model(m.backend))
    ready = way.step(
        f"{info.name}.prepare", lambda: [loaded.backend.prepare(s.content) for s in segments], _tell_features
    )

    def embed() -> Any:
        with loaded.lock:
            rows = batcher.run(loaded.backend.embed, ready)
        return np.stack([_row(row) for row in rows])

    rows = way.step(f"{info.name}.embed", embed, lambda r: f"{r.dtype} {list(r.shape)}, pooled, not normalised")
    way.step(
        "vectors.truncate_normalize",
        lambda: truncate_normalize(rows, dim or info.dim),
        lambda v: f"{v.dtype} {list(v.shape)}, unit length",
    )
    return way.stages


def describe(value: Decoded) -> str:
    """Kind, dtype, shape and unit of a canonical medium."""
    from onesense.types import Audio, Document, Image, Page, Video

    match value:
        case str():
            return f"str, {len(value):,} characters"
        case Image():
            return f"Image: uint8 {list(value.pixels.shape)} sRGB"
        case Audio():
            return f"Audio: float32 {list(value.samples.shape)} mono 16 kHz, {value.duration_s:.2f} s"
        case Video():
            sound = describe(value.sound) if value.sound else "no sound"
            return f"Video: uint8 {list(value.frames.shape)}, {value.duration_s:.2f} s; {sound}"
        case Page():
            return (
                f"Page {value.number}: uint8 {list(value.image.pixels.shape)}, text of {len(value.text):,} characters"
            )
        case Document():
            return f"Document: {len(value.pages)} pages; first {describe(value.pages[0])}"


def _first(segments: Iterable[Segment]) -> list[Segment]:
    """The first stretches of a file, decoded."""
    return list(islice(segments, _MAX_SEGMENTS))


def _tell_segments(segments: list[Segment]) -> list[str]:
    more = " (the first ones)" if len(segments) == _MAX_SEGMENTS else ""
    lines = [f"{s.locator or 'whole file'}: {s.preview}" for s in segments[:_LISTED]]
    return [f"{len(segments)} segments{more}", *lines]


def _tell_model(backend: Backend) -> str:
    info = backend.info
    return f"{info.name}, revision {info.revision}, {info.dim} dimensions, reads {', '.join(sorted(info.modalities))}"


def _tell_features(ready: list[Features]) -> list[str]:
    lines = []
    for features in ready[:_LISTED]:
        usage = ", ".join(f"{n} {name}" for name, n in features.usage.items())
        lines.append(f"{features.n_tokens} tokens ({usage}){', end left out' if features.truncated else ''}")
        for layer in features.layers:
            read = f"{layer.n_tokens} tokens: {layer.text}" if layer.text else "no words"
            lines.append(f"{layer.name} in {layer.ms:.0f} ms, {read}")
    return [f"{sum(f.n_tokens for f in ready)} tokens in {len(ready)} sequences", *lines]


def _row(row: Any) -> Any:
    """A row of the batcher's answer, or its error raised."""
    if isinstance(row, BaseException):
        raise row
    return row


def _print(file: Path, model: str, stages: list[Stage]) -> None:
    from rich.console import Console
    from rich.text import Text
    from rich.tree import Tree

    from .screen import clip

    total_ms = sum(stage.ms for stage in stages)
    tree = Tree(Text(f"{file} → {model}, {total_ms:.0f} ms", style="bold"))
    for stage in stages:
        branch = tree.add(Text.assemble((f"{stage.name:<28}", "cyan"), (f"{stage.ms:>9.1f} ms  ", "green"), stage.made))
        for line in stage.details:
            branch.add(Text(clip(line, 100), style="dim"))
    Console(width=None if Console().is_terminal else 160).print(tree)
