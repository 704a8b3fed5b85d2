"""From a checkpoint to the folder that ships: graphs, weights in compact form, tables, head, manifest.

    python -m onesense.train.export CHECKPOINT --features runs/features --ear runs/ear --pieces FILE
        --reader runs/reader --out FOLDER

A second run gives the same files, byte for byte.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from ..engine.backends._mini.ear import Adapter
from ..engine.backends._mini.package import FORMAT
from ..engine.backends._mini.tokenizer import pack
from ..evals.packs import Packs
from ..types import Array
from . import centre, graphs, matched, reader, sources, vocabulary
from .compact import compact
from .concepts import Table
from .data import senses
from .head import fit_rotation
from .importers import e5, whisper
from .letters import Letters
from .model.ear import Encoder
from .model.trunk import LAYERS
from .run import Recipe, Student, build, load

MB = 1e6


@dataclass(frozen=True, slots=True)
class Choice:
    """Constants of the head, chosen on the development sets (dev/LOG.md)."""

    skip: float = 0.45
    detail: float = 0.02
    centring: float = 0.5
    """How much of what sets a sense apart from text is taken away, 0..1."""
    decay: float = 0.5
    """How much less the later of the 384 shared dimensions weigh: the last one exp(-decay). The first ones hold what
    pairs of all kinds have in common, the last ones what tells single texts apart."""
    branches: float = 0.8
    """How much of the trained branches is kept, 0..1: between the imported and the trained trunk (Wortsman et al. 2022,
    arXiv:2109.01903)."""


def _save(file: Path, arrays: dict[str, Array]) -> None:
    np.savez(file, **cast(Any, arrays))


def write_words(words: e5.Q4, out: Path) -> None:
    """The rows of the word table; scales by a codebook of 256 levels (128 sizes, two signs)."""
    scales = words.scales.astype(np.float32)
    sizes = np.abs(scales)
    low, high = np.quantile(sizes, [0.0005, 0.9995])
    levels = np.concatenate([np.geomspace(sizes.min(), low, 5)[:-1], np.geomspace(low, high, 120)])
    levels = np.concatenate([levels, np.geomspace(high, sizes.max(), 5)[1:]]).astype(np.float32)
    middles = np.sqrt(levels[1:] * levels[:-1])
    codes = np.searchsorted(middles, sizes) + 128 * (scales < 0)
    np.save(out / "words.nibbles.npy", words.nibbles)
    np.save(out / "words.scales.npy", codes.astype(np.uint8))
    np.save(out / "words.levels.npy", np.concatenate([levels, -levels]))


def write_tokenizer(ids: Array, letters: Letters | None, out: Path) -> None:
    """The tokeniser with the kept pieces, and those of letters behind them."""
    full = json.loads(sources.path("e5_tokenizer").read_text(encoding="utf-8"))
    pieces = full["model"]["vocab"]
    full["model"]["vocab"] = [pieces[i] for i in ids]
    if letters is not None:
        letters.extend(full)
    full["added_tokens"] = [t for t in full["added_tokens"] if t["id"] in vocabulary.SPECIALS]
    full["post_processor"] = None
    full["truncation"] = full["padding"] = None
    np.savez_compressed(out / "tokenizer.npz", **cast(Any, pack(full)))


def write_trunk(student: Student, source: e5.E5, out: Path) -> None:
    """The imported four-bit blocks as they are, with the trained branches beside them."""
    weights = graphs.trunk_weights(student.trunk)
    graphs.trunk(weights, out / "trunk.onnx")
    stored: dict[str, Array] = {"position": weights["position"].astype(np.float16)}
    blocks = source.matrices
    for i in range(LAYERS):
        parts = {"qkv": [blocks[f"l{i}.{k}.w"] for k in "qkv"]}
        parts |= {ours: [blocks[f"l{i}.{theirs}.w"]] for ours, theirs in (("out", "ao"), ("up", "fi"), ("down", "fo"))}
        for name, matrices in parts.items():
            key = f"layers.{i}.{name}"
            stored[f"{key}.weight.nibbles"] = np.concatenate([m.nibbles for m in matrices])
            stored[f"{key}.weight.scales"] = np.concatenate([m.scales for m in matrices])
            for branch in ("down", "up"):
                stored[f"{key}.weight.{branch}"] = weights[f"{key}.weight.{branch}"].astype(np.float16)
    stored |= {k: v for k, v in weights.items() if v.ndim == 1}
    _save(out / "trunk.npz", stored)


def write_senses(features: Path, ear: Path, out: Path) -> None:
    """Graphs and weights of eye, sound and ear, and the concept tables."""
    from .importers import yamnet
    from .tables import speech_rows

    table = Table.load(features / "eye_table.npz")
    write_eye(table, out)
    network = yamnet.load(sources.path("yamnet"))
    dynamic = {name: {0: "P"} for name in ("patches", "embedding", "logits")}
    weights = graphs.traced(network, (torch.zeros(1, 96, 64),), out / "sound.onnx", dynamic, ["embedding", "logits"])
    _save(out / "sound.npz", compact(weights))
    encoder = Encoder.imported(whisper.read(sources.path("whisper")))
    dynamic = {"mel": {2: "F"}, "states": {1: "T"}}
    weights = graphs.traced(encoder, (torch.zeros(1, 80, 200),), out / "ear.onnx", dynamic, ["states"])
    _save(out / "ear.npz", compact(weights))
    adapter = Adapter.load(ear / "adapter.npz")
    _save(out / "adapter.npz", compact({f.name: getattr(adapter, f.name) for f in fields(adapter)}))
    stored = compact({"W": table.weight, "out": table.out, "soft": table.soft})
    stored |= {"b": table.bias, "temperature": np.array(table.temperature, np.float32)}
    _save(out / "eye_table.npz", stored)
    sound = Table.load(features / "sound_table.npz")
    rows = np.array(speech_rows(sources.data_root() / "teachers/yamnet_class_map.csv"), np.int64)
    _save(out / "sound_table.npz", {"speech_rows": rows} | compact({"out": sound.out, "soft": sound.soft}))
    (out / "names.json").write_text(json.dumps({"eye": table.names, "sound": sound.names}, indent=0), encoding="utf-8")


def write_eye(table: Table, out: Path) -> None:
    """The eye's graph in 8 bits, with the logits of the table's rows, and its weights; the rows are in the table."""
    from . import eightbit
    from .features import EyeWithTable
    from .importers import efficientnet
    from .model.eye import LITE0

    eye = EyeWithTable(efficientnet.load(sources.path(LITE0.name), LITE0).eye, table.weight, table.bias)
    pixels = torch.zeros(1, 3, eye.eye.resolution, eye.eye.resolution, dtype=torch.uint8)
    dynamic = {name: {0: "B"} for name in ("pixels", "features", "logits")}
    weights = graphs.traced(eye, (pixels,), out / "eye.onnx", dynamic, ["features", "logits"])
    weights = eightbit.quantize(out / "eye.onnx", weights, eightbit.calibration_pictures(Packs(sources.data_root())))
    kept = compact({k: v for k, v in weights.items() if k not in ("rows", "bias")})
    np.savez_compressed(out / "eye.npz", **cast(Any, kept))  # 8-bit weights: an eighth smaller, 20 ms to read


def write_bridge(student: Student, features: Path, ear: Path, choice: Choice, out: Path) -> None:
    """Bridge and head, with the map and the centres fitted on the trained trunk's own vectors."""
    bridge: dict[str, Array] = {k: v.detach().numpy() for k, v in student.bridge.named().items() if k != "letters"}
    packs = senses.pictures(features)
    clips = senses.sounds(features)
    of_pictures, of_sounds = senses.picture_sense(features, packs), senses.sound_sense(features, clips)
    for name, sense in (("picture", of_pictures), ("sound", of_sounds)):
        bridge[f"{name}.mean"], bridge[f"{name}.spread"] = sense.mean, (0.3 / sense.deviation).astype(np.float32)
    pairs = matched.text_pairs()
    bridge["head.mean"] = np.concatenate([matched.encode(student, [p[side] for p in pairs]) for side in (0, 1)]).mean(0)
    bridge |= {"head.skip": np.array(choice.skip, np.float32), "head.detail": np.array(choice.detail, np.float32)}
    bridge |= {"head.centring": np.zeros((), np.float32), "head.centre": np.zeros((3, 384), np.float32)}
    said = matched.text_group(student, pairs, bridge)
    parts = centre.examples(student, (of_pictures, packs), (of_sounds, clips), ear)
    bridge["head.centre"] = centre.gaps(student, parts, said[1].mean(0), bridge)
    bridge["head.centring"] = np.array(choice.centring, np.float32)
    asked = matched.text_group(student, matched.search_pairs(), bridge)
    seen = matched.sense_groups(student, (of_pictures, packs), (of_sounds, clips), ear, bridge)
    turn = fit_rotation([said, asked, *seen])
    bridge["head.map"] = turn * np.exp(-choice.decay * np.arange(len(turn), dtype=np.float32) / len(turn))
    exact = {k: v for k, v in bridge.items() if k.startswith("head") or k.endswith((".mean", ".spread"))}
    _save(out / "bridge.npz", exact | compact({k: v for k, v in bridge.items() if k not in exact}))


def write_manifest(out: Path) -> dict[str, Any]:
    """Checksums, sizes and what the model was made from; the revision is a digest of the files."""
    files = {}
    for path in sorted(out.iterdir()):
        if path.name != "manifest.json":
            content = path.read_bytes()
            files[path.name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    revision = hashlib.sha256("".join(str(f["sha256"]) for f in files.values()).encode()).hexdigest()[:12]
    made_from = {k: {"sha256": s.sha256, "licence": s.licence, "what": s.made_by} for k, s in sources.SOURCES.items()}
    manifest = {"format": FORMAT, "name": "onesense-mini", "revision": revision, "files": files, "made_from": made_from}
    (out / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return manifest


def export(
    checkpoint: Path | None,
    features: Path,
    ear: Path,
    pieces: Path,
    out: Path,
    choice: Choice,
    letters: Path | None = None,
    *,
    print_reader: Path,
) -> dict[str, Any]:
    """Write the whole package.

    Args:
        checkpoint: of `onesense.train.run`, None for the imported trunk without training.
        features: folder of the tables and cached features.
        ear: folder of the ear's adapter.
        pieces: `pieces.npz` of `onesense.train.vocabulary`.
        out: the model folder; files of the same names are replaced.
        choice: constants of the head.
        letters: file of `onesense.train.letters`, where the checkpoint was trained with one; its rows are the trained.
        print_reader: folder of the two networks that read print.
    """
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    student, _ = build(Recipe(tasks={}, letters=None if letters is None else str(letters)))
    if checkpoint is not None:
        load(student, checkpoint)
    with torch.no_grad():
        for name, parameter in student.trunk.named_parameters():
            if name.endswith("up_rank"):
                parameter.mul_(choice.branches)
    source = e5.read(sources.path("e5"))
    counts = np.load(pieces)["counts"]
    vocab = json.loads(sources.path("e5_tokenizer").read_text(encoding="utf-8"))["model"]["vocab"]
    ids = vocabulary.kept(counts, [piece for piece, _ in vocab])
    words, counts = e5.Q4(source.words.scales[ids], source.words.nibbles[ids]), counts[ids]
    learnt = student.teacher.letters
    if learnt is not None:
        rows = e5.Q4.quantize(student.bridge.values["letters"].detach().numpy())
        words = e5.Q4(np.concatenate([words.scales, rows.scales]), np.concatenate([words.nibbles, rows.nibbles]))
        counts = np.concatenate([counts, learnt.counts])
    write_words(words, out)
    write_tokenizer(ids, learnt, out)
    _save(out / "word_weights.npz", {"idf": vocabulary.idf(counts).astype(np.float16)})
    write_trunk(student, source, out)
    write_senses(features, ear, out)
    write_bridge(student, features, ear, choice, out)
    reader.write(print_reader, out)
    return write_manifest(out)


def main() -> None:
    """Command line of the export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    for name in ("features", "ear", "pieces", "reader", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--letters", type=Path)
    parser.add_argument("--skip", type=float, default=Choice().skip)
    parser.add_argument("--detail", type=float, default=Choice().detail)
    parser.add_argument("--centring", type=float, default=Choice().centring)
    parser.add_argument("--decay", type=float, default=Choice().decay)
    parser.add_argument("--branches", type=float, default=Choice().branches)
    o = parser.parse_args()
    manifest = export(
        o.checkpoint,
        o.features,
        o.ear,
        o.pieces,
        o.out,
        Choice(o.skip, o.detail, o.centring, o.decay, o.branches),
        o.letters,
        print_reader=o.reader,
    )
    for name, file in manifest["files"].items():
        sys.stdout.write(f"{file['bytes'] / MB:8.2f} MB  {name}\n")
    total = sum(f["bytes"] for f in manifest["files"].values()) / MB
    sys.stdout.write(f"{total:8.2f} MB  revision {manifest['revision']}\n")


if __name__ == "__main__":
    main()
