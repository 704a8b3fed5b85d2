"""Prefixes and prompts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onesense.engine.tasks import GEMINI_PROMPTS, TASK_TYPES, apply, parse_prefix, parse_task
from onesense.errors import EmptyInput, InvalidInput
from onesense.types import Content, ModelInfo, Part, Task

BARE = ModelInfo("m", "1", "MIT", frozenset({"text"}), 8, (8,), 16)
GEMINI = replace(BARE, prompts=GEMINI_PROMPTS)
E5 = replace(BARE, prompts={Task.SEARCH_QUERY: "query: {text}", Task.SEARCH_DOCUMENT: "passage: {title} {text}"})
PICTURE = Part.bytes(b"not decoded here")

DOCUMENTED = {
    "task: search result | query: cats": Task.SEARCH_QUERY,
    "task: question answering | query: cats": Task.QUESTION_ANSWERING,
    "task: fact checking | query: cats": Task.FACT_CHECKING,
    "task: code retrieval | query: cats": Task.CODE_RETRIEVAL,
    "task: classification | query: cats": Task.CLASSIFICATION,
    "task: clustering | query: cats": Task.CLUSTERING,
    "task: sentence similarity | query: cats": Task.SENTENCE_SIMILARITY,
    "title: none | text: cats": Task.SEARCH_DOCUMENT,
}
"""The strings of Google's guide, letter by letter."""


def _texts(content: Content) -> list[object]:
    return [part.value for part in content.parts]


@pytest.mark.parametrize(("text", "task"), DOCUMENTED.items())
def test_googles_strings_are_written_and_read(text: str, task: Task) -> None:
    assert _texts(apply(Content("cats"), task, GEMINI)) == [text]
    assert _texts(apply(Content(text), None, GEMINI)) == [text]
    found = parse_prefix(text)
    assert found is not None
    assert (found.task, found.title, found.text) == (task, None, "cats")
    assert _texts(apply(Content(text), None, BARE)) == ["cats"]


@pytest.mark.parametrize(
    "text",
    [
        "Task: search result | query: x",
        " task: search result | query: x",
        "task: dancing | query: x",
        "task: search result | x",
        "task: search result| query: x",
        "title: a\nb | text: c",
        "my title: a | text: b",
        "title: a",
    ],
)
def test_anything_else_is_only_text(text: str) -> None:
    assert parse_prefix(text) is None
    assert _texts(apply(Content(text), None, E5)) == [text]


@given(st.sampled_from(list(Task)), st.text(min_size=1).filter(lambda t: t.strip() and parse_prefix(t) is None))
def test_a_prompt_is_undone_by_reading_it(task: Task, text: str) -> None:
    try:
        (written,) = _texts(apply(Content(text), task, GEMINI))
    except InvalidInput:
        return
    found = parse_prefix(str(written))
    assert found is not None
    assert (found.task, found.text) == (task, text)


def test_a_model_gets_its_own_prompt_instead_of_googles() -> None:
    assert _texts(apply(Content("task: search result | query: a | query: b"), None, E5)) == ["query: a | query: b"]
    assert _texts(apply(Content("title: Cats | text: they purr"), None, E5)) == ["passage: Cats they purr"]
    assert _texts(apply(Content("title: none | text: they purr"), None, E5)) == ["passage: they purr"]
    assert _texts(apply(Content("they purr", title="Cats"), Task.SEARCH_DOCUMENT, E5)) == ["passage: Cats they purr"]


def test_a_task_without_a_prompt_leaves_the_text_bare_but_keeps_the_title() -> None:
    assert _texts(apply(Content("a"), Task.CLUSTERING, E5)) == ["a"]
    assert _texts(apply(Content("they purr", title="Cats"), Task.SEARCH_DOCUMENT, BARE)) == ["Cats they purr"]
    assert _texts(apply(Content("they purr", title="Cats"), None, E5)) == ["they purr"]


def test_a_prefix_in_the_text_wins_over_the_argument() -> None:
    assert _texts(apply(Content("task: search result | query: a"), Task.SEARCH_DOCUMENT, E5)) == ["query: a"]


def test_a_title_of_the_content_wins_over_the_one_in_the_text() -> None:
    assert _texts(apply(Content("title: A | text: x", title="B"), None, E5)) == ["passage: B x"]


def test_several_texts_are_wrapped_once() -> None:
    info = replace(BARE, prompts={Task.CLUSTERING: "<{text}>"})
    assert _texts(apply(Content("a", "b", "c"), Task.CLUSTERING, info)) == ["<a", "b", "c>"]


def test_media_get_no_prompt() -> None:
    content = Content("red", PICTURE)
    assert apply(content, Task.SEARCH_QUERY, E5) == content
    assert _texts(apply(Content(PICTURE), Task.SEARCH_QUERY, E5)) == [PICTURE.value]


def test_a_prefix_beside_media_is_taken_off() -> None:
    assert _texts(apply(Content("task: search result | query: red", PICTURE), None, E5)) == ["red", PICTURE.value]
    assert _texts(apply(Content(PICTURE, "title: Bike | text: red"), None, E5)) == [PICTURE.value, "Bike red"]


def test_braces_in_texts_and_titles_are_left_alone() -> None:
    content = Content("{title} {text} {0} \\1", title="{text} \\g<0>")
    assert _texts(apply(content, Task.SEARCH_DOCUMENT, E5)) == ["passage: {text} \\g<0> {title} {text} {0} \\1"]


@pytest.mark.parametrize("text", ["", " \n\t ", "task: search result | query:", "task: clustering | query:  "])
def test_nothing_to_embed_is_refused(text: str) -> None:
    with pytest.raises(EmptyInput, match="white space"):
        apply(Content(text), Task.SEARCH_QUERY, E5)


def test_a_document_may_be_all_title_and_media_may_have_blank_captions() -> None:
    assert _texts(apply(Content("title: Cats | text: "), None, E5)) == ["passage: Cats "]
    assert apply(Content("", PICTURE), None, E5).parts[1] == PICTURE


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(InvalidInput, match="character 2 is half"):
        apply(Content("ab\ud83d"), None, BARE)
    with pytest.raises(InvalidInput, match="surrogate"):
        apply(Content("ab", title="\udc00"), None, BARE)


@pytest.mark.parametrize(("word", "task"), TASK_TYPES.items())
def test_older_task_types_are_read(word: str, task: Task | None) -> None:
    assert parse_task(word) is task


def test_task_names_of_ours_are_read_and_others_refused() -> None:
    assert parse_task("search query") is Task.SEARCH_QUERY
    assert parse_task(None) is None
    with pytest.raises(InvalidInput, match="`RETRIEVAL`"):
        parse_task("RETRIEVAL")
