"""A data folder against its manifest: what is there, damaged or missing, and where the missing comes from.

`onesense train --step data [FOLDER]` checks every file's sha256 through `SOURCES.json`; docs/training.md says how each
pack is made from its upstream repository at the commit that stands there.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...errors import CorruptData, NotFound
from ...evals.packs import MANIFEST
from .. import sources


@dataclass(frozen=True, slots=True)
class Found:
    """One file of the manifest."""

    path: str
    state: str
    """`whole`, `missing` or `damaged`."""
    source: str
    """Id of the pack."""
    licence: str
    upstreams: tuple[str, ...]
    """Repository at commit, as far as the manifest knows."""


def survey(folder: Path) -> Iterator[Found]:
    """Every file that the manifest of a data folder lists, in its order.

    Raises:
        NotFound: there is no manifest.
        CorruptData: it is not one.
    """
    file = folder / MANIFEST
    if not file.is_file():
        raise NotFound(f"{folder} is not a data folder: it has no {MANIFEST} (see docs/training.md)")
    try:
        listed = json.loads(file.read_text(encoding="utf-8"))["sources"]
        for source in listed:
            upstreams = tuple(f"{u['upstream']} at {u['commit']}" for u in source.get("upstreams", []))
            for entry in source["files"]:
                state = _state(folder / entry["path"], entry["sha256"])
                yield Found(entry["path"], state, source["id"], source.get("licence", "not stated"), upstreams)
    except (json.JSONDecodeError, KeyError, TypeError) as cause:
        raise CorruptData(f"{file} is not a manifest of packs ({cause!r}): copy it again") from cause


def _state(file: Path, sha256: str) -> str:
    if not file.is_file():
        return "missing"
    with file.open("rb") as stream:
        return "whole" if hashlib.file_digest(stream, "sha256").hexdigest() == sha256 else "damaged"


def main() -> None:
    """Check a folder and print what is not whole.

    Raises:
        NotFound: files are missing.
        CorruptData: files are damaged.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=sources.data_root())
    folder = parser.parse_args().folder
    found = list(survey(folder))
    bad = [f for f in found if f.state != "whole"]
    for f in bad:
        sys.stdout.write(f"{f.state:8} {f.path}\n         pack {f.source}, {f.licence}\n")
        sys.stdout.write("".join(f"         from {upstream}\n" for upstream in f.upstreams))
    sys.stdout.write(f"{len(found) - len(bad)} of {len(found)} files of {folder} are whole\n")
    if bad:
        kind = NotFound if all(f.state == "missing" for f in bad) else CorruptData
        raise kind(f"{len(bad)} of {len(found)} files are missing or damaged: make or copy them (docs/training.md)")


if __name__ == "__main__":
    main()
