"""Questions that take several steps: a language model that searches, opens and looks until it can answer.

Every tool goes through `Library`, opened read only: whatever a document tells the model to do, it can look at what the
collections hold, and at nothing else. What the tools find is numbered over the whole conversation, so that the answer
cites it as any other.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import anyio.to_thread

from onesense.errors import InvalidInput, OnesenseError
from onesense.types import Where

from . import llm, prompt
from .ask import Conversation, Reply
from .library import Library
from .retrieve import Found
from .types import Event, Passage, Passages, Turn

if TYPE_CHECKING:
    from pydantic_ai.models import Model

MAX_STEPS = 12  # requests to the language model for one question
TEXT_SHOWN = 600  # characters of a passage in a list of results; `open` gives all

Kind = Literal["text", "image", "audio", "video", "pdf"]

RULES = f"""\
{prompt.RULES}

Nothing was searched for you yet: use the tools. Search first, with a few words each time, several times for questions \
of several steps; narrow it down by kind or by file where that helps. Every result has a number and an address; cite \
numbers, give addresses to the tools."""


class AgentConversation(Conversation):
    """A conversation in which the language model searches by itself. It needs one.

    Raises:
        InvalidInput: there is no language model.
    """

    async def events(self, question: str) -> AsyncIterator[Event]:
        """The answer as it comes; the passages are those that a first search finds, and all that the model looks at."""
        if self.model is None:
            raise InvalidInput("an agent needs a language model: give --llm, or set ONESENSE_LLM")
        found = await self.found(question)
        yield Passages(found.passages, found.is_confident, found.searched, self.llm)
        reply = AgentReply(self.library, found, question)
        async for delta in reply.written(self.model, self.turns):
            yield delta
        answer = reply.answer()
        self.turns.append(Turn(question, answer.text))
        yield answer


class Desk:
    """What a model has looked at for one question, numbered, and the tools with which it looks.

    Args:
        library: made read only here.
    """

    def __init__(self, library: Library) -> None:
        self._library = library.read_only()
        self.passages: list[Passage] = []

    def tools(self, *, sees: bool) -> list[Callable[..., Any]]:
        """The functions that a model may call, one that sees or not."""
        return [self.search, self.open, self.collections, self.compare, *([self.look] if sees else [])]

    async def search(
        self,
        query: str,
        kinds: list[Kind] | None = None,
        collection: str | None = None,
        where: dict[str, Any] | None = None,
        k: int = 6,
    ) -> Any:
        """Search by meaning over texts, pictures, sounds, videos and pages together.

        Args:
            query: what to look for, a few words or a sentence.
            kinds: only these kinds; all when left out.
            collection: only this collection.
            where: filter by field, e.g. {"taken": {"gte": "2024"}} or {"path": {"prefix": "/home/me/"}}.
            k: number of results, at most 20.
        """
        return await _tool(self._search, query, kinds or (), collection, where, max(1, min(k, 20)))

    def _search(
        self, query: str, kinds: Sequence[str], collection: str | None, where: Where | None, k: int
    ) -> dict[str, Any]:
        found, is_confident = self._library.search(query, k, collection=collection, modality=kinds, where=where)
        results = [self._shown(passage) for passage in found]
        return {"results": results, "note": "no confident match among these" if is_confident is False else ""}

    async def open(self, address: str) -> Any:
        """Read all words at an address; without what stands behind its #, those of the whole file.

        Args:
            address: of a search result, `onesense://…`.
        """
        return await _tool(lambda: {"text": self._library.text(address), "number": self._number(address)})

    async def look(self, address: str, at_s: float | None = None) -> Any:
        """Look at a picture, a page, or the frame of a video at a second of the file.

        Args:
            address: of a search result, `onesense://…`.
            at_s: second of a video; the middle of the place when left out.
        """
        return await _tool(self._look, address, at_s)

    def _look(self, address: str, at_s: float | None) -> Any:
        from pydantic_ai import BinaryContent, ToolReturn

        clip = self._library.picture(address, at_s)
        number = self._number(address)
        picture = BinaryContent(clip.data, media_type=clip.mime_type)
        return ToolReturn(return_value={"number": number}, content=[f"This is [{number}]:", picture])

    async def collections(self) -> Any:
        """List the collections: name, number of files, kinds of media."""
        return await _tool(lambda: {"collections": self._library.describe()})

    async def compare(self, one: str, other: str) -> Any:
        """How alike two places are: cosine from -1 to 1, and the words of both.

        Args:
            one: address of a search result.
            other: address of another one, of the same collection.
        """

        def compared() -> dict[str, Any]:
            cosine = round(self._library.compare(one, other), 4)
            return {"cosine": cosine, "texts": [self._library.text(place)[:TEXT_SHOWN] for place in (one, other)]}

        return await _tool(compared)

    def _number(self, address: str) -> int:
        name, hit = self._library.find(address)
        return self._kept(self._library.passages(name, [hit])[0]).number

    def _kept(self, passage: Passage) -> Passage:
        """The passage with its number: the one it has had before, or the next."""
        for known in self.passages:
            if known.link == passage.link:
                return known
        self.passages.append(passage.numbered(len(self.passages) + 1))
        return self.passages[-1]

    def _shown(self, passage: Passage) -> dict[str, Any]:
        kept = self._kept(passage)
        hit = kept.hit
        text = {"text": kept.text[:TEXT_SHOWN]} if kept.text else {}
        sure = {} if hit.confidence is None else {"confidence": hit.confidence}
        return {"number": kept.number, "address": kept.link, "place": kept.place, "kind": hit.modality} | sure | text


class AgentReply(Reply):
    """An answer whose sources the language model finds itself; its text comes in one piece, behind the last tool."""

    def __init__(self, library: Library, found: Found, question: str) -> None:
        self._desk = Desk(library)
        super().__init__(library, found, question, self._desk.passages)
        self._is_found = True  # the model decides: it may search in other words

    async def _pieces(self, model: Model, turns: Sequence[Turn], kinds: frozenset[str]) -> AsyncIterator[str]:
        """The language model's last words."""
        from pydantic_ai import Agent, Tool
        from pydantic_ai.usage import UsageLimits

        tools = [
            Tool(function, takes_ctx=False, docstring_format="google")
            for function in self._desk.tools(sees="image" in kinds)
        ]
        agent = Agent(model, instructions=RULES, tools=tools, retries=2)
        limits = UsageLimits(request_limit=MAX_STEPS)
        history = prompt.history(turns)
        run = await agent.run(
            self._question, message_history=history, model_settings=llm.settings(), usage_limits=limits
        )
        yield str(run.output)


async def _tool(work: Callable[..., Any], *arguments: Any) -> Any:
    """Run a tool in a thread; its faults are told to the model, which can then do better."""
    try:
        return await anyio.to_thread.run_sync(work, *arguments)
    except OnesenseError as cause:
        return {"error": str(cause)}
