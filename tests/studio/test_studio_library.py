"""Library, space and playground in a real browser."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
from studio_page import ask, names, settled

Open = Any
"""The fixture `opened`."""


def make(page: Any, name: str) -> None:
    page.click("text=New collection")
    page.fill("#collection-name", name)
    page.click("dialog >> text=Create")
    page.wait_for_selector(f"h1:has-text('{name}')")


def test_uploads_are_indexed_searched_and_deleted(opened: Open, library: Path, tmp_path: Path) -> None:
    broken, empty = tmp_path / "broken.png", tmp_path / "empty.txt"
    broken.write_bytes(b"\x89PNG\r\n\x1a\nnothing behind it")
    empty.write_bytes(b"")
    page = opened("#/library")
    make(page, "Einkäufe 買い物")
    good = [str(library / "library" / "photos" / "coffee.png"), str(library / "library" / "notes" / "bread.md")]
    page.set_input_files(".add-drop input >> nth=0", [*good, str(broken), str(empty)])
    page.wait_for_selector(".job.over >> text=2 added")
    assert "broken.png" in page.locator(".jobs").inner_text()
    assert "This file is empty" in page.locator(".jobs").inner_text()
    page.wait_for_selector(".file-list .file >> nth=1")
    page.click(".nav >> text=Search")
    ask(page, "a cup of coffee")
    assert names(page)[0] == "coffee.png"
    page.click(".nav >> text=Library")
    drop(page)


def test_a_folder_dry_run_failures_and_retry(opened: Open, library: Path) -> None:
    page = opened("#/library")
    page.wait_for_selector("h1:has-text('Demo')")
    page.wait_for_selector("text=1 file could not be indexed")
    assert "broken.jpg" in page.locator(".failures").inner_text()
    page.fill("#path", str(library / "library"))
    page.click("text=Dry run")
    page.wait_for_selector(".job.over >> text=unchanged")
    page.click("text=Try again")
    page.wait_for_selector(".job.over h2:has-text('Trying again')")
    page.fill("#path", "/no/such/folder")
    page.click(".add-path [type=submit]")
    page.locator("#toast").get_by_text("/no/such/folder").wait_for()
    opened.said.clear()  # the 404


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A folder that takes a while."""
    folder = tmp_path / "many"
    folder.mkdir()
    noise = random.Random(0)
    for n in range(12_000):
        words = " ".join(f"{noise.getrandbits(40):x}" for _ in range(4))  # short: a batch is done before a job stops
        (folder / f"{n}.txt").write_text(f"Note {n}: {words}", encoding="utf-8")
    return folder


def drop(page: Any) -> None:
    page.click("[aria-label='Delete collection']")
    page.click("dialog .danger")
    page.wait_for_selector("h1:has-text('Demo')")


def test_a_second_tab_sees_the_job_and_may_stop_it(opened: Open, many: Path) -> None:
    page = opened("#/library")
    make(page, "Two tabs")
    other = opened("#/library?c=Two+tabs")  # open before the job begins
    page.fill("#path", str(many))
    page.click(".add-path [type=submit]")
    page.wait_for_selector(".job")
    late = opened("#/library?c=Two+tabs")  # and one that comes while it runs
    late.wait_for_selector(".job:not(.over) .job-line >> text=/of 12,000 files · .* files\\/s · .* left/")
    other.wait_for_selector(".job:not(.over)")
    late.click(".job >> text=Stop")
    late.wait_for_selector(".job button:disabled, .job.over")
    for tab in (page, other, late):
        tab.wait_for_selector(".job.over.cancelled")
    after = opened("#/library?c=Two+tabs")  # and one that comes when it is over
    after.wait_for_selector(".job.over.cancelled")
    after.click("[aria-label=Dismiss]")
    after.wait_for_selector(".job", state="detached")
    after.wait_for_timeout(4_000)  # it looks again meanwhile
    assert after.locator(".job").count() == 0
    for tab in (other, late, after):
        tab.close()
    drop(page)


def test_two_tabs_index_and_nothing_is_lost(opened: Open, library: Path) -> None:
    page = opened("#/library")
    make(page, "Both")
    other = opened("#/library?c=Both")
    for tab, folder in ((page, "photos"), (other, "notes")):
        tab.fill("#path", str(library / "library" / folder))
    page.click(".add-path [type=submit]")
    other.click(".add-path [type=submit]")
    n_files = sum(len(list((library / "library" / folder).iterdir())) for folder in ("photos", "notes"))
    for tab in (page, other):
        tab.wait_for_selector(".job.over >> nth=1")
        # one of them is broken
        tab.wait_for_selector(f".page-head >> text={n_files - 1} files")
    other.close()
    drop(page)


def test_an_upload_goes_on_where_the_line_broke(opened: Open, library: Path) -> None:
    page = opened("#/library")
    make(page, "Broken line")
    breaks = {"n": 0}

    def cut(route: Any) -> None:
        if "upload" in (route.request.headers.get("x-goog-upload-command") or "") and breaks["n"] < 2:
            breaks["n"] += 1
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route("**/upload-session/**", cut)
    page.set_input_files(".add-drop input >> nth=0", [str(library / "library" / "sounds" / "dog.wav")])
    page.wait_for_selector(".job.over >> text=1 added")
    assert breaks["n"] == 2
    opened.said.clear()  # the two breaks
    drop(page)


def test_the_map_moves_colours_selects_and_opens(opened: Open) -> None:
    page = opened("#/space")
    page.wait_for_selector(".legend li")
    settled(page)
    page.click("text=Group")
    page.wait_for_selector(".legend >> text=Group 1")
    box = page.locator(".map").bounding_box()
    page.click("text=Lasso")
    corners = [(0.02, 0.12), (0.98, 0.12), (0.98, 0.9), (0.02, 0.9)]
    points = [(box["x"] + box["width"] * x, box["y"] + box["height"] * y) for x, y in corners]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=4)
    page.mouse.up()
    page.wait_for_selector(".space-panel >> text=selected")
    page.wait_for_selector(".space-panel img")  # pictures stand for themselves
    page.click(".space-item >> nth=0")
    page.wait_for_selector("dialog.detail")
    page.keyboard.press("Escape")
    page.click(".space-panel >> text=Search like these")
    page.wait_for_selector(".results-line")
    assert page.locator(".chip").count() > 3


def test_the_map_zooms_moves_and_shows_pictures(opened: Open) -> None:
    page = opened("#/search")
    with page.expect_response(lambda answer: "/thumbnail" in answer.url and "side=160" in answer.url):
        page.click(".nav >> text=Space")
    page.wait_for_selector(".legend li")
    seen = [drawn(page)]
    box = page.locator(".map").bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.move(*middle)
    page.mouse.wheel(0, -600)
    seen.append(drawn(page))
    page.mouse.down()
    page.mouse.move(middle[0] + 90, middle[1] + 40, steps=3)
    page.mouse.up()
    seen.append(drawn(page))
    page.focus(".map")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("+")
    seen.append(drawn(page))
    assert len(set(seen)) == 4


def drawn(page: Any) -> str:
    """What the map looks like, once it looks like that for good."""
    settled(page)
    picture: str = page.evaluate("document.querySelector('.map').toDataURL()")
    return picture


def test_ten_thousand_points_keep_their_pace(opened: Open) -> None:
    page = opened("#/search")
    point = {"locator": {}, "preview": "", "modality": "text"}
    points = [
        {"id": f"p{n}", "path": f"/p/{n}.txt", "cluster": n % 8, "x": math.sin(n * 7.1), "y": math.cos(n * 3.3)} | point
        for n in range(10_000)
    ]
    body = json.dumps({"total": len(points), "points": points})
    page.route("**/space", lambda route: route.fulfill(status=200, content_type="application/json", body=body))
    page.click(".nav >> text=Space")
    page.wait_for_selector(".legend li")
    box = page.locator(".map").bounding_box()
    page.mouse.move(box["x"] + 300, box["y"] + 300)
    page.mouse.down()
    for step in range(40):
        page.mouse.move(box["x"] + 300 + 4 * step, box["y"] + 300)
    page.mouse.up()
    assert float(page.locator(".map").get_attribute("data-frame-ms")) < 16.7


def test_the_playground_compares_cuts_and_gives_code(opened: Open, library: Path) -> None:
    page = opened("#/playground")
    page.click("text=Try an example")
    page.wait_for_selector(".matrix tbody tr >> nth=3")
    page.set_input_files("input[type=file]", str(library / "library" / "photos" / "chelsea.png"))
    page.wait_for_selector(".matrix tbody tr >> nth=4")
    assert page.locator(".bars li").count() == 5  # the composite against each of its parts
    page.fill("input[type=range]", "0")
    page.wait_for_selector("output >> text=64")
    assert "stand where they stand" in page.locator(".play-out").inner_text()
    page.click(".panel >> text=Show")
    page.wait_for_selector(".vector:has-text('[')")
    page.click(".panel >> text=Get code")
    for maker in ("Onesense", "Google"):
        page.click(f"dialog >> text={maker}")
        for language, word in (("Python", "embed_content"), ("JavaScript", "embedContent"), ("curl", ":embedContent")):
            page.click(f"dialog >> text={language}")
            assert word in page.locator("dialog .code").inner_text()
