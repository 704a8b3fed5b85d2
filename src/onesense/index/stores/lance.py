"""A collection in a folder: a LanceDB table (metadata, filters, durability, many processes) and its mirror.

The table holds everything. What a search goes through is kept beside it in plain files that can be made again
(`_mirror`), so that only the rows that are shown are fetched from the table.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from onesense.errors import CorruptData, NotFound, PermissionDenied, StorageFull
from onesense.index import where as filters
from onesense.index.rows import check_query, check_rows, evenly, require_same, spec_from_dict, spec_to_dict
from onesense.types import Array, Payload, StoreSpec, Where

from . import _columns, _lancedb, _mirror, _snapshot
from ._columns import KEY, WORDS, query
from ._disk import faults_told, write_atomically
from ._snapshot import Snapshot
from ._sql import any_of, compile_where, names_alone

SPEC_FILE = "collection.json"
TABLE = "rows"
SPARE_FRAGMENTS = 16  # pieces that a table may be in before they are merged, plus one in 2,000 rows, so that 1.2 GB
ROWS_PER_FRAGMENT = 2_000  # (100,000 rows) are not written anew after every few small writes
NEW_SHARE = 0.1  # of the rows; with more written since it was opened, a table is merged when it is closed
MIRRORED_SHARE = (
    0.8  # of the rows that the mirror must hold, and of its slots that must hold rows, else it is made anew
)
MIRROR_ROWS = 1_024  # copied at a time: 12 MB at 3072 dims
KEEP_VERSIONS = timedelta(seconds=1)  # longer than any single read; what a merge replaces goes then, else the disk
# would hold everything twice
IDS_PER_FILTER = 1_000  # ids in one SQL expression
MORE_WORDS = 8  # times as many rows are asked for words while too few of them pass a filter that SQL cannot say

_FAULTS = (OSError, RuntimeError, ValueError)  # what LanceDB raises

_T = TypeVar("_T")
_Found = list[tuple[str, float, Payload]]
_Manifests = tuple[int, frozenset[str]]


class Store:
    """See `onesense.types.Store`. Thread-safe; many processes may read and write."""

    features = frozenset({"filter", "text", "dtype"})

    def __init__(self, path: Path, spec: StoreSpec, table: Any) -> None:
        self.spec = spec
        self._path = path
        self._table = table
        self._lock = threading.RLock()
        self._snapshot: Snapshot | None = None
        self._seen: _Manifests | None = None
        self._version = 0
        self._n_written = 0
        self._last_key = 0

    @classmethod
    def read_spec(cls, path: Path) -> StoreSpec | None:
        """The spec of the collection at `path`, None when nothing is there; loads no lancedb."""
        try:
            text = (path / SPEC_FILE).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except NotADirectoryError:
            raise CorruptData(f"`{path}` is a file; a collection of this kind is a folder") from None
        try:
            return spec_from_dict(json.loads(text), path)
        except ValueError as cause:
            raise CorruptData(f"`{path / SPEC_FILE}` is not valid JSON ({cause})") from cause

    @classmethod
    def open(cls, path: Path, spec: StoreSpec) -> Store:
        """Open or create; see the contract.

        Raises:
            FingerprintMismatch: it was made by another model, size or task.
            CorruptData: it is no collection.
            StorageFull: there is no room to make it.
            PermissionDenied: it cannot be made there.
        """
        found = cls.read_spec(path)
        if found is not None:
            require_same(found, spec, path)
        with faults_told(path, _FAULTS):
            if found is None:
                path.mkdir(parents=True, exist_ok=True)
                write_atomically(path / SPEC_FILE, [json.dumps(spec_to_dict(spec), indent=2, ensure_ascii=False), "\n"])
            database = _lancedb.connect(path)
            if (path / f"{TABLE}.lance").exists():  # maybe of an earlier version, with fewer columns
                table = database.open_table(TABLE)
            else:
                table = database.create_table(TABLE, schema=_columns.schema(spec), exist_ok=True)
            _columns.complete(table)
            return cls(path, spec, table)

    def upsert(self, ids: Sequence[str], vectors: Array, payloads: Sequence[Payload]) -> None:
        """Insert or replace rows; one atomic commit."""
        names, rows, texts = check_rows(ids, vectors, payloads, self.spec.dim)
        if not names:
            return
        keys = _columns.new_keys(len(names), self._last_key)
        table = _columns.to_arrow(names, rows, texts, keys, self.spec)
        self._last_key = int(keys[-1])

        def write() -> None:
            merge = self._table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all()
            merge.execute(table)

        self._attempt(write)
        self._write_mirror(partial(_mirror.append, self._path, self.spec, keys, rows))
        self._n_written += len(names)
        self._look_after(lambda: self._compact(SPARE_FRAGMENTS + self._n_rows() // ROWS_PER_FRAGMENT))

    def delete(self, ids: Sequence[str]) -> None:
        """Remove rows; one atomic commit for each 1,000 ids."""
        for chunk in _chunks(list(ids), IDS_PER_FILTER):
            self._attempt(partial(self._table.delete, any_of("id", chunk)))

    def search(self, vector: Array, k: int, where: Where | None = None) -> _Found:
        """The funnel: int8 scan of all rows that pass the filter, then the order of the nearest by whole vectors."""
        asked = check_query(vector, k, self.spec.dim)

        def find() -> _Found:
            snapshot = self._current()
            return self._nearest(snapshot, asked, k, [self._passing(snapshot, where)])

        return self._attempt(find)

    def search_each(self, vector: Array, k: int, modalities: Sequence[str], where: Where | None = None) -> _Found:
        """The k nearest rows of each modality, see `types.Sectioned`: one scan, and one fetch for all of them."""
        asked = check_query(vector, k, self.spec.dim)

        def find() -> _Found:
            snapshot = self._current()
            passing = self._passing(snapshot, where)
            return self._nearest(snapshot, asked, k, [snapshot.of_modality([name], passing) for name in modalities])

        return self._attempt(find)

    def find_words(self, words: Sequence[str], k: int, where: Where | None = None) -> _Found:
        """The k rows with the highest BM25, see `types.Worded`; rows that the index has not taken up yet are read."""
        sql, rest = compile_where(where)

        def find(limit: int) -> Any:
            asked = self._table.search(" ".join(words), query_type="fts", fts_columns=WORDS)
            asked = asked if sql is None else asked.where(sql, prefilter=True)
            return asked.limit(limit).select(["id", "payload", "_score"]).to_arrow()

        passing: _Found = []
        limit, n_found = k, k if words else 0
        while len(passing) < k and n_found == limit:  # what SQL cannot say is asked of the rows, so of more than k
            rows = self._attempt(partial(find, limit)).to_pylist()
            parsed = [(row["id"], float(row["_score"]), json.loads(row["payload"])) for row in rows]
            passing = [row for row in parsed if filters.matches(row[2], rest)]
            limit, n_found = limit * MORE_WORDS, len(rows) * MORE_WORDS
        return sorted(passing, key=lambda row: (-row[1], row[0]))[:k]

    def read_note(self, name: str) -> Mapping[str, Any] | None:
        """A JSON file beside the spec."""
        try:
            note = json.loads((self._path / f"{name}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return note if isinstance(note, dict) else None

    def write_note(self, name: str, note: Mapping[str, Any]) -> None:
        """A JSON file beside the spec, replaced whole."""
        write_atomically(self._path / f"{name}.json", [json.dumps(note, ensure_ascii=False, allow_nan=False), "\n"])

    def sample(self, most: int) -> Mapping[str, tuple[int, list[str]]]:
        """See `types.Sampling`; reads two narrow columns."""
        got = self._attempt(lambda: query(self._table, None).select(["id", "modality"]).to_arrow())
        ids, names = got["id"].to_numpy(), got["modality"].to_numpy()
        by_name = {str(name or ""): np.sort(ids[names == name]) for name in dict.fromkeys(names.tolist())}
        return {name: (len(found), evenly(found.tolist(), most)) for name, found in by_name.items()}

    def rows(self, where: Where | None = None) -> Iterator[tuple[str, Payload]]:
        """Ids and payloads, in no particular order."""
        sql, rest = compile_where(where)
        found = self._attempt(lambda: query(self._table, sql).select(["id", "payload"]).to_arrow())
        return (
            (id_, payload)
            for batch in found.to_batches()
            for id_, text in zip(batch["id"].to_pylist(), batch["payload"].to_pylist(), strict=True)
            if filters.matches(payload := json.loads(text), rest)
        )

    def vectors(self, ids: Sequence[str]) -> Array:
        """Float32 [n, d] of these ids, in order; out of the table, as they were written."""
        found: dict[str, Array] = {}
        for chunk in _chunks(list(ids), IDS_PER_FILTER):
            asked = query(self._table, any_of("id", chunk)).select(["id", "vector"])
            got = self._attempt(asked.to_arrow)
            found.update(zip(got["id"].to_pylist(), _columns.vectors(got["vector"], self.spec), strict=True))
        missing = [id_ for id_ in ids if id_ not in found]
        if missing:
            raise NotFound(f"`{self._path}` has no row `{missing[0]}`")
        return np.stack([found[id_] for id_ in ids]) if ids else np.zeros((0, self.spec.dim), np.float32)

    def count(self) -> int:
        """Number of rows."""
        return self._attempt(self._n_rows)

    def version(self) -> int:
        """Number of the table's newest commit, see `types.Versioned`."""
        return self._attempt(lambda: int(self._table.version))

    def compact(self) -> None:
        """Merge all pieces into one, bring indexes and mirror up to date, and drop old versions."""
        self._attempt(self._optimize)
        self._attempt(lambda: self._renew_mirror(1.0))

    def close(self) -> None:
        """Merge what many small writes have left (fetching is 4x faster from one piece than from 40)."""
        if self._n_written:
            self._look_after(lambda: self._compact(1) if self._n_written >= NEW_SHARE * self._n_rows() else None)
            self._look_after(lambda: self._renew_mirror(MIRRORED_SHARE))
        self._n_written = 0
        self._snapshot = None

    def _attempt(self, step: Callable[[], _T]) -> _T:
        """Read or write at the newest version; once more when another process has just merged its files away.

        Every step may be repeated: an upsert is by id.
        """
        with self._lock, faults_told(self._path, _FAULTS):
            try:
                self._catch_up()
                return step()
            except _FAULTS:
                self._snapshot, self._seen = None, None
                self._catch_up()
                return step()

    def _catch_up(self) -> None:
        """Take the newest version. Where no manifest came or went this is it: asking Lance is a third of a search."""
        there = _manifests(self._path)
        if there is None or there != self._seen:
            if there is not None and self._seen is not None and there[0] != self._seen[0]:
                self._snapshot = None  # another table took the place of this one, and may count its versions alike
            self._table.checkout_latest()
            self._version = int(self._table.version)
            self._seen = there  # listed before: what came meanwhile is seen the next time

    # --- the way of a search ----------------------------------------------------------------------------------------

    def _current(self) -> Snapshot:
        """The snapshot of this version, read again when somebody has written."""
        if self._snapshot is None or self._snapshot.version != self._version:
            self._snapshot = _snapshot.load(self._table, self._version, self.spec, self._path)
        return self._snapshot

    def _passing(self, snapshot: Snapshot, where: Where | None) -> Array:
        """int64 [m] ascending positions of the rows that pass the filter."""
        sql, rest = compile_where(where)
        if sql is None and not rest:
            return snapshot.rows
        if where is not None and (names := names_alone(where)) is not None:
            return snapshot.of_modality(names, snapshot.rows)
        columns = ["payload"] if rest else ["id"]
        found = query(self._table, sql).select(columns).with_row_id(with_row_id=True).to_arrow()
        row_ids = found["_rowid"].to_numpy()
        if rest:
            keep = [filters.matches(json.loads(text), rest) for text in found["payload"].to_pylist()]
            row_ids = row_ids[np.array(keep, bool)]
        return np.sort(snapshot.positions(row_ids))

    def _nearest(self, snapshot: Snapshot, asked: Array, k: int, groups: Sequence[Array]) -> _Found:
        """The k nearest rows of each group, all of them best first, ties by id."""
        found = [pair for pair in snapshot.nearest(asked, k, groups, self._vectors_at) if len(pair[0])]
        if not found:
            return []
        texts = self._texts_at(snapshot, np.concatenate([positions for positions, _ in found]))
        best: _Found = []
        for positions, scores in found:
            rows = [(*texts[at], score) for at, score in zip(positions.tolist(), scores.tolist(), strict=True)]
            rows.sort(key=lambda row: (-row[2], row[0]))
            best += [(id_, score, json.loads(text)) for id_, text, score in rows[:k]]
        return sorted(best, key=lambda row: (-row[1], row[0]))

    def _texts_at(self, snapshot: Snapshot, positions: Array) -> dict[int, tuple[str, str]]:
        """Id and payload's text of each position."""
        wanted = np.unique(snapshot.row_ids[positions])
        got = self._table.take_row_ids(wanted.tolist()).select(["id", "payload"]).with_row_id().to_arrow()
        places = snapshot.positions(got["_rowid"].to_numpy()).tolist()
        return dict(zip(places, zip(got["id"].to_pylist(), got["payload"].to_pylist(), strict=True), strict=True))

    def _vectors_at(self, row_ids: Array) -> Array:
        """float32 [m, d] of Lance's row ids, in order."""
        got = self._table.take_row_ids(row_ids.tolist()).select(["vector"]).with_row_id().to_arrow()
        vectors, known = _columns.vectors(got["vector"], self.spec), got["_rowid"].to_numpy()
        order = np.argsort(known)
        return vectors[order[np.searchsorted(known, row_ids, sorter=order)]]

    # --- upkeep -----------------------------------------------------------------------------------------------------

    def _n_rows(self) -> int:
        return int(self._table.count_rows())

    def _compact(self, allowed: int) -> None:
        """Merge the pieces (Lance's fragments) that writes leave, once there are more than `allowed`."""
        if int(self._table.stats()["fragment_stats"]["num_fragments"]) > allowed:
            self._optimize()
            self._renew_mirror(MIRRORED_SHARE)

    def _optimize(self) -> None:
        self._table.optimize(cleanup_older_than=KEEP_VERSIONS)

    def _look_after(self, step: Callable[[], None]) -> None:
        """Do what makes later searches quicker; where that cannot be, the rows are in the table anyway, or gone."""
        with suppress(StorageFull, PermissionDenied, NotFound):
            self._attempt(step)

    def _write_mirror(self, step: Callable[[], None]) -> None:
        """Write to the mirror of a large table. Without it searches are right, only slower: a full disk is no fault."""
        with self._lock, suppress(OSError):
            if self._n_rows() > _snapshot.EXACT_ROWS:
                step()

    def _renew_mirror(self, share: float) -> None:
        """Make the mirror anew when it holds less than a share of the rows, or fewer of its slots do."""
        if self._n_rows() <= _snapshot.EXACT_ROWS:
            return
        held = _mirror.Mirror(self._path, self.spec)
        got = query(self._table, None).select([KEY]).to_arrow()
        n_there = int((held.slots_of(_columns.keys(got[KEY])) >= 0).sum())
        if n_there < share * len(got) or n_there < share * len(held.keys):
            self._write_mirror(lambda: _mirror.rebuild(self._path, self.spec, self._keyed_vectors()))
            self._snapshot = None

    def _keyed_vectors(self) -> Iterator[tuple[Array, Array]]:
        """Keys and float32 [<= 1024, d] of all rows, in the order of the table."""
        import pyarrow as pa

        held: list[Any] = []
        batches = query(self._table, None).select([KEY, "vector"]).to_batches()
        for batch in batches:
            held.append(batch)
            if sum(map(len, held)) >= MIRROR_ROWS:
                yield self._split(pa.Table.from_batches(held))
                held = []
        if held:
            yield self._split(pa.Table.from_batches(held))

    def _split(self, table: Any) -> tuple[Array, Array]:
        return _columns.keys(table[KEY]), _columns.vectors(table["vector"], self.spec)


def _manifests(path: Path) -> _Manifests | None:
    """Number of the folder of the table's manifests, and their names; None where nobody can tell.

    Every version has a manifest, so after each commit the names are others.
    Source: Lance's table format, `_versions/{version}.manifest`.
    """
    folder = path / f"{TABLE}.lance" / "_versions"
    try:
        names = frozenset(os.listdir(folder))
        return (os.stat(folder).st_ino, names) if names else None
    except OSError:
        return None


def _chunks(items: list[str], size: int) -> Iterator[list[str]]:
    return (items[i : i + size] for i in range(0, len(items), size))
