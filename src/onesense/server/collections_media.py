"""What a hit looks and sounds like: thumbnails, pages, outlines of sound, clips, texts, and the files themselves.

A file is named by its path, and only files that a collection holds are shown. Nothing is sent as a type that a browser
could run.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import anyio.to_thread
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import FileResponse, Response

from ..index import places
from ..media.sandbox import Sandbox
from ..types import Hit, Locator
from . import previews
from .collections import collection_of, refuse_foreign_pages
from .collections_rows import file_of
from .dialects import json_response
from .preview_cache import PreviewCache

router = APIRouter(prefix="/api/collections/{name}", tags=["collections"], dependencies=[Depends(refuse_foreign_pages)])

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_DRAWN = {**_HEADERS, "Cache-Control": "private, max-age=600"}
_Out = TypeVar("_Out")
_TEXT_SHOWN = 400_000  # characters of a text that are sent at once
_MAX_CLIP_S = 120.0

Path_ = Query(alias="path", min_length=1, max_length=4_096, description="of a file of the collection")


@router.get("/thumbnail", response_class=Response)
async def thumbnail(
    request: Request,
    name: str,
    path: str = Path_,
    modality: Literal["image", "video", "pdf"] = "image",
    side: int = Query(480, ge=32, le=previews.MAX_SIDE),
    page: int | None = Query(None, ge=1),
    at_s: float | None = Query(None, ge=0, le=1e6),
) -> Response:
    """A WebP picture of a file: the picture, a page, or the frame at a second."""
    side = _step(side)
    what = f"thumbnail {modality} side={side} page={page} at={at_s}"

    def draw(source: Path, target: Path) -> None:
        seen = _read(request, previews.picture, source, modality, side, page, at_s)
        target.write_bytes(previews.webp(seen, side))

    return Response(await _drawn(request, name, path, what, draw), headers=_DRAWN, media_type="image/webp")


@router.get("/waveform")
async def waveform(request: Request, name: str, path: str = Path_, n: int = Query(200, ge=8, le=2_000)) -> Response:
    """The outline of a sound: `peaks` of 0..1, and its length."""

    def draw(source: Path, target: Path) -> None:
        outline, duration_s = _read(request, previews.peaks, source, n)
        rounded = [round(float(peak), 3) for peak in outline]
        target.write_text(json.dumps({"peaks": rounded, "duration_s": duration_s}), encoding="utf-8")

    body = await _drawn(request, name, path, f"waveform {n}", draw)
    return Response(body, headers=_DRAWN, media_type="application/json")


@router.get("/clip", response_class=Response)
async def clip(
    request: Request,
    name: str,
    path: str = Path_,
    modality: Literal["audio", "video"] = "audio",
    start_s: float = Query(0.0, ge=0, le=1e6),
    end_s: float = Query(..., ge=0, le=1e6),
) -> Response:
    """A stretch of a sound or video, cut for any browser; at most two minutes of it."""
    end_s = min(end_s, start_s + _MAX_CLIP_S)
    hit = Hit(path, path, Locator(start_s=start_s, end_s=end_s), modality, 1.0, None, "")

    def draw(source: Path, target: Path) -> None:
        del source
        target.write_bytes(places.clip(hit).data)

    cache: PreviewCache = request.app.state.previews
    file = await _file(request, name, path)
    what = f"clip {modality} {start_s:.3f} {end_s:.3f}"
    cut = await anyio.to_thread.run_sync(cache.path, file, what, lambda target: draw(file, target))
    return FileResponse(cut, headers=_DRAWN, media_type="video/mp4" if modality == "video" else "audio/wav")


@router.get("/text")
async def text(request: Request, name: str, path: str = Path_, page: int | None = Query(None, ge=1)) -> Response:
    """The text of a file, as its segments count characters; of a PDF the text layer of a page."""
    file = await _file(request, name, path)
    whole = await anyio.to_thread.run_sync(_read, request, previews.text, file, page)
    return json_response({"text": whole[:_TEXT_SHOWN], "truncated": len(whole) > _TEXT_SHOWN}, headers=_HEADERS)


@router.get("/original", response_class=Response)
async def original(request: Request, name: str, path: str = Path_, *, download: bool = False) -> Response:
    """The file itself, by ranges. What a browser could run, such as HTML or SVG, comes as a download."""
    file = await _file(request, name, path)
    media_type = None if download else await anyio.to_thread.run_sync(_read, request, previews.safe_type, file)
    headers = dict(_HEADERS)
    if media_type is None:
        headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(file.name, safe='')}"
    return FileResponse(file, headers=headers, media_type=media_type or "application/octet-stream")


async def _file(request: Request, name: str, path: str) -> Path:
    collection = await collection_of(request, name)
    return await anyio.to_thread.run_sync(file_of, collection, path)


async def _drawn(request: Request, name: str, path: str, what: str, draw: Callable[[Path, Path], None]) -> bytes:
    cache: PreviewCache = request.app.state.previews
    file = await _file(request, name, path)
    return await anyio.to_thread.run_sync(cache.get, file, what, lambda target: draw(file, target))


def _read(request: Request, function: Callable[..., _Out], *arguments: Any) -> _Out:
    """Read a file in a process of its own where the server has them: a file that crashes a decoder costs nothing else.

    Raises:
        OnesenseError: as the function.
    """
    sandbox: Sandbox | None = request.app.state.engine.sandbox
    return function(*arguments) if sandbox is None else sandbox.run(function, *arguments)


def _step(side: int) -> int:
    """The next of a few sizes, so that pages of any width share what was drawn."""
    return next(size for size in (64, 160, 320, 480, 800, previews.MAX_SIDE) if side <= size)
