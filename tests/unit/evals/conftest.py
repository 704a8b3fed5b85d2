"""Fixtures of the evaluation tests: the planted data folder and who reads it."""

from __future__ import annotations

from pathlib import Path

import pytest
from planted import Guesser, Noisy, Oracle, class_packs, media_packs, text_packs

from onesense.evals.packs import Packs, write_pack


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_pack(folder, text_packs() | media_packs() | class_packs())
    return folder


@pytest.fixture
def packs(data: Path) -> Packs:
    return Packs(data)


@pytest.fixture
def oracle() -> Oracle:
    return Oracle()


@pytest.fixture
def noisy() -> Noisy:
    return Noisy()


@pytest.fixture
def guesser() -> Guesser:
    return Guesser()
