"""Files that clients uploaded, or that batches wrote: metadata in SQLite, bytes on disk, gone after 48 hours.

No name that comes from outside ever becomes part of a path: bytes lie under names that the store draws itself.
Every owner (the name of an API key) has names of their own, and sees nobody else's.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ..errors import AlreadyExists, InvalidInput, OnesenseError, PermissionDenied, StorageFull, TooLarge
from ..index import facts
from ..media import sniff
from .ledger import Ledger

_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, owner TEXT NOT NULL, id TEXT NOT NULL, blob TEXT NOT NULL,
  display_name TEXT NOT NULL, mime_type TEXT NOT NULL, n_bytes INTEGER NOT NULL, sha256 TEXT NOT NULL,
  created_s REAL NOT NULL, expires_s REAL NOT NULL, uri TEXT NOT NULL, is_generated INTEGER NOT NULL,
  video_s REAL, UNIQUE (owner, id));
CREATE INDEX IF NOT EXISTS files_expires ON files (expires_s);
CREATE TABLE IF NOT EXISTS uploads (
  token TEXT PRIMARY KEY, owner TEXT NOT NULL, id TEXT NOT NULL, display_name TEXT NOT NULL,
  mime_type TEXT NOT NULL, n_bytes INTEGER, base TEXT NOT NULL, expires_s REAL NOT NULL, file_id TEXT);
"""
_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
_URI_PATH = re.compile(r"/files/([^/?#:]+)$")
_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"  # no dash: google-genai cuts the name in a URI at the first one
_ORPHAN_S = 3_600.0  # a blob without a row may be on its way in; after an hour it is what a crash left
MAX_DISPLAY_CHARS = 512


@dataclass(frozen=True, slots=True)
class FileLimits:
    """How much is kept and for how long. The defaults are Google's."""

    max_file_bytes: int = 2 * 1024**3
    max_store_bytes: int = 20 * 1024**3
    """All files of all owners, uploads under way included."""
    keep_s: float = 48 * 3_600.0
    """Life of a file."""
    session_s: float = 24 * 3_600.0
    """Life of an upload that is not finished."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of one owner."""

    owner: str
    id: str
    """The name behind `files/`."""
    display_name: str
    mime_type: str
    n_bytes: int
    sha256: str
    """Hex digest."""
    created_s: float
    """Seconds since 1970, as every time here."""
    expires_s: float
    uri: str
    is_generated: bool
    """Written by a batch rather than uploaded."""
    video_s: float | None
    """Length of a video, where its header says it."""
    path: Path


@dataclass(frozen=True, slots=True)
class FileSpec:
    """What a client says about a file before its bytes come."""

    id: str = ""
    """Name behind `files/`; the store draws one where it is empty."""
    display_name: str = ""
    mime_type: str = ""
    """Read from the magic bytes where it is empty."""
    n_bytes: int | None = None
    """Declared size; the upload must then have it exactly."""


class FileStore:
    """A folder of files. Thread-safe; survives `kill -9`; `close` releases the database.

    Args:
        folder: created where it is missing.
        limits: sizes and lives.
        clock: seconds since 1970; tests turn it.
        look: reads headers, as `read_header` does; a server lets another process do that.
    """

    def __init__(
        self,
        folder: Path,
        limits: FileLimits = FileLimits(),
        clock: Callable[[], float] = time.time,
        look: Callable[[Path], tuple[str, float | None]] | None = None,
    ) -> None:
        self.limits = limits
        self.clock = clock
        self._look = look or read_header
        self.partial = folder / "partial"
        self._blobs = folder / "blobs"
        for place in (self.partial, self._blobs):
            place.mkdir(parents=True, exist_ok=True)
        self.ledger = Ledger(folder / "files.sqlite", _SCHEMA)
        self.ledger.add_column("files", "video_s", "REAL")  # older stores lack it
        self.sweep()

    # --- what is there --------------------------------------------------------------------------------------------

    def get(self, owner: str, file_id: str) -> StoredFile:
        """One file.

        Raises:
            PermissionDenied: no such file, or somebody else's: the two cannot be told apart, as at Google.
        """
        query = "SELECT * FROM files WHERE owner = ? AND id = ? AND expires_s > ?"
        row = self.ledger.row(query, (owner, file_id, self.clock()))
        if row is None:
            shown = file_id if len(file_id) <= 64 else f"{file_id[:64]}…"
            raise PermissionDenied(f"You do not have permission to access the File {shown} or it may not exist.")
        return self._file(row)

    def list(self, owner: str, limit: int, before: int | None = None) -> tuple[list[StoredFile], int | None]:
        """A page of files, newest first.

        Args:
            owner: whose.
            limit: most files.
            before: what the page before this one answered; None for the first page.

        Returns:
            The files, and `before` of the next page, None on the last one.
        """
        query = "SELECT * FROM files WHERE owner = ? AND expires_s > ? AND seq < ? ORDER BY seq DESC LIMIT ?"
        top = 2**62 if before is None else before
        rows = self.ledger.rows(query, (owner, self.clock(), top, limit + 1))
        rest = rows[limit - 1]["seq"] if len(rows) > limit else None
        return [self._file(row) for row in rows[:limit]], rest

    def delete(self, owner: str, file_id: str) -> None:
        """Remove a file; who reads it at this moment reads on.

        Raises:
            PermissionDenied: as `get`.
        """
        file = self.get(owner, file_id)
        self.ledger.write("DELETE FROM files WHERE owner = ? AND id = ?", (owner, file_id))
        file.path.unlink(missing_ok=True)

    def resolve(self, uri: str, owner: str, hosts: tuple[str, ...] = ()) -> tuple[Path, str] | None:
        """Path and MIME type of one of our own files.

        Args:
            uri: what stands in `fileUri`: `files/ID`, or the URI that the upload answered.
            owner: who asks.
            hosts: further `host:port` under which this server is called, such as a proxy's.

        Returns:
            None when the URI is not one of ours.

        Raises:
            PermissionDenied: it is one of ours, but there is no such file for this owner.
        """
        if uri.startswith("files/"):
            file = self.get(owner, uri.removeprefix("files/"))
            return file.path, file.mime_type
        parts = urlsplit(uri)
        found = _URI_PATH.search(parts.path)
        if parts.scheme not in ("http", "https") or found is None:
            return None
        query = "SELECT uri FROM files WHERE owner = ? AND id = ?"
        row = self.ledger.row(query, (owner, found[1]))
        ours = {*hosts, urlsplit(row["uri"]).netloc if row else ""}
        if _here(parts.netloc) not in map(_here, ours):
            return None
        file = self.get(owner, found[1])
        return file.path, file.mime_type

    # --- how it comes in ------------------------------------------------------------------------------------------

    def adopt(self, source: Path, owner: str, spec: FileSpec, base: str, *, is_generated: bool = False) -> StoredFile:
        """Move a finished file into the store; all of it is there afterwards, or nothing is.

        Args:
            source: a file on the same disk, gone afterwards.
            owner: whose it becomes.
            spec: what is known about it.
            base: what stands before `files/ID` in its URI, such as `http://host:8080/v1/`.
            is_generated: written by a batch rather than uploaded.

        Raises:
            AlreadyExists: the owner has a file of this name.
            InvalidInput: the name or the display name is not possible.
            StorageFull: the disk or the store is full.
        """
        check_spec(spec)
        n_bytes = source.stat().st_size
        digest = sha256_file(source)
        mime_type, video_s = self._described(source, spec.mime_type)
        blob = secrets.token_hex(16)
        file_id = spec.id or new_id()
        now = self.clock()
        values = (owner, file_id, blob, spec.display_name, mime_type, n_bytes, digest, now, now + self.limits.keep_s)
        with self.ledger.transaction():
            self.refuse_taken(owner, file_id)
            self.ledger.write(
                "INSERT INTO files (owner, id, blob, display_name, mime_type, n_bytes, sha256, created_s, expires_s,"
                " uri, is_generated, video_s) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*values, f"{base}files/{file_id}", is_generated, video_s),
            )
            os.replace(source, self._blobs / blob)
        return self.get(owner, file_id)

    def refuse_too_much(self, n_bytes: int, besides: str = "") -> None:
        """Refuse bytes that a file, the store or the disk cannot take.

        Args:
            n_bytes: size of the file that comes.
            besides: token digest of the upload that the bytes belong to, which is then not counted twice.

        Raises:
            TooLarge: more than one file may have.
            StorageFull: more than is left.
        """
        if n_bytes > self.limits.max_file_bytes:
            raise TooLarge(f"the file has {n_bytes:,} bytes: at most {self.limits.max_file_bytes:,} are kept")
        left = self.limits.max_store_bytes - self.used_bytes(besides)
        if n_bytes > left:
            raise StorageFull(
                f"the file store has room for {max(left, 0):,} bytes more, and this file needs {n_bytes:,}: "
                "delete files, or wait until some expire"
            )
        if n_bytes > shutil.disk_usage(self._blobs).free + self._came(besides):
            raise StorageFull(f"the disk of the server has no room for {n_bytes:,} bytes: free some space")

    def refuse_taken(self, owner: str, file_id: str) -> None:
        """Refuse a name that a living file of this owner has; an expired one makes room.

        Raises:
            AlreadyExists: the name is taken.
        """
        query = "SELECT blob FROM files WHERE owner = ? AND id = ? AND expires_s > ?"
        if self.ledger.row(query, (owner, file_id, self.clock())):
            raise AlreadyExists(f"a file called `files/{file_id}` exists already: delete it or choose another name")
        self.ledger.write("DELETE FROM files WHERE owner = ? AND id = ?", (owner, file_id))

    def used_bytes(self, besides: str = "") -> int:
        """Bytes of all files, and of all uploads but one as far as they are declared or have come."""
        row = self.ledger.row("SELECT COALESCE(SUM(n_bytes), 0) AS n FROM files")
        used = int(row["n"]) if row else 0
        query = "SELECT token, n_bytes FROM uploads WHERE file_id IS NULL AND token != ?"
        return used + sum(max(r["n_bytes"] or 0, self._came(r["token"])) for r in self.ledger.rows(query, (besides,)))

    # --- how it goes ----------------------------------------------------------------------------------------------

    def sweep(self) -> int:
        """Remove what has expired, and what a crash left behind; the number of files that went."""
        now = self.clock()
        gone = self.ledger.rows("SELECT seq, blob FROM files WHERE expires_s <= ?", (now,))
        for row in gone:
            self.ledger.write("DELETE FROM files WHERE seq = ?", (row["seq"],))
            (self._blobs / row["blob"]).unlink(missing_ok=True)
        self.ledger.write("DELETE FROM uploads WHERE expires_s <= ?", (now,))
        self._sweep_folder(self._blobs, {r["blob"] for r in self.ledger.rows("SELECT blob FROM files")})
        waiting = self.ledger.rows("SELECT token FROM uploads WHERE file_id IS NULL")
        self._sweep_folder(self.partial, {r["token"] for r in waiting})
        return len(gone)

    def close(self) -> None:
        """Release the database. Calling it twice is fine."""
        self.ledger.close()

    def _described(self, source: Path, declared: str) -> tuple[str, float | None]:
        """MIME type of a file, and the seconds of a video."""
        if declared and not declared.startswith("video/"):
            return declared, None
        try:
            mime_type, video_s = self._look(source)
        except OnesenseError:  # empty, of no kind that is read here, or it crashed its reader: it may be stored anyhow
            mime_type, video_s = "application/octet-stream", None
        return declared or mime_type, video_s

    def _sweep_folder(self, folder: Path, known: set[str]) -> None:
        for path in folder.iterdir():
            if path.name not in known:
                with contextlib.suppress(FileNotFoundError):  # another process swept it first
                    if time.time() - path.stat().st_mtime > _ORPHAN_S:
                        path.unlink()

    def _came(self, token: str) -> int:
        """Bytes of an upload that are on the disk already."""
        try:
            return (self.partial / token).stat().st_size if token else 0
        except FileNotFoundError:
            return 0

    def _file(self, row: object) -> StoredFile:
        fields = dict(row)  # type: ignore[call-overload]  # sqlite3.Row has keys and items
        fields["path"] = self._blobs / fields.pop("blob")
        fields["is_generated"] = bool(fields["is_generated"])
        del fields["seq"]
        return StoredFile(**fields)


def check_spec(spec: FileSpec) -> None:
    """Refuse names that a file cannot have.

    Raises:
        InvalidInput: see the message.
    """
    if spec.id and not _ID.fullmatch(spec.id):
        raise InvalidInput(
            f"`files/{spec.id[:64]}` is not possible: a name has up to 40 lower-case letters, digits and dashes, "
            "and neither begins nor ends with a dash"
        )
    if len(spec.display_name) > MAX_DISPLAY_CHARS:
        raise InvalidInput(
            f"the display name has {len(spec.display_name)} characters: at most {MAX_DISPLAY_CHARS} are kept"
        )


def new_id() -> str:
    """A name that nobody can guess."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(24))


def sha256_file(path: Path) -> str:
    """Hex digest of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_header(path: Path) -> tuple[str, float | None]:
    """MIME type of a file by its bytes, and the seconds of a video where its header says them.

    Raises:
        InvalidInput: it is of no kind that is read here.
    """
    mime_type = sniff.sniff(path)[1]
    is_video = mime_type.startswith("video/")
    return mime_type, facts.of_file(path).get("duration_s") if is_video else None


def _here(netloc: str) -> str:
    """The host and port of an address; every name of this machine counts as one."""
    host, colon, port = netloc.rpartition(":")
    return f"localhost:{port}" if colon and host in ("localhost", "127.0.0.1", "[::1]") else netloc
