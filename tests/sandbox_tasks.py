"""What workers of a sandbox are asked to do by its tests: functions at the top of a module that loads little."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from onesense.errors import DecodeError, NotFound
from onesense.media import decode
from onesense.types import LIMITS, Decoded, Limits, Part

CRASH, HANG, SWELL = b"crash", b"hang!", b"swell"
"""How the bytes begin that `decode_or_die` dies of."""


def echo(value: Any) -> Any:
    return value


def pid() -> int:
    return os.getpid()


def abort() -> None:
    os.abort()


def read_address_zero() -> None:
    ctypes.string_at(0)


def crash_where_used(path: Path) -> int:
    """Dies in a worker that has served before, as one would whose memory an earlier input has spoilt."""
    if int(path.read_text()) == os.getpid():
        os.abort()
    return os.getpid()


def sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def compute() -> None:
    while True:
        pass


def swell(n_bytes: int) -> int:
    return len(bytearray(n_bytes))


def zeros(n_bytes: int) -> Any:
    return np.zeros(n_bytes, np.uint8)


def refuse() -> None:
    raise NotFound("nothing is here")


def fail() -> None:
    raise RuntimeError("a bug")


def count(n: int, crash_at: int = -1) -> Iterator[int]:
    for i in range(n):
        if i == crash_at:
            os.abort()
        yield i


def raise_after(n: int) -> Iterator[int]:
    yield from range(n)
    raise DecodeError("the rest is damaged")


def open_many(n: int) -> int:
    return len([os.open(os.devnull, os.O_RDONLY) for _ in range(n)])


def attempt(what: str, path: str) -> str:
    """What the system says to something that no decoder needs."""
    try:
        if what == "socket":
            socket.socket()
        elif what == "write":
            Path(path).write_text("x")
        elif what == "remove":
            os.unlink(path)
        elif what == "program":
            subprocess.run(["/bin/true"], check=True)
    except OSError as error:
        return type(error).__name__
    return "allowed"


def environment() -> list[str]:
    return sorted(os.environ)


def forbidden(_: int) -> Any:
    return Part(Path("/etc/passwd"))


def decode_or_die(part: Part, limits: Limits = LIMITS) -> tuple[str, Decoded]:
    """`media.decode` with the faults of native libraries, on demand."""
    if isinstance(part.value, bytes):
        match part.value[:5]:
            case b"crash":
                os.abort()
            case b"hang!":
                time.sleep(600)
            case b"swell":
                bytearray(1 << 40)
    return decode(part, limits)
