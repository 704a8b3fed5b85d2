"""What the tools answer: the structured part, whose schema every client is told, and the blocks that a model reads."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from mcp_types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
)
from pydantic import BaseModel, Field

from onesense.index.places import Clip
from onesense.rag.types import Passage

from .roots import root_of

EXCERPT = 600  # characters of a result; `open` gives all


class Result(BaseModel):
    """One place that was found."""

    address: str = Field(description="give this to `open` and `similar`, and cite it")
    path: str = Field(description="the file")
    place: str = Field(description="file name and page, seconds or characters, for people")
    kind: str = Field(description="text, image, audio, video or pdf")
    confidence: float | None = Field(description="0..1, the chance that this is meant; null: cannot be told")
    excerpt: str = Field(description="its words, shortened; empty for pictures and sounds")
    collection: str
    root: str | None = Field(description="folder of the client (a root) that the file lies in; null: in none")

    @classmethod
    def of(cls, passage: Passage, declared: Sequence[str] | None = None) -> Result:
        """The result for a passage."""
        hit = passage.hit
        return cls(
            address=passage.link,
            path=hit.path,
            place=passage.place,
            kind=hit.modality,
            confidence=hit.confidence,
            excerpt=passage.text[:EXCERPT],
            collection=passage.collection,
            root=root_of(hit.path, declared),
        )


class Results(BaseModel):
    """Places, best first."""

    results: list[Result]
    is_confident: bool | None = Field(
        None, description="false: none of these is likely to be meant, say so instead of guessing; null: cannot be told"
    )


class Opened(BaseModel):
    """A place."""

    address: str
    path: str
    place: str
    kind: str
    text: str = Field(description="all its words; empty for pictures and sounds")
    facts: dict[str, Any] = Field(description="what the file says of itself: size, duration, date, place, language")
    root: str | None = Field(description="folder of the client (a root) that the file lies in; null: in none")
    media: str | None = Field(description="type of the picture, sound or video that comes with this; null: none does")


class CollectionInfo(BaseModel):
    """A collection."""

    name: str
    model: str
    dim: int
    files: int
    by_modality: dict[str, int] = Field(description="files by kind")


class Collections(BaseModel):
    """All collections."""

    collections: list[CollectionInfo]
    can_add: bool
    add_from: list[str] = Field(description="folders that files can be added from")


class Vector(BaseModel):
    """An embedding."""

    values: list[float] = Field(description="of unit length")
    dim: int
    model: str


class Added(BaseModel):
    """What became of each file."""

    added: list[str]
    updated: list[str]
    unchanged: int
    failed: dict[str, str] = Field(description="path: reason")


def found(
    passages: Sequence[Passage],
    is_confident: bool | None,  # noqa: FBT001 - a verdict of three
    declared: Sequence[str] | None,
) -> CallToolResult:
    """Results as structure and as links that a client can show and read; `declared` are the client's roots."""
    results = Results(results=[Result.of(passage, declared) for passage in passages], is_confident=is_confident)
    blocks: list[ContentBlock] = [TextContent(text=results.model_dump_json())]
    for passage, result in zip(passages, results.results, strict=True):
        mime = str(passage.hit.facts.get("mime") or "") or None
        blocks.append(
            ResourceLink(uri=result.address, name=result.place, mime_type=mime, description=passage.quote or None)
        )
    return CallToolResult(content=blocks, structured_content=results.model_dump())


def opened(passage: Passage, text: str, clip: Clip | None, declared: Sequence[str] | None) -> CallToolResult:
    """A place as structure, with its picture, sound or video."""
    hit = passage.hit
    told = Opened(
        address=passage.link,
        path=hit.path,
        place=passage.place,
        kind=hit.modality,
        text=text,
        facts=dict(hit.facts),
        root=root_of(hit.path, declared),
        media=None if clip is None else clip.mime_type,
    )
    blocks: list[ContentBlock] = [TextContent(text=told.model_dump_json())]
    if clip is not None:
        blocks.append(_block(clip, passage.link))
    return CallToolResult(content=blocks, structured_content=told.model_dump())


def _block(clip: Clip, address: str) -> ContentBlock:
    data = base64.b64encode(clip.data).decode()
    kind = clip.mime_type.partition("/")[0]
    if kind == "image":
        return ImageContent(data=data, mime_type=clip.mime_type)
    if kind == "audio":
        return AudioContent(data=data, mime_type=clip.mime_type)
    return EmbeddedResource(resource=BlobResourceContents(uri=address, blob=data, mime_type=clip.mime_type))
