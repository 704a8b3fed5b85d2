"""What tests of the server's rooms share."""

from __future__ import annotations

import pytest

from turned_clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()
