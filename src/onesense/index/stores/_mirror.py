"""A copy of a table's vectors in plain files, for the inner part of a search; never the source of truth.

LanceDB takes 0.1 ms to fetch a row with its vector. Here the codes of all rows are mapped, and the nearest rows are
read as they lie: 400 of 3072 dimensions in a millisecond or two.

A row is known by its key, a number that it gets when it is written and that no other row ever gets. So the copy needs
no version: a row that the table does not hold any more is passed over, one that the copy lacks is read from the table.
It may be deleted at any time; the next compaction makes it again.
"""

from __future__ import annotations

import mmap
import os
import shutil
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from onesense.types import Array, StoreSpec
from onesense.vectors import CODE_DIM, code_weights, quantize

FOLDER = "mirror.v1"
"""Below the collection's folder; another layout gets another name."""
ENTRIES, CODES, VECTORS = "entries", "codes", "vectors"
ENTRY = np.dtype([("key", "<i8"), ("weight", "<f4"), ("scale", "<f4")])
ELEMENTS = {"float32": np.int16, "float16": np.int16, "int8": np.int8}
"""A collection's dtype -> what is kept here, scaled row by row; else bits. int16 moves a score by 1e-5 at most, float16
by 1e-4."""
CHECKED = 8  # slots, spread evenly, that are compared when the files are opened
SAME = 0.5  # cosine from which a row's codes are those of its vector: > 0.99, of vectors kept as signs 0.8
BLOCK_ROWS = 64
"""Compared at a time: at 3072 dims they stay in the cache, and below the megabyte from which memory goes back to the
system at once and has to be faulted in again (`_lancedb`), which took three times as long."""
MIN_KEY = 1  # what a power cut leaves unwritten is zero


class Mirror:
    """What the files hold when they are opened; later writes do not change it. Call it from one thread at a time.

    Slots are numbered from 0 in the order of writing; several may have been left by rows that are gone.
    """

    def __init__(self, path: Path, spec: StoreSpec) -> None:
        self._layout = layout = _Layout(path / FOLDER, spec)
        self.keys: Array = np.zeros(0, np.int64)
        """int64 [S], 0 where there is no row."""
        self.weights: Array = np.zeros(0, np.float32)
        """float32 [S], see `vectors.code_weights`."""
        self.codes: Array = np.zeros((0, layout.code_width), np.int8)
        """int8 [S, c], mapped."""
        if n := layout.n_whole():
            entries = np.fromfile(layout.folder / ENTRIES, ENTRY, n)
            self._scales = entries["scale"].copy()
            self._vectors = _Rows(layout.folder / VECTORS, n, layout.vector_bytes, layout.element)
            codes = np.frombuffer(_mapped(layout.folder / CODES, n * layout.code_width), np.int8).reshape(n, -1)
            if self._agree(codes):
                is_torn = (entries["weight"] <= 0) | (entries["scale"] <= 0)
                self.keys, self.weights = np.where(is_torn, 0, entries["key"]), entries["weight"].copy()
                self.codes = codes

    def slots_of(self, keys: Array) -> Array:
        """int64 [n] slot of each key, -1 where there is none."""
        if np.array_equal(keys, self.keys[: len(keys)]):  # nothing was ever changed or deleted
            return np.arange(len(keys))
        order = np.argsort(self.keys, kind="stable")
        place = np.searchsorted(self.keys, keys, sorter=order)
        slots = order[np.minimum(place, len(order) - 1)] if len(order) else np.zeros(len(keys), np.int64)
        there = (self.keys[slots] == keys) & (keys >= MIN_KEY) if len(order) else np.zeros(len(keys), bool)
        return np.where(there, slots, -1)

    def scores(self, slots: Array, query: Array) -> tuple[Array, Array]:
        """float32 [n] cosines of these slots with a query of unit length, and the lengths of their vectors.

        A length is 1 but for rounding, unless the files are damaged.
        """
        scores, lengths = np.zeros(len(slots), np.float32), np.zeros(len(slots), np.float32)
        for at in range(0, len(slots), BLOCK_ROWS):
            block = slice(at, at + BLOCK_ROWS)
            rows, scales = self._layout.widened(self._vectors[slots[block]]), self._scales[slots[block]]
            scores[block] = (rows @ query) * scales
            lengths[block] = np.sqrt(np.einsum("nd,nd->n", rows, rows)) * scales
        return scores, lengths

    def _agree(self, codes: Array) -> bool:
        """Whether codes and vectors belong together, by a few rows; lengths are looked at whenever one is read."""
        slots = np.linspace(0, len(codes) - 1, CHECKED).round().astype(int)
        prefixes = self._layout.widened(self._vectors[slots])[:, : codes.shape[1]]
        found = codes[slots].astype(np.float32)
        lengths = np.linalg.norm(prefixes, axis=1) * np.linalg.norm(found, axis=1)
        return bool((np.einsum("nc,nc->n", prefixes, found) > SAME * lengths).all() and lengths.all())


class _Rows:
    """Rows of a file, read when they are asked for.

    Read, not mapped, where the system can: a mapping brings 64 KB with each row that is touched, and giving those pages
    back now and then cost more than all of the reading.
    """

    def __init__(self, file: Path, n: int, width: int, element: np.dtype[Any]) -> None:
        self._width, self._element = width, element
        self._mapped: Array | None = None
        if not hasattr(os, "preadv"):
            self._mapped = np.frombuffer(_mapped(file, n * width), element).reshape(n, -1)
            return
        self._file = os.open(file, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)

    def __getitem__(self, slots: Array) -> Array:
        """[n, width / size of an element] rows of int64 [n] slots; zeros where the file has become shorter."""
        if self._mapped is not None:
            taken: Array = self._mapped[slots]
            return taken
        width, out = self._width, np.empty((len(slots), self._width // self._element.itemsize), self._element)
        places = out.view(np.uint8).ravel().data
        for row, start in enumerate((slots * width).tolist()):
            if os.preadv(self._file, [places[row * width : (row + 1) * width]], start) != width:
                out[row] = 0
        return out


class _Layout:
    """Where the files are and how wide their rows are."""

    def __init__(self, folder: Path, spec: StoreSpec) -> None:
        self.folder = folder
        self.code_width = min(CODE_DIM, spec.dim)
        self._dim = spec.dim
        self.element = np.dtype(ELEMENTS.get(spec.dtype, np.uint8))
        self._is_bits = spec.dtype not in ELEMENTS
        self.vector_bytes = (spec.dim + 7) // 8 if self._is_bits else spec.dim * self.element.itemsize

    def n_whole(self) -> int:
        """Rows that all three files hold; entries are written last."""
        sizes = {ENTRIES: ENTRY.itemsize, CODES: self.code_width, VECTORS: self.vector_bytes}
        try:
            return min((self.folder / name).stat().st_size // size for name, size in sizes.items())
        except OSError:
            return 0

    def blocks(self, keys: Array, rows: Array) -> dict[str, bytes]:
        """What is appended to each file for rows float32 [n, d], the entries last."""
        codes, entries = quantize(rows), np.zeros(len(keys), ENTRY)
        entries["key"], entries["weight"] = keys, code_weights(codes)
        if self._is_bits:
            stored = np.packbits(rows > 0, axis=1)
            entries["scale"] = 1.0 / np.sqrt(self._dim)
        else:
            peaks = np.abs(rows).max(axis=1, keepdims=True)
            stored = np.rint(rows * (np.iinfo(self.element.name).max / peaks)).astype(self.element)
            entries["scale"] = code_weights(stored)
        return {CODES: codes.tobytes(), VECTORS: stored.tobytes(), ENTRIES: entries.tobytes()}

    def widened(self, stored: Array) -> Array:
        """float32 [n, d] of stored rows, not scaled."""
        if not self._is_bits:
            return np.asarray(stored, np.float32)  # a second copy of 400 rows would be an eighth of a search
        return 2.0 * np.unpackbits(stored, axis=1)[:, : self._dim].astype(np.float32) - 1.0


def append(path: Path, spec: StoreSpec, keys: Array, rows: Array) -> None:
    """Add rows that the table holds already. Does nothing while another process does so.

    Args:
        path: of the collection.
        spec: its.
        keys: int64 [n].
        rows: float32 [n, d].

    Raises:
        OSError: the disk refused; what was there is as it was.
    """
    layout = _Layout(path / FOLDER, spec)
    layout.folder.mkdir(exist_ok=True)
    with _only_writer(layout.folder) as is_alone:
        if is_alone:
            _write(layout, layout.n_whole(), layout.blocks(keys, rows))


def rebuild(path: Path, spec: StoreSpec, batches: Iterable[tuple[Array, Array]]) -> None:
    """Make the copy anew from (keys int64 [n], rows float32 [n, d]); a process that has the old one open keeps it.

    Raises:
        OSError: the disk refused.
    """
    fresh, old = path / f".{FOLDER}.new", path / f".{FOLDER}.old"
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
    fresh.mkdir()
    layout, place = _Layout(fresh, spec), 0
    try:
        for keys, rows in batches:
            _write(layout, place, layout.blocks(keys, rows))
            place += len(keys)
        if (path / FOLDER).exists():
            os.rename(path / FOLDER, old)
        os.rename(fresh, path / FOLDER)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _write(layout: _Layout, place: int, blocks: dict[str, bytes]) -> None:
    """Write rows from a place on. Entries come last, when the rest is on the disk."""
    widths = {ENTRIES: ENTRY.itemsize, CODES: layout.code_width, VECTORS: layout.vector_bytes}
    for name, block in blocks.items():
        handle = os.open(layout.folder / name, os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        with open(handle, "wb") as file:
            file.truncate(place * widths[name])  # what a killed writer left
            file.seek(place * widths[name])
            file.write(block)
            file.flush()
            os.fsync(handle)


def _mapped(file: Path, size: int) -> mmap.mmap:
    with file.open("rb") as opened:
        return mmap.mmap(opened.fileno(), size, access=mmap.ACCESS_READ)


@contextmanager
def _only_writer(folder: Path) -> Iterator[bool]:
    """Whether nobody else appends; where there is no `flock` (Windows), a collection has one writer."""
    try:
        import fcntl
    except ImportError:
        yield True
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        yield False
    else:
        yield True
    finally:
        os.close(handle)
