"""What a search needs of one version of a table, and the way from all of its rows to the few that are fetched.

The funnel: int8 codes of the first 256 dimensions of all rows, then whole vectors of the nearest, both out of the
mirror (`_mirror`); what the mirror lacks is read from the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from onesense.index.rows import UNIT_TOLERANCE
from onesense.types import Array, StoreSpec
from onesense.vectors import code_weights, scan_each

from . import _columns
from ._mirror import Mirror

CANDIDATES = 400  # compared in full; bench/search.py, real vectors: recall@10 .956 with 100, .991 with 400
CANDIDATES_PER_HIT = 8  # more when k is large
EXACT_ROWS = 1_024  # up to here whole vectors are held (12 MB at 3072) and every one is compared
FETCHED_SHARE = 0.2  # of the rows; when more are wanted, reading a whole column is cheaper than fetching them
NO_KIND = -1

Fetch = Callable[[Array], Array]
"""Row ids uint64 [m] -> whole vectors float32 [m, d], in order."""


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """One version of a table. A row's position is its slot in the mirror, or behind all slots where it has none."""

    version: int
    row_ids: Array
    """uint64 [P], Lance's own: the fragment and the place in it."""
    kinds: Array
    """int32 [P], a place in `modalities`; -1 for a row that has none."""
    modalities: tuple[str, ...]
    rows: Array
    """int64 [n], ascending positions that hold a row; the others are left over in the mirror."""
    by_row_id: tuple[Array, Array]
    """uint64 [n] row ids, ascending, and int64 [n] their positions."""
    mirror: Mirror | None
    """None of a small table."""
    codes: Array
    """int8 [P, c]; of a small table none."""
    weights: Array
    """float32 [P], see `vectors.code_weights`."""
    whole: Array | None
    """float32 [n, d] of a small table, None of a large one."""

    def positions(self, row_ids: Array) -> Array:
        """int64 [m] positions of Lance's row ids, in order."""
        known, places = self.by_row_id
        return places[np.searchsorted(known, row_ids)]

    def of_modality(self, names: Sequence[str], among: Array) -> Array:
        """int64 [m] those of some ascending positions whose rows are of these modalities."""
        wanted = [place for place, name in enumerate(self.modalities) if name in names]
        kinds = self.kinds if len(among) == len(self.kinds) else self.kinds[among]
        return among[np.isin(kinds, wanted)]

    def nearest(self, query: Array, k: int, groups: Sequence[Array], fetch: Fetch) -> list[tuple[Array, Array]]:
        """The nearest rows within each of several groups, in no order, and all that score as the last of them does.

        Args:
            query: float32 [d], unit length.
            k: rows of each group.
            groups: int64 [m] ascending positions.
            fetch: reads vectors that the mirror lacks.

        Returns:
            For each group int64 [>= min(k, m)] positions and their cosines float32.
        """
        near = groups
        if self.whole is None:
            most = max(CANDIDATES, CANDIDATES_PER_HIT * k)
            near = [np.sort(rows) for rows in scan_each(self.codes, query, most, groups, self.weights)]
        return [_best(rows, self._scores(rows, query, fetch), k) for rows in near]

    def _scores(self, positions: Array, query: Array, fetch: Fetch) -> Array:
        """float32 [m] cosines; of what the mirror lacks, or has no vector of unit length for, from the table."""
        if self.whole is not None or self.mirror is None:
            whole = fetch(self.row_ids[positions]) if self.whole is None else self.whole[positions]
            return np.asarray(whole @ query)
        is_mirrored = positions < len(self.mirror.keys)
        scores = np.zeros(len(positions), np.float32)
        scores[is_mirrored], lengths = self.mirror.scores(positions[is_mirrored], query)
        lacking = ~is_mirrored
        lacking[is_mirrored] = ~(np.abs(lengths - 1.0) < UNIT_TOLERANCE)
        if lacking.any():
            scores[lacking] = fetch(self.row_ids[positions[lacking]]) @ query
        return scores


def _best(rows: Array, scores: Array, k: int) -> tuple[Array, Array]:
    if len(rows) <= k:
        return rows, scores
    kept = np.flatnonzero(scores >= np.partition(scores, -k)[-k])
    return rows[kept], scores[kept]


def load(table: Any, version: int, spec: StoreSpec, path: Path) -> Snapshot:
    """The snapshot of a table that is opened at this version; reads two narrow columns of a large one."""
    is_small = table.count_rows() <= EXACT_ROWS
    columns = [_columns.KEY, "modality", *(["vector"] if is_small else [])]
    got = _columns.query(table, None).select(columns).with_row_id(with_row_id=True).to_arrow()
    row_ids = got["_rowid"].to_numpy()
    kinds, modalities = _encoded(got["modality"])
    if is_small:
        order = np.argsort(row_ids)
        rows = np.arange(len(row_ids))
        whole = _columns.vectors(got["vector"], spec)[order]
        no_codes = np.zeros((0, 0), np.int8), np.zeros(0, np.float32)
        ids = row_ids[order]
        return Snapshot(version, ids, kinds[order], modalities, rows, (ids, rows), None, *no_codes, whole)
    mirror = Mirror(path, spec)
    slots = mirror.slots_of(_columns.keys(got[_columns.KEY]))
    positions = np.where(slots >= 0, slots, len(mirror.keys) + np.cumsum(slots < 0) - 1)
    n_positions = len(mirror.keys) + int((slots < 0).sum())
    by_position = np.zeros(n_positions, np.uint64), np.full(n_positions, NO_KIND, np.int32)
    by_position[0][positions], by_position[1][positions] = row_ids, kinds
    order = np.argsort(row_ids, kind="stable")
    codes, weights = mirror.codes, mirror.weights
    if n_positions > len(mirror.keys):
        more = _missing_codes(table, row_ids[slots < 0], len(row_ids), codes.shape[1])
        codes, weights = np.concatenate([codes, more]), np.concatenate([weights, code_weights(more)])
    by_row_id = row_ids[order], positions[order]
    return Snapshot(version, *by_position, modalities, np.sort(positions), by_row_id, mirror, codes, weights, None)


def _encoded(column: Any) -> tuple[Array, tuple[str, ...]]:
    """A column of few different texts as int32 [n] places in a list of them, -1 for null."""
    import pyarrow as pa

    whole = pa.chunked_array(column.chunks, pa.string()).combine_chunks().dictionary_encode()
    return whole.indices.fill_null(NO_KIND).to_numpy().astype(np.int32), tuple(whole.dictionary.to_pylist())


def _missing_codes(table: Any, row_ids: Array, n_rows: int, width: int) -> Array:
    """int8 [m, width] codes of rows in order: few are fetched, many are read with all others, by batches."""
    codes = np.zeros((len(row_ids), width), np.int8)
    order = np.argsort(row_ids, kind="stable")
    known = row_ids[order]
    for batch in _batches(table, row_ids, n_rows):
        found = batch.column("code").flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
        ids = batch.column("_rowid").to_numpy()
        place = np.minimum(np.searchsorted(known, ids), len(known) - 1)
        wanted = known[place] == ids
        codes[order[place[wanted]]] = found[wanted]
    return codes


def _batches(table: Any, row_ids: Array, n_rows: int) -> Iterator[Any]:
    if len(row_ids) <= FETCHED_SHARE * n_rows:
        yield from table.take_row_ids(row_ids.tolist()).select(["code"]).with_row_id().to_arrow().to_batches()
    else:
        yield from _columns.query(table, None).select(["code"]).with_row_id(with_row_id=True).to_batches()
