"""The process that `sandbox.Sandbox` starts: confines itself, then answers one call after another until told to end.

Calls come in on stdin and answers leave on what was stdout; whatever a library prints goes to stderr.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any, BinaryIO

from ..errors import OnesenseError, TooLarge
from ._confine import allow_cpu, confine
from ._wire import pack, unpack

_TREE_AND_INPUT_BYTES = 1 << 62  # calls come from the process that started this one, which may send what it likes


def main() -> None:
    """Serve until stdin ends."""
    calls, answers = _streams()
    for name in ("SIGINT", "SIGTERM"):  # meant for the server, which ends this process when it is done
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    limits = unpack(calls, _TREE_AND_INPUT_BYTES, may_name_files=True)
    sys.dont_write_bytecode = True
    confine(limits["memory_bytes"], limits["open_files"])
    _send(answers, ["ready", None])
    with suppress(EOFError, BrokenPipeError):  # the caller is gone
        while True:
            module, name, arguments, is_stream = unpack(calls, _TREE_AND_INPUT_BYTES, may_name_files=True)
            allow_cpu(limits["cpu_s"])
            _answer(answers, _function(module, name), arguments, limits, is_stream=is_stream)


def _streams() -> tuple[BinaryIO, BinaryIO]:
    """Stdin and stdout, moved out of everybody's way."""
    calls, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb", buffering=0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return calls, answers


def _function(module: str, name: str) -> Callable[..., Any]:
    found: Any = import_module(module)
    for step in name.split("."):
        found = getattr(found, step)
    return found  # type: ignore[no-any-return]  # what the caller named


def _answer(
    answers: BinaryIO, function: Callable[..., Any], arguments: list[Any], limits: dict[str, Any], *, is_stream: bool
) -> None:
    with _alarm(limits["wall_s"]) as alarm:
        try:
            found = function(*arguments)
            for item in found if is_stream else (found,):
                alarm.off()
                _send(answers, ["item", item], limits["output_bytes"])
                alarm.on()
            last: list[Any] = ["end", None]
        except MemoryError:
            last = _fault(_too_much(limits["memory_bytes"]))
        except OnesenseError as error:
            last = _fault(_too_much(limits["memory_bytes"]) if isinstance(error.__cause__, MemoryError) else error)
    _send(answers, last)


class _alarm:
    """Ends this process where the caller, who watches the clock, is gone; not on Windows."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds + 5.0

    def __enter__(self) -> _alarm:
        self.on()
        return self

    def __exit__(self, *_: object) -> None:
        self.off()

    def on(self) -> None:
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, self._seconds)

    def off(self) -> None:
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)


def _too_much(memory_bytes: int) -> OnesenseError:
    return TooLarge(f"reading this input takes more than {memory_bytes >> 20:,} MB of memory: send a smaller one")


def _fault(error: OnesenseError) -> list[Any]:
    return ["error", [type(error).__name__, str(error)]]


def _send(answers: BinaryIO, message: list[Any], max_bytes: int = 1 << 30) -> None:
    """Write one frame.

    Raises:
        TooLarge: its buffers hold more than `max_bytes`.
    """
    frame = pack(message)
    n_bytes = sum(map(len, frame[2:]))
    if n_bytes > max_bytes:
        advice = "send a shorter stretch of it, or index the file"
        raise TooLarge(
            f"this input is {n_bytes >> 20:,} MB when it is decoded, more than {max_bytes >> 20:,}: {advice}"
        )
    for piece in frame:
        left = memoryview(piece)
        while len(left):
            left = left[answers.write(left) :]
