"""A checkpoint on its whole way: from a hub to this machine, verified, in a collection, damaged, removed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import small_checkpoints
from typer.testing import CliRunner

from hub_server import COMMIT, running_hub
from onesense import Collection, Embedder
from onesense.cli.main import app
from onesense.engine import models, records
from onesense.engine.records import Record


def run(*args: str) -> Any:
    return CliRunner().invoke(app, ["models", *args])


def _files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, _clean_environment: Path) -> None:
    monkeypatch.setenv("ONESENSE_MODELS", str(tmp_path / "models"))


@pytest.fixture
def pulled(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """EmbeddingGemma 2 under its own name; only the repository and the weights are ours."""
    folder = shelf / "embeddinggemma"
    if not folder.is_dir():
        small_checkpoints.embeddinggemma(folder)
    real = records.read("embeddinggemma-2")
    ours: dict[str, Record] = {"embeddinggemma-2": replace(real, repository="maker/model", revision=COMMIT)}
    read = records.read
    monkeypatch.setattr(records, "read", lambda name: ours.get(name) or read(name))
    with running_hub(_files(folder)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        assert run("pull", "embeddinggemma-2", "--strict").exit_code == 0
    yield "embeddinggemma-2"


def test_it_is_listed_with_the_facts_of_its_files(pulled: str) -> None:
    info = models.info(pulled)
    assert (info.name, info.revision, info.dim) == (pulled, COMMIT, 48)
    assert info.max_tokens == small_checkpoints.MAX_TOKENS
    assert pulled in {record.name for record in models.list_models()}


def test_it_makes_a_collection_that_finds_and_refuses_others(pulled: str, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    for name, text in {"cat": "a cat purring", "bike": "a red bicycle in the rain"}.items():
        (notes / f"{name}.txt").write_text(text)
    with Collection.open(tmp_path / "c.json", model=pulled) as collection:
        assert collection.add([notes]).failed == []
        found = collection.search("a red bicycle in the rain", k=2)
    assert {Path(hit.path).name for hit in found} == {"cat.txt", "bike.txt"}


def test_vectors_are_kept_and_an_upgrade_that_moves_them_is_told(pulled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("verify", pulled, "--make-reference").exit_code == 0
    facts = json.loads(run("verify", pulled, "--json").stdout)
    assert facts["is_fine"] and {f["name"] for f in facts["findings"]} >= {"files", "vectors on record"}
    assert facts["prompts"]["search query"] == "task: search result | query: TEXT"
    assert "<|image|>" in facts["prompts"]["picture"]
    backend = type(models.resolve(pulled))
    render = backend.render
    monkeypatch.setattr(backend, "render", lambda self, items, told: "Represent this: " + render(self, items, told))
    result = run("verify", pulled)
    assert result.exit_code == 1 and "other ones" in result.output


def test_damage_is_found_and_mended(pulled: str) -> None:
    from onesense.engine import shelf as place

    file = place.folder(pulled) / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    result = run("verify", pulled)
    assert result.exit_code == 1 and "another content" in result.output
    assert run("pull", pulled, "--offline").exit_code == 1
    assert run("remove", pulled).exit_code == 0
    assert run("verify", pulled).exit_code == 2


def test_any_sentence_transformers_model_comes_by_its_address(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = shelf / "sentence-transformers"
    if not folder.is_dir():
        small_checkpoints.sentence_transformer(folder)
    with running_hub(_files(folder)) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        assert run("pull", "maker/model").exit_code == 0
    assert models.info("sentence-transformers:model").revision == COMMIT
    assert Embedder("sentence-transformers:model").embed("a cat").shape == (1, 32)
    assert run("verify", "sentence-transformers:model", "--make-reference").exit_code == 0
    assert "1.000000 or more" in run("verify", "sentence-transformers:model").output
