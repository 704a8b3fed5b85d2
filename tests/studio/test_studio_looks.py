"""Accessibility by axe-core, every language, both themes, the keyboard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from studio_page import ask, question, settled

Open = Callable[..., Any]
VIEWS = ("search", "ask", "library", "space", "playground")


def check(page: Any, axe: str) -> None:
    """No violation of WCAG 2.2 A and AA, or of axe's best practices."""
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']}).then(r => r.violations)")
    told = [f"{v['id']}: {n['html'][:160]}\n{n['failureSummary']}" for v in found for n in v["nodes"]]
    assert not told, "\n\n".join(told)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_a_view_is_accessible(opened: Open, axe: str, view: str, theme: str) -> None:
    page = opened(f"#/{view}", color_scheme=theme)
    page.wait_for_selector(f"body[data-view={view}] main > *")
    if view == "playground":
        page.click("text=Try an example")
        page.wait_for_selector(".matrix")
    settled(page)
    check(page, axe)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["image", "audio", "video", "pdf", "text"])
def test_results_and_an_open_hit_are_accessible(opened: Open, axe: str, kind: str, theme: str) -> None:
    page = opened(color_scheme=theme)
    ask(page, "a cat")
    settled(page)
    if kind == "image":
        check(page, axe)
    page.click(f".tile-{kind} .tile-media >> nth=0")
    page.wait_for_selector("dialog.detail")
    settled(page)
    check(page, axe)


def test_dialogs_are_accessible(opened: Open, axe: str) -> None:
    page = opened("#/library")
    page.click("text=New collection")
    settled(page)
    check(page, axe)
    page.keyboard.press("Escape")
    page.goto(page.url.split("#")[0] + "#/search?q=a%20cat")
    page.wait_for_selector(".results-line")
    page.click("text=Get code")
    settled(page)
    check(page, axe)


@pytest.mark.parametrize(
    ("locale", "word"), [("es-ES", "Buscar"), ("zh-CN", "搜索"), ("ar-EG", "البحث"), ("hi-IN", "खोज")]
)
def test_a_language(opened: Open, axe: str, locale: str, word: str) -> None:
    page = opened(locale=locale)
    page.wait_for_selector(f".nav >> text={word}")
    assert page.get_attribute("html", "lang") == locale[:2]
    assert page.get_attribute("html", "dir") == ("rtl" if locale.startswith("ar") else "ltr")
    settled(page)
    check(page, axe)
    page.goto(page.url.split("#")[0] + "#/ask")
    question(page, "cat")
    settled(page)
    check(page, axe)
    assert page.evaluate("document.documentElement.scrollWidth") <= 1360


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1360])
def test_an_answer_is_accessible(opened: Open, axe: str, width: int, theme: str) -> None:
    page = opened("#/ask", color_scheme=theme, width=width)
    question(page, "When does the cat go to the vet?")
    question(page, "qzxv plorgh wibble snarf")
    settled(page)
    check(page, axe)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_theme_is_the_systems_until_one_is_chosen(opened: Open) -> None:
    page = opened(color_scheme="dark")
    page.wait_for_selector("html[data-theme=dark]")
    page.emulate_media(color_scheme="light")
    page.wait_for_selector("html[data-theme=light]")
    light = page.evaluate("getComputedStyle(document.body).getPropertyValue('--bg')")
    page.click("[aria-label='Light or dark']")
    page.wait_for_selector("html[data-theme=dark]")
    assert page.evaluate("getComputedStyle(document.body).getPropertyValue('--bg')") != light
    page.reload()
    page.wait_for_selector("html[data-theme=dark]")
    page.emulate_media(color_scheme="dark")
    page.emulate_media(color_scheme="light")
    assert page.get_attribute("html", "data-theme") == "dark"


def test_who_wants_less_motion_gets_none(opened: Open) -> None:
    moves = "() => getComputedStyle(document.querySelector('.query')).transitionDuration"
    for wanted, has_motion in (("no-preference", True), ("reduce", False)):
        page = opened(reduced_motion=wanted)
        page.wait_for_selector(".query")
        assert (page.evaluate(moves) != "0s") is has_motion


def test_all_by_keyboard(opened: Open) -> None:
    page = opened()
    page.wait_for_selector(".grid .tile")
    page.keyboard.type("a cat")
    page.keyboard.press("Enter")
    page.wait_for_selector(".results-line")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.className.includes('tile-media')"):
            break
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog.detail")
    first = page.locator(".detail-side h2").inner_text()
    page.keyboard.press("ArrowRight")
    assert page.locator(".detail-side h2").inner_text() != first
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog.detail", state="detached")
    assert page.evaluate("document.activeElement.className.includes('tile-media')")
