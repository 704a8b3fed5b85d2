"""Data of one's own, and packs that travel, through the real senses and the real imported text model."""

from __future__ import annotations

import io
import json
import logging
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from onesense.errors import CorruptData, InvalidInput, NotFound
from onesense.evals.packs import Packs
from onesense.train import run, travel
from onesense.train.data import own, senses, speech
from onesense.train.recipe import Recipe
from onesense.train.tasks import TASKS


def picture(colour: tuple[int, int, int]) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(stream, "PNG")
    return stream.getvalue()


def tone(hz: float) -> bytes:
    import wave

    stream = io.BytesIO()
    with wave.open(stream, "wb") as out:
        out.setparams((1, 2, 16_000, 0, "NONE", ""))
        out.writeframes((np.sin(np.arange(16_000) * hz * 2 * np.pi / 16_000) * 12_000).astype("<i2").tobytes())
    return stream.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "red.png").write_bytes(picture((250, 10, 10)))
    (tmp_path / "tone.wav").write_bytes(tone(440))
    rows = [
        {"query": "a red square", "document": {"file": "red.png"}, "negatives": ["a blue square"]},
        {"query": ["what note is ", {"file": "tone.wav"}], "document": "the note A above middle C"},
        {"query": "capital of France", "document": {"text": "Paris is the capital of France."}},
    ]
    lines = [*map(json.dumps, rows), "{not json", json.dumps({"query": "x"}), json.dumps(rows[0] | {"query": ""})]
    (tmp_path / "mine.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


def test_rows_are_read_and_bad_ones_named(folder, caplog):
    faults = own.Faults(5)
    with caplog.at_level(logging.WARNING):
        rows = list(own.read(folder / "mine.jsonl", faults))
    assert [row.where for row in rows] == [f"mine.jsonl line {n}" for n in (1, 2, 3)]
    assert rows[0].negatives[0].parts[0].value == "a blue square" and rows[1].query.names == ("", "tone.wav")
    assert [told.split(":")[0] for told in faults.told] == [f"mine.jsonl line {n}" for n in (4, 5, 6)]
    assert "expected an object with `query` and `document`" in caplog.text


def test_too_many_bad_rows_are_refused_with_the_first_of_them(folder):
    with pytest.raises(InvalidInput, match=r"3 bad rows, more than the 2 .*mine\.jsonl line 4.*line 5.*line 6"):
        list(own.read(folder / "mine.jsonl", own.Faults(2)))


def shard(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def test_webdataset_shards(tmp_path):
    files = {
        "a.png": picture((1, 2, 3)), "a.json": json.dumps({"captions": ["one", "two"]}).encode(),
        "b.wav": tone(200), "b.txt": b"a low tone",
        "c.json": json.dumps({"query": "q"}).encode(), "c.txt": b"the answer",
        "d.png": b"no picture",
    }  # fmt: skip
    faults = own.Faults(1)
    rows = list(own.read(shard(tmp_path / "x.tar", files), faults))
    assert [(row.where, row.query.parts[0].value) for row in rows] == [
        ("x.tar a", "one"), ("x.tar a", "two"), ("x.tar b", "a low tone"), ("x.tar c", "q"),
    ]  # fmt: skip
    assert rows[2].document.names == ("x.tar/b.wav",) and rows[3].document.parts[0].value == "the answer"
    assert faults.told[0].startswith("x.tar d: no text to find it by")


@pytest.mark.parametrize(("name", "error"), [("none.jsonl", NotFound), ("a.csv", InvalidInput)])
def test_other_files_are_refused(tmp_path, name, error):
    (tmp_path / "a.csv").write_text("x", encoding="utf-8")
    with pytest.raises(error):
        list(own.read(tmp_path / name, own.Faults(0)))


def test_perceived_once_and_from_the_cache_afterwards(folder, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    first = own.Senses(cache)
    (row, *_) = own.read(folder / "mine.jsonl", own.Faults(9))
    seen = first.perceive(row.document.parts[0], row.document.names[0])
    first.save()
    assert seen.sense == "picture" and seen.soft.shape == (10, 384) and seen.features.shape == (10, 1280)
    (folder / "red.png").unlink()
    monkeypatch.setattr(own.media, "decode", None)
    again = own.Senses(cache).perceive(row.document.parts[0], row.document.names[0])
    assert np.array_equal(again.soft, seen.soft)


def test_a_changed_file_is_perceived_anew(folder, tmp_path):
    kept = own.Senses(tmp_path / "cache")
    part = own.Part.file(folder / "red.png")
    before = kept.perceive(part, "red.png")
    (folder / "red.png").write_bytes(picture((10, 10, 250)) + b" ")
    assert not np.array_equal(kept.perceive(part, "red.png").soft, before.soft)


def test_training_sees_what_the_bundled_model_sees(folder, tmp_path):
    """Soft words through the bridge of the bundled model are the tokens of its own eye."""
    from onesense.engine.backends._mini import compose
    from onesense.engine.backends._mini.graph import widen
    from onesense.engine.backends._mini.package import Package
    from onesense.engine.backends._mini.senses import Eye

    bridge = widen(Package().arrays("bridge.npz"))
    pixels = own.media.decode(own.Part.file(folder / "red.png"))[1].pixels
    (wanted,) = Eye(Package(), bridge, 1)([pixels])
    seen = own.Senses(tmp_path / "cache").perceive(own.Part.file(folder / "red.png"), "red.png")
    tokens = compose.soft_tokens("picture", seen.soft.astype(np.float32), seen.features.astype(np.float32), bridge)
    assert np.allclose(tokens, wanted.tokens, atol=2e-2 * np.abs(wanted.tokens).max())


@pytest.mark.sources
def test_own_data_is_learnt_and_travels_without_its_media(folder, tmp_path, tiny, student, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(travel, "ENCODERS", ())  # the imported networks take long to pack
    arguments = {"data": "mine.jsonl", "skip": 3, "batch": 3, "cache": "cache"}
    task = TASKS["pairs"](None, student, **arguments)
    free = [p for p in student.bridge.parameters() if p.requires_grad]
    loss = task.loss(student, run.random.Random(0))
    assert torch.isfinite(loss)
    gradients = torch.autograd.grad(loss, free, allow_unused=True)
    assert any(g is not None and g.abs().max() > 0 for g in gradients)
    recipe = Recipe(tasks={"pairs": arguments}, start=run.BUNDLED)
    travel.pack(recipe, tmp_path / "pack")
    for name in ("red.png", "tone.wav"):
        (folder / name).unlink()
    again, root = travel.unpack(tmp_path / "pack")
    assert again == recipe
    unfolded = TASKS["pairs"](None, student, **run.rooted(again, root).tasks["pairs"])
    assert unfolded.loss(student, run.random.Random(0)).item() == pytest.approx(loss.item(), rel=1e-4)


@pytest.mark.sources
def test_a_run_starts_from_the_bundled_model(student):
    weights = run.bundled_weights()
    run._put(run._modules(student), weights, Path("bundled"))
    free = {k for k, p in run._modules(student).named_parameters() if p.requires_grad}
    assert set(weights) == free and run.bundled_mean().shape == (384,)


@pytest.mark.sources
def test_a_pack_holds_a_stage(tiny, tmp_path, student, monkeypatch):
    monkeypatch.chdir(tiny)
    monkeypatch.setattr(travel, "ENCODERS", ())
    recipe = run.smoke(Recipe(tasks={"pictures": {}, "sounds": {}, "speech": {}, "retain": {}}))
    manifest = travel.pack(recipe, tmp_path / "pack", piece_bytes=2 << 20)
    assert len(manifest["pieces"]) > 3 and max(p["bytes"] for p in manifest["pieces"]) <= 2 << 20
    again, root = travel.unpack(tmp_path / "pack")
    assert again == recipe
    packs = Packs(root / "data")
    for name, arguments in run.rooted(again, root).tasks.items():
        assert torch.isfinite(TASKS[name](packs, student, **arguments).loss(student, run.random.Random(0)))
    here, there = (senses.pictures(place / "runs/features")["grocery"] for place in (tiny, root))
    assert len(here) == len(there)
    for a, b in zip(here, there, strict=True):
        x, y = a.features.astype(np.float32), b.features.astype(np.float32)
        assert ((x * y).sum(1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)).min() > 0.9999
    for a, b in zip(speech.clips(tiny / "runs/ear"), speech.clips(root / "runs/ear"), strict=True):
        assert a.text == b.text and np.array_equal(a.tokens, b.tokens)


def test_a_damaged_or_missing_piece_is_told(tmp_path):
    piece = {"name": "piece-000.bin", "bytes": 3, "sha256": "0" * 64}
    manifest = {"format": travel.FORMAT, "recipe": Recipe(tasks={}).to_dict(), "pieces": [piece], "files": {}}
    with pytest.raises(NotFound, match="--pack"):
        travel.unpack(tmp_path)
    (tmp_path / "pack.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(NotFound, match="has not arrived"):
        travel.unpack(tmp_path)
    (tmp_path / "piece-000.bin").write_bytes(b"abc")
    with pytest.raises(CorruptData, match="damaged"):
        travel.unpack(tmp_path)


@pytest.mark.parametrize("path", ["/far/away", "../beside"])
def test_paths_that_cannot_travel_are_refused(path, tmp_path):
    with pytest.raises(InvalidInput, match="cannot travel"):
        travel.pack(Recipe(tasks={"speech": {"folder": path}}), tmp_path)
