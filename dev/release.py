"""`make release`: what would be uploaded, built and checked. Uploading itself is left to a person: `uv publish dist/*`.

The version stands in `onesense/__init__.py` alone; the first heading of CHANGELOG.md must say the same. Wheel and
source archive are built (the wheel out of the archive), held against what PyPI takes and what may lie in them, and the
wheel is installed into an empty environment where its command has to answer.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[1]
MAX_BYTES = 100_000_000  # PyPI's limit for one file, https://docs.pypi.org/project-management/storage-limits/
TWINE = "twine==7.0.0"
DIM = 8
FOREIGN = {"tests", "bench", "runs", "dev", "shared", "__pycache__"}
"""Folders of the house that are not for users' disks; test data lie in the first."""


def version() -> str:
    """The version, where package and changelog agree on it."""
    stated = re.search(r'^__version__ = "([^"]+)"', (ROOT / "src/onesense/__init__.py").read_text("utf-8"), re.M)
    newest = re.search(r"^## \[([^\]]+)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
    if stated is None or newest is None or stated[1] != newest[1]:
        raise SystemExit(f"src/onesense/__init__.py says {stated and stated[1]}, CHANGELOG.md {newest and newest[1]}")
    return stated[1]


def members(archive: Path) -> list[str]:
    """Paths inside a wheel or a source archive, the latter without its first folder."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return wheel.namelist()
    with tarfile.open(archive) as sdist:
        return [name.partition("/")[2] for name in sdist.getnames()]


def faults(archive: Path, release: str) -> list[str]:
    """What speaks against uploading this file."""
    names = members(archive)
    found = [f"`{name}` is inside" for name in names if FOREIGN & set(PurePosixPath(name).parts[:-1])]
    if archive.stat().st_size > MAX_BYTES:
        found.append(f"{archive.stat().st_size:,} bytes, and PyPI takes {MAX_BYTES:,}")
    if f"-{release}" not in archive.name:
        found.append(f"it is not of version {release}")
    package = "onesense/" if archive.suffix == ".whl" else "src/onesense/"
    needed = ["py.typed", "engine/backends/_mini/weights/words.nibbles.npy", "server/studio/static/index.html"]
    found += [f"`{package}{name}` is missing" for name in needed if package + name not in names]
    if archive.suffix == ".whl":
        tops = {PurePosixPath(name).parts[0] for name in names}
        found += [f"`{top}` would be installed beside the package" for top in tops if not top.startswith("onesense")]
    return found


def try_out(uv: str, wheel: Path, release: str) -> None:
    """Install the wheel into an empty environment, ask its command for the version and for one vector."""
    with tempfile.TemporaryDirectory() as folder:
        run(uv, "venv", "--quiet", "--python", sys.executable, f"{folder}/env")
        run(uv, "pip", "install", "--quiet", "--python", f"{folder}/env/bin/python", wheel)
        onesense = f"{folder}/env/bin/onesense"
        told = run(onesense, "--version", cwd=folder)
        if told.split() != ["onesense", release]:
            raise SystemExit(f"the installed command says `{told.strip()}`, not version {release}")
        row = json.loads(
            run(onesense, "embed", "-t", "a cat", "--model", "tiny", "--dim", str(DIM), "--json", cwd=folder)
        )
        values = row["embeddings"][0]["values"]
        if len(values) != DIM or abs(sum(x * x for x in values) - 1) > 1e-4:
            raise SystemExit(f"the installed command embeds `a cat` as {values}")


def run(*command: str | Path, cwd: str | Path = ROOT) -> str:
    """Run a program and return what it printed; its failure ends the release."""
    done = subprocess.run([str(word) for word in command], cwd=cwd, text=True, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise SystemExit(f"`{' '.join(map(str, command))}` ended with {done.returncode}\n{done.stdout}")
    return done.stdout


def find_uv() -> str:
    """uv, from the path or from the environment that this runs in."""
    beside = Path(sys.executable).with_name("uv")
    uv = shutil.which("uv") or (str(beside) if beside.exists() else None)
    if uv is None:
        raise SystemExit("a release is built with uv: pip install uv")
    return uv


def main() -> None:
    """Check, build, check, try out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument("--rehearse", action="store_true", help="also with changes that are not committed")
    args = parser.parse_args()
    release, uv = version(), find_uv()
    if not args.rehearse and (changed := run("git", "status", "--porcelain")):
        raise SystemExit(f"a release holds what is committed, and these are not:\n{changed}")
    shutil.rmtree(args.out, ignore_errors=True)
    run(uv, "build", "--quiet", "--out-dir", args.out)
    archives = sorted([*args.out.glob("*.whl"), *args.out.glob("*.tar.gz")])
    if wrong := [f"{a.name}: {fault}" for a in archives for fault in faults(a, release)]:
        raise SystemExit("\n".join(wrong))
    run(uv, "tool", "run", "--quiet", "--from", TWINE, "twine", "check", "--strict", *archives)
    try_out(uv, next(a for a in archives if a.suffix == ".whl"), release)
    for archive in archives:
        print(f"{archive.stat().st_size:>12,} bytes  {archive}")
    print(f"onesense {release} is ready. Upload it with: uv publish dist/*   and tag it: git tag v{release}")


if __name__ == "__main__":
    main()
