"""Questions to a library: retrieve, answer, cite; follow-ups know what was said before."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import anyio.to_thread

from onesense.errors import InvalidInput
from onesense.index.collection import Collection

from . import extract, llm, prompt
from .cite import Citer, uncited
from .library import Library
from .llm import open_model
from .retrieve import Found, Wanted, retrieve
from .types import Answer, Delta, Event, Passage, Passages, Turn

if TYPE_CHECKING:
    from pydantic_ai.models import Model

MAX_QUESTION = 4_000  # characters
MAX_ANSWER = 20_000  # characters; a model that writes more has lost its way


def ask(collection: Collection, question: str, **options: Any) -> Answer:
    """Ask one collection one question, see `Conversation`."""
    return Conversation(Library({collection.path.stem: collection}), **options).ask(question)


class Conversation:
    """Questions and answers in a row. The library stays the caller's. One question at a time.

    Args:
        library: what is asked.
        llm: setting of the language model, see `llm`; None takes `ONESENSE_LLM`, `none` is none; or a model of
            pydantic-ai.
        wanted: how many passages, of what, and how many tokens of them.
        turns: what was said before, oldest first.

    Raises:
        InvalidInput: the setting names no model, or its key is missing.
        MissingExtra: the packages of the language model are not installed.
    """

    def __init__(
        self, library: Library, *, llm: Any = None, wanted: Wanted | None = None, turns: Sequence[Turn] = ()
    ) -> None:
        self.library = library
        self.turns = list(turns)
        self.model = open_model(llm)
        self._wanted = wanted or Wanted()

    @property
    def llm(self) -> str | None:
        """Name of the language model, None where there is none."""
        return llm.name_of(self.model)

    def ask(self, question: str) -> Answer:
        """The whole answer.

        Raises:
            InvalidInput: the question is empty or too long.
        """
        *_, answer = self.stream(question)
        assert isinstance(answer, Answer)
        return answer

    def stream(self, question: str) -> Iterator[Event]:
        """The answer as it comes, for callers without an event loop; leaving the loop early stops the model."""
        return _drained(self.events(question))

    async def events(self, question: str) -> AsyncIterator[Event]:
        """The answer as it comes.

        Raises:
            InvalidInput: the question is empty or too long.
        """
        if len(question) > MAX_QUESTION:
            raise InvalidInput(f"the question has {len(question)} characters; at most {MAX_QUESTION} are read")
        found = await self.found(question)
        yield Passages(found.passages, found.is_confident, found.searched, self.llm)
        reply = Reply(self.library, found, question)
        answering = reply.extracted() if self.model is None else reply.written(self.model, self.turns)
        async for delta in answering:
            yield delta
        answer = reply.answer()
        self.turns.append(Turn(question, answer.text))
        yield answer

    async def found(self, question: str) -> Found:
        """What is retrieved; where that is nothing likely, for the question in other words as well."""
        first = question if self.model is None or not self.turns else await self._rewritten(question)
        found = await self._retrieved(first)
        if found.is_confident is not False:
            return found
        other = await self._rewritten(question) if self.model is not None else self._with_the_last(question)
        if other in (first, ""):
            return found
        second = await self._retrieved(other)
        return second if second.is_confident is not False else found

    async def _retrieved(self, question: str) -> Found:
        kinds = frozenset[str]() if self.model is None else llm.takes(self.model)
        return await anyio.to_thread.run_sync(retrieve, self.library, question, self._wanted, kinds)

    def _with_the_last(self, question: str) -> str:
        return f"{self.turns[-1].question} {question}" if self.turns else ""

    async def _rewritten(self, question: str) -> str:
        """The question, made complete by the language model; as it is where that fails."""
        from pydantic_ai import Agent

        agent = Agent(self.model, instructions=prompt.REWRITE, retries=0)
        try:
            run = await agent.run(question, message_history=prompt.history(self.turns), model_settings=llm.settings())
        except llm.faults():  # told when the answer itself is asked for
            return question
        text = " ".join(str(run.output).split())
        return text if 0 < len(text) <= MAX_QUESTION else question


class Reply:
    """One answer on its way.

    Args:
        library: what is asked.
        found: what was retrieved.
        question: of the user.
        sources: what can be cited; what was retrieved by default. May grow while the model works.
    """

    def __init__(self, library: Library, found: Found, question: str, sources: Sequence[Passage] | None = None) -> None:
        self._library, self._found, self._question = library, found, question
        self._sources = found.passages if sources is None else sources
        self._citer = Citer(self._sources)
        self._text = ""
        self._llm: str | None = None
        self._is_partial = False
        self._notes: list[str] = []
        self._has_match = found.is_confident is not False and bool(found.passages)
        self._is_found = self._has_match

    async def extracted(self, note: str = extract.NO_LLM) -> AsyncIterator[Delta]:
        """The passages themselves, or that there are none."""
        self._sources = self._found.passages
        self._citer, self._is_found = Citer(self._sources), self._has_match
        self._notes.append(note)
        for line in extract.lines(self._sources) if self._is_found else [f"{prompt.NOT_FOUND_TEXT}\n"]:
            yield self._show(self._citer.feed(line))

    async def written(self, model: Model, turns: Sequence[Turn]) -> AsyncIterator[Delta]:
        """What the language model writes; where it fails before its first word, the passages themselves."""
        if not self._is_found:
            yield self._show(prompt.NOT_FOUND_TEXT)
            return
        kinds, failed = llm.takes(model), ""
        for shown in (kinds, frozenset[str]()) if kinds else (kinds,):
            failed = ""
            try:
                async for delta in self._asked(model, turns, shown):
                    yield delta
            except llm.faults() as cause:
                failed = llm.fault(cause, llm.name_of(model) or "")
                if shown and not self._text and _is_refusal(cause):
                    self._notes.append("the language model refused the media, so it was asked with the words alone")
                    continue
            break
        async for delta in self._rest(failed, llm.name_of(model)):
            yield delta

    async def _asked(self, model: Model, turns: Sequence[Turn], kinds: frozenset[str]) -> AsyncIterator[Delta]:
        gate = _NotFound()
        async for piece in self._pieces(model, turns, kinds):
            if text := self._citer.feed(gate.feed(piece)):
                yield self._show(text)
            if len(self._text) > MAX_ANSWER:
                raise ValueError("endless")
        if text := self._citer.feed(gate.end()) + self._citer.end():
            yield self._show(text)
        self._is_found = not gate.is_not_found

    async def _pieces(self, model: Model, turns: Sequence[Turn], kinds: frozenset[str]) -> AsyncIterator[str]:
        """The language model's text as it comes."""
        from pydantic_ai import Agent

        passages = self._found.passages
        message, notes = await anyio.to_thread.run_sync(prompt.sources, self._library, passages, self._question, kinds)
        self._notes += notes
        agent = Agent(model, instructions=prompt.RULES, retries=0)
        history = prompt.history(turns)
        async with agent.run_stream(message, message_history=history, model_settings=llm.settings()) as run:
            async for piece in run.stream_text(delta=True, debounce_by=None):
                yield piece

    async def _rest(self, failed: str, name: str | None) -> AsyncIterator[Delta]:
        """What comes after the model's words: nothing, a word on what is missing, or the passages in their place."""
        if not self._text.strip() and self._is_found:
            self._is_partial = True
            why = failed or f"the language model `{name}` answered nothing"
            async for delta in self.extracted(f"{why}; these are the passages themselves"):
                yield delta
            return
        self._llm = name
        if not self._is_found:
            yield self._show(prompt.NOT_FOUND_TEXT)
        elif failed:
            self._is_partial = True
            self._notes.append(f"{failed}; the answer is what had come until then")

    def _show(self, text: str) -> Delta:
        self._text += text
        return Delta(text)

    def answer(self) -> Answer:
        """The answer, when all of it was shown."""
        cited = [self._sources[n - 1] for n in self._citer.cited]
        notes = (*self._notes, *self._warnings(cited))
        return Answer(
            question=self._question,
            text=self._text.strip(),
            citations=cited,
            passages=tuple(self._sources),
            is_found=self._is_found,
            llm=self._llm,
            is_partial=self._is_partial,
            notes=notes,
        )

    def _warnings(self, cited: Sequence[Passage]) -> Iterator[str]:
        """What a reader should know about the citations."""
        if dropped := " ".join(f"[{n}]" for n in self._citer.dropped):
            yield f"the language model cited {dropped}, which is no source: dropped"
        if self._is_found and self._llm is not None:
            n_bare, n_all = uncited(self._text)
            if n_bare:
                yield f"{n_bare} of {n_all} sentences cite no source: read them with care"
        if self._found.is_confident is None and self._is_found:
            yield "the library is too small to tell how sure these passages are"
        yield from (f"[{p.number}] `{p.hit.path}` is gone from the disk" for p in cited if p.is_gone)


class _NotFound:
    """Holds the beginning of an answer back as long as it may be the word for "not in the library"."""

    def __init__(self) -> None:
        self._held = ""
        self._is_open = True
        self.is_not_found = False

    def feed(self, text: str) -> str:
        """What can be passed on."""
        if not self._is_open:
            return text
        self._held += text
        begun = self._held.lstrip().strip("`*\"'").lstrip()
        if prompt.NOT_FOUND.startswith(begun[: len(prompt.NOT_FOUND)]):
            return ""
        self._is_open = False
        return self._held

    def end(self) -> str:
        """What was held back to the end."""
        if not self._is_open:
            return ""
        begun = self._held.strip().strip("`*\"'. ")
        self.is_not_found = begun.startswith(prompt.NOT_FOUND)
        return "" if self.is_not_found else self._held


def _is_refusal(cause: BaseException) -> bool:
    """Whether a model said no to the request itself, as those do that cannot read its media."""
    from pydantic_ai.exceptions import ModelAuthenticationError, ModelNotFoundError, ModelRequestRejectedError

    known = isinstance(cause, (ModelAuthenticationError, ModelNotFoundError))
    return isinstance(cause, (ModelRequestRejectedError, NotImplementedError)) and not known


_END = object()


def _drained(events: AsyncIterator[Event]) -> Iterator[Event]:
    """Events of a coroutine for a caller without an event loop: one thread, one task; leaving early cancels it."""
    pipe: queue.Queue[Any] = queue.Queue()
    started: queue.Queue[Callable[[], object]] = queue.Queue()

    async def run() -> None:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None
        started.put(lambda: loop.is_closed() or loop.call_soon_threadsafe(task.cancel))
        async for event in events:
            pipe.put(event)

    with ThreadPoolExecutor(1, "onesense-ask") as executor:
        running = executor.submit(asyncio.run, run())
        running.add_done_callback(lambda _: pipe.put(_END))
        stop = started.get()
        is_over = False
        try:
            while (event := pipe.get()) is not _END:
                yield event
            is_over = True
        finally:
            if not is_over:
                stop()
    running.result()
