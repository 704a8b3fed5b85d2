"""One started server for all tests that do not need one of their own."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from running_server import running


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a server with the tiny model, without keys."""
    with running(tmp_path_factory.mktemp("server")) as address:
        yield address


@pytest.fixture
def http(url: str) -> Iterator[httpx.Client]:
    """A plain HTTP client of that server."""
    with httpx.Client(base_url=url, timeout=30) as client:
        yield client
