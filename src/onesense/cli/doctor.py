"""`onesense doctor`: is everything there that a model needs, and is it undamaged?"""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import asdict, dataclass
from importlib import metadata

import typer

from onesense.errors import OnesenseError

from .verb import DEFAULT_MODEL, ExitCode, Json, print_json

_PACKAGES = ("numpy", "onnxruntime", "tokenizers", "pillow", "pillow-heif", "av", "pypdfium2", "simsimd", "lancedb")
_EXTRAS = {
    "openvino": "openvino", "ocr": "rapidocr", "transcribe": "faster-whisper", "demo": "scikit-image",
    "torch": "sentence-transformers", "train": "torch",
}  # fmt: skip
_THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    state: str
    """What was found."""
    is_fine: bool = True
    """False for what keeps Onesense from working."""


def command(as_json: Json = False) -> None:
    """Check Python, packages, processor, plug-ins and the bundled model's files; exit 1 when something is broken."""
    checks = [_python(), _processor(), *_packages(), *_extras(), *_plugins(), *_bundled_model(), *_downloaded_models()]
    if as_json:
        print_json({"checks": [asdict(check) for check in checks], "is_fine": all(c.is_fine for c in checks)})
    else:
        from .screen import print_table

        print_table(("", "check", "found"), [("ok" if c.is_fine else "BROKEN", c.name, c.state) for c in checks])
    if not all(check.is_fine for check in checks):
        raise typer.Exit(ExitCode.INTERNAL)


def _python() -> Check:
    state = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return Check("python", state, sys.version_info >= (3, 11))


def _processor() -> Check:
    limits = [f"{name}={os.environ[name]}" for name in _THREAD_SETTINGS if name in os.environ]
    return Check("processor", ", ".join([f"{_usable_cores()} cores usable", *limits]))


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _packages() -> list[Check]:
    return [Check(f"package {name}", version or "missing", version is not None) for name, version in _versions()]


def _versions() -> list[tuple[str, str | None]]:
    return [(name, _version(name)) for name in _PACKAGES]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _extras() -> list[Check]:
    return [
        Check(f"extra [{extra}]", _version(package) or f"not installed; pip install 'onesense[{extra}]'")
        for extra, package in _EXTRAS.items()
    ]


def _plugins() -> list[Check]:
    from .plugins import inventory

    return [
        Check(f"{row['kind']}: {row['name']}", row["error"] or "loads", row["error"] is None) for row in inventory()
    ]


def _bundled_model() -> list[Check]:
    """Every file of the bundled model is checked by its sha256 as it is read, every vector of its probes compared."""
    from onesense.engine import conformance

    try:
        found = [*conformance.check(DEFAULT_MODEL)]
    except OnesenseError as error:
        return [Check(f"model {DEFAULT_MODEL}", f"{error} [{error.code}]", is_fine=False)]
    return [Check(f"model {DEFAULT_MODEL}: {finding.name}", finding.found, finding.is_fine) for finding in found]


def _downloaded_models() -> list[Check]:
    """Are the files of downloaded models there? `onesense models verify` reads them and compares vectors."""
    from onesense.engine import shelf

    return [_downloaded(name) for name in shelf.names()]


def _downloaded(name: str) -> Check:
    from onesense.engine import shelf

    try:
        manifest = shelf.read_manifest(name)
    except OnesenseError as error:
        return Check(f"model {name}", f"{error} [{error.code}]", is_fine=False)
    there = shelf.folder(name)
    gone = [path for path in manifest.files if not (there / path).is_file()]
    state = f"{', '.join(gone)} missing: onesense models pull {name}" if gone else f"revision {manifest.revision}"
    return Check(f"model {name}", state, not gone)
