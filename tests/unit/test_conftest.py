"""The walls round the tests themselves."""

from __future__ import annotations

import os
import socket

import pytest


@pytest.mark.parametrize("address", [("192.0.2.1", 80), ("2001:db8::1", 80), ("example.org", 80)])
def test_a_test_cannot_reach_the_network(address: tuple[str, int]) -> None:
    with socket.socket() as plug, pytest.raises(RuntimeError, match="offline"):
        plug.connect(address)
    with pytest.raises(RuntimeError, match="offline"):
        socket.create_connection(address, timeout=1)


def test_loopback_is_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as plug:
        assert plug.getpeername() == server.getsockname()


def test_the_environment_is_clean(tmp_path_factory: pytest.TempPathFactory) -> None:
    base = str(tmp_path_factory.getbasetemp())
    assert os.environ["XDG_CACHE_HOME"].startswith(base)
    assert not [name for name in os.environ if name.startswith(("ONESENSE_", "GOOGLE_", "GEMINI_"))]
