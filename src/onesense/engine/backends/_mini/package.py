"""The folder of the bundled model: a manifest with a checksum of every file, arrays in npz, graphs in ONNX.

`manifest.json` is written by `onesense.train.export`; nothing in the folder is executable and nothing is pickled.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from ....errors import CorruptData
from ....types import Array, ModelInfo, Task

FOLDER = Path(__file__).parent / "weights"
FORMAT = "onesense.mini.v1"
PREPROCESSING = "3"  # raise when anything between bytes and tokens changes
MAX_TOKENS = 8192
IMAGE_SIDE = 480
"""Pixels that a picture's short side keeps at least: print on a screenshot stays readable, and a photograph of 12
megapixels is still decoded at a quarter of its size."""
PROMPTS = {
    Task.SEARCH_QUERY: "query: {text}",
    Task.SEARCH_DOCUMENT: "passage: {title} {text}",
    Task.QUESTION_ANSWERING: "query: {text}",
    Task.FACT_CHECKING: "query: {text}",
    Task.CODE_RETRIEVAL: "query: {text}",
}
"""E5's own prefixes; similarity, clustering and classification are best bare (measured: STS-B 75.0 against 72.9)."""


class Package:
    """An opened model folder. Every file is checked against its sha256 when it is read; unknown files are ignored."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self.folder = folder
        self.manifest = read_manifest(folder)

    def file(self, name: str) -> Path:
        """A checked file of the package.

        Raises:
            CorruptData: it is missing, or its sha256 is not the manifest's.
        """
        path = self.folder / name
        expected = self.manifest["files"].get(name)
        if expected is None or not path.is_file():
            raise CorruptData(f"the model folder {self.folder} lacks `{name}`: install onesense again")
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != expected["sha256"]:
            raise CorruptData(
                f"`{name}` of the bundled model is damaged (sha256 {found[:12]}…): install onesense again"
            )
        return path

    def arrays(self, name: str) -> dict[str, Array]:
        """All arrays of an npz file, by name."""
        with np.load(self.file(name), allow_pickle=False) as stored:
            return {key: stored[key] for key in stored.files}

    def verify(self) -> list[str]:
        """Check every file; the names of all that the manifest lists."""
        for name in self.manifest["files"]:
            self.file(name)
        return sorted(self.manifest["files"])


def read_manifest(folder: Path = FOLDER) -> dict[str, Any]:
    """The manifest of a model folder.

    Raises:
        CorruptData: there is none, or it is of another format.
    """
    path = folder / "manifest.json"
    if not path.is_file():
        raise CorruptData(f"there is no model in {folder}: install onesense again, or run `onesense.train.export`")
    manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if manifest.get("format") != FORMAT:
        raise CorruptData(f"{path} has format {manifest.get('format')!r}, expected {FORMAT!r}: install onesense again")
    return manifest


def read_info(folder: Path = FOLDER) -> ModelInfo:
    """The record of the model; reads the manifest only."""
    manifest = read_manifest(folder)
    return ModelInfo(
        name="onesense-mini",
        revision=manifest["revision"],
        licence="Apache-2.0",
        modalities=frozenset({"text", "image", "audio", "video", "pdf"}),
        dim=3072,
        mrl_dims=(3072, 1536, 768, 512, 384, 256, 128),
        max_tokens=MAX_TOKENS,
        description="bundled: text in 100+ languages, pictures, sounds, speech, video and pages in one space",
        prompts=PROMPTS,
        preprocessing=PREPROCESSING,
        image_side=IMAGE_SIDE,
    )
