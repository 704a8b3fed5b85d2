"""Started servers and clients that tests share: none of them changes what another one sees."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from google import genai

from onesense import Embedder
from running_server import ANN, KEYS, PLAIN, running


@pytest.fixture(scope="session", autouse=True)
def _hang_up() -> Iterator[None]:
    yield
    PLAIN.close()


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a server with the tiny model, without keys."""
    with running(tmp_path_factory.mktemp("server")) as address:
        yield address


@pytest.fixture(scope="session")
def http(url: str) -> Iterator[httpx.Client]:
    """A plain HTTP client of that server."""
    with httpx.Client(base_url=url, timeout=30, trust_env=False, verify=False) as client:
        yield client


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a server that asks for a key, Ann's or Bob's."""
    with running(tmp_path_factory.mktemp("server"), keys=KEYS) as address:
        yield address


@pytest.fixture(scope="session")
def ann(base: str) -> Iterator[httpx.Client]:
    """A plain HTTP client of that server with Ann's key."""
    with httpx.Client(base_url=base, headers=ANN, timeout=30, trust_env=False, verify=False) as client:
        yield client


@pytest.fixture(scope="session")
def google(base: str) -> Iterator[genai.Client]:
    """google-genai with Ann's key."""
    with genai.Client(api_key="ann-secret", http_options={"base_url": base}) as client:
        yield client


@pytest.fixture(scope="session")
def embedder() -> Iterator[Embedder]:
    """The same model in process."""
    with Embedder("tiny") as opened:
        yield opened
