"""What is found, as it is shown: even rows, waves, seconds, marked words; more as one scrolls; by when."""

from __future__ import annotations

import os
import time
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from studio_page import api, ask, names, settled

Open = Callable[..., Any]
LIGHT = 300_000
"""Bytes of the Studio before media."""


def indexed(url: str, name: str, folder: Path) -> None:
    """Make a collection of a folder."""
    api("POST", f"{url}/api/collections", json={"name": name})
    job = api("POST", f"{url}/api/collections/{name}/jobs", json={"paths": [str(folder)]})
    while job["state"] in ("waiting", "running"):
        time.sleep(0.2)
        job = api("GET", f"{url}/api/jobs/{job['id']}")
    assert job["state"] == "done", job


def test_tiles_of_a_row_are_equally_high(opened: Open) -> None:
    page = opened()
    ask(page, "a cat")
    settled(page)
    boxes = page.locator(".tile-media").evaluate_all("all => all.map(t => t.getBoundingClientRect().toJSON())")
    rows: dict[int, list[dict[str, float]]] = {}
    for box in boxes:
        rows.setdefault(round(box["top"]), []).append(box)
    assert len(rows) > 2
    for row in rows.values():
        heights = [box["height"] for box in row]
        assert max(heights) - min(heights) < 3
    widest = max(len(row) for row in rows.values())
    assert widest > 2


def test_every_kind_has_its_face_and_every_hit_leads_on(opened: Open) -> None:
    page = opened()
    ask(page, "a cat")
    page.wait_for_selector(".tile-video img.seen")
    assert page.locator(".tile-video .badge").first.inner_text().strip()[1:2] == ":"  # 0:24, the second of the hit
    drawn = "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v > 0)"
    page.wait_for_function(f"() => ({drawn})(document.querySelector('.tile-audio canvas'))")
    for act in ("More like this", "Add to the search", "Less like this"):
        assert page.locator(f".tile-bar [aria-label='{act}']").count() == page.locator(".tile").count()
    page.locator(".tile-bar [aria-label='Less like this']").first.click()
    page.wait_for_selector(".chip.minus")


def test_words_are_marked_on_a_page(opened: Open) -> None:
    page = opened()
    ask(page, "revenue of the bicycle shop")
    tile = page.locator(".tile-pdf", has_text="shop.pdf").first
    tile.locator(".box").first.wait_for()
    box, frame = tile.locator(".box").first.bounding_box(), tile.locator(".tile-media").bounding_box()
    assert frame["x"] <= box["x"] and box["x"] + box["width"] <= frame["x"] + frame["width"]
    assert frame["y"] <= box["y"] < frame["y"] + frame["height"] / 4  # the headline


def test_more_comes_as_one_scrolls(opened: Open) -> None:
    page = opened()
    ask(page, "anything at all")
    first = page.locator(".tile").count()
    assert first < 69
    for _ in range(20):
        page.mouse.wheel(0, 3_000)
        page.wait_for_timeout(100)
        if page.locator(".more").count() == 0:
            break
    page.wait_for_selector(".more", state="detached")
    ids = page.locator(".tile").evaluate_all("all => all.map(t => t.dataset.id)")
    assert len(ids) == len(set(ids)) > first


def test_what_was_changed_when(opened: Open, url: str, tmp_path: Path) -> None:
    for name, days in (("new.txt", 0), ("old.txt", 20)):
        (tmp_path / name).write_text(f"a {name} note about the sea", encoding="utf-8")
        os.utime(tmp_path / name, (time.time() - 86_400 * days,) * 2)
    indexed(url, "When", tmp_path)
    page = opened("#/search?c=When")
    ask(page, "the sea")
    assert sorted(names(page)) == ["new.txt", "old.txt"]
    page.select_option("select[aria-label='Last changed']", label="Past week")
    page.wait_for_function("() => document.querySelectorAll('.tile').length === 1")
    assert names(page) == ["new.txt"]
    page.select_option("select[aria-label='Last changed']", label="Past month")
    page.wait_for_function("() => document.querySelectorAll('.tile').length === 2")
    page.goto("about:blank")
    api("DELETE", f"{url}/api/collections/When")


def test_a_sound_plays_from_where_it_matched(opened: Open, url: str, library: Path, tmp_path: Path) -> None:
    with wave.open(str(library / "library" / "sounds" / "dog.wav")) as file:
        settings, dog = file.getparams(), file.readframes(file.getnframes())
    quiet = np.random.default_rng(0).integers(-60, 60, 30 * settings.framerate * settings.nchannels, np.int16)
    with wave.open(str(tmp_path / "yard.wav"), "wb") as file:
        file.setparams(settings)
        file.writeframes(quiet.tobytes() + dog)
    indexed(url, "Yard", tmp_path)
    page = opened("#/search?c=Yard")
    ask(page, "a dog barking")
    page.click(".tile-audio .tile-media")
    span = page.locator(".detail-kind").inner_text()
    begins = int(span.split("0:")[1][:2])
    assert begins >= 20, span
    page.click(".stage [aria-label=Play]")
    page.wait_for_function(
        "begins => Number(document.querySelector('.stage-time').innerText.match(/0:(\\d\\d) /)?.[1]) >= begins",
        arg=begins,
    )
    colours = page.locator(".stage-wave canvas").evaluate(
        """c => { const data = c.getContext('2d').getImageData(0, c.height / 2, c.width, 1).data, seen = new Set();
        for (let i = 0; i < data.length; i += 4) if (data[i + 3] === 255) seen.add(data.slice(i, i + 3).join());
        return seen.size; }"""
    )
    assert colours > 1  # what matched, and the rest
    page.goto("about:blank")
    api("DELETE", f"{url}/api/collections/Yard")


@pytest.mark.parametrize("locale", ["en-US", "hi-IN"])
def test_all_views_together_are_light(opened: Open, locale: str) -> None:
    page = opened(locale=locale)
    page.wait_for_selector(".grid .tile")
    for view in ("ask", "library", "space", "playground"):
        page.evaluate("view => { location.hash = `#/${view}` }", view)
        page.wait_for_selector(f"body[data-view={view}] main > *")
        settled(page)
    loaded = page.evaluate(
        """() => [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
        .filter(e => !e.name.includes('/api/')).map(e => [e.name, e.encodedBodySize])"""
    )
    assert any("ask.js" in name for name, _ in loaded)
    assert 100_000 < sum(size for _, size in loaded) < LIGHT, loaded
