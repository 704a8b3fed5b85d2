"""Google's Files API: upload (resumable, simple, multipart), get, list, delete, download.

What the clients need is recorded in their own traffic: the address of an upload session is absolute and is itself the
credential, because google-genai and the Vercel AI SDK send no key with the second request; the header
`X-Goog-Upload-Status` says `active` or `final`, and an answer without it makes google-genai send its piece again.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from fastapi import APIRouter, FastAPI, Request
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse, Response

from ..errors import InvalidInput, MalformedRequest, NotFound, OnesenseError, StorageFull, TooLarge, UnsupportedMedia
from ..media.sandbox import Sandbox
from ..types import Part
from .dialects import Dialect, error_response, json_response
from .fetching import FetchRules, fetch_url
from .filestore import FileLimits, FileSpec, FileStore, StoredFile, read_header
from .multipart import MAX_METADATA_BYTES, TwoParts
from .protojson import Field, Message, Support, parse
from .routing import versioned
from .settings import Settings
from .sources import FileRef
from .uploads import Session, Uploads

router = APIRouter(tags=["files"])

FILE = Message(
    "File",
    {
        "name": Field("string", about="`files/ID`; drawn by the server where it is missing"),
        "display_name": Field("string", about="up to 512 characters"),
        "mime_type": Field("string", about="read from the bytes where it is missing"),
        "size_bytes": Field("any", about="a number, or one as text; the upload must then have it exactly"),
    }
    | dict.fromkeys(
        ("create_time", "update_time", "expiration_time", "sha256_hash", "uri", "download_uri", "state", "source"),
        Field("any", Support.IGNORED),
    ),
)
CREATE_REQUEST = Message("CreateFileRequest", {"file": Field("message", message=FILE)})

SESSIONS = "/upload-session/"  # gate.py lets these in without a key
_PIECE = 1 << 20  # bytes gathered before a thread writes them
_GRANULARITY = 1 << 18  # what Google asks the pieces of an upload to be a multiple of; we take any
_SWEEP_S = 600.0
_PAGE, _MAX_PAGE = 10, 100  # Google's
_GONE = 499


class Files:
    """`app.state.files` and `app.state.sources`: the store, its uploads, and the way from a `fileUri` to a part."""

    def __init__(self, settings: Settings, sandbox: Sandbox | None) -> None:
        limits = settings.limits
        kept = FileLimits(limits.max_file_bytes, limits.max_stored_bytes, limits.file_ttl_s)
        self._urls = settings.urls
        self._hosts = (urlsplit(settings.public_url).netloc,) if settings.public_url else ()
        look = None if sandbox is None else partial(sandbox.run, read_header)
        self.store = FileStore(settings.folder / "files", kept, look=look)
        self.uploads = Uploads(self.store)

    @asynccontextmanager
    async def opened(self, refs: Sequence[FileRef], owner: str) -> AsyncIterator[Sequence[Part | OnesenseError]]:
        """Parts of the files that `fileUri`s name, in order; what had to be fetched is deleted behind the `async with`.

        An outcome is a PermissionDenied where this owner has no such file, and an UnsupportedMedia or InvalidInput
        where an address is not ours and is not, or cannot be, fetched.
        """
        fetched: list[Path] = []
        try:
            yield [await self._open(ref, owner, fetched) for ref in refs]
        finally:
            for path in fetched:
                path.unlink(missing_ok=True)

    async def _open(self, ref: FileRef, owner: str, fetched: list[Path]) -> Part | OnesenseError:
        try:
            found = self.store.resolve(ref.uri, owner, self._hosts)
            if found is not None:
                path, stored_type = found
                return Part.file(path, ref.mime_type or stored_type)
            if not self._urls.is_on:
                return UnsupportedMedia(
                    f"`{ref.uri[:200]}` is no file of this server, and this server fetches no addresses: "
                    "upload the file, or send its bytes"
                )
            target = self.store.partial / f"fetched-{secrets.token_hex(16)}"
            fetched.append(target)
            rules = FetchRules(self._urls.max_bytes, self._urls.timeout_s, hosts=self._urls.hosts)
            answer = await asyncio.to_thread(fetch_url, ref.uri, target, rules)
            return Part.file(target, ref.mime_type or answer.mime_type)
        except OnesenseError as error:
            return error


async def start(app: FastAPI) -> None:
    """Open the store, and sweep it from time to time."""
    app.state.files = app.state.sources = await asyncio.to_thread(Files, app.state.settings, app.state.engine.sandbox)
    app.state.files_sweeper = asyncio.create_task(_sweep(app.state.files.store))


async def stop(app: FastAPI) -> None:
    """Close the store."""
    app.state.files_sweeper.cancel()
    with suppress(asyncio.CancelledError):
        await app.state.files_sweeper
    app.state.files.store.close()


async def _sweep(store: FileStore) -> None:
    while True:
        await asyncio.sleep(_SWEEP_S)
        with suppress(OnesenseError, OSError):  # a full or busy disk: the next round tries again
            await asyncio.to_thread(store.sweep)


# --- upload ---------------------------------------------------------------------------------------------------------


@router.post("/upload/{version:apiversion}/files", response_model=None)
@router.post("/upload/files", response_model=None, include_in_schema=False)
async def upload(request: Request) -> Response:
    """Begin a resumable upload, or take a whole file in one request."""
    protocol = _protocol(request)
    base = base_of(request)
    if protocol == "resumable":
        return await _start(request, base)
    if protocol == "multipart":
        return await _take_multipart(request, base)
    spec = _spec({}, request.headers, _plain_type(request.headers.get("content-type", "")))
    return await _take_whole(request, request.stream(), spec, base)


async def _start(request: Request, base: str) -> Response:
    if "start" not in _commands(request):
        raise InvalidInput("the first request of a resumable upload has `X-Goog-Upload-Command: start`")
    spec = _spec(await _metadata(request), request.headers, "")
    token = uploads_of(request).start(request.state.key_name, spec, base)
    address = f"{origin(request)}{SESSIONS}{token}"
    headers = {
        "X-Goog-Upload-URL": address,
        "X-Goog-Upload-Control-URL": address,
        "X-Goog-Upload-Chunk-Granularity": str(_GRANULARITY),
        "X-Goog-Upload-Status": "active",
    }
    return json_response({}, headers=headers)


@router.post(f"{SESSIONS}{{token}}", response_model=None)
@router.put(f"{SESSIONS}{{token}}", response_model=None, include_in_schema=False)
async def upload_piece(request: Request, token: str) -> Response:
    """A piece of a resumable upload, its end, a question how far it came, or its cancellation."""
    uploads = uploads_of(request)
    try:
        session = uploads.find(token)
        return await _obey(request, uploads, session)
    except ClientDisconnect:
        return Response(status_code=_GONE)
    except (TooLarge, StorageFull) as error:
        with suppress(OnesenseError):
            uploads.cancel(session)
        return _final(error)
    except InvalidInput as error:
        # Without the status header google-genai sends its piece again, which is right when two requests met.
        return _final(error) if "finalize" in _commands(request) else error_response(error, Dialect.GOOGLE)
    except OnesenseError as error:
        return _final(error)


async def _obey(request: Request, uploads: Uploads, session: Session) -> Response:
    commands = _commands(request)
    if not commands or not commands <= {"upload", "finalize", "query", "cancel"}:
        raise InvalidInput("`X-Goog-Upload-Command` is `upload`, `upload, finalize`, `finalize`, `query` or `cancel`")
    if "cancel" in commands:
        uploads.cancel(session)
        return json_response({}, headers={"X-Goog-Upload-Status": "cancelled"})
    if "query" in commands or (session.file_id and "finalize" not in commands):
        status = "final" if session.file_id else "active"
        came = {"X-Goog-Upload-Size-Received": str(uploads.received(session))}
        return json_response({}, headers={"X-Goog-Upload-Status": status} | came)
    if session.file_id:  # the answer to the last piece was lost, and it comes again
        return _finished(uploads.finished(session))
    if "upload" in commands:
        await _receive(request.stream(), uploads, session, _offset(request, uploads.received(session)))
    if "finalize" in commands:
        return _finished(await asyncio.to_thread(uploads.finish, session))
    came = {"X-Goog-Upload-Size-Received": str(uploads.received(session))}
    return json_response({}, headers={"X-Goog-Upload-Status": "active"} | came)


async def _take_whole(request: Request, stream: AsyncIterator[bytes], spec: FileSpec, base: str) -> Response:
    """One request that carries the file; what breaks off leaves nothing."""
    uploads = uploads_of(request)
    session = uploads.find(uploads.start(request.state.key_name, spec, base))
    try:
        await _receive(stream, uploads, session, 0)
        return _finished(await asyncio.to_thread(uploads.finish, session))
    except ClientDisconnect:
        uploads.cancel(session)
        return Response(status_code=_GONE)
    except OnesenseError:
        uploads.cancel(session)
        raise


async def _take_multipart(request: Request, base: str) -> Response:
    parts = TwoParts(request.headers.get("content-type", ""))
    stream = request.stream()
    first = b""
    try:
        while parts.media_type is None:
            first = parts.feed(await anext(stream))
    except StopAsyncIteration:
        raise MalformedRequest(
            "the multipart upload holds no file: after the JSON comes a part with its bytes"
        ) from None
    except ClientDisconnect:
        return Response(status_code=_GONE)

    async def media() -> AsyncIterator[bytes]:
        yield first
        async for piece in stream:
            yield parts.feed(piece)
        if not parts.is_complete:
            raise MalformedRequest("the multipart upload ends before its closing boundary")

    spec = _spec(parse(CREATE_REQUEST, bytes(parts.metadata)), request.headers, _plain_type(parts.media_type))
    return await _take_whole(request, media(), spec, base)


async def _receive(stream: AsyncIterator[bytes], uploads: Uploads, session: Session, offset: int) -> None:
    """Write bytes as they come, about a megabyte at a time; what came before a break stays."""
    with uploads.writing(session, offset) as sink:
        waiting = bytearray()
        try:
            async for piece in stream:
                waiting += piece
                if len(waiting) >= _PIECE:
                    await asyncio.to_thread(sink.write, bytes(waiting))
                    waiting.clear()
        finally:
            sink.write(bytes(waiting))


def _protocol(request: Request) -> str:
    said = request.headers.get("x-goog-upload-protocol") or request.query_params.get("uploadType", "")
    protocol = {"media": "raw"}.get(said.lower(), said.lower())
    if not protocol and request.headers.get("content-type", "").startswith("multipart/"):
        return "multipart"
    if protocol not in ("resumable", "raw", "multipart"):
        raise InvalidInput(
            f"`{said}` is no upload protocol: use `X-Goog-Upload-Protocol: resumable`, `raw` or `multipart`, "
            "or `?uploadType=media` or `multipart`"
        )
    return protocol


def _commands(request: Request) -> set[str]:
    said = request.headers.get("x-goog-upload-command", "")
    return {word.strip().lower() for word in said.split(",") if word.strip()}


def _offset(request: Request, came: int) -> int:
    said = request.headers.get("x-goog-upload-offset", str(came))
    if not said.isascii() or not said.isdigit():
        raise InvalidInput(f"`X-Goog-Upload-Offset` is a number of bytes, not {said!r}")
    return int(said)


async def _metadata(request: Request) -> dict[str, Any]:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_METADATA_BYTES:
            raise MalformedRequest(f"the metadata of an upload has at most {MAX_METADATA_BYTES:,} bytes")
    return parse(CREATE_REQUEST, bytes(body))


def _spec(body: Mapping[str, Any], headers: Mapping[str, str], sent_type: str) -> FileSpec:
    """What is said about a file: in the JSON, else in the headers (the Vercel SDK's way)."""
    said = body.get("file", {})
    kind = said.get("mime_type") or headers.get("x-goog-upload-header-content-type") or sent_type
    return FileSpec(
        id=said.get("name", "").removeprefix("files/"),
        display_name=said.get("display_name") or unquote(headers.get("x-goog-upload-file-name", "")),
        mime_type=_plain_type(kind),
        n_bytes=_size(said.get("size_bytes", headers.get("x-goog-upload-header-content-length"))),
    )


def _size(found: Any) -> int | None:
    if found is None or (isinstance(found, int) and not isinstance(found, bool)):
        return found
    if isinstance(found, str) and found.isascii() and found.isdigit() and len(found) < 19:
        return int(found)
    raise MalformedRequest(f"`file.sizeBytes` is a whole number, not {found!r}")


def _plain_type(said: str) -> str:
    """A MIME type without its parameters; one that says nothing, or could break a header, counts as none."""
    plain = said.partition(";")[0].strip().lower()
    is_word = plain.isascii() and plain.isprintable() and " " not in plain and len(plain) < 256
    return plain if is_word and plain not in ("application/octet-stream", "*/*") else ""


def _finished(file: StoredFile) -> Response:
    return json_response({"file": file_json(file)}, headers={"X-Goog-Upload-Status": "final"})


def _final(error: OnesenseError) -> Response:
    answer = error_response(error, Dialect.GOOGLE)
    answer.headers["X-Goog-Upload-Status"] = "final"
    return answer


# --- what is there ----------------------------------------------------------------------------------------------------


@versioned(router, "GET", "/files")
async def list_files(request: Request) -> Response:
    """The files of this key, newest first, in pages."""
    limit, before = read_page(request)
    found, rest = store_of(request).list(request.state.key_name, limit, before)
    return json_response({"files": [file_json(file) for file in found]} | next_page(rest))


@versioned(router, "GET", "/files/{name:path}")
async def get_file(request: Request, name: str) -> Response:
    """What is known about a file, or its bytes: `files/ID:download?alt=media`."""
    file_id, _, verb = _id(name).partition(":")
    file = store_of(request).get(request.state.key_name, file_id)
    if not verb and request.query_params.get("alt") != "media":
        return json_response(file_json(file))
    if verb not in ("", "download"):
        raise NotFound(f"a file has no method `{verb}`: there is `:download?alt=media`")
    headers = {  # whatever somebody uploaded, a browser shall not run it under our name
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox; default-src 'none'",
    }
    name = file.display_name or file.id
    return FileResponse(file.path, media_type=file.mime_type, filename=name, headers=headers)


@versioned(router, "DELETE", "/files/{name:path}")
async def delete_file(request: Request, name: str) -> Response:
    """Remove a file."""
    store_of(request).delete(request.state.key_name, _id(name))
    return json_response({})


def file_json(file: StoredFile) -> dict[str, Any]:
    """Google's `File`. `sha256Hash` is base64 of the hex digest, as Google sends it; sizes are strings."""
    fields = {
        "name": f"files/{file.id}",
        "displayName": file.display_name,
        "mimeType": file.mime_type,
        "sizeBytes": str(file.n_bytes),
        "createTime": timestamp(file.created_s),
        "updateTime": timestamp(file.created_s),
        "expirationTime": timestamp(file.expires_s),
        "sha256Hash": base64.b64encode(file.sha256.encode()).decode(),
        "uri": file.uri,
        "downloadUri": f"{file.uri}:download?alt=media" if file.is_generated else "",
        "state": "ACTIVE",
        "source": "GENERATED" if file.is_generated else "UPLOADED",
        "videoMetadata": {"videoDuration": f"{file.video_s:.9g}s"} if file.video_s else None,
    }
    return {name: value for name, value in fields.items() if value}


def timestamp(seconds: float) -> str:
    """RFC 3339, as protobuf writes times in JSON."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


# --- shared with the batches ------------------------------------------------------------------------------------------


def read_page(request: Request) -> tuple[int, int | None]:
    """`pageSize` (in either spelling) and `pageToken`.

    Raises:
        InvalidInput: one of them is malformed.
    """
    asked = request.query_params
    size = asked.get("pageSize") or asked.get("page_size") or "0"
    token = asked.get("pageToken") or asked.get("page_token")
    try:
        limit = int(size)
        before = int(base64.urlsafe_b64decode(token.encode()).decode("ascii")) if token else None
    except (ValueError, binascii.Error):
        raise InvalidInput("`pageSize` is a number, and `pageToken` what the page before answered") from None
    if limit < 0 or (before is not None and not 0 <= before < 2**62):
        raise InvalidInput("`pageSize` is not negative, and `pageToken` what the page before answered")
    return min(limit or _PAGE, _MAX_PAGE), before


def next_page(before: int | None) -> dict[str, str]:
    """`nextPageToken` of a page that is not the last."""
    return {} if before is None else {"nextPageToken": base64.urlsafe_b64encode(str(before).encode()).decode()}


def origin(request: Request) -> str:
    """`http://host:port` and the path prefix under which the caller sees this server."""
    settings: Settings = request.app.state.settings
    return (settings.public_url or str(request.base_url)).rstrip("/")


def base_of(request: Request) -> str:
    """What stands before `files/ID` in the URI of a file, in the version of the request."""
    version = request.path_params.get("version")
    return f"{origin(request)}/{version}/" if version else f"{origin(request)}/"


def store_of(request: Request) -> FileStore:
    """The file store of the application."""
    store: FileStore = request.app.state.files.store
    return store


def uploads_of(request: Request) -> Uploads:
    """The uploads of the application."""
    uploads: Uploads = request.app.state.files.uploads
    return uploads


def _id(name: str) -> str:
    """The id in a path; google-genai sends `files.get(name=<our http:// uri>)` as the whole URI behind `files/`."""
    return name.rpartition("files/")[2]
