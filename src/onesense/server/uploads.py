"""Uploads under way: sessions that take bytes piece by piece, and can go on after a break or a restart.

A session is known by a random token, which is also the only credential that its requests carry; the database holds
a digest of it. How many bytes have come is the size of the partial file, so no second record can disagree with it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..errors import EmptyInput, InvalidInput, NotFound, StorageFull, TooLarge
from .filestore import FileSpec, FileStore, StoredFile, check_spec

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says when there is no room."""


@dataclass(frozen=True, slots=True)
class Session:
    """One upload."""

    key: str
    """Digest of the token; the name of the partial file."""
    owner: str
    spec: FileSpec
    base: str
    """What stands before `files/ID` in the URI of the file."""
    file_id: str | None
    """Set when the upload is finished."""


class Uploads:
    """Sessions of one store. Thread-safe; a session takes one request at a time."""

    def __init__(self, store: FileStore) -> None:
        self._store = store
        self._busy: set[str] = set()
        self._lock = threading.Lock()

    def start(self, owner: str, spec: FileSpec, base: str) -> str:
        """Open a session.

        Returns:
            Its token, 43 characters fit for a URL.

        Raises:
            AlreadyExists: the owner has a file of this name.
            InvalidInput: the name, the display name or the size is not possible.
            StorageFull: the declared size is more than is left.
        """
        check_spec(spec)
        if spec.n_bytes is not None:
            if spec.n_bytes < 0:
                raise InvalidInput(f"a file of {spec.n_bytes} bytes is not possible")
            self._store.refuse_too_much(spec.n_bytes)
        if spec.id:
            self._store.refuse_taken(owner, spec.id)
        token = secrets.token_urlsafe(32)
        self._store.ledger.write(
            "INSERT INTO uploads (token, owner, id, display_name, mime_type, n_bytes, base, expires_s)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (_digest(token), owner, spec.id, spec.display_name, spec.mime_type, spec.n_bytes, base,
             self._store.clock() + self._store.limits.session_s),
        )  # fmt: skip
        return token

    def find(self, token: str) -> Session:
        """The session of a token.

        Raises:
            NotFound: there is none, or it has expired or was cancelled.
        """
        query = "SELECT * FROM uploads WHERE token = ? AND expires_s > ?"
        row = self._store.ledger.row(query, (_digest(token), self._store.clock()))
        if row is None:
            raise NotFound("this upload does not exist or has expired: start a new one")
        spec = FileSpec(row["id"], row["display_name"], row["mime_type"], row["n_bytes"])
        return Session(row["token"], row["owner"], spec, row["base"], row["file_id"])

    def received(self, session: Session) -> int:
        """Bytes that have come so far."""
        if session.file_id is not None:
            return self.finished(session).n_bytes
        path = self._path(session)
        return path.stat().st_size if path.exists() else 0

    def finished(self, session: Session) -> StoredFile:
        """The file of a finished session; asked again when the answer to the last piece was lost.

        Raises:
            PermissionDenied: the file has gone since.
        """
        return self._store.get(session.owner, session.file_id or "")

    @contextmanager
    def writing(self, session: Session, offset: int) -> Iterator[Sink]:
        """Take a piece that begins at `offset`.

        A piece that begins before the end of what has come replaces it from there: its answer was lost, and the
        client sends it again.

        Raises:
            InvalidInput: the piece begins behind the end, the session is finished, or another request writes to it.
        """
        with self._alone(session):
            came = self.received(session)
            if session.file_id is not None:
                raise InvalidInput("this upload is finished: start a new one")
            if not 0 <= offset <= came:
                raise InvalidInput(f"the piece begins at byte {offset}, and {came} bytes have come: go on from there")
            with _disk_faults(), self._path(session).open("r+b" if came else "wb") as file:
                file.truncate(offset)
                file.seek(offset)
                yield Sink(file, offset, session, self._store)

    def finish(self, session: Session) -> StoredFile:
        """Turn a session into a file.

        Raises:
            EmptyInput: no bytes came.
            InvalidInput: not as many came as were declared.
            AlreadyExists: somebody took the name meanwhile.
            StorageFull: the disk is full.
        """
        with self._alone(session):
            came = self.received(session)
            wanted = session.spec.n_bytes
            if wanted is not None and came != wanted:
                raise InvalidInput(f"{came:,} bytes came, and {wanted:,} were declared: send the rest, or start anew")
            if came == 0:
                raise EmptyInput("the file is empty: there is nothing to keep")
            path = self._path(session)
            with _disk_faults():
                _flush_to_disk(path)
                file = self._store.adopt(path, session.owner, session.spec, session.base)
            self._store.ledger.write("UPDATE uploads SET file_id = ? WHERE token = ?", (file.id, session.key))
            return file

    def cancel(self, session: Session) -> None:
        """Forget a session and what came of it; a finished one keeps its file."""
        with self._alone(session):
            self._store.ledger.write("DELETE FROM uploads WHERE token = ?", (session.key,))
            self._path(session).unlink(missing_ok=True)

    def _path(self, session: Session) -> Path:
        return self._store.partial / session.key

    @contextmanager
    def _alone(self, session: Session) -> Iterator[None]:
        with self._lock:
            if session.key in self._busy:
                raise InvalidInput("another request is writing to this upload: wait for it, then ask how far it came")
            self._busy.add(session.key)
        try:
            yield
        finally:
            self._busy.discard(session.key)


class Sink:
    """Takes the bytes of one piece and refuses more than may come."""

    def __init__(self, file: BinaryIO, offset: int, session: Session, store: FileStore) -> None:
        self._file = file
        self._end = offset
        self._session = session
        self._store = store

    def write(self, piece: bytes) -> None:
        """Append bytes.

        Raises:
            TooLarge: more than were declared, or than a file may have.
            StorageFull: the store or the disk is full.
        """
        self._end += len(piece)
        wanted = self._session.spec.n_bytes
        if wanted is None:
            self._store.refuse_too_much(self._end, besides=self._session.key)
        elif self._end > wanted:
            raise TooLarge(f"more than the {wanted:,} bytes that were declared came")
        with _disk_faults():
            self._file.write(piece)


@contextmanager
def _disk_faults() -> Iterator[None]:
    try:
        yield
    except OSError as cause:
        if cause.errno in DISK_FULL:
            raise StorageFull("the disk of the server is full: free some space, then go on or start anew") from cause
        raise


def _flush_to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
