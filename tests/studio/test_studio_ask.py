"""Questions in a real browser: answers as they come, citations that open, follow-ups, and what is said plainly."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from studio_page import EVIL, api, names, question, run_code, settled

import asked_library
import chat_server
from onesense.rag.llm import open_model
from running_server import running

Open = Callable[..., Any]


@pytest.fixture(scope="session")
def read_by(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """Address of a server whose passages a language model reads; the model's name says how it acts."""
    folder = tmp_path_factory.mktemp("read")
    place = asked_library.build(folder / "files", folder / "test.json")
    started: dict[str, str] = {}
    open_model("http://127.0.0.1:9/v1#any")  # pydantic-ai takes seconds to load, which are not the server's
    with ExitStack() as stack:
        chat, _ = stack.enter_context(chat_server.running())

        def start(model: str) -> str:
            if model not in started:
                served = running(folder / model, collections=(place,), llm=f"{chat}#{model}")
                started[model] = stack.enter_context(served)
            return started[model]

        yield start


def asked(page: Any) -> list[dict[str, Any]]:
    """What the page asks of the server, as it does."""
    bodies: list[dict[str, Any]] = []

    def note(request: Any) -> None:
        if request.url.endswith("/api/ask") and request.post_data:
            bodies.append(json.loads(request.post_data))

    page.on("request", note)
    return bodies


def test_an_answer_cites_places_that_open(opened: Open) -> None:
    page = opened("#/ask")
    page.wait_for_selector("text=No language model is set up")
    turn = question(page, "When does the cat go to the vet?")
    assert "the passages themselves" in turn.locator(".turn-state").inner_text()
    assert "vet.md" in names(page)
    cite = turn.locator(".cite").first
    assert "Source 1" in cite.get_attribute("aria-label")
    cite.click()
    page.wait_for_selector("dialog.detail")
    assert page.locator(".detail-side h2").inner_text() in names(page)
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog.detail", state="detached")
    page.click(".tile:has-text('vet.md') .tile-media")
    page.wait_for_selector(".passage mark")


@pytest.mark.parametrize(
    ("words", "name", "shown"),
    [
        ("What was the revenue of the bicycle shop?", "shop.pdf", ".stage .box"),
        ("Which sound does a dog make?", "dog.wav", ".stage-wave canvas"),
        ("Is there a picture of a cat?", "chelsea.png", ".stage canvas.heat"),
    ],
)
def test_every_kind_of_source_opens_in_place(opened: Open, words: str, name: str, shown: str) -> None:
    page = opened("#/ask")
    question(page, words)
    page.click(f".sources .tile:has-text('{name}') .tile-media >> nth=0")
    page.wait_for_selector(f"dialog.detail {shown}")


def test_a_follow_up_takes_along_what_was_said(opened: Open) -> None:
    page = opened("#/ask")
    bodies = asked(page)
    question(page, "How is the bread baked?")
    question(page, "And how hot?")
    assert page.locator(".turn").count() == 2
    assert [turn["question"] for turn in bodies[1]["conversation"]] == ["How is the bread baked?"]
    assert bodies[1]["conversation"][0]["answer"]
    page.click(".nav >> text=Library")
    page.wait_for_selector(".page-title")
    page.click(".nav >> text=Ask")
    page.wait_for_selector(".turn >> nth=1")  # kept while one looks elsewhere
    page.click("text=New conversation")
    page.wait_for_selector(".turn", state="detached")
    question(page, "Who is the vet?")
    assert bodies[-1]["conversation"] == []


def test_what_is_not_there_is_said(opened: Open) -> None:
    page = opened("#/ask")
    turn = question(page, "qzxv plorgh wibble snarf")
    assert "Not in your library" in turn.inner_text()
    assert turn.locator(".cite").count() == 0
    assert turn.locator(".tile").count() > 0


def test_a_name_that_is_a_trap_is_a_source(opened: Open) -> None:
    page = opened("#/ask")
    question(page, "What is over the lake, a zeppelin?")
    assert EVIL in names(page)
    page.locator(".tile", has_text="onerror").locator(".tile-media").click()
    assert EVIL in page.locator(".detail-side h2").inner_text()
    settled(page)
    assert page.evaluate("window.evil") is None


def test_a_language_model_writes_and_its_slips_are_told(opened: Open, read_by: Callable[[str], str]) -> None:
    page = opened("#/ask", at=read_by("cites"))
    page.wait_for_selector("text=openai:cites reads the passages")
    turn = question(page, "What is the budget for the garden shed?")
    assert turn.locator(".answer").inner_text().startswith("The shed costs 4200 euros")
    assert "99" not in turn.locator(".answer").inner_text()
    assert "[99]" in turn.locator(".turn-notes").inner_text()
    assert "Written by openai:cites" in turn.inner_text()
    assert names(page)[0] == "budget.md"


def test_words_come_one_by_one_and_can_be_stopped(opened: Open, read_by: Callable[[str], str]) -> None:
    page = opened("#/ask", at=read_by("trickles"))
    page.fill(".ask-bar textarea", "What is the budget for the garden shed?")
    page.press(".ask-bar textarea", "Enter")
    page.wait_for_selector(".turn[aria-busy=true] .cite")  # a citation, while more is being written
    assert page.locator(".sources .tile").count() > 0
    page.click("[aria-label='Stop the answer']")
    page.wait_for_selector(".turn:not([aria-busy]) >> text=Stopped.")
    assert page.locator(".answer").inner_text().startswith("Word 1")
    assert page.locator(".turn >> text=Ask again").is_visible()


def test_an_answer_that_breaks_off(opened: Open, read_by: Callable[[str], str]) -> None:
    page = opened("#/ask", at=read_by("cut"))
    turn = question(page, "What is the budget for the garden shed?")
    assert "The answer broke off" in turn.inner_text()
    assert turn.locator(".cite").count() == 1


def test_a_line_that_breaks_is_told_and_asked_again(opened: Open) -> None:
    page = opened("#/ask")
    page.wait_for_selector(".ask-note p")  # which asks at the same address what answers
    half = 'event: passages\ndata: {"passages": [], "is_confident": null, "searched": "x", "llm": null}\n\nevent: del'
    answer = {"status": 200, "content_type": "text/event-stream", "body": half}
    page.route("**/api/ask", lambda route: route.fulfill(**answer), times=1)
    turn = question(page, "Where is the cat?")
    assert "cannot be reached" in turn.inner_text()
    page.unroute("**/api/ask")
    page.click(".turn >> text=Ask again")
    page.wait_for_selector(".turn .cite")
    assert page.locator(".turn").count() == 1


def test_where_there_is_nothing_to_ask(opened: Open, tmp_path: Path) -> None:
    with running(tmp_path) as address:
        page = opened("#/ask", at=address)
        page.wait_for_selector("h1:has-text('Nothing here yet')")
        api("POST", f"{address}/api/collections", json={"name": "bare"})
        page.reload()
        page.wait_for_selector("text=This collection is empty")
        turn = question(page, "Is there anything?")
        assert "Not in your library" in turn.inner_text()
        page.goto("about:blank")


def test_several_collections_are_asked(opened: Open, read_by: Callable[[str], str]) -> None:
    address = read_by("cites")
    api("POST", f"{address}/api/collections", json={"name": "more"})
    page = opened("#/ask?c=test", at=address)
    bodies = asked(page)
    page.click(".ask-options >> text=more")
    question(page, "What is the budget for the garden shed?")
    assert bodies[0]["collections"] == ["test", "more"]
    api("DELETE", f"{address}/api/collections/more")


@pytest.mark.parametrize("language", ["Python", "JavaScript", "curl"])
def test_code_of_this_question_runs(opened: Open, language: str) -> None:
    page = opened("#/ask")
    turn = question(page, "How is the bread baked?")
    turn.locator("text=Get code").click()
    page.click(f"dialog >> text={language}")
    assert "onesense://Demo/" in run_code(language, page.locator("dialog .code").inner_text())


def test_a_link_from_elsewhere_opens_the_place(opened: Open, url: str) -> None:
    wanted = {"question": "How is the bread baked?", "collections": ["Demo"]}
    with httpx.stream("POST", f"{url}/api/ask", json=wanted, timeout=120) as answer:
        data = next(line for line in answer.iter_lines() if line.startswith("data: "))
    passage = json.loads(data[6:])["passages"][0]
    page = opened(passage["studio"].removeprefix("/"))
    page.wait_for_selector(f".detail-side h2:has-text('{Path(passage['path']).name}')")
    gone = opened("#/ask?c=Demo&id=/nowhere%230")
    gone.locator("#toast").get_by_text("/nowhere#0").wait_for()
    opened.said.clear()  # the 404


def test_asking_by_keyboard(opened: Open) -> None:
    page = opened("#/ask")
    page.wait_for_selector(".ask-bar")
    page.locator("body").click(position={"x": 5, "y": 400})
    page.keyboard.press("/")
    page.keyboard.type("How is the bread")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("baked?")
    page.keyboard.press("Enter")
    page.wait_for_selector(".turn .cite")
    page.wait_for_function("() => !document.querySelector('[aria-busy=true]')")
    assert page.locator(".turn-question").inner_text().split() == "How is the bread baked?".split()
    page.focus(".cite")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog.detail")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog.detail", state="detached")
    assert page.evaluate("document.activeElement.className") == "cite"
