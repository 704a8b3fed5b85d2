"""The state of a batch on the disk: what is settled stays, what is not is done again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from onesense.errors import EmptyInput, NotFound
from onesense.server.batchstore import BatchRow, BatchStore, NewBatch, State, settled
from turned_clock import Clock

LINES = [b'{"request": {}}', b"", b'{"request": {}}']


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[BatchStore]:
    opened = BatchStore(tmp_path / "batches", keep_s=100.0, clock=clock)
    yield opened
    opened.close()


def make(store: BatchStore, owner: str = "ann", priority: int = 0) -> BatchRow:
    return store.create(NewBatch(owner, "models/tiny", "http://h/v1/", "shown", priority), LINES)


def test_blank_lines_are_no_requests(store: BatchStore) -> None:
    batch = make(store)
    assert (batch.n_requests, batch.n_done, batch.state) == (2, 0, State.PENDING)
    assert batch.state.is_open


@pytest.mark.parametrize("lines", [[], [b"", b"  "]])
def test_an_empty_batch_is_refused_and_leaves_nothing(store: BatchStore, lines: list[bytes]) -> None:
    with pytest.raises(EmptyInput, match="holds no request"):
        store.create(NewBatch("ann", "models/tiny", ""), lines)
    assert [p for p in store.folder.iterdir() if p.is_dir()] == []


def test_the_input_outlives_the_file_it_came_from(store: BatchStore, tmp_path: Path) -> None:
    upload = tmp_path / "upload"
    upload.write_bytes(b"\n".join(LINES))
    batch = store.create(NewBatch("ann", "models/tiny", "", input_file="files/a"), upload)
    upload.unlink()
    assert batch.input.read_bytes() == b"\n".join(LINES)
    assert batch.n_requests == 2


def test_what_runs_goes_first_then_priority_then_age(store: BatchStore) -> None:
    old, urgent = make(store), make(store, priority=5)
    young = make(store)
    order = []
    while (batch := store.next()) is not None:
        order.append(batch.id)
        store.succeed(store.attempt(batch))
    assert order == [urgent.id, old.id, young.id]
    first, second = make(store), make(store, priority=9)
    store.attempt(first)
    assert store.next() == store.get("ann", first.id)
    assert second.priority == 9


def test_progress_is_kept_by_a_new_process(tmp_path: Path) -> None:
    first = BatchStore(tmp_path, 100.0)
    batch = first.attempt(make(first))
    first.settle(batch, n_done=1, n_failed=1, read_bytes=7, written_bytes=9)
    first.close()
    second = BatchStore(tmp_path, 100.0)
    again = second.next()
    assert again is not None
    assert (again.id, again.state) == (batch.id, State.RUNNING)
    assert (again.n_done, again.n_failed, again.read_bytes, again.written_bytes) == (1, 1, 7, 9)
    second.close()


def test_a_place_where_the_server_died_twice_is_taken_line_by_line(store: BatchStore) -> None:
    batch = make(store)
    seen = []
    for _ in range(4):
        batch = store.attempt(batch)
        seen.append((batch.n_attempts, batch.is_careful))
    assert seen == [(1, False), (2, False), (1, True), (2, True)]
    batch = store.settle(batch, n_done=1, n_failed=0, read_bytes=1, written_bytes=1)
    assert (batch.n_attempts, batch.is_careful) == (0, True)


def test_a_process_that_lives_does_not_blame_the_lines(store: BatchStore) -> None:
    batch = store.attempt(make(store))
    for _ in range(5):  # a full disk
        batch = store.attempt(batch, is_again=True)
    assert (batch.n_attempts, batch.is_careful) == (1, False)


def test_an_orderly_stop_is_no_death(store: BatchStore) -> None:
    batch = store.attempt(make(store))
    store.pause(batch)
    assert store.get("ann", batch.id).n_attempts == 0


def test_an_ended_batch_does_not_change(store: BatchStore) -> None:
    batch = store.attempt(make(store))
    store.succeed(batch, "files/out")
    store.cancel("ann", batch.id)
    store.fail(batch, 13, "no")
    after = store.get("ann", batch.id)
    assert (after.state, after.output_file, after.error) == (State.SUCCEEDED, "files/out", "")
    assert not store.attempt(after).state.is_open


def test_a_cancelled_batch_is_not_worked_on(store: BatchStore) -> None:
    batch = make(store)
    store.cancel("ann", batch.id)
    assert store.next() is None
    assert store.attempt(batch).state is State.CANCELLED


def test_a_deleted_batch_is_gone_with_its_files(store: BatchStore) -> None:
    batch = make(store)
    store.delete("ann", batch.id)
    assert not batch.folder.exists()
    for act in (store.get, store.delete, store.cancel):
        with pytest.raises(NotFound, match=r"batches/"):
            act("ann", batch.id)
    with pytest.raises(NotFound):
        store.attempt(batch)


def test_an_owner_sees_no_batch_of_another(store: BatchStore) -> None:
    mine = make(store)
    for act in (store.get, store.delete, store.cancel):
        with pytest.raises(NotFound):
            act("bob", mine.id)
    assert store.list("bob", 10) == ([], None)
    assert store.list("ann", 10) == ([mine], None)


def test_pages(store: BatchStore) -> None:
    ids = [make(store).id for _ in range(3)]
    page, rest = store.list("ann", 2)
    assert ([b.id for b in page], rest is None) == (ids[:0:-1], False)
    assert [b.id for b in store.list("ann", 2, rest)[0]] == ids[:1]


def test_what_is_open_for_too_long_expires_and_what_ended_long_ago_goes(store: BatchStore, clock: Clock) -> None:
    batch = make(store)
    clock.now += 101
    store.sweep()
    assert store.get("ann", batch.id).state is State.EXPIRED
    clock.now += 99
    store.sweep()
    assert batch.folder.exists()
    clock.now += 2
    store.sweep()
    assert not batch.folder.exists()
    with pytest.raises(NotFound):
        store.get("ann", batch.id)


def test_what_was_written_and_not_settled_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "out"
    settled(path, 0)
    assert path.read_bytes() == b""
    path.write_bytes(b"good\nhalf")
    settled(path, 5)
    assert path.read_bytes() == b"good\n"
