"""`onesense doctor`: is everything there that a model needs, and is it undamaged?"""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any

import typer

from onesense.errors import OnesenseError

from .verb import DEFAULT_MODEL, ExitCode, Json, print_json

_PACKAGES = ("numpy", "onnxruntime", "tokenizers", "pillow", "pillow-heif", "av", "pypdfium2", "simsimd", "lancedb")
_EXTRAS = {
    "openvino": "openvino", "ocr": "rapidocr", "transcribe": "faster-whisper", "demo": "scikit-image", "train": "torch",
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
    checks = [_python(), _processor(), *_packages(), *_extras(), *_plugins(), _bundled_model()]
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


def _bundled_model() -> Check:
    """Send a word, a picture and a sound through the bundled model: every file is checked by sha256 as it is read."""
    from onesense import Embedder

    try:
        with Embedder(DEFAULT_MODEL) as embedder:
            probes = {name: probe for name, probe in _probes().items() if name in embedder.info.modalities}
            embedder.embed(list(probes.values()))
            state = f"revision {embedder.info.revision}, {embedder.info.dim} dimensions, {', '.join(probes)} embedded"
            return Check(f"model {DEFAULT_MODEL}", state)
    except OnesenseError as error:
        return Check(f"model {DEFAULT_MODEL}", f"{error} [{error.code}]", is_fine=False)


def _probes() -> dict[str, Any]:
    """A small input for each sense."""
    import numpy as np

    from onesense.types import SAMPLE_RATE_HZ, Audio, Image

    ramp = np.linspace(0, 255, 64 * 64 * 3).astype(np.uint8).reshape(64, 64, 3)
    tone = np.sin(np.arange(SAMPLE_RATE_HZ) * 0.2).astype(np.float32)
    return {"text": "hello", "image": Image(ramp), "audio": Audio(tone)}
