"""A small library of real files, and collections of the model that is built from a seed."""

from __future__ import annotations

from pathlib import Path

import pytest

from onesense.index.collection import Collection


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "library"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "cat.txt").write_text("A cat purrs on the warm sofa.", encoding="utf-8")
    (folder / "deep" / "bike.md").write_text("# Bicycle\n\nThe red bicycle leans on a wall.", encoding="utf-8")
    (folder / "deep" / "er" / "été.txt").write_text("Un été à la mer, entre amis.", encoding="utf-8")
    return folder


@pytest.fixture(params=["json", "onesense"])
def collection(request, tmp_path):
    with Collection.open(tmp_path / f"test.{request.param}", model="tiny", dim=256) as opened:
        yield opened


@pytest.fixture
def in_json(tmp_path):
    with Collection.open(tmp_path / "test.json", model="tiny", dim=256) as opened:
        yield opened
