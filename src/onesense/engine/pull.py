"""Downloads a checkpoint from the hub: a pinned commit, weights as safetensors, every file checked, nothing that runs.

A connection that breaks is taken up where it stopped; a `pull` that ended early is taken up file by file by the next
(huggingface_hub 2.x keeps no half file from one process to another). Nothing else in the house downloads weights.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from onesense.errors import CorruptData, InvalidInput, MissingExtra, NotFound, StorageFull, Unavailable

from . import records, shelf
from .shelf import Manifest

WANTED = ("*.json", "*.jinja", "*.txt", "*.model", "*.safetensors", "LICENSE*", "NOTICE*", "README.md")
"""What is downloaded. Python files and pickled weights are not."""
_UNWANTED = ("onnx/*", "openvino/*", "*/.*", ".*")
_SPARE_BYTES = 256 * 1024**2  # that a download leaves free on the disk


def pull(name: str, *, revision: str = "", is_offline: bool = False, is_strict: bool = False) -> Manifest:
    """Bring a model to this machine, or check that it is here.

    Args:
        name: a name of `records`, or `owner/name` of a sentence-transformers model on the hub.
        revision: a commit, branch or tag; the record's pin by default, then whatever is current.
        is_offline: touch no network; `HF_HUB_OFFLINE=1` says the same.
        is_strict: refuse a model that no commit is pinned for.

    Returns:
        What lies on this machine now, with the commit that it is of.

    Raises:
        NotFound: the hub has no such model or revision, or does not show it without a token.
        InvalidInput: it is not pinned and has to be, or offers no safetensors.
        StorageFull: the disk is too small.
        Unavailable: the hub cannot be reached, or the download broke off; calling again goes on.
        CorruptData: a file is not what the hub says it is.
    """
    repository, target, pinned = _named(name)
    wanted = revision or pinned
    if is_strict and not _is_commit(wanted):
        raise InvalidInput(f"no commit is pinned for `{name}`: give one with --revision, or leave --strict out")
    if shelf.is_here(target):
        there = shelf.read_manifest(target)
        if wanted in ("", there.revision) and not any(shelf.faults(target)):
            return there
    if is_offline or os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        raise Unavailable(f"`{target}` is not whole on this machine, and it is offline: leave --offline out once")
    return _download(repository, target, wanted)


def _named(name: str) -> tuple[str, str, str]:
    """Repository, name on the shelf, pinned commit."""
    if name in records.names():
        record = records.read(name)
        return record.repository, name, record.revision
    owner, slash, model = name.partition("/")
    if not (owner and slash and model) or "/" in model:
        known = ", ".join(records.names())
        raise NotFound(f"no open checkpoint is called `{name}`: there are {known}, or `owner/name` of the hub")
    shelf.folder(model)
    return name, model, ""


def _is_commit(revision: str) -> bool:
    return len(revision) == 40 and all(c in "0123456789abcdef" for c in revision)


def _download(repository: str, target: str, revision: str) -> Manifest:
    try:
        from huggingface_hub import HfApi, snapshot_download
    except ImportError:
        raise MissingExtra("downloads need huggingface_hub: pip install 'onesense[torch]'") from None
    endpoint = os.environ.get("HF_ENDPOINT")
    folder = shelf.folder(target)
    with _told(repository, revision):
        there = HfApi(endpoint=endpoint).model_info(repository, revision=revision or None, files_metadata=True)
        files = [file for file in there.siblings or [] if _is_wanted(file.rfilename)]
        if not any(file.rfilename.endswith(".safetensors") for file in files):
            raise InvalidInput(f"`{repository}` offers no safetensors, and other weights may run code: not downloaded")
        _check_disk(folder, sum(file.size or 0 for file in files))
        (folder / shelf.MANIFEST).unlink(missing_ok=True)
        snapshot_download(
            repository,
            revision=there.sha,
            local_dir=folder,
            allow_patterns=[file.rfilename for file in files],
            endpoint=endpoint,
            max_workers=4,
        )
    entries = {file.rfilename: _checked(folder, file) for file in files}
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    manifest = Manifest(target, repository, str(there.sha), entries)
    shelf.write_manifest(manifest)
    return manifest


def _is_wanted(path: str) -> bool:
    return any(fnmatch(path, p) for p in WANTED) and not any(fnmatch(path, p) for p in _UNWANTED)


def _check_disk(folder: Path, n_bytes: int) -> None:
    """Refuse before the first byte what would not fit; what an earlier try brought counts."""
    folder.mkdir(parents=True, exist_ok=True)
    for half in (folder / ".cache").rglob("*.incomplete"):
        half.unlink(missing_ok=True)  # of a process that ended; nobody goes on with it
    present = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    free = shutil.disk_usage(folder).free
    missing = n_bytes - present + _SPARE_BYTES - free
    if missing > 0:
        raise StorageFull(
            f"{n_bytes / 1e9:.1f} GB do not fit on the disk of {folder}: {missing / 1e9:.1f} GB are missing; "
            "free them, or name another place with ONESENSE_MODELS"
        )


def _checked(folder: Path, file: Any) -> dict[str, Any]:
    """Size and sha256 of a downloaded file, after comparing it with what the hub says of it.

    Raises:
        CorruptData: it is another file; it is deleted, so that the next try downloads it again.
    """
    path = folder / file.rfilename
    sha256 = shelf.sha256(path)
    if file.lfs is not None:
        is_right = sha256 == file.lfs.sha256
    else:  # small files have git's name: sha1 over a header and the content
        content = path.read_bytes()
        is_right = (
            hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest() == file.blob_id
        )
    if not is_right:
        path.unlink()
        shutil.rmtree(folder / ".cache", ignore_errors=True)
        raise CorruptData(
            f"`{file.rfilename}` is not what the hub says it is: pull again, and mistrust the way between"
        )
    return {"bytes": path.stat().st_size, "sha256": sha256}


@contextmanager
def _told(repository: str, revision: str) -> Iterator[None]:
    """Faults of the hub and of the way to it, as errors that say what to do."""
    from huggingface_hub import errors

    transport: Any = errors.HfHubHTTPError.__bases__[0]  # HTTPError of httpx or httpx2, by the hub's version
    try:
        yield
    except errors.GatedRepoError:
        raise NotFound(
            f"`{repository}` asks for its terms to be accepted on the hub, and for a token (HF_TOKEN)"
        ) from None
    except errors.RevisionNotFoundError:
        raise NotFound(f"`{repository}` has no revision `{revision or 'main'}`: see its page on the hub") from None
    except errors.RepositoryNotFoundError:
        raise NotFound(f"the hub shows no `{repository}`: it is gone, renamed, or private (HF_TOKEN)") from None
    except (transport, errors.LocalEntryNotFoundError, ConnectionError, TimeoutError) as cause:
        reason = (str(cause).splitlines() or [type(cause).__name__])[0]
        raise Unavailable(
            f"the download of `{repository}` broke off ({reason}): pull again, it goes on there"
        ) from cause
    except OSError as cause:
        if cause.errno == 28:  # ENOSPC
            raise StorageFull(
                f"the disk is full: free some, then pull `{repository}` again, it goes on there"
            ) from None
        raise Unavailable(
            f"the download of `{repository}` broke off ({cause}): pull again, it goes on there"
        ) from cause
