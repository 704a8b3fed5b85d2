"""A backend's vectors are compared with those on record, and a wrong one is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onesense.engine import conformance, models
from onesense.engine.backends import tiny
from onesense.errors import CorruptData, InvalidInput
from onesense.types import Array, Batch, Task


@pytest.fixture(autouse=True)
def _unloaded() -> Any:
    models.close()
    yield
    models.close()


def _broken(name: str) -> dict[str, bool]:
    return {finding.name: finding.is_fine for finding in conformance.check(name)}


@pytest.mark.parametrize("name", ["tiny", "onesense-mini"])
def test_the_bundled_models_give_the_vectors_on_record(name: str) -> None:
    findings = list(conformance.check(name))
    assert [finding for finding in findings if not finding.is_fine] == []
    assert "cosine" in findings[-1].found


def _with_rows(monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
    embed = tiny.Backend.embed

    def changed(self: tiny.Backend, batch: Batch) -> Array:
        return np.asarray(change(embed(self, batch), batch), np.float32)

    monkeypatch.setattr(tiny.Backend, "embed", changed)


def test_vectors_that_moved_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.RandomState(0).standard_normal(3072) * 0.02
    _with_rows(monkeypatch, lambda rows, batch: rows + np.linalg.norm(rows, axis=1, keepdims=True) * noise * 0.3)
    found = _broken("tiny")
    assert not found["vectors on record"] and found["batch equals single"]


def test_one_vector_for_everything_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    _with_rows(monkeypatch, lambda rows, batch: np.ones_like(rows))
    assert not _broken("tiny")["distinct inputs, distinct vectors"]


def test_a_vector_that_depends_on_its_neighbours_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    _with_rows(monkeypatch, lambda rows, batch: rows + rows.mean(0) * (len(batch) > 1))
    assert not _broken("tiny")["batch equals single"]


def test_another_prompt_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    prompted = replace(tiny.Backend.info, prompts={Task.SEARCH_QUERY: "find: {text}"})
    monkeypatch.setattr(tiny.Backend, "info", prompted)
    assert conformance.prompts("tiny")["search query"] == "find: TEXT"
    assert not _broken("tiny")["prompts on record"]


def test_a_record_is_written_and_read(tmp_path: Path) -> None:
    file = conformance.make_reference("tiny", tmp_path / "kept.npz")
    about, vectors = conformance.read_reference(file)
    assert about["format"] == conformance.FORMAT and about["model"] == "tiny"
    assert set(vectors) == set(conformance.probes(models.info("tiny")))


def test_wrong_vectors_are_not_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _with_rows(monkeypatch, lambda rows, batch: np.ones_like(rows))
    with pytest.raises(InvalidInput, match="not kept"):
        conformance.make_reference("tiny", tmp_path / "kept.npz")
    assert not (tmp_path / "kept.npz").exists()


def test_a_record_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    file = tmp_path / "kept.npz"
    for data in (b"", b"nonsense"):
        file.write_bytes(data)
        with pytest.raises(CorruptData, match="make-reference"):
            conformance.read_reference(file)
    np.savez(file, about=np.array(json.dumps({"format": "other"})), english=np.ones(3))
    with pytest.raises(CorruptData, match="other"):
        conformance.read_reference(file)
