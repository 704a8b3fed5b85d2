"""Needs the extra `[torch]`: `make test-torch`. Without it nothing here is collected."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

if any(find_spec(name) is None for name in ("torch", "transformers", "sentence_transformers", "torchvision")):
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the small checkpoints of this run lie."""
    return tmp_path_factory.mktemp("checkpoints")


@pytest.fixture(autouse=True)
def _free_models() -> Iterator[None]:
    yield
    from onesense.engine import models

    models.close()
