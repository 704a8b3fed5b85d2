"""A stage in a box: everything that a run reads, in pieces small enough to travel to a machine with a GPU.

`onesense train RECIPE --pack DIR` writes `pack.json` and `piece-000.bin`, ...: one gzipped tar cut into pieces, with
the text packs, the imported text model, the checkpoint to start from, features of the *training* pictures in 8 bits a
number, the ear's tokens instead of its states, and data of one's own. `onesense train --from DIR` checks and reads it.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..errors import CorruptData, InvalidInput, NotFound
from ..evals.packs import MANIFEST, Packs
from ..types import Array
from . import checkpoint, sources
from .data import senses, speech
from .recipe import Recipe
from .run import BUNDLED, PATHS, rooted

FORMAT = "onesense.pack.v1"
PIECE_BYTES = 60 << 20  # of 64 MiB that may travel at once
NAME = "pack.json"
ENCODERS = ("e5", "e5_tokenizer")
LABELS = "teachers/imagenet_labels.tsv"


def pack(recipe: Recipe, out: Path, piece_bytes: int = PIECE_BYTES) -> dict[str, Any]:
    """Write what a recipe reads.

    Args:
        recipe: its paths must be relative, so that they mean the same where it travels to.
        out: folder of the pieces; an older pack in it is replaced.
        piece_bytes: most bytes of a piece.

    Returns:
        What `pack.json` holds: recipe, pieces with sha256, files with bytes.

    Raises:
        InvalidInput: the recipe has an absolute path, or one that leaves the folder.
        NotFound: something that it reads is not there.
    """
    _require_relative(recipe)
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("piece-*.bin"):
        old.unlink()
    pieces = _Pieces(out, piece_bytes)
    files = {}
    with (
        gzip.GzipFile(fileobj=pieces, mode="wb", compresslevel=4, mtime=0) as zipped,  # type: ignore[call-overload]
        tarfile.open(fileobj=zipped, mode="w|") as tar,
    ):
        for name, content in _contents(recipe):
            member = tarfile.TarInfo(name)
            member.size = files[name] = len(content)
            tar.addfile(member, io.BytesIO(content))
    pieces.finish()
    manifest = {"format": FORMAT, "recipe": recipe.to_dict(), "pieces": pieces.written, "files": files}
    (out / NAME).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return manifest


def read_manifest(folder: Path) -> dict[str, Any]:
    """What `pack.json` says.

    Raises:
        NotFound: there is none.
        CorruptData: it is something else.
    """
    file = folder / NAME
    if not file.is_file():
        raise NotFound(f"no {NAME} in {folder}: write a pack with `onesense train RECIPE --pack {folder}`")
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError as cause:
        raise CorruptData(f"{file} is not JSON: {cause}") from cause
    if manifest.get("format") != FORMAT:
        raise CorruptData(f"{file} has the format {manifest.get('format')!r}, expected `{FORMAT}`")
    return dict(manifest)


def unpack(folder: Path, to: Path | None = None) -> tuple[Recipe, Path]:
    """Check and unfold a pack, once.

    Args:
        folder: of `pack.json` and its pieces.
        to: where to; `FOLDER/unpacked` by default.

    Returns:
        The recipe, and the folder that its relative paths start from (`Plan.root`), with `data/` and `sources/` in it.

    Raises:
        NotFound, CorruptData: see `read_manifest`; also for a piece that is missing or damaged.
    """
    manifest, to = read_manifest(folder), to or folder / "unpacked"
    recipe = Recipe(**manifest["recipe"])
    done = to / NAME
    if done.is_file() and json.loads(done.read_text(encoding="utf-8")) == manifest:
        return recipe, to
    for piece in manifest["pieces"]:
        _check_piece(folder / piece["name"], piece)
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir(parents=True)
    joined = _Joined([folder / piece["name"] for piece in manifest["pieces"]])
    try:
        with tarfile.open(fileobj=joined, mode="r|gz") as tar:  # type: ignore[call-overload]
            tar.extractall(to, filter="data")
    except (tarfile.TarError, EOFError) as cause:
        raise CorruptData(f"the pack in {folder} cannot be unfolded: {cause}") from cause
    finally:
        joined.close()
    done.write_text(json.dumps(manifest), encoding="utf-8")
    return recipe, to


def _check_piece(file: Path, piece: dict[str, Any]) -> None:
    if not file.is_file():
        raise NotFound(f"piece {file} has not arrived: copy it beside {NAME}")
    with file.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != piece["sha256"]:
        raise CorruptData(f"piece {file} is damaged (sha256 {found[:12]}…, not {piece['sha256'][:12]}…): copy it again")


# --- what goes in ---------------------------------------------------------------------------------------------------


def _require_relative(recipe: Recipe) -> None:
    given = [str(a[k]) for a in recipe.tasks.values() for k in PATHS if k in a] + (
        [recipe.start] if recipe.start else []
    )
    for path in given:
        if Path(path).is_absolute() or ".." in Path(path).parts:
            raise InvalidInput(f"the recipe's path `{path}` cannot travel: use a relative one below the working folder")


def _contents(recipe: Recipe) -> Iterator[tuple[str, bytes]]:
    """Name in the tar and bytes of every file."""
    yield from _data()
    for key in ENCODERS:
        yield f"sources/{key}.bin", sources.path(key).read_bytes()
    if recipe.start and recipe.start != BUNDLED:
        yield recipe.start, _weights(Path(recipe.start))
    folders = {str(a[k]) for a in rooted(recipe, Path()).tasks.values() for k in PATHS if k in a}
    for name in sorted(folders):
        yield from _folder(Path(name))


def _data() -> Iterator[tuple[str, bytes]]:
    packs = Packs(sources.data_root())
    names = [name for name in packs.names() if name.startswith("text/") or name == LABELS]
    manifest = json.loads((packs.folder / MANIFEST).read_text(encoding="utf-8"))
    for source in manifest["sources"]:
        source["files"] = [file for file in source["files"] if file["path"] in names]
    manifest["sources"] = [source for source in manifest["sources"] if source["files"]]
    yield f"data/{MANIFEST}", json.dumps(manifest).encode()
    for name in names:
        yield f"data/{name}", packs.path(name).read_bytes()


def _weights(file: Path) -> bytes:
    """A checkpoint without its optimiser."""
    import torch

    state = checkpoint.read(file)
    stream = io.BytesIO()
    torch.save({k: state[k] for k in ("format", "model", "average")}, stream)
    return stream.getvalue()


def _folder(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Features in 8 bits, the ear as tokens, anything else (data of one's own) as it is."""
    if folder.is_file():
        yield str(folder), folder.read_bytes()
    elif (folder / "eye_table.npz").is_file():
        for name in ("eye_table.npz", "sound_table.npz", "sounds.npz"):
            yield f"{folder}/{name}", (folder / name).read_bytes()
        for name in senses.PACKS:
            yield f"{folder}/pictures_{name}.npz", _bytes(senses.quantized(folder / f"pictures_{name}.npz"))
    elif (folder / "adapter.npz").is_file():
        yield f"{folder}/{speech.TOKENS.format(split='train')}", _bytes(speech.packed(folder))
    elif folder.is_dir():
        for file in sorted(f for f in folder.rglob("*") if f.is_file()):
            yield str(file), file.read_bytes()
    else:
        raise NotFound(f"the recipe reads {folder}, which is not there: run the steps before (docs/training.md)")


def _bytes(arrays: dict[str, Array]) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


class _Pieces:
    """A file that is written as several, each of at most so many bytes."""

    def __init__(self, folder: Path, most: int) -> None:
        self.folder, self.most = folder, most
        self.written: list[dict[str, Any]] = []
        self._buffer = bytearray()

    def write(self, data: bytes) -> int:
        """Take bytes; full pieces go to disk."""
        self._buffer += data
        while len(self._buffer) >= self.most:
            self._flush(self.most)
        return len(data)

    def flush(self) -> None:
        """Nothing: pieces are written when they are full."""

    def finish(self) -> None:
        """Write the last piece."""
        if self._buffer:
            self._flush(len(self._buffer))

    def _flush(self, n: int) -> None:
        content = bytes(self._buffer[:n])
        del self._buffer[:n]
        name = f"piece-{len(self.written):03}.bin"
        (self.folder / name).write_bytes(content)
        self.written.append({"name": name, "bytes": n, "sha256": hashlib.sha256(content).hexdigest()})


class _Joined:
    """Several files read as one."""

    def __init__(self, files: list[Path]) -> None:
        self._files = iter(files)
        self._open: IO[bytes] | None = None

    def read(self, n: int) -> bytes:
        """Up to n bytes; none at the end of the last file."""
        while True:
            if self._open is None:
                file = next(self._files, None)
                if file is None:
                    return b""
                self._open = file.open("rb")
            if data := self._open.read(n):
                return data
            self.close()
            self._open = None

    def close(self) -> None:
        """Close the file that is open."""
        if self._open is not None:
            self._open.close()
