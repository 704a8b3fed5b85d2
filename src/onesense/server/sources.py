"""Where the bytes behind a `fileUri` come from: uploaded files, and `https://` addresses where they are allowed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from onesense.errors import OnesenseError, UnsupportedMedia
from onesense.types import Content, Part


@dataclass(frozen=True, slots=True)
class FileRef:
    """A `fileData` of a request."""

    uri: str
    mime_type: str | None
    """As the caller declared it."""


class Sources(Protocol):
    """What `app.state.sources` can do; `files.py` puts the real one there."""

    def opened(
        self, refs: Sequence[FileRef], owner: str
    ) -> AbstractAsyncContextManager[Sequence[Part | OnesenseError]]:
        """Parts of these files, in order, to be used inside the `async with`; what was fetched is deleted behind it.

        Args:
            refs: which files.
            owner: name of the key that asks; it sees its own files only.
        """
        ...


class NoSources:
    """A server without files."""

    @asynccontextmanager
    async def opened(self, refs: Sequence[FileRef], owner: str) -> AsyncIterator[Sequence[Part | OnesenseError]]:
        """Refuse every one of them."""
        del owner
        yield [UnsupportedMedia(f"`{ref.uri}` is not available: this server keeps no files") for ref in refs]


def without_paths(error: OnesenseError, content: Content) -> OnesenseError:
    """The same error, without the places of this server's disk that a content was read from."""
    text = str(error)
    for part in content.parts:
        if isinstance(part.value, Path):
            text = text.replace(f"`{part.value}`", "the uploaded file").replace(str(part.value), "the uploaded file")
    if text == str(error):
        return error
    told = type(error)(text)
    told.__dict__.update(error.__dict__)
    return told
