"""What should not be there: files that are too large, broken or named as a trap, lines that break."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from studio_page import api, ask

from running_server import running

Open = Callable[..., Any]
GIB = 1 << 30
TRAP = "<img src=x onerror=window.evil=1>"


def sparse(path: Path, n_bytes: int) -> Path:
    """A file that has a size and takes no disk."""
    with path.open("wb") as file:
        file.truncate(n_bytes)
    return path


def choose(page: Any, *paths: Path) -> None:
    page.set_input_files(".add-drop input >> nth=0", [str(path) for path in paths])


def test_four_gigabytes_are_refused_at_once(opened: Open, url: str, tmp_path: Path) -> None:
    large = sparse(tmp_path / "large.mp4", 4 * GIB)
    page = opened("#/library")
    page.wait_for_selector(".add-drop")
    sent: list[str] = []
    page.on("request", lambda r: sent.append(r.url) if "/upload" in r.url else None)
    choose(page, large)
    page.wait_for_selector(".job.over.failed >> text=This file has 4.3 GB; at most 2.1 GB are taken.")
    page.goto(f"{url}/#/search")
    page.wait_for_selector(".query")
    page.set_input_files(".query input[type=file]", str(large))
    page.locator("#toast").get_by_text("large.mp4: This file has 4.3 GB").wait_for()
    assert page.locator(".chip").count() == 0
    assert sent == []


@contextmanager
def most_memory() -> Iterator[list[int]]:
    """By how many bytes the memory of this process, the server's, has grown at most."""
    grown, is_over = [0], threading.Event()
    begun = resident()

    def look() -> None:
        while not is_over.wait(0.05):
            grown[0] = max(grown[0], resident() - begun)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield grown
    finally:
        is_over.set()
        thread.join()


def resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4_096


def test_a_large_upload_passes_through_memory_in_pieces(opened: Open, tmp_path: Path) -> None:
    with running(tmp_path / "server") as address:
        api("POST", f"{address}/api/collections", json={"name": "large"})
        page = opened("#/library", at=address)
        page.wait_for_selector(".add-drop")
        with most_memory() as grown:
            choose(page, sparse(tmp_path / "zeros.wav", GIB // 4))
            page.wait_for_selector(".job.over >> text=zeros.wav")  # zeros are no sound
        assert page.locator(".job.over").first.inner_text()
        assert grown[0] < GIB // 8
        page.goto("about:blank")


def test_names_that_are_traps_stay_names(opened: Open, tmp_path: Path) -> None:
    good, broken = tmp_path / f"{TRAP}.txt", tmp_path / f"{TRAP}.png"
    good.write_text("an honest note", encoding="utf-8")
    broken.write_bytes(b"\x89PNG\r\n\x1a\nnothing behind it")
    with running(tmp_path / "server") as address:
        page = opened("#/library", at=address)
        page.click("text=New collection")
        page.fill("#collection-name", "traps")
        page.click("dialog >> text=Create")
        page.wait_for_selector(".add-drop")
        choose(page, good, broken)
        page.wait_for_selector(".job.over >> text=1 added")
        page.wait_for_selector(".file-list .file")
        assert f"{TRAP}.txt" in page.locator(".file-list").inner_text()
        assert f"{TRAP}.png" in page.locator(".failures").inner_text()
        page.click(f"[aria-label='Take {TRAP}.txt out of the collection']")
        page.locator("#toast").get_by_text(f"{TRAP}.txt is no longer").wait_for()
        assert page.evaluate("window.evil") is None
        assert page.locator("img[src=x]").count() == 0
        page.goto("about:blank")


def test_a_broken_file_as_a_query_is_told(opened: Open, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\nnothing behind it")
    page = opened()
    page.set_input_files("input[type=file]", str(broken))
    page.wait_for_selector(".results >> text=That did not work")
    page.click("[aria-label='Remove broken.png']")
    ask(page, "a cat")
    assert page.locator(".tile").count() > 0
    opened.said.clear()  # the 400


def test_a_server_that_is_gone_is_told_and_found_again(opened: Open, tmp_path: Path) -> None:
    with running(tmp_path) as address:
        api("POST", f"{address}/api/collections", json={"name": "notes"})
        (tmp_path / "a.txt").write_text("a note about the sea", encoding="utf-8")
        wanted = {"paths": [str(tmp_path / "a.txt")]}
        api("POST", f"{address}/api/collections/notes/jobs", json=wanted)
        page = opened("#/search", at=address)
        page.wait_for_selector(".query")
        until_indexed(address)
        ask(page, "the sea")
    page.fill(".query-words", "the lake")
    page.press(".query-words", "Enter")
    page.wait_for_selector("text=The server cannot be reached")
    page.click(".nav >> text=Library")
    page.wait_for_selector("text=The server cannot be reached")
    opened.said.clear()  # refused connections


def until_indexed(address: str) -> None:
    for _ in range(200):
        if api("GET", f"{address}/api/collections/notes")["files"]:
            return
        time.sleep(0.05)
    raise AssertionError("the note was not indexed")
