"""Every view, at three widths, in both themes: nothing is cut off, and a picture of it for the documentation.

    STUDIO_SCREENSHOTS=docs/screenshots pytest tests/studio/test_studio_screens.py --basetemp /tmp/demo

keeps the pictures, which are looked at before they are committed.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from studio_page import SCREENSHOTS, ask, question, settled

Open = Callable[..., Any]
WIDTHS = {"phone": (390, 844), "tablet": (820, 1080), "wide": (1440, 900)}


def _search(page: Any, _: Path) -> None:
    ask(page, "a cat")


def _picture(page: Any, _: Path) -> None:
    ask(page, "a cat looking at the camera")
    page.click(".tile-image:has-text('chelsea.png') .tile-media")
    page.wait_for_selector(".stage canvas.heat")


def _page(page: Any, _: Path) -> None:
    ask(page, "revenue of the bicycle shop")
    page.click(".tile-pdf:has-text('shop.pdf') .tile-media >> nth=0")
    page.wait_for_selector(".stage .box")


def _ask(page: Any, _: Path) -> None:
    question(page, "When do we take the cat to the vet?")
    page.evaluate("document.activeElement.blur()")


def _library(page: Any, _: Path) -> None:
    page.wait_for_selector(".file-list .file")


def _space(page: Any, _: Path) -> None:
    page.wait_for_selector(".legend li")


def _playground(page: Any, library: Path) -> None:
    page.click("text=Try an example")
    page.wait_for_selector(".matrix tbody tr >> nth=3")
    files = [library / "library" / "photos" / "chelsea.png", library / "library" / "sounds" / "cat.wav"]
    page.set_input_files("input[type=file]", [str(path) for path in files])
    page.wait_for_selector(".matrix tbody tr >> nth=5")


def _start(page: Any, _: Path) -> None:
    page.wait_for_selector(".grid .tile")


SCENES: dict[str, tuple[str, Callable[[Any, Path], None]]] = {
    "start": ("#/search", _start),
    "search": ("#/search", _search),
    "picture": ("#/search", _picture),
    "page": ("#/search", _page),
    "ask": ("#/ask", _ask),
    "library": ("#/library", _library),
    "space": ("#/space", _space),
    "playground": ("#/playground", _playground),
}
"""Where a scene begins, and what a person does there."""


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("scene", SCENES)
def test_a_scene_fits_every_width(opened: Open, library: Path, scene: str, theme: str) -> None:
    place, act = SCENES[scene]
    page = opened(place, color_scheme=theme)
    act(page, library)
    for name, picture, width in _pictures(page):
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        darkest, lightest = picture.convert("L").getextrema()
        assert lightest - darkest > 100, name  # there is something to be seen
        if SCREENSHOTS:
            picture.save(Path(SCREENSHOTS) / f"{scene}-{name}-{theme}.webp", quality=55, method=6)


def _pictures(page: Any) -> Iterator[tuple[str, Image.Image, int]]:
    """The window as a person sees it, at each width."""
    for name, (width, height) in WIDTHS.items():
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(200)  # what is in sight now may only begin to load
        settled(page)
        yield name, Image.open(io.BytesIO(page.screenshot())), width
