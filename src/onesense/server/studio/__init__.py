"""The Studio: static pages and modules, served as they lie in `static/`, with a policy that runs nothing else."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import Response

from ...errors import NotFound

router = APIRouter(include_in_schema=False)

_STATIC = Path(__file__).parent / "static"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(self), geolocation=()",
    "Cache-Control": "no-cache",
}


@router.get("/")
async def index(request: Request) -> Response:
    """The page."""
    return _answer(request, "index.html")


@router.get("/studio/{path:path}")
async def file(request: Request, path: str) -> Response:
    """A module, a style sheet, the texts of a language."""
    return _answer(request, path)


def _answer(request: Request, path: str) -> Response:
    """A file of the folder, or `304` where the browser has it already.

    Raises:
        NotFound: there is no such file; only what the folder listing knows can be asked for.
    """
    if path not in _files():
        raise NotFound(f"the Studio has no file `{path[:100]}`")
    body = (_STATIC / path).read_bytes()
    tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
    headers = HEADERS | {"ETag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=_TYPES[Path(path).suffix])


@cache
def _files() -> frozenset[str]:
    found = (path for path in _STATIC.rglob("*") if path.suffix in _TYPES)
    return frozenset(path.relative_to(_STATIC).as_posix() for path in found)
