"""`onesense ask`: a question to collections, answered with citations."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from onesense.errors import InvalidInput

from .search import parse_where, short_path
from .verb import DEFAULT_COLLECTION, ExitCode, Json, print_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onesense.rag.types import Answer, Event, Turn

_FORMAT = "onesense.conversation.v1"


def command(
    question: Annotated[str, typer.Argument(help="What you want to know.")],
    collections: Annotated[
        list[Path] | None, typer.Option("--in", help=f"Collection to ask; {DEFAULT_COLLECTION} by default. Repeatable.")
    ] = None,
    llm: Annotated[
        str | None,
        typer.Option("--llm", help="openai:MODEL, gemini:MODEL, anthropic:MODEL, http://HOST/v1#MODEL, or none."),
    ] = None,
    agent: Annotated[bool, typer.Option("--agent", help="Let the language model search in several steps.")] = False,
    goes_on: Annotated[bool, typer.Option("--continue", "-c", help="A follow-up to the last question.")] = False,
    k: Annotated[int, typer.Option("-k", min=1, help="Passages that can be cited, at most.")] = 8,
    budget: Annotated[int, typer.Option("--budget", min=100, help="Tokens of all passages together.")] = 6_000,
    modality: Annotated[
        list[str] | None, typer.Option("--modality", help="Only text, image, audio, video or pdf. Repeatable.")
    ] = None,
    where: Annotated[list[str] | None, typer.Option("--where", help="Only passages with KEY=VALUE, as search.")] = None,
    as_json: Json = False,
) -> None:
    """Answer a question from collections, with citations; exit 4 when it is not in them."""
    from onesense.rag.agent import AgentConversation
    from onesense.rag.ask import Conversation
    from onesense.rag.library import Library
    from onesense.rag.retrieve import Wanted

    turns = read_turns() if goes_on else []
    wanted = Wanted(k, tuple(modality or ()), parse_where(where or []) or None, budget)
    with Library.open(collections or [Path(DEFAULT_COLLECTION)]) as library:
        kind = AgentConversation if agent else Conversation
        conversation = kind(library, llm=llm, wanted=wanted, turns=turns)
        answer = _told(conversation.stream(question), as_json=as_json)
        write_turns(conversation.turns)
    if not answer.is_found:
        raise typer.Exit(ExitCode.NOTHING_FOUND)


def _told(events: Iterator[Event], *, as_json: bool) -> Answer:
    """Print an answer while it comes, or all of it as JSON."""
    from onesense.rag.types import Answer, Delta

    for event in events:
        if isinstance(event, Delta) and not as_json:
            print(event.text, end="", flush=True)
        if isinstance(event, Answer):
            if as_json:
                print_json(event.to_dict() | {"passages": [passage.to_dict() for passage in event.passages]})
            else:
                _print_sources(event)
            return event
    raise AssertionError("an answer is always the last event")


def _print_sources(answer: Answer) -> None:
    print("" if answer.text.endswith("\n") else "\n")
    shown = answer.citations if answer.is_found else answer.passages[:3]
    if shown:
        print("Sources:" if answer.is_found else "The nearest that there is:")
    for passage in shown:
        sure = "" if passage.hit.confidence is None else f" ({passage.hit.confidence:.0%})"
        print(f"  [{passage.number}] {short_path(passage.hit.path)} {passage.hit.locator}".rstrip() + sure)
    for note in answer.notes:
        print(f"onesense: {note}", file=sys.stderr)


# --- the last conversation --------------------------------------------------------------------------------------------


def conversation_file() -> Path:
    """Where the last conversation is kept, for `--continue`."""
    from platformdirs import user_data_path

    return user_data_path("onesense") / "conversation.json"


def read_turns() -> list[Turn]:
    """The last conversation.

    Raises:
        InvalidInput: there is none.
    """
    from onesense.rag.types import Turn

    try:
        kept: Any = json.loads(conversation_file().read_text(encoding="utf-8"))
        turns = [Turn(str(turn["question"]), str(turn["answer"])) for turn in kept["turns"]]
    except (OSError, ValueError, KeyError, TypeError):
        turns = []
    if not turns:
        raise InvalidInput("there is no conversation to continue: ask without --continue first")
    return turns


def write_turns(turns: list[Turn]) -> None:
    """Keep a conversation for the next `--continue`, readable by its owner only; nowhere where the disk refuses."""
    path = conversation_file()
    kept = [{"question": turn.question, "answer": turn.answer} for turn in turns]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump({"format": _FORMAT, "turns": kept}, file, ensure_ascii=False)
    except OSError as cause:
        print(f"onesense: this conversation cannot be continued later: {cause.strerror}", file=sys.stderr)
