"""Readers of the data packs: a folder of `.tsv.xz`, `.jsonl.xz` and `.tar` files with a `SOURCES.json` beside them.

Everything streams: a row or a sample is read when it is asked for, and a file is checked against the sha256 of
`SOURCES.json` the first time it is opened. Standard library only: training reads
through here too.

Formats:
    `text/*.tsv.xz`: UTF-8, a header line, tab between columns, no quoting, no tab or line end inside a field.
    `text/*.jsonl.xz`: one JSON object a line.
    `images/*.tar`, `audio/*.tar`, `video/*.tar`: WebDataset, `key.webp` or `key.ogg` beside `key.json`, several shards.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import CorruptData, InvalidInput, NotFound
from ..types import Part

DATA_SETTING = "ONESENSE_DATA"
"""Environment variable that names the data folder where no argument does."""
MANIFEST = "SOURCES.json"
MEDIA_MIMES = {"webp": "image/webp", "ogg": "audio/ogg"}
"""Ending of a sample's media file -> its MIME type."""

Meta = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sample:
    """One media file of a tar pack and what is written beside it."""

    key: str
    """Name without ending, unique in the pack."""
    meta: Meta
    """The JSON object beside it: label, captions, text, ... (the data folder's README lists the fields)."""
    media: bytes
    """The encoded file."""
    mime_type: str

    @property
    def part(self) -> Part:
        """The encoded file as a part of a content."""
        return Part.bytes(self.media, self.mime_type)


class Packs:
    """A data folder. Opening reads its manifest only; safe to share between threads (it keeps no open files)."""

    def __init__(self, folder: str | Path | None = None) -> None:
        """Open a data folder.

        Args:
            folder: where the packs lie; None takes the setting `ONESENSE_DATA`.

        Raises:
            NotFound: no folder was named, or it holds no manifest.
            CorruptData: the manifest is not what a manifest should be.
        """
        chosen = folder if folder is not None else os.environ.get(DATA_SETTING)
        if not chosen:
            raise NotFound(f"no data folder: pass one (`--data FOLDER`) or set {DATA_SETTING}")
        self.folder = Path(chosen).expanduser()
        self._files = _read_manifest(self.folder)
        self._checked: set[str] = set()

    def names(self, prefix: str = "") -> list[str]:
        """Paths of the files that the manifest lists, below a prefix such as `text/`, sorted."""
        return sorted(name for name in self._files if name.startswith(prefix))

    def path(self, name: str) -> Path:
        """A pack file that is there and has the bytes that the manifest promises.

        Args:
            name: path below the data folder, e.g. `text/stories.tsv.xz`.

        Raises:
            NotFound: the manifest lists no such file, or it is missing.
            CorruptData: its sha256 is another.
        """
        if name not in self._files:
            raise NotFound(f"no pack file `{name}` in {self.folder / MANIFEST}: {_near(name, self._files)}")
        path = self.folder / name
        if not path.is_file():
            raise NotFound(f"pack file `{name}` is listed but missing from {self.folder}: copy the data folder again")
        if name not in self._checked:
            found = _sha256(path)
            if found != self._files[name]:
                raise CorruptData(
                    f"pack file `{name}` has sha256 {found[:12]}…, expected {self._files[name][:12]}…: "
                    "it is damaged or of another version; copy the data folder again"
                )
            self._checked.add(name)
        return path

    def rows(self, name: str) -> Iterator[dict[str, str]]:
        """Rows of a `.tsv.xz` or `.tsv` file as column -> text, in the order of the file.

        Raises:
            NotFound, CorruptData: see `path`; CorruptData also for a row with another number of columns.
        """
        path = self.path(name)
        lines = _lines(path)
        header = next(lines, "").split("\t")
        for number, line in enumerate(lines, 2):
            fields = line.split("\t")
            if len(fields) != len(header):
                raise CorruptData(f"`{name}` line {number} has {len(fields)} columns, expected {len(header)}")
            yield dict(zip(header, fields, strict=True))

    def records(self, name: str) -> Iterator[dict[str, Any]]:
        """Objects of a `.jsonl.xz` file, in order.

        Raises:
            NotFound, CorruptData: see `path`; CorruptData also for a line that is not JSON.
        """
        for number, line in enumerate(_lines(self.path(name)), 1):
            try:
                yield json.loads(line)
            except json.JSONDecodeError as cause:
                raise CorruptData(f"`{name}` line {number} is not JSON: {cause}") from cause

    def shards(self, name: str) -> list[str]:
        """The shards of a tar pack, e.g. `images/caltech101` -> `images/caltech101-000.tar`, `…-001.tar`.

        Raises:
            NotFound: the manifest lists none.
        """
        found = [n for n in self.names(f"{name}-") if n.endswith(".tar")]
        if not found:
            raise NotFound(f"no tar pack `{name}` in {self.folder / MANIFEST}: {_near(name, self._files)}")
        return found

    def metas(self, name: str) -> Iterator[tuple[str, Meta]]:
        """Key and JSON of every sample of a tar pack, without reading its media."""
        for key, meta, _, _ in self._walk(name):
            yield key, meta

    def samples(self, name: str, keep: Callable[[str, Meta], bool] | None = None) -> Iterator[Sample]:
        """Samples of a tar pack, shard after shard, in the order of the shards.

        Args:
            name: pack without shard number, e.g. `images/caltech101`.
            keep: called with key and JSON; media is only read for the samples that it wants.

        Raises:
            NotFound, CorruptData: see `path`; CorruptData also for a sample that lacks its media or its JSON.
        """
        for key, meta, mime_type, read in self._walk(name):
            if keep is None or keep(key, meta):
                yield Sample(key, meta, read(), mime_type)

    def _walk(self, name: str) -> Iterator[tuple[str, Meta, str, Callable[[], bytes]]]:
        for shard in self.shards(name):
            path = self.path(shard)
            try:
                with tarfile.open(path, "r:") as tar:
                    yield from _pairs(tar, shard)
            except tarfile.TarError as cause:
                raise CorruptData(f"`{shard}` is not a readable tar file: {cause}") from cause


def _pairs(tar: tarfile.TarFile, shard: str) -> Iterator[tuple[str, Meta, str, Callable[[], bytes]]]:
    """Join `key.json` with the media file of the same key; both may come first."""
    waiting: dict[str, dict[str, tarfile.TarInfo]] = {}
    for member in tar:
        key, _, ending = member.name.rpartition(".")
        pair = waiting.setdefault(key, {})
        pair["json" if ending == "json" else "media"] = member
        if len(pair) == 2:
            del waiting[key]
            ending = pair["media"].name.rpartition(".")[2]
            if ending not in MEDIA_MIMES:
                known = ", ".join(sorted(MEDIA_MIMES))
                raise CorruptData(f"`{shard}` holds `{pair['media'].name}`: expected one of {known} beside the JSON")
            meta = json.loads(_member(tar, pair["json"]))
            media = pair["media"]
            yield key, meta, MEDIA_MIMES[ending], partial(_member, tar, media)
    if waiting:
        raise CorruptData(f"`{shard}` has samples without media or JSON: {', '.join(sorted(waiting)[:3])}")


def _member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = tar.extractfile(member)
    if stream is None:
        raise CorruptData(f"`{member.name}` is not a plain file")
    return stream.read()


def _lines(path: Path) -> Iterator[str]:
    try:
        opener: Callable[..., Any] = lzma.open if path.suffix == ".xz" else open
        with opener(path, "rt", encoding="utf-8", newline="\n") as stream:
            for line in stream:
                yield line.rstrip("\n")
    except (lzma.LZMAError, EOFError, UnicodeDecodeError) as cause:
        raise CorruptData(f"{path.name} cannot be read: {cause}") from cause


def _read_manifest(folder: Path) -> dict[str, str]:
    """Path -> sha256 of every file that the manifest lists."""
    path = folder / MANIFEST
    if not path.is_file():
        raise NotFound(f"{folder} is not a data folder: it has no {MANIFEST}; pass the folder that holds it")
    try:
        sources = json.loads(path.read_text(encoding="utf-8"))["sources"]
        return {file["path"]: file["sha256"] for source in sources for file in source["files"]}
    except (json.JSONDecodeError, KeyError, TypeError) as cause:
        raise CorruptData(f"{path} is not a manifest of packs ({cause!r}): copy the data folder again") from cause


def _near(name: str, files: Mapping[str, str]) -> str:
    stem = name.rpartition("/")[2][:4]
    near = [f for f in sorted(files) if f.rpartition("/")[2].startswith(stem)] or sorted(files)
    return f"there are {', '.join(near[:6])}" if near else "it lists nothing"


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_pack(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write pack files and a manifest that lists them: how a data folder of one's own is made.

    Args:
        folder: created where needed; a manifest that is there is replaced.
        files: path below the folder -> bytes of the file.

    Raises:
        InvalidInput: a path leaves the folder.
    """
    listed = []
    for name, data in files.items():
        target = folder / name
        if not target.resolve().is_relative_to(folder.resolve()):
            raise InvalidInput(f"pack path `{name}` leaves the folder: use paths such as text/mine.tsv.xz")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        listed.append({"path": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()})
    manifest = {"version": 1, "sources": [{"id": "own", "files": listed}]}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
