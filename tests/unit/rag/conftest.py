from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import asked_library
import chat_server
from onesense.rag.library import Library


@pytest.fixture(scope="session")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("asked")
    return asked_library.build(folder / "files", folder / "test.json")


@pytest.fixture
def library(asked: Path) -> Iterator[Library]:
    with Library.open([asked]) as opened:
        yield opened


@pytest.fixture(scope="session")
def chat() -> Iterator[tuple[str, list]]:
    with chat_server.running() as found:
        yield found
