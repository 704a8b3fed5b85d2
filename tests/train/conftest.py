"""Fixtures of the training tests."""

from __future__ import annotations

from pathlib import Path

import pytest

SOURCES = Path(".sources").resolve()


@pytest.fixture(scope="session")
def tiny_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tiny_data import write_all

    return write_all(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def tiny(tiny_root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Training reads the tiny data; the imported networks stay the real ones."""
    from onesense.train.tasks import pictures

    monkeypatch.setenv("ONESENSE_DATA", str(tiny_root / "data"))
    monkeypatch.setenv("ONESENSE_SOURCES", str(SOURCES))
    monkeypatch.setattr(pictures.Eye, "_made", {})
    return tiny_root


@pytest.fixture(scope="session")
def student(tiny_root: Path):
    """A student that has learnt nothing, made once: rank 4, fp32."""
    import os

    from onesense.train import run
    from onesense.train.recipe import Recipe

    before = {name: os.environ.get(name) for name in ("ONESENSE_DATA", "ONESENSE_SOURCES")}
    os.environ |= {"ONESENSE_DATA": str(tiny_root / "data"), "ONESENSE_SOURCES": str(SOURCES)}
    made, _ = run.build(Recipe(tasks={}, rank=16, bf16=False))
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})
    return made
