"""What is said in a sound, written down by a Whisper model through the package `faster-whisper`.

The user says which model: `ONESENSE_WHISPER` is a folder of CTranslate2 files, or the name of a model that lies in
the Hugging Face cache already. Nothing is ever downloaded.
"""

from __future__ import annotations

import os
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ....errors import CorruptData, MissingExtra, NotFound
from ....types import Array
from .graph import cores
from .written import Line, digest, fitting

SETTING = "ONESENSE_WHISPER"
MIN_LOG_PROBABILITY = -1.0  # a stretch below is a guess; OpenAI's own threshold
MAX_COMPRESSION = 2.4  # a stretch that compresses better repeats itself; OpenAI's own threshold
MAX_CHARS = 16_000  # a quarter of an hour of talk
_FILES = ("model.bin", "config.json", "tokenizer.json")
_ADVICE = (
    f"set {SETTING} to the folder of a CTranslate2 Whisper model ({', '.join(_FILES)}), for instance what "
    "`hf download Systran/faster-whisper-base --local-dir whisper-base` fetches"
)


def version() -> str:
    """Digest of the Whisper model.

    Raises:
        MissingExtra: faster-whisper is not installed.
        NotFound: no model is named, or it is not there.
    """
    return digest(folder() / name for name in _FILES)


def folder() -> Path:
    """Where the Whisper model lies. Raises as `version`."""
    if find_spec("faster_whisper") is None or find_spec("ctranslate2") is None:
        raise MissingExtra("transcripts need the package faster-whisper: pip install 'onesense[transcribe]'")
    named = os.environ.get(SETTING, "").strip()
    if not named:
        raise NotFound(f"no Whisper model is named for transcripts: {_ADVICE}")
    found = Path(named).expanduser()
    if not found.is_dir():
        found = _cached(named)
    if missing := [name for name in _FILES if not (found / name).is_file()]:
        raise NotFound(f"the Whisper model {found} lacks {', '.join(missing)}: {_ADVICE}")
    return found


def _cached(name: str) -> Path:
    """The folder of a model of the Hugging Face hub, from the local cache only."""
    from faster_whisper.utils import download_model

    try:
        return Path(download_model(name, local_files_only=True))
    except (OSError, ValueError) as cause:  # not in the cache; no name that the hub could have
        raise NotFound(f"{SETTING} is `{name}`: no folder, and no model in the local cache: {_ADVICE}") from cause


class Transcriber:
    """Writes down speech. Any thread may call it, one sound is heard at a time."""

    def __init__(self, threads: int = 0) -> None:
        """Load the model that the settings name.

        Args:
            threads: 0 for one a core that this process may use.

        Raises:
            MissingExtra: faster-whisper is not installed.
            NotFound: the model is not there.
            CorruptData: its files do not fit together.
        """
        place = folder()
        from faster_whisper import WhisperModel

        self._lock = threading.Lock()
        try:
            self._model = WhisperModel(
                str(place), device="cpu", compute_type="int8", cpu_threads=threads or cores(), local_files_only=True
            )
        except (RuntimeError, ValueError, OSError) as cause:
            raise CorruptData(f"the Whisper model {place} does not load: {cause}") from cause

    def __call__(self, medium: Array) -> list[Line]:
        """Stretches of speech in the language that is spoken, at most `MAX_CHARS` characters.

        The most likely words, without sampling, so the same sound gives the same words.

        Args:
            medium: float32 [S], mono, 16 kHz.
        """
        with self._lock:
            stretches, _ = self._model.transcribe(
                medium, beam_size=1, temperature=0.0, condition_on_previous_text=False
            )
            return fitting((Line(s.text.strip(), float(s.start)) for s in stretches if _is_sure(s)), MAX_CHARS)


def _is_sure(stretch: Any) -> bool:
    """Whether a stretch is what was said, not a guess or a loop."""
    likely = stretch.avg_logprob >= MIN_LOG_PROBABILITY and stretch.compression_ratio <= MAX_COMPRESSION
    return bool(likely and stretch.text.strip())
