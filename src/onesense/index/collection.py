"""A collection: files and records as vectors of one model, that can be added to and searched."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from onesense import plugins
from onesense.engine import models
from onesense.engine.embedder import Embedder
from onesense.errors import CorruptData, InvalidInput, NotFound, OnesenseError
from onesense.types import Array, Backend, Hit, Payload, SearchResult, Store, StoreSpec, Task, Versioned, Where

from . import absent, failures, health, places, portable, search, sources, watch, writer
from .calibrate import Calibration, Calibrator, query_task
from .ingest import Ingest, Progress, Report
from .places import Mark
from .plan import Plan
from .plan import make as make_plan
from .query import Ask, Options, aim
from .rows import require_same
from .sources import Failure, Source
from .stores._dtypes import check as check_dtype

if TYPE_CHECKING:
    from onesense.rag.types import Answer

DEFAULT_STORE = "lance"

Sources = str | Path | Mapping[str, Any] | Sequence[str | Path | Mapping[str, Any]]
"""A path, a record, or a list of either."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or record of a collection."""

    path: str
    modalities: tuple[str, ...]
    n_segments: int
    size: int | None
    """Bytes of a file, None of a record."""
    mtime: float | None
    """Seconds since 1970 of a file's last change, None of a record."""


def store_name(path: Path) -> str:
    """Which store keeps the collection at a path: the plug-in that its suffix names, else LanceDB.

    `media.json` is kept by `json`, `media.onesense` (and any other name) by `lance`, and `media.sqlite` by a plug-in
    called `sqlite` where one is installed. The suffix is the caller's own choice of a name, not a guess at content.
    """
    suffix = path.suffix.removeprefix(".")
    return suffix if suffix in plugins.names("stores") else DEFAULT_STORE


class Collection:
    """Vectors of one model, size and task, with their files' paths, places and metadata.

    Made by `open`, closed by `close` or a `with` block. Searching is thread-safe; `add` runs in one thread at a time.
    """

    def __init__(self, path: Path, store: Store, embedder: Embedder, *, owns_embedder: bool = True) -> None:
        self.path = path
        self._store = store
        self._embedder = embedder
        self._owns_embedder = owns_embedder
        self._calibrator = Calibrator(store, embedder)

    @classmethod
    def open(
        cls,
        path: str | Path,
        model: str | Backend | Embedder | None = None,
        *,
        dim: int | None = None,
        task: str | Task | None = None,
        store: str | None = None,
        dtype: str | None = None,
        create: bool = True,
        preload: bool = False,
    ) -> Collection:
        """Open a collection, or make one.

        Args:
            path: see `store_name` for what its suffix means.
            model: what to embed with; by default the one that the collection was made with, or `onesense-mini`.
            dim: size of the vectors; by default the collection's own, or all that the model gives.
            task: what the vectors are for; by default the collection's own, or none.
            store: name of the store, where the suffix is not to choose it.
            dtype: how a new collection keeps its vectors: float32 (by default), float16, int8 or binary.
            create: make the collection when it is not there.
            preload: load the model in a thread meanwhile, for a caller who will search at once.

        Raises:
            FingerprintMismatch: the collection was made with another model, revision, size or task.
            NotFound: no such model or store; or no collection, with `create=False`.
            DimError: the model cannot give this size.
            CorruptData: what is at `path` is no collection.
        """
        place = Path(path).expanduser()
        store_class = plugins.load("stores", store or store_name(place))
        found = store_class.read_spec(place)
        if found is None and not create:
            raise NotFound(f"there is no collection at `{place}`: make one with `onesense index FOLDER --to {place}`")
        embedder = _embedder(model, found)
        is_imported = found is not None and (found.model, found.revision) == (embedder.info.name, absent.REVISION)
        spec = found if is_imported and found else _spec(embedder, found, dim, Task.parse(task), dtype)
        if spec.dtype != "float32" and "dtype" not in store_class.features:
            raise InvalidInput(f"the store of `{place}` keeps float32 only: choose `lance` (a name without suffix)")
        if found is not None:
            require_same(found, spec, place)
        if preload:
            threading.Thread(target=_preload, args=(spec.model,), daemon=True).start()
        return cls(place, store_class.open(place, spec), embedder, owns_embedder=not isinstance(model, Embedder))

    @property
    def info(self) -> StoreSpec:
        """Model, revision, size, task and fingerprint of the vectors."""
        return self._store.spec

    def add(self, items: Sources, *, prune: bool = False, progress: Progress | None = None) -> Report:
        """Index files, folders (with all below) and records; what is unchanged is passed over.

        Resumable: after a kill, call it again. Faults of single files are in the report and stop nothing.

        Args:
            items: paths, and records `{"id": str, "content": str | Part | Content, "metadata": dict}`.
            prune: also delete the rows of files that are gone from the given paths.
            progress: called once a file or record with (done, in all, path).

        Raises:
            InvalidInput: an item is neither a path nor a record.
            CorruptData: the store cannot be written.
        """
        paths, records = _split(items)
        start_s = time.perf_counter()
        with writer.exclusive(self.path):
            ingest = Ingest(self._store, self._embedder, progress)
            given = sources.as_roots(paths)
            roots = [root for root in given if not (prune and _is_gone(root) and self._holds(root))]
            n_total = len(records) + sum(1 for _ in self._files(roots))
            ingest.run(chain(self._files(roots), self._records(records)), n_total)
            for root in given if prune else ():  # after the run, which takes over the vectors of what was moved
                ingest.prune({"path": root}, _is_gone)
                ingest.prune(sources.below(root), _is_gone)
            report = ingest.report
            mended = [*report.added, *report.updated, *report.moved, *report.unchanged, *report.removed]
            failures.update(self._store, report.failed, mended)
            self._calibrator.current()  # while the model is warm; drawn anew only when enough has changed
        report.seconds = time.perf_counter() - start_s
        return report

    def plan(self, items: Sources, *, prune: bool = False) -> Plan:
        """What `add` would do with these items and how long it would take; writes nothing. Arguments as for `add`."""
        del prune  # what is gone takes no time
        paths, records = _split(items)
        found = chain(self._files(sources.as_roots(paths)), self._records(records))
        return make_plan(self._store, self._embedder, found)

    def failed(self) -> list[Failure]:
        """Files that could not be indexed and have not been since, with reason and time."""
        return failures.read(self._store)

    def retry_failed(self, *, progress: Progress | None = None) -> Report:
        """Index again what failed; those that are gone from the disk are forgotten."""
        paths = {failure.path for failure in self.failed()}
        failures.update(self._store, [], [path for path in paths if not os.path.lexists(path)])
        return self.add(sorted(path for path in paths if os.path.lexists(path)), progress=progress)

    def watch(
        self,
        folders: Sequence[str | Path],
        on_report: Callable[[Report], None],
        stop: threading.Event | None = None,
    ) -> None:
        """Index folders and follow their changes until `stop` is set, see `index.watch.follow`."""
        watch.follow(self, folders, on_report, stop)

    def verify(self) -> health.Health:
        """Read every row, check every vector, look at every file."""
        return health.verify(self._store)

    def repair(self) -> tuple[health.Health, Report]:
        """Delete rows that cannot be used and index their files again; what was found, and what was done.

        Raises:
            CorruptData: the rows cannot be read at all.
        """
        found = health.verify(self._store)
        if found.unreadable:
            raise CorruptData(f"{found.unreadable}; its files have to be indexed again into a new collection")
        with writer.exclusive(self.path):
            paths = health.repair(self._store, found)
        return found, self.add([path for path in paths if os.path.lexists(path)])

    def compact(self) -> None:
        """Merge what many small writes left and drop old versions; searching works meanwhile."""
        with writer.exclusive(self.path):
            step = getattr(self._store, "compact", None)
            if step is not None:
                step()

    def search(
        self,
        query: Any = None,
        k: int = 10,
        modality: str | Sequence[str] | None = None,
        where: Where | None = None,
        **options: Unpack[Options],
    ) -> SearchResult:
        """A page of what is nearest to a query, best first; `is_confident` says whether there is a match at all.

        Args:
            query: text (str), a file (`Path` or `Part.file`), or any mix of parts (`Content`); None with `like`.
            k: most hits to return.
            modality: only text, image, audio, video or pdf, or any of several.
            where: filter: field -> value, list of values (any of), or {"gte": x, "lte": y, "prefix": s}; fields are
                path, size, mtime, the records' own metadata, and what files say of themselves (`facts.FIELDS`).
            **options: like, plus, minus, offset, group, collapse, rank, words; see `query.Ask`.

        Raises:
            InvalidInput: the query cannot be embedded, or k, the modality, the filter or an option is not possible.
            NotFound: `like` names no id and no path of the collection.
        """
        ask = Ask(query, k, modality, where, **options)
        return search.find(self._store, self._embedder, ask, self._calibrator.current())

    def mark(self, hit: Hit, query: Any = None, **options: Unpack[Options]) -> Mark:
        """What to mark in a hit for a question: words on a page, the best sentence, warm parts of a picture.

        Args:
            hit: of this collection.
            query: as for `search`.
            **options: as for `search`; like, plus and minus count.

        Raises:
            NotFound: the file is gone, or the hit is a record without one.
        """
        target = aim(self._store, self._embedder, Ask(query, **options))
        return places.mark(self._embedder, hit, target)

    def ask(self, question: str, **options: Any) -> Answer:
        """A question answered from this collection, with citations.

        Args:
            question: what you want to know.
            **options: `llm`, `wanted` and `turns` of `rag.ask.Conversation`, which also asks several collections,
                streams, and keeps what was said.

        Raises:
            InvalidInput: the question is empty or too long, or the language model cannot be set up.
            MissingExtra: the packages of the language model are not installed.
        """
        from onesense.rag.ask import ask  # the one import upwards, for a verb that people look for here

        return ask(self, question, **options)

    def calibrate(self) -> Calibration | None:
        """Learn anew what scores mean here, see `index.calibrate`; done by itself when the collection grows."""
        return self._calibrator.renew()

    def delete(self, paths: str | Path | Sequence[str | Path]) -> int:
        """Remove files, all files below folders, or records by id; the files themselves stay. Returns how many went."""
        given = [paths] if isinstance(paths, (str, Path)) else list(paths)
        removed: dict[str, str] = {}
        for path in given:
            absolute = os.path.abspath(os.path.expanduser(path))
            for where in ({"path": [str(path), absolute]}, sources.below(absolute)):
                removed |= {id_: str(payload.get("path")) for id_, payload in self._store.rows(where)}
        self._store.delete(list(removed))
        return len(set(removed.values()))

    def export(self, file: str | Path) -> int:
        """Write all rows to a file that ends in .json, .jsonl, .npy or .parquet, see `index.portable.export`."""
        return portable.export(self._store, Path(file))

    def count(self) -> int:
        """Number of segments."""
        return self._store.count()

    def version(self) -> Hashable | None:
        """Another value whenever something was written, by whomever; None where the store cannot tell."""
        return self._store.version() if isinstance(self._store, Versioned) else None

    def files(self) -> list[Entry]:
        """What is in it, by path."""
        found: dict[str, list[Mapping[str, Any]]] = {}
        for _, payload in self._store.rows():
            brief = {name: payload.get(name) for name in ("modality", "size", "mtime")}
            found.setdefault(str(payload.get("path")), []).append(brief)
        return [_entry(path, found[path]) for path in sorted(found)]

    def rows(self, where: Where | None = None) -> Iterator[tuple[str, Payload]]:
        """Ids and payloads of the segments that pass a filter, in no order."""
        return self._store.rows(where)

    def vectors(self, ids: Sequence[str]) -> Array:
        """Float32 [n, d] of these segments, in order. Raises NotFound for an id that is not there."""
        return self._store.vectors(ids)

    def embed(self, contents: Any) -> Array:
        """Float32 [n, d] unit vectors of contents as a query of this collection is embedded, see `Embedder.embed`."""
        return self._embedder.embed(contents, self.info.dim, query_task(self._store))

    def close(self) -> None:
        """Release the store and the threads of the embedder. Calling it twice is fine."""
        self._store.close()
        if self._owns_embedder:
            self._embedder.close()

    def __enter__(self) -> Collection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _holds(self, root: str) -> bool:
        return any(True for where in ({"path": root}, sources.below(root)) for _ in self._store.rows(where))

    def _files(self, roots: list[str]) -> Iterator[Source | Failure]:
        passed_over = {os.path.abspath(self.path), *roots}
        return (found for root in roots for found in sources.find_files(root, passed_over))

    def _records(self, records: Sequence[Mapping[str, Any]]) -> Iterator[Source | Failure]:
        task = Task.parse(self.info.task)
        for place, fields in enumerate(records):
            try:
                yield sources.Record.parse(fields, self._embedder.info, task)
            except InvalidInput as cause:
                yield sources.Failure.of(str(fields.get("id") or f"records[{place}]"), cause)


def _entry(path: str, rows: Sequence[Mapping[str, Any]]) -> Entry:
    modalities = tuple(sorted({str(row["modality"]) for row in rows}))
    size = rows[0]["size"]
    return Entry(path, modalities, len(rows), None if size is None else int(size), rows[0]["mtime"])


def _is_gone(path: str) -> bool:
    return not os.path.exists(path)


def _preload(model: str) -> None:
    try:
        models.acquire(model)
    except OnesenseError:  # comes again, to the right caller, when the model is asked for
        return


def _embedder(model: str | Backend | Embedder | None, found: StoreSpec | None) -> Embedder:
    if isinstance(model, Embedder):
        return model
    if model is not None:
        return Embedder(model)
    if found is None:
        return Embedder(models.DEFAULT_MODEL)
    try:
        return Embedder(found.model)
    except NotFound:
        if found.revision != absent.REVISION:
            raise
        return Embedder(absent.Absent(found))


def _spec(
    embedder: Embedder, found: StoreSpec | None, dim: int | None, task: Task | None, dtype: str | None
) -> StoreSpec:
    """What was asked for, with what the collection itself says in the places that were left open."""
    from onesense.vectors import check_dim

    info = embedder.info
    if dim is None:
        dim = found.dim if found is not None and found.dim <= info.dim else info.dim
    if task is None and found is not None:
        task = Task.parse(found.task)
    check_dim(dim, info.dim)
    kept_as = check_dtype(dtype or (found.dtype if found is not None else "float32"))
    fingerprint = info.fingerprint(dim, task)
    return StoreSpec(dim, fingerprint, info.name, info.revision, task.value if task else None, dtype=kept_as)


def _split(items: Sources) -> tuple[list[str | Path], list[Mapping[str, Any]]]:
    given = [items] if isinstance(items, (str, Path, Mapping)) else list(items)
    paths = [item for item in given if isinstance(item, (str, Path))]
    records = [item for item in given if isinstance(item, Mapping)]
    if len(paths) + len(records) < len(given):
        kind = next(type(item).__name__ for item in given if not isinstance(item, (str, Path, Mapping)))
        raise InvalidInput(f"only paths and records (dicts with id and content) can be added, not {kind}")
    return paths, records
