"""Searching in a real browser: words, files, recordings, composites, filters, keys, and every way to open a hit."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from studio_page import EVIL, ask, names, run_code, settled

Open = Callable[..., Any]


def test_words_find_pictures_sounds_and_texts_at_once(opened: Open) -> None:
    page = opened()
    page.wait_for_selector(".grid .tile")  # something to start from
    ask(page, "a cat")
    assert {"cat.wav", "chelsea.png", "vet.md"} <= set(names(page)[:6])
    assert page.locator(".meter").count() > 3
    assert page.locator("#live").inner_text().strip()
    assert "q=a+cat" in page.url


def test_a_second_query_is_answered_soon(opened: Open) -> None:
    page = opened("#/search?q=a%20dog")
    page.wait_for_selector(".results-line")
    begun = time.perf_counter()
    ask(page, "a motorcycle")
    page.wait_for_function("() => document.querySelector('.tile-name')?.innerText.includes('motorcycle')")
    assert time.perf_counter() - begun < 5  # it must not hang; speed is no matter of tests


def test_no_confident_match_is_said(opened: Open) -> None:
    page = opened()
    ask(page, "qzxv plorgh wibble snarf")
    assert "No confident match" in page.locator(".results").inner_text()
    assert page.locator(".tile").count() > 0


def test_a_picture_finds_its_like_and_a_minus_steers_away(opened: Open, library: Path) -> None:
    page = opened()
    page.set_input_files("input[type=file]", str(library / "library" / "photos" / "chelsea.png"))
    page.wait_for_selector(".results-line")
    assert "chelsea.png" in names(page)[:3]
    assert page.locator(".chip").count() == 1
    page.click(".chip-sign")
    page.wait_for_selector(".chip.minus")
    page.fill(".query-words", "an animal")
    page.press(".query-words", "Enter")
    page.wait_for_function("() => !(document.querySelector('.tile-name')?.innerText ?? 'chelsea').includes('chelsea')")
    page.focus(".query-words")
    page.fill(".query-words", "")
    page.press(".query-words", "Backspace")
    assert page.locator(".chip").count() == 0


def test_words_and_a_sound_make_one_query(opened: Open, library: Path) -> None:
    page = opened()
    page.fill(".query-words", "an animal")
    page.press(".query-words", "Control+Enter")
    page.wait_for_selector(".chip >> text=an animal")
    page.set_input_files("input[type=file]", str(library / "library" / "sounds" / "dog.wav"))
    page.wait_for_function("() => document.querySelectorAll('.chip:not(.loading)').length === 2")
    page.wait_for_function("() => document.querySelector('.tile-name')?.innerText.includes('dog')")


def test_a_dropped_file_and_a_pasted_one_are_taken(opened: Open, library: Path) -> None:
    page = opened()
    page.wait_for_selector(".query")
    body = list((library / "library" / "photos" / "coffee.png").read_bytes())
    page.evaluate(
        """body => {
          const carried = new DataTransfer();
          carried.items.add(new File([new Uint8Array(body)], 'coffee.png', {type: 'image/png'}));
          document.dispatchEvent(new DragEvent('dragenter', {dataTransfer: carried, bubbles: true}));
          document.dispatchEvent(new DragEvent('drop', {dataTransfer: carried, bubbles: true, cancelable: true}));
        }""",
        body,
    )
    page.wait_for_function("() => document.querySelector('.tile-name')?.innerText.includes('coffee')")
    page.evaluate(
        """body => {
          const carried = new DataTransfer();
          carried.items.add(new File([new Uint8Array(body)], 'again.png', {type: 'image/png'}));
          const paste = new ClipboardEvent('paste', {clipboardData: carried, bubbles: true});
          document.querySelector('.query').dispatchEvent(paste);
        }""",
        body,
    )
    page.wait_for_function("() => document.querySelectorAll('.chip:not(.loading)').length === 2")


def test_the_microphone_and_the_camera(opened: Open) -> None:
    page = opened(permissions=["microphone", "camera"])
    page.click("[aria-label='Search with a sound']")
    page.wait_for_selector("dialog.record")
    page.wait_for_timeout(1_500)
    page.click("dialog >> text=Search with this")
    page.wait_for_selector(".chip:not(.loading) >> text=Recording")
    page.wait_for_selector(".results-line")
    page.click(".chip-close")
    page.click("[aria-label='Search with a camera picture']")
    page.wait_for_function("() => document.querySelector('.record-video')?.videoWidth > 0")
    page.click("dialog >> text=Take the picture")
    page.wait_for_selector(".chip:not(.loading) >> text=Camera picture")


def only(page: Any, kind: str) -> None:
    js = "kind => document.querySelector('.tile') && !document.querySelector(`.tile:not(.tile-${kind})`)"
    page.wait_for_function(js, arg=kind)


def test_filters_narrow_down(opened: Open) -> None:
    page = opened()
    ask(page, "a cat")
    page.click(".pill >> text=Sounds")
    only(page, "audio")
    page.click(".pill >> text=Sounds")
    page.select_option("select[aria-label=Folder]", label="photos")
    only(page, "image")


def test_more_like_this_and_the_keys(opened: Open) -> None:
    page = opened()
    ask(page, "the sound of rain")
    page.focus(".tile-media")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    first = names(page)[0]
    page.keyboard.press("l")
    page.wait_for_selector(".chip")
    page.wait_for_function("() => !document.querySelector('[aria-busy=true]')")
    assert page.locator(".chip-label").inner_text() == first
    page.locator("body").click(position={"x": 5, "y": 400})
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.className") == "query-words"


@pytest.mark.parametrize(
    ("words", "name", "kind"),
    [
        ("a cat looking at the camera", "chelsea.png", "image"),
        ("a cat purring", "cat.wav", "audio"),
        ("a cat", "reel.mp4", "video"),
        ("revenue of the bicycle shop", "shop.pdf", "pdf"),
        ("take the cat to the vet", "vet.md", "text"),
    ],
)
def test_a_hit_opens_in_place(opened: Open, words: str, name: str, kind: str) -> None:
    page = opened()
    ask(page, words)
    page.click(f".tile-{kind}:has-text('{name}') .tile-media >> nth=0")
    page.wait_for_selector(f"dialog.detail .stage-{kind}")
    assert name in page.locator(".detail-side h2").inner_text()
    page.wait_for_selector(SHOWN[kind])
    if kind == "video":
        page.wait_for_function("() => document.querySelector('video').readyState >= 1")
        assert page.evaluate("document.querySelector('video').currentTime") > 0
    if kind == "audio":
        page.click(".stage [aria-label=Play]")
        page.wait_for_selector(".stage [aria-label=Pause]")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog.detail", state="detached")


SHOWN = {
    "image": ".stage canvas.heat",
    "audio": ".stage-wave canvas",
    "video": ".moments .moment",
    "pdf": ".stage .box",
    "text": ".passage mark",
}
"""What shows that the place, and not only the file, was found."""


def test_a_name_that_is_a_trap_is_a_name(opened: Open) -> None:
    page = opened()
    ask(page, "a zeppelin over the lake")
    assert EVIL in names(page)
    page.click(".tile:has-text('onerror') .tile-media")
    assert EVIL in page.locator(".detail-side h2").inner_text()
    settled(page)
    assert page.evaluate("window.evil") is None


@pytest.mark.parametrize("language", ["Python", "JavaScript", "curl"])
def test_code_of_this_search_runs(opened: Open, language: str) -> None:
    page = opened()
    ask(page, "a cat purring")
    page.click("text=Get code")
    page.click(f"dialog >> text={language}")
    assert "cat.wav" in run_code(language, page.locator("dialog .code").inner_text())
