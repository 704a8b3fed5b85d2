"""The saved adapter, and the model that it makes of its base."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from onesense import Collection, Embedder
from onesense.engine import adapter, models
from onesense.errors import AlreadyExists, CorruptData, FingerprintMismatch, NotFound, PermissionDenied, StorageFull
from onesense.vectors import truncate_normalize
from small_adapter import made_adapter, saved_adapter


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return saved_adapter(tmp_path / "mine")


def test_it_comes_back_as_it_was_saved(folder: Path) -> None:
    made, _ = made_adapter()
    found, manifest = adapter.load(folder)
    np.testing.assert_array_equal(found.down, made.down)
    np.testing.assert_array_equal(found.up, made.up)
    assert (manifest.base.name, manifest.rank, manifest.sizes[0]) == ("tiny", 8, 3072)
    assert [path.name for path in folder.parent.iterdir()] == ["mine"]  # no draft is left


@pytest.mark.parametrize("dim", [3072, 128])
def test_the_model_gives_the_moved_vectors_of_its_base(folder: Path, dim: int) -> None:
    texts = ["a cat", "ein Hund schläft", "three words more"]
    with Embedder("tiny") as base, Embedder(f"adapted:{folder}") as adapted:
        wanted = truncate_normalize(made_adapter()[0](base.embed(texts)), dim)
        found = adapted.embed(texts, dim)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert (found * truncate_normalize(base_rows(texts), dim)).sum(1).max() < 0.999  # and they did move


def base_rows(texts: list[str]) -> np.ndarray:
    with Embedder("tiny") as base:
        return base.embed(texts)


def test_it_is_a_model_of_its_own_by_name_revision_and_weights(folder: Path, tmp_path: Path) -> None:
    found, base = models.info(f"adapted:{folder}"), models.info("tiny")
    assert found.name == f"adapted:{folder}" and found.modalities == base.modalities
    other = models.info(f"adapted:{saved_adapter(tmp_path / 'other', seed=1)}")
    assert len({x.fingerprint(256, None) for x in (found, base, other)}) == 3
    assert found.revision != other.revision


def test_a_relative_path_names_the_same_model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    assert models.info("adapted:mine") == models.info(f"adapted:{folder}")


@pytest.mark.parametrize("name", ["c.json", "c.onesense"])
def test_a_collection_of_the_base_refuses_it_and_the_other_way_round(folder: Path, tmp_path: Path, name: str) -> None:
    mine = f"adapted:{folder}"
    for made_by, refused in (("tiny", mine), (mine, "tiny")):
        path = tmp_path / made_by.partition(":")[0] / name
        path.parent.mkdir(exist_ok=True)
        with Collection.open(path, model=made_by) as opened:
            opened.add([{"id": "r", "content": "a record"}])
        with pytest.raises(FingerprintMismatch, match="cannot be compared"):
            Collection.open(path, model=refused)
        with Collection.open(path) as again:  # by the name that it keeps
            assert again.info.model == made_by and again.search("a record", k=1)[0].id == "r#0"


def test_another_revision_of_the_base_is_refused(folder: Path) -> None:
    changed(folder, lambda fields: fields["base"].update(revision="seed-1"))
    with pytest.raises(FingerprintMismatch, match=r"revision seed-1.*revision seed-0.*adapt again"):
        Embedder(f"adapted:{folder}")


def changed(folder: Path, change) -> None:
    file = folder / adapter.MANIFEST
    fields = json.loads(file.read_text(encoding="utf-8"))
    change(fields)
    file.write_text(json.dumps(fields), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda f: f.update(format="onesense.adapter.v9"), "v9.*this version reads"),
        (lambda f: f.pop("sizes"), "KeyError: 'sizes'"),
        (lambda f: f.update(colour="red"), "TypeError.*colour"),
        (lambda f: f.update(rank="8"), "whole numbers"),
        (lambda f: f.update(sizes=[128, 3072]), r"\[128, 3072\]"),
        (lambda f: f["base"].update(name=3), "texts"),
        (lambda f: f.update(rank=9), r"float32 \[3072, 8\], expected finite float32 \[3072, 9\]"),
        (lambda f: f.update(weights_sha256="0" * 64), "sha256"),
        (lambda f: f["base"].update(name="adapted:/x"), "another adapter"),
    ],
)
def test_a_changed_manifest_is_told(folder: Path, change, told: str) -> None:
    changed(folder, change)
    with pytest.raises(CorruptData, match=told):
        models.info(f"adapted:{folder}")
        models.acquire(f"adapted:{folder}")


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "\udcff"])
def test_a_broken_manifest_is_told(folder: Path, text: str) -> None:
    (folder / adapter.MANIFEST).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(CorruptData, match="cannot be read as an adapter's"):
        adapter.read(folder)


def test_broken_weights_are_told(folder: Path) -> None:
    file = folder / adapter.WEIGHTS
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    with pytest.raises(CorruptData, match="damaged"):
        adapter.load(folder)
    file.unlink()
    with pytest.raises(CorruptData, match="lacks"):
        adapter.load(folder)


@pytest.mark.parametrize("arrays", [{"up": np.zeros((8, 3072), np.float32)}, {"down": np.full((3072, 8), np.nan)}])
def test_wrong_arrays_are_told_though_their_checksum_is_right(folder: Path, arrays) -> None:
    np.savez(folder / adapter.WEIGHTS, **arrays)
    changed(folder, lambda f: f.update(weights_sha256=adapter.sha256(folder / adapter.WEIGHTS)))
    with pytest.raises(CorruptData, match="`down` is"):
        adapter.load(folder)
    np.savez(folder / adapter.WEIGHTS, **vars_of(made_adapter()[0]), more=np.zeros(1))
    changed(folder, lambda f: f.update(weights_sha256=adapter.sha256(folder / adapter.WEIGHTS)))
    with pytest.raises(CorruptData, match="`more`"):
        adapter.load(folder)


def vars_of(made: adapter.Adapter) -> dict[str, np.ndarray]:
    return {"down": made.down, "up": made.up}


def test_no_folder_and_no_adapter_are_told(tmp_path: Path) -> None:
    for name in ("adapted:", "adapted", f"adapted:{tmp_path / 'none'}", f"adapted:{tmp_path}"):
        with pytest.raises(NotFound):
            models.info(name)


def test_nothing_is_written_over(folder: Path) -> None:
    with pytest.raises(AlreadyExists, match="name another"):
        saved_adapter(folder)


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(PermissionDenied, match="cannot be written"):
        saved_adapter(tmp_path / "file" / "mine")


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(StorageFull, match="make room"):
        saved_adapter(tmp_path / "mine")
    assert list(tmp_path.iterdir()) == []


def test_a_kill_while_saving_leaves_no_model(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys, pathlib; sys.path.insert(0, sys.argv[2]); from onesense.engine import adapter;"
        "from small_adapter import saved_adapter;"
        "adapter._flush = lambda file: os.kill(os.getpid(), signal.SIGKILL);"
        "saved_adapter(pathlib.Path(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "mine"), str(Path(__file__).parents[2])], check=False
    )
    assert done.returncode == -9 and not (tmp_path / "mine").exists()
    with pytest.raises(NotFound):
        models.info(f"adapted:{tmp_path / 'mine'}")
    saved_adapter(tmp_path / "mine")  # and it can be saved then
