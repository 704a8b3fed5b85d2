"""Does a server that is asked for twice what it can do stay whole? Mixed and bad requests for minutes, then SIGTERM.

    python bench/soak.py                               # ten minutes of `tiny`, which wears the server, not the model
    python bench/soak.py --model onesense-mini --minutes 3

First the capacity is measured with the same mix, then requests arrive at random at twice that rate, whatever the server
does; where it comes to do more, because the machine has become quieter, it is asked for twice that. Each content has a
text of its own, so the cache knows none. Watched are what clients wait, how many are told to come back, memory and open
files of the server and its decoders, and what is left of them after the end.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import itertools
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from _http import ask, free_port, post, wait_for
from _results import HERE, record

sys.path.append(str(HERE.parent / "tests"))
import media_samples  # pictures, sounds, films and PDFs that are made by code

EMBED = "/v1/models/gemini-embedding-2:embedContent"
BATCH = "/v1/models/gemini-embedding-2:batchEmbedContents"
WARM_S, CAPACITY_S, SAMPLE_S = 10.0, 15.0, 2.0
MAX_OPEN = 512  # connections at once; beyond, an arrival is counted and not sent
LEAVES = 0.01  # share of the clients that hang up before their answer comes
MB = 1 << 20
_TOTAL = re.compile(rb"total;dur=([\d.]+)")


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        server = subprocess.Popen(
            [sys.executable, "-c", "from onesense.cli.main import main; main()", "serve", "--model", options.model,
             "--port", str(port), "--data-dir", folder, "--limit", f"max_waiting={options.max_waiting}",
             "--cache-items", "64"]  # full before the memory is compared: the default takes up to 50 MB
        )  # fmt: skip
        try:
            wait_for(port, lambda: server.poll() is None)
            load = asyncio.run(_soak(port, server.pid, options))
            ending = asyncio.run(_end(port, server, options.seed))
        finally:
            server.kill()
            server.wait()
    measured = load.told() | ending
    faults = _faults(load, measured)
    record("soak", _summary(options, measured), measured | {"faults": faults}, options.json)
    if faults:
        raise SystemExit("; ".join(faults))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--max-waiting", type=int, default=512, help="`--limit max_waiting` of the server")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the JSON there as well")
    return parser.parse_args()


# --- what is sent -----------------------------------------------------------------------------------------------------


class Mix:
    """Requests of all kinds, good and bad, none like another."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._n = itertools.count()
        pixels = np.random.default_rng(seed).integers(0, 256, (60, 80, 3), np.uint8).repeat(10, 0).repeat(10, 1)
        self._media = {
            "picture": ("image/jpeg", media_samples.picture("jpeg", pixels)),
            "sound": ("audio/wav", media_samples.sound("wav", media_samples.tone(3.0))),
            "video": ("video/mp4", media_samples.video("mp4", 4)),
            "pdf": ("application/pdf", media_samples.pdf(["a page of words", "another page"])),
        }
        self._makers: list[tuple[float, str, Callable[[], bytes]]] = [
            (0.62, "text", lambda: post(EMBED, {"content": {"parts": [self._text()]}})),
            (0.10, "batch", lambda: post(BATCH, {"requests": [self._item() for _ in range(8)]})),
            (0.10, "picture", lambda: self._with("picture")),
            (0.05, "sound", lambda: self._with("sound")),
            (0.02, "video", lambda: self._with("video")),
            (0.03, "pdf", lambda: self._with("pdf")),
            (0.08, "bad", self._bad),
        ]

    def next(self) -> tuple[str, bytes]:
        """Kind and bytes of a request."""
        (chosen,) = self._random.choices(self._makers, [share for share, _, _ in self._makers])
        return chosen[1], chosen[2]()

    def gap_s(self, rate: float) -> float:
        """Time until the next arrival."""
        return self._random.expovariate(rate)

    def leaves(self) -> bool:
        """Whether this client hangs up."""
        return self._random.random() < LEAVES

    def _text(self) -> dict[str, Any]:
        words = "the quick brown fox jumps over one lazy dog".split()
        n = self._random.choice((3, 6, 12, 40))
        return {"text": f"{next(self._n)} " + " ".join(self._random.choices(words, k=n))}

    def _item(self) -> dict[str, Any]:
        return {"model": "models/gemini-embedding-2", "content": {"parts": [self._text()]}}

    def _with(self, kind: str, cut: int | None = None) -> bytes:
        mime_type, content = self._media[kind]
        inline = {"mimeType": mime_type, "data": base64.b64encode(content[:cut]).decode()}
        return post(EMBED, {"content": {"parts": [self._text(), {"inlineData": inline}]}})

    def _bad(self) -> bytes:
        part = self._text()
        return self._random.choice([
            lambda: post(EMBED, b'{"content": '),
            lambda: post(EMBED, {"content": {"parts": [part]}, "surprise": 1}),
            lambda: post(EMBED, {"content": {"parts": []}}),
            lambda: post(EMBED, {"content": {"parts": [part]}, "outputDimensionality": 99_999}),
            lambda: post(EMBED, {"content": {"parts": [{"inlineData": {"mimeType": "image/png", "data": "%%%"}}]}}),
            lambda: post("/v1/models/nothing:embedContent", {"content": {"parts": [part]}}),
            lambda: self._with("picture", 300),
            lambda: self._with("video", 500),
            lambda: self._with("pdf", 60),
        ])()  # fmt: skip


# --- the load ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Load:
    """What came of it."""

    capacity: float = 0.0
    """Requests per second of 32 clients that each wait for their answer."""
    seconds: float = 0.0
    n_sent: int = 0
    n_unsent: int = 0
    n_left: int = 0
    statuses: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    times_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Of requests that were answered with 200, by kind."""
    inside_s: list[float] = field(default_factory=list)
    """What the server says that it took for them, of all kinds."""
    refused_s: list[float] = field(default_factory=list)
    samples: list[tuple[float, float, int, int]] = field(default_factory=list)
    """Seconds since the start, MB of the server, MB of its decoders, open files."""

    def n_done(self) -> int:
        """Requests that the server worked for."""
        return sum(n for c in self.statuses.values() for status, n in c.items() if status != 429)

    def told(self) -> dict[str, Any]:
        """Everything, for the JSON."""
        answered = sum(sum(c.values()) for c in self.statuses.values())
        memory = [s[1] for s in self.samples]
        quarter = max(1, len(memory) // 4)
        return {
            "capacity_per_s": round(self.capacity, 1),
            "offered_per_s": round((self.n_sent + self.n_unsent) / self.seconds, 1),
            "answered": answered,
            "unsent": self.n_unsent,
            "hung_up": self.n_left,
            "statuses": {kind: dict(sorted(c.items())) for kind, c in self.statuses.items()},
            "share_429": round(sum(c[429] for c in self.statuses.values()) / max(answered, 1), 3),
            "ms": {kind: _quantiles(times) for kind, times in sorted(self.times_s.items())},
            "by_the_servers_own_clock_ms": _quantiles(self.inside_s),
            "refused_ms": _quantiles(self.refused_s),
            "memory_of_each_tenth_mb": [
                round(float(np.median(part))) for part in np.array_split(memory, 10) if len(part)
            ],
            "memory_mb": {
                "start": round(memory[0]),
                "after_warm_up": round(float(np.median(memory[quarter : 2 * quarter]))),
                "end": round(float(np.median(memory[-quarter:]))),
                "decoders_end": round(self.samples[-1][2]),
            },
            "open_files": {"start": self.samples[0][3], "most": max(s[3] for s in self.samples)},
        }


async def _soak(port: int, pid: int, options: argparse.Namespace) -> Load:
    load, mix = Load(), Mix(options.seed)
    watching = asyncio.create_task(_watch(pid, load))
    await _capacity(port, mix, WARM_S)
    load.capacity = await _capacity(port, mix, CAPACITY_S)
    start, rate = time.monotonic(), 2 * load.capacity
    end, due, looked, n_done = start + 60 * options.minutes, start, start, 0
    calls: set[asyncio.Task[None]] = set()
    idle: list[Any] = []
    while (now := time.monotonic()) < end:
        if now - looked > CAPACITY_S:
            n_before, n_done = n_done, load.n_done()
            rate, looked = max(rate, 2 * (n_done - n_before) / (now - looked)), now
        due = max(due + mix.gap_s(rate), now)  # what came too late to be sent in time is left out, not sent at once
        await asyncio.sleep(due - now)
        if len(calls) >= MAX_OPEN:
            load.n_unsent += 1
            continue
        load.n_sent += 1
        call = asyncio.create_task(_call(port, *mix.next(), load, idle, leaves=mix.leaves()))
        calls.add(call)
        call.add_done_callback(calls.discard)
    await asyncio.gather(*calls)
    load.seconds = time.monotonic() - start
    watching.cancel()
    for _, writer in idle:
        writer.close()
    return load


async def _capacity(port: int, mix: Mix, seconds: float) -> float:
    """Requests per second of clients that wait."""
    end, done = time.monotonic() + seconds, 0

    async def client() -> None:
        nonlocal done
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.monotonic() < end:
            await ask(reader, writer, mix.next()[1])
            done += 1
        writer.close()

    await asyncio.gather(*(client() for _ in range(32)))
    return done / seconds


async def _call(port: int, kind: str, request: bytes, load: Load, idle: list[Any], *, leaves: bool) -> None:
    reader, writer = idle.pop() if idle else await asyncio.open_connection("127.0.0.1", port)
    start = time.perf_counter()
    if leaves:
        load.n_left += 1
        writer.write(request)
        await asyncio.sleep(0.02)
        writer.close()
        return
    try:
        status, head, _ = await ask(reader, writer, request)
    except (OSError, asyncio.IncompleteReadError):
        load.statuses[kind][0] += 1  # no answer at all
        return
    load.statuses[kind][status] += 1
    took = time.perf_counter() - start
    if status == 200:
        load.times_s[kind].append(took)
        told = _TOTAL.search(head)
        load.inside_s.append(float(told[1]) / 1e3 if told else 0.0)
    elif status == 429:
        load.refused_s.append(took)
    idle.append((reader, writer))


async def _watch(pid: int, load: Load) -> None:
    start = time.monotonic()
    while True:
        decoders = sum(_rss_mb(child) for child in _children(pid))
        load.samples.append((time.monotonic() - start, _rss_mb(pid), decoders, len(os.listdir(f"/proc/{pid}/fd"))))
        await asyncio.sleep(SAMPLE_S)


def _rss_mb(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MB
    except OSError:  # a decoder that was replaced at this moment
        return 0.0


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for by_thread in listed for child in by_thread.read_text().split()]


# --- the end ----------------------------------------------------------------------------------------------------------


async def _end(port: int, server: subprocess.Popen[bytes], seed: int) -> dict[str, Any]:
    """Files that are still open when it is quiet; then SIGTERM, with requests in flight."""
    await asyncio.sleep(2.0)
    open_files, workers = len(os.listdir(f"/proc/{server.pid}/fd")), _children(server.pid)
    mix, load = Mix(seed + 1), Load()
    calls = [_call(port, *mix.next(), load, [], leaves=False) for _ in range(40)]
    flying: Awaitable[Any] = asyncio.gather(*calls)
    await asyncio.sleep(1.0)  # until they are there
    start = time.monotonic()
    server.send_signal(signal.SIGTERM)
    await flying
    code = await asyncio.to_thread(server.wait, 60)
    took = time.monotonic() - start
    await asyncio.sleep(0.5)
    answered: Counter[int] = sum(load.statuses.values(), Counter())
    return {
        "open_files_when_quiet": open_files,
        "sigterm": {
            "statuses_of_40_in_flight": dict(answered),
            "exit_code": code,
            "seconds": round(took, 2),
            "processes_left": _alive(workers),
        },
    }


def _alive(pids: list[int]) -> int:
    return sum(Path(f"/proc/{pid}/cmdline").exists() for pid in pids)


# --- the verdict ------------------------------------------------------------------------------------------------------


def _quantiles(times_s: list[float]) -> dict[str, float]:
    if not times_s:
        return {}
    middle, high, most = np.percentile(times_s, (50, 95, 99)) * 1e3
    return {"p50": round(float(middle), 1), "p95": round(float(high), 1), "p99": round(float(most), 1)}


def _faults(load: Load, measured: dict[str, Any]) -> list[str]:
    """What may not happen."""
    found = []
    for kind, statuses in load.statuses.items():
        allowed = {400, 404, 429} if kind == "bad" else {200, 429}
        if wrong := {status: n for status, n in statuses.items() if status not in allowed}:
            found.append(f"{kind} was answered with {wrong}")
    memory = measured["memory_mb"]
    if memory["end"] > 1.1 * memory["after_warm_up"] + 5:
        found.append(f"memory grew from {memory['after_warm_up']} to {memory['end']} MB")
    if measured["open_files_when_quiet"] > measured["open_files"]["start"] + 16:
        found.append(f"{measured['open_files_when_quiet']} files are open when it is quiet")
    if measured["sigterm"]["processes_left"] or measured["sigterm"]["exit_code"] not in (0, -signal.SIGTERM):
        found.append(f"the end was not clean: {measured['sigterm']}")
    return found


def _summary(options: argparse.Namespace, m: dict[str, Any]) -> str:
    memory, text, end = m["memory_mb"], m["ms"].get("text", {}), m["sigterm"]
    return (
        f"{options.model}, {options.minutes:g} minutes at {m['offered_per_s']} requests/s (capacity "
        f"{m['capacity_per_s']} at first): {m['answered']:,} answered, {100 * m['share_429']:.0f} % with 429; "
        f"text p50 {text.get('p50')} ms, p99 {text.get('p99')} ms; memory {memory['start']}, after warm-up "
        f"{memory['after_warm_up']}, at the end {memory['end']} MB; files open {m['open_files']['start']}, at most "
        f"{m['open_files']['most']}, when quiet {m['open_files_when_quiet']}; SIGTERM with 40 in flight: "
        f"{end['seconds']} s, {end['processes_left']} processes left"
    )


if __name__ == "__main__":
    main()
