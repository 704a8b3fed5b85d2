"""What a request to `/api` holds, checked: contents to search for, and what to search among."""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Any, Literal

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field

from ..errors import EmptyInput, InvalidInput, OnesenseError
from ..types import Content, Part
from .sources import FileRef

MAX_HITS = 200
MAX_PARTS = 32
_PATH = Annotated[str, Field(min_length=1, max_length=4_096)]


class Strict(BaseModel):
    """A body whose unknown fields are refused: a misspelt option must not be passed over."""

    model_config = ConfigDict(extra="forbid")


class PartIn(Strict):
    """One piece of a content: a text, an uploaded file, or bytes."""

    text: str | None = Field(None, max_length=100_000)
    file: str | None = Field(None, max_length=1_000, description="`files/ID`, as the Files API answered the upload")
    data: str | None = Field(None, description="base64")
    mime_type: str | None = Field(None, max_length=100, description="of the file or the bytes")

    def part(self) -> Part | FileRef:
        """The part, or what it is to be fetched from.

        Raises:
            InvalidInput: it holds none or several of text, file and data, or the base64 is broken.
            EmptyInput: it holds nothing.
        """
        given = [name for name in ("text", "file", "data") if getattr(self, name) is not None]
        if len(given) != 1:
            raise InvalidInput(f"a part holds one of `text`, `file` and `data`; this one holds {given or 'none'}")
        if not getattr(self, given[0]).strip():
            raise EmptyInput(f"a part's `{given[0]}` is empty")
        if self.text is not None:
            return Part(self.text)
        if self.file is not None:
            return FileRef(self.file, self.mime_type)
        try:
            return Part(base64.b64decode(self.data or "", validate=True), self.mime_type)
        except (binascii.Error, ValueError) as cause:
            raise InvalidInput(f"a part's `data` is not base64: {cause}") from None


Parts = Annotated[list[PartIn], Field(max_length=MAX_PARTS)]


class QueryIn(Strict):
    """What is looked for: parts that are one query together, items like it, and what to steer to or away from."""

    parts: Parts = Field(default_factory=list)
    like: list[_PATH] = Field(default_factory=list, max_length=MAX_PARTS, description="ids or paths of the collection")
    plus: Parts = Field(default_factory=list)
    minus: Parts = Field(default_factory=list)
    unlike: list[_PATH] = Field(default_factory=list, max_length=MAX_PARTS, description="ids to steer away from")


class SearchIn(QueryIn):
    """A query, and what to search among."""

    modality: list[str] = Field(default_factory=list, max_length=8, description="any of several; all when empty")
    where: dict[str, Any] = Field(default_factory=dict, description="field: value, values, or {gte, lte, prefix}")
    k: int = Field(30, ge=1, le=MAX_HITS)
    offset: int = Field(0, ge=0, le=100_000)
    group: Literal["file"] | None = Field(None, description="`file`: one hit a file, with its best segments")
    collapse: bool = Field(default=False, description="near-duplicates stand under their best hit")
    words: bool = Field(default=True, description="words and file names count, too")


class MarkIn(QueryIn):
    """A hit, and the query to find in it."""

    id: _PATH


class ContentIn(Strict):
    """Parts that become one vector."""

    parts: Parts


class SimilarityIn(Strict):
    """Contents to compare with each other."""

    contents: list[ContentIn] = Field(min_length=1, max_length=64)
    dims: list[int] = Field(default_factory=list, max_length=16, description="sizes; the full one when empty")
    model: str | None = Field(None, max_length=200)


@asynccontextmanager
async def opened_contents(request: Request, groups: Sequence[Sequence[PartIn]]) -> AsyncIterator[list[Content | None]]:
    """A content a group of parts, None for a group of none; uploaded files are open inside the `async with`.

    Raises:
        InvalidInput: a part is none.
        PermissionDenied: this key has no such file.
    """
    parts = [[part.part() for part in group] for group in groups]
    refs = [part for group in parts for part in group if isinstance(part, FileRef)]
    async with AsyncExitStack() as stack:
        opened: list[Part] = []
        if refs:
            found = await stack.enter_async_context(request.app.state.sources.opened(refs, request.state.key_name))
            opened = [_fine(one) for one in found]
        files = iter(opened)
        yield [
            Content(*(next(files) if isinstance(part, FileRef) else part for part in group)) if group else None
            for group in parts
        ]


def _fine(found: Part | OnesenseError) -> Part:
    if isinstance(found, OnesenseError):
        raise found
    return found
