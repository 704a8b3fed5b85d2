"""What a vector is for: Gemini's documented prefixes, its older task types, and each model's own prompts.

Google's model is told its task by a prefix in the text (GEMINI_API.md §1.5), and code that was written for it sends
such texts. Other models were trained with other prompts, and read Google's prefix as noise (3 to 6 points lost on
onesense-mini, MODEL.md). So a prefix is recognised, taken off, and put on again in the model's own words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from onesense.errors import EmptyInput, InvalidInput
from onesense.types import Content, ModelInfo, Part, Task

GEMINI_PROMPTS: Mapping[Task, str] = {
    Task.SEARCH_QUERY: "task: search result | query: {text}",
    Task.SEARCH_DOCUMENT: "title: {title:none} | text: {text}",
    Task.QUESTION_ANSWERING: "task: question answering | query: {text}",
    Task.FACT_CHECKING: "task: fact checking | query: {text}",
    Task.CODE_RETRIEVAL: "task: code retrieval | query: {text}",
    Task.CLASSIFICATION: "task: classification | query: {text}",
    Task.CLUSTERING: "task: clustering | query: {text}",
    Task.SENTENCE_SIMILARITY: "task: sentence similarity | query: {text}",
}
"""Google's strings, as templates. Source: ai.google.dev/gemini-api/docs/embeddings."""

TASK_TYPES: Mapping[str, Task | None] = {
    "TASK_TYPE_UNSPECIFIED": None,
    "RETRIEVAL_QUERY": Task.SEARCH_QUERY,
    "RETRIEVAL_DOCUMENT": Task.SEARCH_DOCUMENT,
    "QUESTION_ANSWERING": Task.QUESTION_ANSWERING,
    "FACT_VERIFICATION": Task.FACT_CHECKING,
    "CODE_RETRIEVAL_QUERY": Task.CODE_RETRIEVAL,
    "CLASSIFICATION": Task.CLASSIFICATION,
    "CLUSTERING": Task.CLUSTERING,
    "SEMANTIC_SIMILARITY": Task.SENTENCE_SIMILARITY,
}
"""The `taskType` words of older Gemini models. Source: mteb 2.26 `google_gemini.py`."""

_QUERY_TASKS = {t.split("task: ")[1].split(" |")[0]: task for task, t in GEMINI_PROMPTS.items() if "task: " in t}
_QUERY = re.compile(rf"task: ({'|'.join(_QUERY_TASKS)}) \| query:(?: |$)")
_DOCUMENT = re.compile(r"title: ([^\n]*?) \| text:(?: |$)")
_TITLE = re.compile(r"\{title(?::(?P<default>[^}]*))?\}(?P<space> ?)")


@dataclass(frozen=True, slots=True)
class Prefixed:
    """A text that named its task itself."""

    task: Task
    title: str | None
    """Title of a document; None where there was none, or the literal `none`."""
    text: str
    """What stood behind the prefix."""


def parse_task(name: str | Task | None) -> Task | None:
    """Read a task name of ours or one of Gemini's `taskType` words; None stays None.

    Raises:
        InvalidInput: neither knows this name; the message lists our names.
    """
    if isinstance(name, str) and name in TASK_TYPES:
        return TASK_TYPES[name]
    return Task.parse(name)


def parse_prefix(text: str) -> Prefixed | None:
    """Recognise a text that literally starts with one of Gemini's prefixes; None for any other text."""
    if found := _QUERY.match(text):
        return Prefixed(_QUERY_TASKS[found[1]], None, text[found.end() :])
    if found := _DOCUMENT.match(text):
        title = None if found[1].strip() in ("", "none") else found[1]
        return Prefixed(Task.SEARCH_DOCUMENT, title, text[found.end() :])
    return None


def apply(content: Content, task: Task | None, info: ModelInfo) -> Content:
    """The content as this model should read it for this task.

    A text-only content gets the model's prompt. A prefix of Gemini's in the text wins over `task`, as it does at
    Google. A content with media gets no prompt, and a prefix in its text is taken off. A model that takes
    instructions gets the task's beside any content.

    Args:
        content: what the caller gave.
        task: what the caller asked for, None for a bare vector.
        info: the model's record; `info.prompts` holds its templates. `{title}` vanishes where there is no title,
            `{title:none}` becomes `none`.

    Returns:
        A content whose texts are final; parts keep their order and number.

    Raises:
        EmptyInput: nothing but white space to embed.
        InvalidInput: a text holds half of a surrogate pair, which no encoding can carry.
    """
    _check_texts(content)
    content, spoken = _take_prefix(content)
    task = spoken or task
    is_text = all(isinstance(p.value, str) for p in content.parts)
    if is_text and not any(str(p.value).strip() for p in content.parts) and not (spoken and content.title):
        raise EmptyInput("this text is empty or only white space: there is nothing to embed")
    if task is None:
        return content
    if is_text or spoken:
        content = _wrap(content, _template(task, info) if is_text else "{title} {text}")
    return Content(*content.parts, title=content.title, instruction=info.instructions.get(task))


def _template(task: Task, info: ModelInfo) -> str:
    """The model's template; a document's title is never lost, even on a model that has no prompt for it."""
    bare = "{title} {text}" if task is Task.SEARCH_DOCUMENT else "{text}"
    return info.prompts.get(task, bare)


def _check_texts(content: Content) -> None:
    for text in [p.value for p in content.parts if isinstance(p.value, str)] + [content.title or ""]:
        try:
            text.encode()
        except UnicodeEncodeError as cause:
            where = f"character {cause.start}"
            raise InvalidInput(f"{where} is half of a surrogate pair: decode the text with errors='replace'") from None


def _take_prefix(content: Content) -> tuple[Content, Task | None]:
    """Take Gemini's prefix off the first text; its title becomes the content's unless that has one."""
    for place, part in enumerate(content.parts):
        if isinstance(part.value, str):
            if found := parse_prefix(part.value):
                parts = list(content.parts)
                parts[place] = replace(part, value=found.text)
                return Content(*parts, title=content.title or found.title), found.task
            break
    return content, None


def _wrap(content: Content, template: str) -> Content:
    """Put what stands before `{text}` on the first text and what stands behind it on the last."""
    before, _, after = (_fill_title(piece, content.title) for piece in template.partition("{text}"))
    parts = list(content.parts)
    places = [i for i, part in enumerate(parts) if isinstance(part.value, str)]
    parts[places[0]] = Part(before + str(parts[places[0]].value))
    parts[places[-1]] = Part(str(parts[places[-1]].value) + after)
    return Content(*parts, title=content.title)


def _fill_title(piece: str, title: str | None) -> str:
    def fill(found: re.Match[str]) -> str:
        said = title or found["default"]
        return f"{said}{found['space']}" if said else ""

    return _TITLE.sub(fill, piece)
