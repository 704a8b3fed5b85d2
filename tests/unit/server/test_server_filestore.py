"""Files on disk and the uploads that bring them: whole or not at all, each owner's own, gone when their time is up."""

from __future__ import annotations

import errno
import hashlib
import os
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import media_samples
from onesense.errors import (
    AlreadyExists,
    CorruptData,
    DecodeError,
    EmptyInput,
    InvalidInput,
    NotFound,
    PermissionDenied,
    StorageFull,
    TooLarge,
)
from onesense.server import filestore
from onesense.server.filestore import FileLimits, FileSpec, FileStore
from onesense.server.uploads import Uploads
from turned_clock import Clock

BASE = "http://127.0.0.1:8080/v1/"


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Any:
    opened = FileStore(tmp_path / "store", FileLimits(max_file_bytes=1_000, max_store_bytes=2_000), clock)
    yield opened
    opened.close()


@pytest.fixture
def uploads(store: FileStore) -> Uploads:
    return Uploads(store)


def put(uploads: Uploads, payload: bytes, owner: str = "ann", **spec: Any) -> filestore.StoredFile:
    session = uploads.find(uploads.start(owner, FileSpec(**spec), BASE))
    with uploads.writing(session, 0) as sink:
        sink.write(payload)
    return uploads.finish(session)


def on_disk(store: FileStore) -> list[str]:
    return sorted(p.name for p in store.partial.parent.rglob("*") if p.is_file() and "sqlite" not in p.name)


def test_a_file_comes_back_as_it_went_in(store: FileStore, uploads: Uploads) -> None:
    file = put(uploads, b"hello", display_name="Greeting", mime_type="text/plain")
    assert store.get("ann", file.id) == file
    assert file.path.read_bytes() == b"hello"
    assert (file.n_bytes, file.sha256) == (5, hashlib.sha256(b"hello").hexdigest())
    assert file.uri == f"{BASE}files/{file.id}"
    assert file.expires_s - file.created_s == 48 * 3_600


def test_the_type_is_read_from_the_bytes_where_none_is_declared(uploads: Uploads) -> None:
    assert put(uploads, b"%PDF-1.7\n1 0 obj\n").mime_type == "application/pdf"
    assert put(uploads, b"\x00\x01\x02\x03" * 9).mime_type == "application/octet-stream"


def test_a_file_that_crashes_its_reader_is_kept_all_the_same(tmp_path: Path, clock: Clock) -> None:
    def crash(path: Path) -> Any:
        raise DecodeError("this input crashed its decoder")

    with closing(FileStore(tmp_path / "crash", FileLimits(), clock, crash)) as store:
        uploads = Uploads(store)
        assert put(uploads, b"evil").mime_type == "application/octet-stream"
        film = put(uploads, b"evil", mime_type="video/mp4")
        assert (film.mime_type, film.video_s) == ("video/mp4", None)
        assert put(uploads, b"words", mime_type="text/plain").mime_type == "text/plain"


def test_a_store_of_an_earlier_version_is_widened(tmp_path: Path) -> None:
    with closing(FileStore(tmp_path)) as first:
        file = put(Uploads(first), b"x", mime_type="text/plain")
        first.ledger.write("ALTER TABLE files DROP COLUMN video_s")
    with closing(FileStore(tmp_path)) as second:
        assert second.get("ann", file.id) == file
        assert put(Uploads(second), media_samples.video("mp4", 2)).video_s == pytest.approx(2, abs=0.1)


def test_pieces_are_joined_and_one_that_is_sent_again_replaces_itself(uploads: Uploads) -> None:
    session = uploads.find(uploads.start("ann", FileSpec(n_bytes=8), BASE))
    for offset, piece in [(0, b"abcd"), (4, b"efgh"), (4, b"EFGH")]:
        with uploads.writing(session, offset) as sink:
            sink.write(piece)
    assert uploads.finish(session).path.read_bytes() == b"abcdEFGH"


def test_a_piece_behind_the_end_is_refused(uploads: Uploads) -> None:
    session = uploads.find(uploads.start("ann", FileSpec(), BASE))
    with pytest.raises(InvalidInput, match="begins at byte 5, and 0 bytes have come"), uploads.writing(session, 5):
        pass


def test_fewer_or_more_bytes_than_declared_are_refused(uploads: Uploads) -> None:
    session = uploads.find(uploads.start("ann", FileSpec(n_bytes=4), BASE))
    with uploads.writing(session, 0) as sink:
        sink.write(b"abc")
    with pytest.raises(InvalidInput, match="3 bytes came, and 4 were declared"):
        uploads.finish(session)
    with pytest.raises(TooLarge, match="more than the 4 bytes"), uploads.writing(session, 3) as sink:
        sink.write(b"de")


def test_an_empty_file_is_refused(uploads: Uploads) -> None:
    with pytest.raises(EmptyInput, match="empty"):
        put(uploads, b"")


def test_two_requests_for_one_session_do_not_mix(uploads: Uploads) -> None:
    session = uploads.find(uploads.start("ann", FileSpec(), BASE))
    with uploads.writing(session, 0), pytest.raises(InvalidInput, match="another request"):
        uploads.finish(session)
    with uploads.writing(session, 0) as sink:  # and the session goes on
        sink.write(b"x")


def test_the_last_answer_can_be_asked_for_again(uploads: Uploads) -> None:
    token = uploads.start("ann", FileSpec(), BASE)
    session = uploads.find(token)
    with uploads.writing(session, 0) as sink:
        sink.write(b"x")
    file = uploads.finish(session)
    again = uploads.find(token)
    assert again.file_id == file.id
    assert uploads.finished(again) == file
    assert uploads.received(again) == 1
    with pytest.raises(InvalidInput, match="finished"), uploads.writing(again, 0):
        pass


def test_a_restart_in_the_middle_of_an_upload_loses_nothing(tmp_path: Path) -> None:
    first = FileStore(tmp_path)
    token = Uploads(first).start("ann", FileSpec(n_bytes=6), BASE)
    with Uploads(first).writing(Uploads(first).find(token), 0) as sink:
        sink.write(b"abc")
    first.close()

    second = FileStore(tmp_path)
    uploads = Uploads(second)
    session = uploads.find(token)
    assert uploads.received(session) == 3
    with uploads.writing(session, 3) as sink:
        sink.write(b"def")
    file = uploads.finish(session)
    second.close()

    third = FileStore(tmp_path)
    assert third.get("ann", file.id).path.read_bytes() == b"abcdef"
    third.close()


def test_a_cancelled_upload_leaves_nothing(store: FileStore, uploads: Uploads) -> None:
    token = uploads.start("ann", FileSpec(), BASE)
    with uploads.writing(uploads.find(token), 0) as sink:
        sink.write(b"abc")
    assert on_disk(store)
    uploads.cancel(uploads.find(token))
    assert on_disk(store) == []
    with pytest.raises(NotFound):
        uploads.find(token)


def test_tokens_are_long_random_and_not_kept_in_clear(store: FileStore, uploads: Uploads) -> None:
    tokens = {uploads.start("ann", FileSpec(), BASE) for _ in range(20)}
    assert len(tokens) == 20
    assert min(map(len, tokens)) >= 43
    kept = {row["token"] for row in store.ledger.rows("SELECT token FROM uploads")}
    assert not kept & tokens
    with pytest.raises(NotFound):
        uploads.find(kept.pop())  # who reads the database cannot write to an upload


def test_an_upload_expires(uploads: Uploads, clock: Clock) -> None:
    token = uploads.start("ann", FileSpec(), BASE)
    clock.now += 24 * 3_600 + 1
    with pytest.raises(NotFound, match="expired"):
        uploads.find(token)


# --- names --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "A", "-a", "a-", "a" * 41, "a.b", "a\x00", " ", "ä", ".", "..", "a%2fb", "con:"]
)
def test_a_name_that_could_leave_the_folder_is_no_name(store: FileStore, uploads: Uploads, name: str) -> None:
    with pytest.raises(InvalidInput, match="not possible"):
        uploads.start("ann", FileSpec(id=name), BASE)
    for act in (store.get, store.delete):
        with pytest.raises(PermissionDenied):
            act("ann", name)


def test_the_name_of_a_file_is_no_part_of_its_path(store: FileStore, uploads: Uploads) -> None:
    file = put(uploads, b"x", id="my-doc", display_name="../../etc/passwd")
    assert "my-doc" not in str(file.path)
    assert file.path.resolve().is_relative_to(store.partial.parent.resolve())


def test_a_name_is_taken_until_its_file_goes(store: FileStore, uploads: Uploads, clock: Clock) -> None:
    put(uploads, b"x", id="doc")
    with pytest.raises(AlreadyExists, match="files/doc"):
        uploads.start("ann", FileSpec(id="doc"), BASE)
    clock.now += 48 * 3_600 + 1
    assert put(uploads, b"y", id="doc").path.read_bytes() == b"y"
    store.delete("ann", "doc")
    put(uploads, b"z", id="doc")


def test_two_uploads_for_one_name_end_with_one_file(store: FileStore, uploads: Uploads) -> None:
    sessions = [uploads.find(uploads.start("ann", FileSpec(id="doc"), BASE)) for _ in range(2)]
    for session, payload in zip(sessions, (b"first", b"second"), strict=True):
        with uploads.writing(session, 0) as sink:
            sink.write(payload)
    uploads.finish(sessions[0])
    with pytest.raises(AlreadyExists):
        uploads.finish(sessions[1])
    assert store.get("ann", "doc").path.read_bytes() == b"first"


def test_an_owner_sees_no_file_of_another(store: FileStore, uploads: Uploads) -> None:
    mine, yours = put(uploads, b"mine", id="doc"), put(uploads, b"yours", "bob", id="doc")
    assert store.get("bob", "doc").path.read_bytes() == b"yours"
    secret = put(uploads, b"secret")
    for act in (store.get, store.delete):
        with pytest.raises(PermissionDenied, match="or it may not exist"):
            act("bob", secret.id)
    with pytest.raises(PermissionDenied):
        store.resolve(secret.uri, "bob", ("127.0.0.1:8080",))
    assert [f.id for f in store.list("bob", 10)[0]] == [yours.id]
    assert mine.path.exists()


# --- lists, resolving, expiry ---------------------------------------------------------------------------------------


def test_pages_are_complete_and_newest_first(store: FileStore, uploads: Uploads) -> None:
    ids = [put(uploads, b"x").id for _ in range(5)]
    seen: list[str] = []
    before = None
    sizes = []
    while True:
        page, before = store.list("ann", 2, before)
        sizes.append(len(page))
        seen += [f.id for f in page]
        if before is None:
            break
    assert sizes == [2, 2, 1]
    assert seen == ids[::-1]


def test_a_uri_leads_to_its_file_and_only_under_our_own_address(store: FileStore, uploads: Uploads) -> None:
    file = put(uploads, b"x", mime_type="text/plain")
    found = (file.path, "text/plain")
    assert store.resolve(f"files/{file.id}", "ann") == found
    assert store.resolve(file.uri, "ann") == found
    assert store.resolve(file.uri.replace("/v1/", "/v1beta/"), "ann") == found
    assert store.resolve(f"http://localhost:8080/v1/files/{file.id}", "ann") == found
    assert store.resolve(f"https://proxy.example/v1/files/{file.id}", "ann", ("proxy.example",)) == found
    foreign = f"https://example.com/v1/files/{file.id}"
    assert store.resolve(foreign, "ann", ("localhost:8080",)) is None
    for uri in ("gs://bucket/files/a", "https://example.com/cat.png", "file:///etc/passwd", "/etc/passwd", ""):
        assert store.resolve(uri, "ann") is None
    for uri in ("files/nope", "files/../../etc/passwd", "http://localhost:8080/v1/files/nope"):
        with pytest.raises(PermissionDenied):
            store.resolve(uri, "ann", ("localhost:8080",))


def test_expired_files_cannot_be_seen_and_are_swept(store: FileStore, uploads: Uploads, clock: Clock) -> None:
    old = put(uploads, b"old")
    clock.now += 24 * 3_600
    young = put(uploads, b"young")
    clock.now += 24 * 3_600 + 1
    with pytest.raises(PermissionDenied):
        store.get("ann", old.id)
    assert [f.id for f in store.list("ann", 10)[0]] == [young.id]
    assert store.sweep() == 1
    assert not old.path.exists()
    assert young.path.exists()


def test_what_a_crash_left_is_swept_once_it_is_old(store: FileStore, uploads: Uploads) -> None:
    kept = put(uploads, b"kept")
    for folder in (store.partial, kept.path.parent):
        orphan = folder / "orphan"
        orphan.write_bytes(b"half")
        store.sweep()
        assert orphan.exists()  # it may be on its way in
        os.utime(orphan, (0, 0))
        os.utime(kept.path, (0, 0))
        store.sweep()
        assert not orphan.exists()
    assert kept.path.exists()


def test_deleting_frees_the_bytes(store: FileStore, uploads: Uploads) -> None:
    file = put(uploads, b"x")
    store.delete("ann", file.id)
    assert on_disk(store) == []
    with pytest.raises(PermissionDenied):
        store.delete("ann", file.id)


# --- caps and faults --------------------------------------------------------------------------------------------------


def test_a_file_has_a_largest_size(store: FileStore, uploads: Uploads) -> None:
    with pytest.raises(TooLarge, match="at most 1,000"):
        uploads.start("ann", FileSpec(n_bytes=1_001), BASE)
    session = uploads.find(uploads.start("ann", FileSpec(), BASE))  # size not declared: counted as it comes
    with pytest.raises(TooLarge), uploads.writing(session, 0) as sink:
        for _ in range(11):
            sink.write(b"x" * 100)


def test_the_store_has_a_largest_size_and_uploads_under_way_count(store: FileStore, uploads: Uploads) -> None:
    put(uploads, b"x" * 900)
    uploads.start("ann", FileSpec(n_bytes=800), BASE)
    with pytest.raises(StorageFull, match="room for 300 bytes"):
        uploads.start("bob", FileSpec(n_bytes=301), BASE)
    session = uploads.find(uploads.start("bob", FileSpec(), BASE))
    with pytest.raises(StorageFull), uploads.writing(session, 0) as sink:
        sink.write(b"x" * 200)
        sink.write(b"x" * 101)


def test_negative_sizes_and_long_display_names_are_refused(uploads: Uploads) -> None:
    with pytest.raises(InvalidInput, match="-1 bytes"):
        uploads.start("ann", FileSpec(n_bytes=-1), BASE)
    with pytest.raises(InvalidInput, match="at most 512"):
        uploads.start("ann", FileSpec(display_name="x" * 513), BASE)


def test_a_full_disk_is_said_so(uploads: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    session = uploads.find(uploads.start("ann", FileSpec(), BASE))
    with pytest.raises(StorageFull, match="disk of the server is full"), uploads.writing(session, 0) as sink:

        class Full:
            def write(self, piece: bytes) -> None:
                raise OSError(errno.ENOSPC, "No space left on device")

        sink._file = Full()  # type: ignore[assignment]
        sink.write(b"x")


def test_a_file_that_cannot_be_moved_in_leaves_no_row(
    store: FileStore, uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(filestore.os, "replace", fail)
    with pytest.raises(StorageFull):
        put(uploads, b"x", id="doc")
    assert store.list("ann", 10) == ([], None)


def test_a_broken_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "files.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(CorruptData, match="move it away"):
        FileStore(tmp_path)
