"""A collection in a folder: a LanceDB table (metadata, filters, durability, many processes) searched through a funnel.

The int8 codes of the first 256 dims are a column of their own, so that a cold query reads 25 MB for 100,000 rows
instead of 1.2 GB. They stay in memory; after a write only the codes of new rows are read. The nearest rows are fetched
whole and re-ranked.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from onesense.errors import CorruptData, NotFound
from onesense.index import where as filters
from onesense.index import words as fulltext
from onesense.index.rows import check_query, check_rows, evenly, require_same, spec_from_dict, spec_to_dict
from onesense.types import Array, Payload, StoreSpec, Where
from onesense.vectors import CODE_DIM, quantize, rerank, scan, scan_each

from . import _dtypes, _lancedb
from ._disk import write_atomically

SPEC_FILE = "collection.json"
TABLE = "rows"
CANDIDATES = 400  # fetched and re-ranked exactly; bench/search.py, real vectors: recall@10 .956 with 100, .991 with 400
"""Shared among modalities where each is ranked: .966 with 80 of 20,000 rows (dev/LOG.md)."""
CANDIDATES_PER_HIT = 8  # more when k is large; a row that is fetched costs 0.1 ms
EXACT_ROWS = 1_024  # up to here whole vectors are held (12 MB at 3072) and every one is compared
SPARE_FRAGMENTS = 16  # pieces that a table may be in before they are merged, plus one in 2,000 rows, so that 1.2 GB
ROWS_PER_FRAGMENT = 2_000  # (100,000 rows) are not written anew after every few small writes
NEW_SHARE = 0.1  # of the rows; with more written since it was opened, a table is merged when it is closed
KEEP_VERSIONS = timedelta(seconds=1)  # longer than any single read; what a merge replaces goes then, else the disk
# would hold everything twice
FETCHED_SHARE = 0.2  # of the rows; when more are new, reading the whole column of codes is cheaper than fetching them
IDS_PER_FILTER = 1_000  # ids in one SQL expression
MORE_WORDS = 8  # times as many rows are asked for words while too few of them pass a filter that SQL cannot say
WORDS = "words"  # column of folded words, one space between two, with an inverted index of LanceDB


_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, eq=False)
class _Snapshot:
    """What a search needs of one version of the table, sorted by Lance's row ids."""

    version: int
    row_ids: Array
    """uint64 [n], ascending, Lance's own: the fragment and the place in it. A row that is written anew gets another."""
    codes: Array
    """int8 [n, c]."""
    whole: Array | None
    """float32 [n, d] of a small table, None of a large one."""
    modality: Array
    """int32 [n], a place in `modalities`."""
    modalities: tuple[str, ...]

    def positions_of(self, row_ids: Array) -> Array:
        """int64 [m] position of each of Lance's row ids."""
        return np.searchsorted(self.row_ids, row_ids)

    def positions(self, row_ids: Array) -> Array:
        """int64 [m] positions of Lance's row ids, in ascending order of position."""
        return np.sort(self.positions_of(row_ids))

    def rows_of(self, names: Sequence[str], among: Array | None) -> Array:
        """int64 [m] ascending positions of the rows of these modalities, of all or among some."""
        wanted = [place for place, name in enumerate(self.modalities) if name in names]
        held = np.isin(self.modality if among is None else self.modality[among], wanted)
        return np.flatnonzero(held) if among is None else among[held]


class Store:
    """See `onesense.types.Store`. Thread-safe; many processes may read and write."""

    features = frozenset({"filter", "text", "dtype"})

    def __init__(self, path: Path, spec: StoreSpec, table: Any) -> None:
        self.spec = spec
        self._path = path
        self._table = table
        self._lock = threading.RLock()
        self._snapshot: _Snapshot | None = None
        self._n_written = 0

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
        """
        found = cls.read_spec(path)
        if found is None:
            path.mkdir(parents=True, exist_ok=True)
            write_atomically(path / SPEC_FILE, [json.dumps(spec_to_dict(spec), indent=2, ensure_ascii=False), "\n"])
        else:
            require_same(found, spec, path)
        with _readable(path):
            database = _lancedb.connect(path)
            table = database.create_table(TABLE, schema=_schema(spec), exist_ok=True)
            _require_words(table)
            return cls(path, spec, table)

    def upsert(self, ids: Sequence[str], vectors: Array, payloads: Sequence[Payload]) -> None:
        """Insert or replace rows; one atomic commit."""
        names, rows, texts = check_rows(ids, vectors, payloads, self.spec.dim)
        if not names:
            return
        table = _to_arrow(names, rows, texts, self.spec)

        def write() -> None:
            merge = self._table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all()
            merge.execute(table)
            self._compact(SPARE_FRAGMENTS + self._n_rows() // ROWS_PER_FRAGMENT)

        self._attempt(write)
        self._n_written += len(names)

    def delete(self, ids: Sequence[str]) -> None:
        """Remove rows; one atomic commit for each 1,000 ids."""
        for chunk in _chunks(list(ids), IDS_PER_FILTER):
            self._attempt(partial(self._table.delete, _any_of("id", chunk)))

    def search(self, vector: Array, k: int, where: Where | None = None) -> list[tuple[str, float, Payload]]:
        """The funnel: int8 scan of all rows that pass the filter, then the exact order of the nearest."""
        query = check_query(vector, k, self.spec.dim)
        return self._attempt(lambda: self._search(query, k, where))

    def search_each(
        self, vector: Array, k: int, modalities: Sequence[str], where: Where | None = None
    ) -> list[tuple[str, float, Payload]]:
        """The k nearest rows of each modality, see `types.Sectioned`: one scan, and one fetch for all of them."""
        query = check_query(vector, k, self.spec.dim)
        return self._attempt(lambda: self._search_each(query, k, modalities, where))

    def find_words(self, words: Sequence[str], k: int, where: Where | None = None) -> list[tuple[str, float, Payload]]:
        """The k rows with the highest BM25, see `types.Worded`; rows that the index has not taken up yet are read."""
        sql, rest = _compile(where)

        def find(limit: int) -> Any:
            query = self._table.search(" ".join(words), query_type="fts", fts_columns=WORDS)
            query = query if sql is None else query.where(sql, prefilter=True)
            return query.limit(limit).select(["id", "payload", "_score"]).to_arrow()

        passing: list[tuple[str, float, Payload]] = []
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
        got = self._attempt(lambda: _query(self._table, None).select(["id", "modality"]).to_arrow())
        ids, names = got["id"].to_numpy(), got["modality"].to_numpy()
        by_name = {str(name or ""): np.sort(ids[names == name]) for name in dict.fromkeys(names.tolist())}
        return {name: (len(found), evenly(found.tolist(), most)) for name, found in by_name.items()}

    def rows(self, where: Where | None = None) -> Iterator[tuple[str, Payload]]:
        """Ids and payloads, in no particular order."""
        sql, rest = _compile(where)
        found = self._attempt(lambda: _query(self._table, sql).select(["id", "payload"]).to_arrow())
        return (
            (id_, payload)
            for batch in found.to_batches()
            for id_, text in zip(batch["id"].to_pylist(), batch["payload"].to_pylist(), strict=True)
            if filters.matches(payload := json.loads(text), rest)
        )

    def vectors(self, ids: Sequence[str]) -> Array:
        """Float32 [n, d] of these ids, in order."""
        found: dict[str, Array] = {}
        for chunk in _chunks(list(ids), IDS_PER_FILTER):
            query = _query(self._table, _any_of("id", chunk)).select(["id", "vector"])
            got = self._attempt(query.to_arrow)
            found.update(zip(got["id"].to_pylist(), _vectors(got["vector"], self.spec), strict=True))
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
        """Merge all pieces into one, bring the index of words up to date, and drop old versions."""
        self._attempt(lambda: self._table.optimize(cleanup_older_than=KEEP_VERSIONS))

    def close(self) -> None:
        """Merge what many small writes have left (fetching is 4x faster from one piece than from 40)."""
        if self._n_written:
            self._attempt(lambda: self._compact(1) if self._n_written >= NEW_SHARE * self._n_rows() else None)
        self._n_written = 0
        self._snapshot = None

    def _attempt(self, step: Callable[[], _T]) -> _T:
        """Read or write at the newest version; once more when another process has just merged its files away.

        Every step may be repeated: an upsert is by id.
        """
        with self._lock, _readable(self._path):
            try:
                self._table.checkout_latest()
                return step()
            except (RuntimeError, ValueError, OSError):
                self._snapshot = None
                self._table.checkout_latest()
                return step()

    # --- the funnel ---------------------------------------------------------------------------------------------

    def _search(self, query: Array, k: int, where: Where | None) -> list[tuple[str, float, Payload]]:
        snapshot = self._current()
        near = self._nearest(snapshot, query, k, self._passing(snapshot, where))
        if not len(near):
            return []
        ids, vectors, payloads, _ = self._fetch(snapshot, near)
        order, scores = rerank(vectors, query, k)
        return [(ids[i], float(score), json.loads(payloads[i])) for i, score in zip(order, scores, strict=True)]

    def _search_each(
        self, query: Array, k: int, modalities: Sequence[str], where: Where | None
    ) -> list[tuple[str, float, Payload]]:
        snapshot = self._current()
        passing = self._passing(snapshot, where)
        groups = [rows for name in modalities if len(rows := snapshot.rows_of([name], passing))]
        if snapshot.whole is not None:
            near = [rows[rerank(snapshot.whole[rows], query, k)[0]] for rows in groups]
        else:
            near = scan_each(snapshot.codes, query, max(k, CANDIDATES // max(1, len(groups))), groups)
        if not near:
            return []
        ids, vectors, payloads, places = self._fetch(snapshot, np.sort(np.concatenate(near)))
        order, scores = rerank(vectors, query, len(ids))
        kinds = snapshot.modality[places][order]
        best = np.sort(np.concatenate([np.flatnonzero(kinds == kind)[:k] for kind in np.unique(kinds)]))
        return [(ids[order[i]], float(scores[i]), json.loads(payloads[order[i]])) for i in best]

    def _current(self) -> _Snapshot:
        """The snapshot of this version, read again when somebody has written."""
        version = int(self._table.version)
        if self._snapshot is None or self._snapshot.version != version:
            self._snapshot = _load(self._table, version, self.spec, self._snapshot)
        return self._snapshot

    def _passing(self, snapshot: _Snapshot, where: Where | None) -> Array | None:
        """int64 [m] ascending positions of the rows that pass the filter; None stands for all."""
        sql, rest = _compile(where)
        if sql is None and not rest:
            return None
        if where is not None and (names := _names_alone(where)) is not None:
            return snapshot.rows_of(names, None)
        columns = ["payload"] if rest else ["id"]
        found = _query(self._table, sql).select(columns).with_row_id(with_row_id=True).to_arrow()
        row_ids = found["_rowid"].to_numpy()
        if rest:
            keep = [filters.matches(json.loads(text), rest) for text in found["payload"].to_pylist()]
            row_ids = row_ids[np.array(keep, bool)]
        return snapshot.positions(row_ids)

    def _nearest(self, snapshot: _Snapshot, query: Array, k: int, passing: Array | None) -> Array:
        """int64 [m] ascending positions of the rows worth an exact comparison."""
        n_rows = len(snapshot.codes) if passing is None else len(passing)
        if snapshot.whole is not None or n_rows == 0:
            return np.arange(n_rows) if passing is None else passing
        codes = snapshot.codes if passing is None else snapshot.codes[passing]
        near = np.sort(scan(codes, query, max(CANDIDATES, CANDIDATES_PER_HIT * k)))
        return near if passing is None else passing[near]

    def _fetch(self, snapshot: _Snapshot, near: Array) -> tuple[list[str], Array, list[str], Array]:
        """Ids, whole vectors float32 [m, d], payload texts and places of positions, by id: ties come out by id."""
        columns = ["id", "payload"] if snapshot.whole is not None else ["id", "payload", "vector"]
        got = self._table.take_row_ids(snapshot.row_ids[near].tolist()).select(columns).with_row_id().to_arrow()
        ids, texts = got["id"].to_pylist(), got["payload"].to_pylist()
        order = sorted(range(len(ids)), key=ids.__getitem__)
        places = snapshot.positions_of(got["_rowid"].to_numpy())
        vectors = _vectors(got["vector"], self.spec) if snapshot.whole is None else snapshot.whole[places]
        return [ids[i] for i in order], vectors[order], [texts[i] for i in order], places[order]

    def _n_rows(self) -> int:
        return int(self._table.count_rows())

    def _compact(self, allowed: int) -> None:
        """Merge the pieces (Lance's fragments) that writes leave, once there are more than `allowed`."""
        if int(self._table.stats()["fragment_stats"]["num_fragments"]) > allowed:
            self._table.optimize(cleanup_older_than=KEEP_VERSIONS)


def _load(table: Any, version: int, spec: StoreSpec, before: _Snapshot | None) -> _Snapshot:
    """The snapshot of this version; of a large table only the rows that `before` does not have are read."""
    if table.count_rows() <= EXACT_ROWS:
        rows = _query(table, None).select(["code", "vector", "modality"]).with_row_id(with_row_id=True).to_arrow()
        row_ids = rows["_rowid"].to_numpy()
        order = np.argsort(row_ids)
        codes, whole = _matrix(rows["code"], _code_width(spec)), _vectors(rows["vector"], spec)
        places, names = _encoded(rows["modality"])
        return _Snapshot(version, row_ids[order], codes[order], whole[order], places[order], names)
    rows = _query(table, None).select(["modality"]).with_row_id(with_row_id=True).to_arrow()
    row_ids = rows["_rowid"].to_numpy()
    order = np.argsort(row_ids)
    alive, (places, names) = row_ids[order], _encoded(rows["modality"])
    codes = np.empty((len(alive), _code_width(spec)), np.int8)
    missing = np.ones(len(alive), bool)
    if before is not None and before.whole is None:
        kept = np.isin(before.row_ids, alive, assume_unique=True)
        there = np.searchsorted(alive, before.row_ids[kept])
        codes[there] = before.codes[kept]
        missing[there] = False
    _read_codes(table, alive, codes, missing)
    return _Snapshot(version, alive, codes, None, places[order], names)


def _encoded(column: Any) -> tuple[Array, tuple[str, ...]]:
    """A column of few different texts as int32 [n] places in a list of them, -1 for null."""
    import pyarrow as pa

    whole = pa.chunked_array(column.chunks, pa.string()).combine_chunks().dictionary_encode()
    return whole.indices.fill_null(-1).to_numpy().astype(np.int32), tuple(whole.dictionary.to_pylist())


def _read_codes(table: Any, row_ids: Array, codes: Array, missing: Array) -> None:
    """Fill in the codes of the rows that are missing: few are fetched, many are read with all others, by batches."""
    wanted = row_ids[missing]
    if not len(wanted):
        return
    if len(wanted) <= FETCHED_SHARE * len(row_ids):
        batches = table.take_row_ids(wanted.tolist()).select(["code"]).with_row_id().to_arrow().to_batches()
    else:
        batches = _query(table, None).select(["code"]).with_row_id(with_row_id=True).to_batches()
    for batch in batches:
        found = batch.column("code").flatten().to_numpy(zero_copy_only=False).reshape(-1, codes.shape[1])
        codes[np.searchsorted(row_ids, batch.column("_rowid").to_numpy())] = found


def _require_words(table: Any) -> None:
    """The column of words and its index; a table of an earlier version gets an empty one, filled as files change."""
    if WORDS not in table.schema.names:
        table.add_columns({WORDS: "CAST(NULL AS STRING)"})
    if any(index.columns == [WORDS] for index in table.list_indices()):
        return
    from lancedb.index import FTS

    config = FTS(
        base_tokenizer="whitespace",  # `index.words` has cut and folded already
        with_position=False,
        max_token_length=None,
        lower_case=False,
        stem=False,
        remove_stop_words=False,
        ascii_folding=False,
    )
    table.create_index(WORDS, config=config)


def _query(table: Any, sql: str | None) -> Any:
    query = table.search()
    return query if sql is None else query.where(sql)


def _matrix(column: Any, width: int) -> Array:
    """A column of fixed-size lists as an array [n, width]."""
    parts = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
    flat = np.concatenate(parts) if parts else np.zeros(0, column.type.value_type.to_pandas_dtype())
    return flat.reshape(-1, width)


# --- rows and filters in Lance's terms ------------------------------------------------------------------------------


def _code_width(spec: StoreSpec) -> int:
    return min(CODE_DIM, spec.dim)


def _vectors(column: Any, spec: StoreSpec) -> Array:
    """A column of stored vectors as unit rows float32 [n, d]."""
    return _dtypes.decode(_matrix(column, _dtypes.width(spec.dim, spec.dtype)), spec.dtype, spec.dim)


def _schema(spec: StoreSpec) -> Any:
    import pyarrow as pa

    types = {str: pa.string(), float: pa.float64()}
    lists = {
        "vector": pa.list_(_dtypes.arrow_type(spec.dtype), _dtypes.width(spec.dim, spec.dtype)),
        "code": pa.list_(pa.int8(), _code_width(spec)),
    }
    columns = {name: types[kind] for name, kind in filters.COLUMNS.items()}
    return pa.schema({"id": pa.string(), **lists, **columns, "payload": pa.string(), WORDS: pa.string()})


def _to_arrow(ids: list[str], vectors: Array, texts: list[str], spec: StoreSpec) -> Any:
    import pyarrow as pa

    schema = _schema(spec)
    payloads = [json.loads(text) for text in texts]
    columns = [[_fit(p.get(name), kind) for p in payloads] for name, kind in filters.COLUMNS.items()]
    codes = quantize(vectors)
    lists = [
        pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1])
        for rows in (_dtypes.encode(vectors, spec.dtype), codes)
    ]
    words = [fulltext.of_payload(payload) for payload in payloads]
    return pa.table([ids, *lists, *columns, texts, words], schema=schema)


def _fit(value: Any, kind: type) -> Any:
    """A payload's value as its column holds it; None when it is of another type."""
    return kind(value) if _is_comparable(value, kind) else None


def _compile(where: Where | None) -> tuple[str | None, Mapping[str, Any]]:
    """A filter as SQL on the columns, and the rest of it, which is tested on payloads."""
    checked = filters.check(where)
    clauses = [_clause(field, wanted) for field, wanted in checked.items() if field in filters.COLUMNS]
    rest = {field: wanted for field, wanted in checked.items() if field not in filters.COLUMNS}
    return " AND ".join(clauses) or None, rest


def _clause(column: str, wanted: Any) -> str:
    if isinstance(wanted, Mapping):
        return "(" + " AND ".join(_comparison(column, op, bound) for op, bound in wanted.items()) + ")"
    options = wanted if isinstance(wanted, (list, tuple, set, frozenset)) else [wanted]
    return _any_of(column, list(options))


def _names_alone(where: Where) -> list[str] | None:
    """The modalities of a filter that asks for nothing else."""
    wanted = where.get("modality") if len(where) == 1 else None
    names = [wanted] if isinstance(wanted, str) else wanted
    return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else None


def _any_of(column: str, options: list[Any]) -> str:
    kind = filters.COLUMNS.get(column, str)
    values = sorted({_literal(o) for o in options if _is_comparable(o, kind)})
    clauses = [f"{column} IN ({', '.join(values)})"] if values else []
    clauses += [f"{column} IS NULL"] if None in options else []
    return f"({' OR '.join(clauses)})" if clauses else "false"


def _comparison(column: str, op: str, bound: Any) -> str:
    kind = filters.COLUMNS[column]
    if not _is_comparable(bound, kind) or (op == "prefix" and kind is not str):
        return "false"
    if op == "prefix":
        return f"starts_with({column}, {_literal(bound)})"
    return f"{column} {'>=' if op == 'gte' else '<='} {_literal(bound)}"


def _is_comparable(value: Any, kind: type) -> bool:
    return isinstance(value, str) if kind is str else filters.is_number(value) and math.isfinite(value)


def _literal(value: Any) -> str:
    """A value as SQL text. A quote inside a string is doubled, which is all that DataFusion's strings escape."""
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(float(value))


def _chunks(items: list[str], size: int) -> Iterator[list[str]]:
    return (items[i : i + size] for i in range(0, len(items), size))


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """LanceDB's own errors, as one of ours that names the collection."""
    try:
        yield
    except (RuntimeError, ValueError, OSError) as cause:
        raise CorruptData(f"the collection `{path}` cannot be read or written: {cause}") from cause
