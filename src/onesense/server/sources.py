"""Where the bytes behind a `fileUri` come from: uploaded files, and `https://` addresses where they are allowed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from onesense.errors import OnesenseError, UnsupportedMedia
from onesense.types import Part


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
