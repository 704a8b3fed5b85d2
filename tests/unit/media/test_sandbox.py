"""Decoding in processes of its own: what travels, what a crash, a hang and a bomb cost, what is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

import media_samples
import sandbox_tasks as tasks
from onesense import media
from onesense.errors import DecodeError, NotFound, OnesenseError, TooLarge, Unavailable
from onesense.media.sandbox import Sandbox, SandboxLimits
from onesense.types import LIMITS, Content, Document, Image, Locator, Page, Part, Segment, Video

LIMIT = SandboxLimits(wall_s=20)
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes these away")


@pytest.fixture(scope="module")
def shared() -> Iterator[Sandbox]:
    with Sandbox(1, LIMIT) as made:
        yield made


# --- what travels -----------------------------------------------------------------------------------------------------


def same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if hasattr(one, "__slots__") and not isinstance(one, Path):
        return type(one) is type(other) and all(same(getattr(one, k), getattr(other, k)) for k in one.__slots__)
    if isinstance(one, (list, tuple)):
        return type(one) is type(other) and all(map(same, one, other)) and len(one) == len(other)
    return type(one) is type(other) and bool(one == other)


def test_nouns_and_plain_values_come_back_as_they_went(shared: Sandbox) -> None:
    picture = Image(np.arange(24, dtype=np.uint8).reshape(2, 4, 3))
    video = Video(np.ones((2, 3, 4, 3), np.uint8), np.array([0, 1], np.float32), None, 2.0)
    page = Page(picture, "words \N{SNOWMAN} \udc80", 1)
    values = [
        None, True, 3, 1.5, float("inf"), "é", (1, ("a", [2])), {"a": (1,), "tuple": 2}, picture, video, page,
        Document((page, page)), Content("a", Part(picture), title="t"), LIMITS,
        Segment(Content(Part(picture)), Locator(page=1, box=(0.0, 0.0, 1.0, 1.0)), "pdf", "one line"),
    ]  # fmt: skip
    assert same(shared.run(tasks.echo, values), values)


@pytest.mark.parametrize(
    "part",
    [
        Part(media_samples.picture("png"), "image/png"),
        Part(media_samples.sound("wav", media_samples.tone(1.0))),
        Part(media_samples.video("mp4", 3), start_s=1.0),
        Part(media_samples.pdf(["a page", "another"]), pages=(2,)),
        Part("Grüße".encode(), "text/plain"),
    ],
    ids=["image", "audio", "video", "pdf", "text"],
)
def test_media_decode_as_they_do_here(shared: Sandbox, part: Part) -> None:
    there = shared.run(media.decode, part, LIMITS)
    assert same(there, media.decode(part, LIMITS))


def test_a_file_is_read_by_its_path_and_streamed_segment_by_segment(shared: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "three pages.pdf"
    path.write_bytes(media_samples.pdf(["one", "two", "three"]))
    assert same(list(shared.stream(media.segments, path)), list(media.segments(path)))


def test_arrays_that_come_back_can_be_written_to(shared: Sandbox) -> None:
    assert shared.run(tasks.zeros, 3).flags.writeable


def test_an_error_keeps_its_class_and_its_words(shared: Sandbox) -> None:
    with pytest.raises(NotFound, match=r"^nothing is here$"):
        shared.run(tasks.refuse)
    with pytest.raises(DecodeError, match="damaged picture"):
        shared.run(media.decode, Part(media_samples.picture("jpeg")[:200]))


def test_what_cannot_travel_is_refused_before_it_leaves(shared: Sandbox) -> None:
    with pytest.raises(TypeError, match="set"):
        shared.run(tasks.echo, {1, 2})
    with pytest.raises(TypeError, match="no name"):
        shared.run(lambda: 1)


def test_an_answer_names_no_file_of_this_machine(shared: Sandbox) -> None:
    with pytest.raises(DecodeError, match="nonsense"):
        shared.run(tasks.forbidden, 1)


def test_a_worker_sees_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONESENSE_API_KEYS", "alice=secret")
    with Sandbox(1, LIMIT) as sandbox:
        assert "ONESENSE_API_KEYS" not in sandbox.run(tasks.environment)


# --- what goes wrong costs one item -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("crash", "signal_name"), [(tasks.abort, "SIGABRT"), (tasks.read_address_zero, "SIGSEGV")])
def test_a_crash_costs_one_call(shared: Sandbox, crash: Any, signal_name: str) -> None:
    before = shared.run(tasks.pid)
    with pytest.raises(DecodeError, match=signal_name):
        shared.run(crash)
    assert shared.run(tasks.pid) != before


def test_a_call_is_tried_again_where_an_earlier_one_may_be_to_blame(shared: Sandbox, tmp_path: Path) -> None:
    used = tmp_path / "used"
    used.write_text(str(shared.run(tasks.pid)))
    assert shared.run(tasks.crash_where_used, used) != int(used.read_text())


def test_a_bug_is_an_error_and_its_traceback_goes_to_the_log(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with Sandbox(1, LIMIT) as sandbox:
        with pytest.raises(DecodeError, match="exit code 1"):
            sandbox.run(tasks.fail)
        assert sandbox.run(tasks.echo, 1) == 1
    assert "RuntimeError: a bug" in capfd.readouterr().err


def test_a_hang_is_ended() -> None:
    with Sandbox(1, replace(LIMIT, wall_s=0.5)) as sandbox:
        start_s = time.monotonic()
        with pytest.raises(TooLarge, match=r"more than 0\.5 s"):
            sandbox.run(tasks.sleep, 60.0)
        assert time.monotonic() - start_s < 15
        assert sandbox.run(tasks.echo, 1) == 1


@LINUX
def test_endless_work_is_ended_by_the_clock_of_the_processor() -> None:
    with Sandbox(1, replace(LIMIT, cpu_s=0.2)) as sandbox:
        with pytest.raises(TooLarge, match=r"0\.2 s of the processor"):
            sandbox.run(tasks.compute)
        assert [sandbox.run(tasks.echo, i) for i in range(3)] == [0, 1, 2]


@LINUX
def test_a_memory_bomb_costs_one_call_and_not_even_the_worker(shared: Sandbox) -> None:
    before = shared.run(tasks.pid)
    with pytest.raises(TooLarge, match="MB of memory"):
        shared.run(tasks.swell, 8 << 30)
    assert shared.run(tasks.pid) == before
    assert shared.run(tasks.swell, 1 << 20) == 1 << 20


@LINUX
def test_a_picture_that_swells_beyond_the_memory_is_refused() -> None:
    bomb = media_samples.picture("png", PIL.Image.new("RGB", (9000, 9000)))
    with Sandbox(1, replace(LIMIT, memory_bytes=160 << 20)) as sandbox:
        with pytest.raises(TooLarge, match="160 MB of memory"):
            sandbox.run(media.decode, Part(bomb))
        assert sandbox.run(media.decode, Part(media_samples.picture("png")))[0] == "image"


def test_an_answer_that_is_too_large_is_refused() -> None:
    with Sandbox(1, replace(LIMIT, output_bytes=1 << 20)) as sandbox:
        with pytest.raises(TooLarge, match="2 MB when it is decoded"):
            sandbox.run(tasks.zeros, 2 << 20)
        assert len(sandbox.run(tasks.zeros, 1 << 20)) == 1 << 20


@LINUX
def test_files_run_out_before_the_machine_does(shared: Sandbox) -> None:
    assert shared.run(tasks.open_many, 30) == 30
    with pytest.raises(DecodeError, match="exit code 1"):  # an OSError that the function does not catch
        shared.run(tasks.open_many, 100)


@LINUX
@pytest.mark.parametrize("what", ["socket", "write", "remove", "program"])
def test_a_worker_has_no_network_writes_no_file_and_starts_nothing(shared: Sandbox, tmp_path: Path, what: str) -> None:
    path = tmp_path / "there"
    path.write_text("kept")
    assert shared.run(tasks.attempt, what, str(path)) == "PermissionError"
    assert path.read_text() == "kept"


def test_a_worker_that_somebody_kills_costs_nothing_between_calls_and_a_repetition_within(shared: Sandbox) -> None:
    os.kill(shared.run(tasks.pid), signal.SIGKILL)
    victim = shared.run(tasks.pid)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(shared.run, tasks.sleep, 0.5)
        time.sleep(0.2)
        os.kill(victim, signal.SIGKILL)
        assert call.result(20) == 0.5


def test_a_worker_killed_at_its_first_call_is_told_apart_from_a_bad_input() -> None:
    with Sandbox(1, LIMIT) as sandbox, ThreadPoolExecutor(1) as pool:
        call = pool.submit(sandbox.run, tasks.sleep, 20.0)
        deadline_s = time.monotonic() + 15
        while not children():
            assert time.monotonic() < deadline_s
        time.sleep(1.0)
        for child in children():
            os.kill(child, signal.SIGKILL)
        with pytest.raises(Unavailable, match=r"killed|does not start"):
            call.result(20)


# --- streams ----------------------------------------------------------------------------------------------------------


def test_a_stream_breaks_off_where_its_worker_does(shared: Sandbox) -> None:
    stream = shared.stream(tasks.count, 10, 3)
    assert [next(stream), next(stream), next(stream)] == [0, 1, 2]
    with pytest.raises(DecodeError, match="SIGABRT"):
        next(stream)
    assert list(shared.stream(tasks.count, 3)) == [0, 1, 2]


def test_a_stream_ends_with_the_error_of_its_function(shared: Sandbox) -> None:
    found: list[int] = []
    with pytest.raises(DecodeError, match="the rest is damaged"):
        found += shared.stream(tasks.raise_after, 2)
    assert list(shared.stream(tasks.count, 1)) == [0]


def test_a_stream_that_is_left_early_gives_its_place_back(shared: Sandbox) -> None:
    stream = shared.stream(tasks.count, 10**9)
    assert next(stream) == 0
    stream.close()  # type: ignore[attr-defined]
    assert shared.run(tasks.echo, 1) == 1


def test_a_slow_reader_is_no_hang() -> None:
    with Sandbox(1, replace(LIMIT, wall_s=0.6)) as sandbox:
        stream = sandbox.stream(tasks.count, 3)
        for expected in range(3):
            assert next(stream) == expected
            time.sleep(0.4)


# --- the pool ---------------------------------------------------------------------------------------------------------


def children() -> set[int]:
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(os.getpid())], capture_output=True, text=True, check=False
    ).stdout.split()
    return {int(p) for p in found if is_worker(int(p))}


def is_worker(process: int) -> bool:
    try:
        return b"onesense.media._worker" in Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return False


def test_calls_share_the_workers_and_each_gets_its_own_answer() -> None:
    with Sandbox(2, LIMIT) as sandbox, ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda i: sandbox.run(tasks.echo, i), range(40))) == list(range(40))
        assert len(sandbox._live) <= 2


def test_a_worker_is_replaced_when_it_is_spent() -> None:
    with Sandbox(1, replace(LIMIT, max_tasks=2)) as sandbox:
        found = [sandbox.run(tasks.pid) for _ in range(4)]
    assert found[0] == found[1] != found[2] == found[3]


@LINUX
def test_the_end_leaves_no_process_and_no_caller_behind() -> None:
    before = children()
    sandbox = Sandbox(2, LIMIT)
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(sandbox.run, tasks.sleep, 20.0) for _ in range(4)]  # two of them wait for a worker
        time.sleep(1.0)
        sandbox.close()
        sandbox.close()
        for call in calls:
            with pytest.raises(Unavailable):
                call.result(10)
    assert children() == before
    with pytest.raises(Unavailable):
        sandbox.run(tasks.echo, 1)
    assert not [t for t in threading.enumerate() if isinstance(t, threading.Timer) and t.is_alive()]


@LINUX
def test_workers_end_with_a_process_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import os, signal; from onesense.media.sandbox import Sandbox; from onesense import media;"
        "from onesense.types import Part; s = Sandbox(1); s.run(media.decode, Part(b'words', 'text/plain'));"
        "print(next(iter(s._live))._process.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    worker, deadline_s = int(done.stdout), time.monotonic() + 10
    while is_worker(worker):
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def test_an_interpreter_that_does_not_start_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    with Sandbox(1, LIMIT) as sandbox, pytest.raises(OnesenseError, match="can be started"):
        sandbox.run(tasks.echo, 1)
