"""Does a backend give the vectors that it should? Compared with vectors on record, and with itself.

A record is one npz file: float16 [D] a probe, and `about`, JSON with the model, its revision and the digest of its
prompts. Those of the bundled models are in `references/`; that of a checkpoint lies in its folder, and is written on
the user's word, when the vectors are known to be right: it tells an upgrade of a library that moves them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from onesense.errors import CorruptData, InvalidInput, NotFound
from onesense.types import Array, Audio, Content, Image, ModelInfo, Page, Part, Prompted, Task, Video
from onesense.vectors import cosine

from . import models, shelf, tasks
from .embedder import Embedder

FORMAT = "onesense.reference.v1"
FILE = "onesense.reference.npz"
BUNDLED = Path(__file__).parent / "references"
MIN_COSINE = 0.999  # leaves room for another processor's rounding, as the golden test of the bundled model does
_SAME = 0.9999  # one item, alone and among others, in fp32
_SAME_BF16 = 0.999


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was compared."""

    name: str
    found: str
    is_fine: bool = True


def probes(info: ModelInfo) -> dict[str, Content]:
    """Inputs made by code, the same on every machine; those that the model has a sense for."""
    t = np.arange(2 * 16_000) / 16_000
    tone = (0.3 * np.sin(2 * np.pi * 440 * t) * (np.sin(2 * np.pi * 3 * t) > 0)).astype(np.float32)
    y, x = np.mgrid[0:96, 0:128]
    stripes = np.stack([x * 2, y * 2, (x // 16 + y // 16) % 2 * 200], -1).astype(np.uint8)
    frames = np.stack([stripes, stripes[:, ::-1]])
    video = Video(frames, np.array([0.0, 1.0], np.float32), Audio(tone), 2.0)
    made = {
        "english": ("text", Content("a red bicycle leans on the wall")),
        "japanese": ("text", Content("赤い自転車が壁に立てかけてある")),
        "long": ("text", Content("The harvest was late and small. " * 120)),
        "picture": ("image", Content(Part(Image(stripes)))),
        "sound": ("audio", Content(Part(Audio(tone)))),
        "video": ("video", Content(Part(video))),
        "page": ("pdf", Content(Part(Page(Image(stripes), "Revenue by quarter", 1)))),
        "mixed": ("image", Content("my wallpaper, ", Part(Image(stripes)), " and its colour")),
    }
    return {name: content for name, (modality, content) in made.items() if modality in info.modalities}


def prompts(name: str) -> dict[str, str]:
    """By task, exactly what the model reads for the text `TEXT`; and for a picture, where it sees."""
    info, backend = models.info(name), models.resolve(name)
    contents: dict[str, tuple[Content, Task | None]] = {"no task": (Content("TEXT"), None)}
    contents |= {task.value: (Content("TEXT"), task) for task in Task}
    if "picture" in (made := probes(info)):
        contents["picture"] = (made["picture"], None)
    found: dict[str, str] = {}
    for kind, (content, task) in contents.items():
        applied = tasks.apply(content, task, info)
        if isinstance(backend, Prompted):
            found[kind] = backend.prompt(applied)
        else:
            found[kind] = "".join(str(p.value) for p in applied.parts if isinstance(p.value, str))
    return found


def digest(found: Mapping[str, str]) -> str:
    """Of all prompts: another one where a single character is another."""
    return hashlib.sha256(json.dumps(found, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:16]


def check(name: str) -> Iterator[Finding]:
    """Everything that can be compared for one model; loads it.

    Raises:
        NotFound: no model has this name, or it is not on this machine.
        CorruptData: the weights do not load, or the vectors on record cannot be read.
    """
    base = name.partition(":")[2] or name
    if base == Path(base).name and shelf.is_here(base):
        faults = list(shelf.faults(base))
        yield Finding(
            "files", "; ".join(faults[:3]) or f"{len(shelf.read_manifest(base).files)} with their sha256", not faults
        )
    with Embedder(name) as embedder:
        info = embedder.info
        made = probes(info)
        rows = embedder.embed(list(made.values()))
        alone = np.concatenate([embedder.embed(content) for content in made.values()])
    yield Finding("finite", f"{len(rows)} vectors of {info.dim}", bool(np.isfinite(rows).all()))
    yield _distinct(rows, list(made))
    same = float(np.diag(cosine(rows, alone)).min())
    least = _SAME if info.dtype_class == "fp32" else _SAME_BF16
    yield Finding("batch equals single", f"cosine {same:.6f} or more", same > least)
    said = digest(prompts(name))
    yield Finding("prompts", f"digest {said}")
    yield from _against_record(info, dict(zip(made, rows, strict=True)), said)


def _distinct(rows: Array, names: list[str]) -> Finding:
    near = cosine(rows, rows)
    np.fill_diagonal(near, -1.0)
    first, second = np.unravel_index(int(near.argmax()), near.shape)
    found = f"nearest two: {names[first]} and {names[second]}, cosine {near.max():.4f}"
    return Finding("distinct inputs, distinct vectors", found, bool(near.max() < 0.9999))


def _against_record(info: ModelInfo, rows: Mapping[str, Array], said: str) -> Iterator[Finding]:
    file = reference_file(info)
    if file is None or not file.is_file():
        yield Finding("vectors on record", "none: `onesense models verify --make-reference` keeps today's")
        return
    about, vectors = read_reference(file)
    if about["dtype_class"] != info.dtype_class or about["dim"] != info.dim:
        yield Finding(
            "vectors on record", f"of {about['dtype_class']} and {about['dim']}: cannot be compared", is_fine=False
        )
        return
    yield Finding(
        "prompts on record", "the same" if about["prompts"] == said else "other ones", about["prompts"] == said
    )
    near = {name: float(cosine(rows[name][None], vectors[name][None])[0, 0]) for name in vectors if name in rows}
    worst = min(near, key=near.__getitem__)
    found = f"cosine {near[worst]:.6f} or more ({worst})"
    yield Finding("vectors on record", found, near[worst] >= MIN_COSINE and set(near) == set(rows))


def reference_file(info: ModelInfo) -> Path | None:
    """Where the vectors on record of a model are or would be; None for a model without a place of its own."""
    if (bundled := BUNDLED / f"{info.name}.npz").is_file():
        return bundled
    model = info.name.partition(":")[2] or info.name
    if model == Path(model).name:
        return shelf.folder(model) / FILE if shelf.is_here(model) else None
    folder = Path(model).expanduser()
    return folder / FILE if folder.is_dir() else None


def read_reference(file: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """What the vectors on record are of, and float32 [D] by probe.

    Raises:
        CorruptData: the file cannot be read, or is of another format.
    """
    try:
        with np.load(file) as stored:
            about = json.loads(str(stored["about"]))
            vectors = {name: stored[name].astype(np.float32) for name in stored.files if name != "about"}
        if about["format"] != FORMAT or not vectors:
            raise CorruptData(f"`{file}` is of format {about['format']!r}, not {FORMAT!r}")
        return about, vectors
    except (OSError, ValueError, KeyError, TypeError, EOFError) as cause:
        raise CorruptData(f"`{file}` cannot be read ({cause}): write it anew with --make-reference") from None


def make_reference(name: str, file: Path | None = None) -> Path:
    """Keep the vectors that a model gives now.

    Args:
        name: the model.
        file: where to; the model's own place by default.

    Raises:
        InvalidInput: the vectors are wrong in themselves, or the model has no folder to keep them in.
    """
    info = models.info(name)
    target = file or reference_file(info)
    if target is None:
        raise InvalidInput(f"`{name}` has no folder of its own, so its vectors cannot be kept")
    wrong = [f for f in check(name) if not f.is_fine and "record" not in f.name]
    if wrong:
        raise InvalidInput(f"the vectors of `{name}` are wrong ({wrong[0].name}: {wrong[0].found}): not kept")
    made = probes(info)
    with Embedder(name) as embedder:
        rows = embedder.embed(list(made.values()))
    about = {
        "format": FORMAT, "model": info.name, "revision": info.revision, "dtype_class": info.dtype_class,
        "dim": info.dim, "prompts": digest(prompts(name)),
    }  # fmt: skip
    arrays: dict[str, Any] = {probe: row.astype(np.float16) for probe, row in zip(made, rows, strict=True)}
    try:
        np.savez(target, about=np.array(json.dumps(about)), **arrays)
    except OSError as cause:
        raise NotFound(f"`{target}` cannot be written: {cause.strerror}") from None
    return target
