"""Filters on what files say of themselves, and those facts in an open hit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image
from studio_page import ask, names

Open = Callable[..., Any]
PLACES = {
    "paris.jpg": ("2024:05:03 10:00:00", 48.8566, 2.3522),
    "sydney.jpg": ("2019:11:20 18:30:00", -33.8688, 151.2093),
}


def photograph(path: Path, taken: str, lat: float, lon: float) -> None:
    exif = Image.Exif()
    exif[0x0132] = taken
    north, east = ("N" if lat > 0 else "S"), ("E" if lon > 0 else "W")
    exif[0x8825] = {1: north, 2: (abs(lat), 0.0, 0.0), 3: east, 4: (abs(lon), 0.0, 0.0)}
    Image.new("RGB", (320, 240), (90, 140, 200)).save(path, exif=exif)


def shown(page: Any, *wanted: str) -> None:
    page.wait_for_function(
        "wanted => [...document.querySelectorAll('.tile-name')].map(n => n.innerText).sort().join() === wanted",
        arg=",".join(sorted(wanted)),
    )


def test_when_where_and_how_long(opened: Open, library: Path, tmp_path: Path) -> None:
    for name, facts in PLACES.items():
        photograph(tmp_path / name, *facts)
    page = opened("#/library")
    page.click("text=New collection")
    page.fill("#collection-name", "Trips")
    page.click("dialog >> text=Create")
    page.wait_for_selector("h1:has-text('Trips')")
    sound = library / "library" / "sounds" / "dog.wav"
    page.set_input_files(".add-drop input >> nth=0", [*(str(tmp_path / name) for name in PLACES), str(sound)])
    page.wait_for_selector(".job.over >> text=3 added")
    page.click(".nav >> text=Search")
    ask(page, "a trip")
    shown(page, "paris.jpg", "sydney.jpg", "dog.wav")
    page.click("text=More filters")
    page.fill("#fact-from", "2024-05-03")
    page.dispatch_event("#fact-from", "change")
    shown(page, "paris.jpg")
    page.click(".tile-media")
    told = page.locator("dialog .facts").inner_text()
    assert "May 3, 2024" in told and "48.8566, 2.3522" in told and "320 × 240" in told
    page.keyboard.press("Escape")
    page.fill("#fact-from", "")
    page.fill("#fact-until", "2019-11-20")
    page.dispatch_event("#fact-until", "change")
    shown(page, "sydney.jpg")
    page.fill("#fact-until", "")
    page.fill("#fact-near", "48.85, 2.35")
    page.press("#fact-near", "Tab")
    shown(page, "paris.jpg")
    page.fill("#fact-near", "somewhere")
    page.press("#fact-near", "Tab")
    assert page.evaluate("document.querySelector('#fact-near').validity.valid") is False
    page.fill("#fact-near", "")
    page.press("#fact-near", "Tab")
    page.select_option("#fact-length", "short")
    shown(page, "dog.wav")
    page.click(".nav >> text=Library")
    page.click("[aria-label='Delete collection']")
    page.click("dialog .danger")
    page.wait_for_selector("h1:has-text('Demo')")
    assert names(page) == []
