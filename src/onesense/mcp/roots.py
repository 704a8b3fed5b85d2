"""Roots: the folders that a client's user has opened for it, asked for at each call, as they may change.

Clients of the protocol up to 2025-11-25 are asked while the tool waits; later ones get the question as the answer to
their call and call again. A client without the capability says nothing about folders, and one that has it and names
none has opened none.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import unquote

from mcp.server.mcpserver import Context, ListRoots, Resolve
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from mcp_types import ListRootsRequest, ListRootsResult
from mcp_types.version import is_version_at_least
from pydantic import ValidationError

from onesense.rag.library import lying

ANSWER_S = 10.0  # that a client gets; it reads a setting, it asks nobody
_ASKED_BY_ANSWER = "2026-07-28"  # the first protocol that has no requests from server to client


async def _asked(context: Context[Any, Any]) -> ListRootsResult | ListRoots | None:
    """What the client says; `ListRoots` leaves the asking to the SDK. A client that fails to answer has opened none."""
    capabilities = context.client_capabilities
    if capabilities is None or capabilities.roots is None:
        return None
    if is_version_at_least(context.session.protocol_version, _ASKED_BY_ANSWER):
        return ListRoots()
    try:
        said: ListRootsResult = await context.session.send_request(
            ListRootsRequest(),
            ListRootsResult,
            request_read_timeout_seconds=ANSWER_S,
            metadata=ServerMessageMetadata(related_request_id=context.request_id),
        )
    except (MCPError, ValidationError, TimeoutError):
        return ListRootsResult(roots=[])
    return said


Declared = Annotated[ListRootsResult | None, Resolve(_asked)]
"""Of a tool's parameter: filled by asking the client; no part of what the model is told."""


def folders(declared: ListRootsResult | None) -> list[str] | None:
    """Real paths of a client's roots; None where it has no such notion."""
    if declared is None:
        return None
    return [os.path.realpath(unquote(root.uri.path)) for root in declared.roots if root.uri.path]


def both(own: Sequence[str], declared: Sequence[str] | None) -> list[str]:
    """The folders that lie in the server's own and in the client's."""
    if declared is None:
        return list(own)
    inner = [root for root in declared if lying(root, own) is not None]
    return list(dict.fromkeys([*inner, *(root for root in own if lying(root, declared) is not None)]))


def root_of(path: str, declared: Sequence[str] | None) -> str | None:
    """The client's root that a file lies in, None where there is none."""
    return lying(os.path.realpath(path), declared or ())
