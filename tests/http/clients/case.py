"""What every Python client script shares: the task on stdin, the answer on stdout, and errors that must come."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

task = SimpleNamespace(**json.load(sys.stdin))
"""base, key, model (merges lists), alias (does not), texts, picture (a path)."""


def answer(packages: list[str], cases: dict[str, Any]) -> None:
    """Print the vectors of each case and the versions that gave them."""
    print(json.dumps({"versions": {name: version(name) for name in packages}, "cases": cases}))


def must_raise(kind: type[BaseException], call: Callable[[], Any]) -> BaseException:
    """The error that a call must end with."""
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was expected, and nothing was raised")
