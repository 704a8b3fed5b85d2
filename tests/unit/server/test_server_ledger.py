"""The small database behind files and batches."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from onesense.errors import CorruptData, StorageFull
from onesense.server.ledger import Ledger

SCHEMA = "CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY)"


def test_a_transaction_happens_whole_or_not_at_all(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "new" / "l.sqlite", SCHEMA)
    with pytest.raises(KeyError), ledger.transaction():
        ledger.write("INSERT INTO t VALUES (1)")
        raise KeyError
    assert ledger.rows("SELECT * FROM t") == []
    with ledger.transaction():
        assert ledger.write("INSERT INTO t VALUES (2)") == 1
    row = ledger.row("SELECT * FROM t")
    assert row is not None and row["n"] == 2
    ledger.close()
    ledger.close()


def test_many_threads_and_two_connections_write(tmp_path: Path) -> None:
    ledgers = [Ledger(tmp_path / "l.sqlite", SCHEMA) for _ in range(2)]

    def work(first: int) -> None:
        for n in range(first, first + 25):
            with ledgers[n % 2].transaction():
                ledgers[n % 2].write("INSERT INTO t VALUES (?)", (n,))

    threads = [threading.Thread(target=work, args=(1_000 * i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ledgers[0].rows("SELECT * FROM t")) == 100
    for ledger in ledgers:
        ledger.close()


def test_faults_of_the_disk_are_ours(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.sqlite", SCHEMA)
    with pytest.raises(StorageFull, match="disk"), ledger._faults():
        raise sqlite3.OperationalError("database or disk is full")
    with pytest.raises(CorruptData, match="cannot be used"), ledger._faults():
        raise sqlite3.OperationalError("disk I/O error")
    ledger.close()
    (tmp_path / "broken").write_bytes(b"nonsense" * 1_000)
    with pytest.raises(CorruptData, match="move it away"):
        Ledger(tmp_path / "broken", SCHEMA)
