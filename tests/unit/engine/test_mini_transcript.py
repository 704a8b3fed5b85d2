"""Where the Whisper model comes from, and what of its answer is kept; the real one where a model is named."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from onesense.engine.backends._mini import transcript
from onesense.errors import CorruptData, NotFound

pytest.importorskip("faster_whisper", reason="needs the extra [transcribe]")
NAMED = os.environ.get(transcript.SETTING, "")


def _folder(path: Path, *missing: str) -> Path:
    for name in {"model.bin", "config.json", "tokenizer.json"} - set(missing):
        (path / name).write_bytes(b"{}")
    return path


@pytest.mark.parametrize("named", ["", "  "])
def test_no_model_is_chosen_for_the_user(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(transcript.SETTING, named)
    with pytest.raises(NotFound, match=r"set ONESENSE_WHISPER to the folder .*hf download Systran"):
        transcript.version()


@pytest.mark.parametrize("named", ["no-such-folder", "base", "Systran/faster-whisper-base", "a/b/c"])
def test_a_name_of_the_hub_counts_only_where_it_is_cached(
    named: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(transcript.SETTING, named)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(NotFound, match="no model in the local cache"):
        transcript.folder()


def test_a_folder_must_be_whole_so_that_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(transcript.SETTING, str(_folder(tmp_path, "tokenizer.json")))
    with pytest.raises(NotFound, match=r"lacks tokenizer\.json"):
        transcript.folder()


def test_files_that_are_no_model_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(transcript.SETTING, str(_folder(tmp_path)))
    with pytest.raises(CorruptData, match="does not load"):
        transcript.Transcriber(1)


@pytest.mark.parametrize(
    ("text", "log_probability", "compression", "kept"),
    [
        (" hello", -0.3, 1.2, True),
        (" hello", -1.2, 1.2, False),
        (" ha" * 40, -0.3, 9.0, False),
        (" ", -0.3, 1.0, False),
    ],
)
def test_guesses_and_loops_are_left_out(text: str, log_probability: float, compression: float, kept: bool) -> None:
    stretch = SimpleNamespace(text=text, avg_logprob=log_probability, compression_ratio=compression)
    assert transcript._is_sure(stretch) is kept


@pytest.mark.slow
@pytest.mark.skipif(not NAMED, reason=f"{transcript.SETTING} names no model")
def test_silence_says_nothing_and_a_sound_is_heard_the_same_way_twice() -> None:
    heard = transcript.Transcriber(1)
    assert heard(np.zeros(32_000, np.float32)) == []
    noise = np.random.default_rng(0).normal(0, 0.1, 32_000).astype(np.float32)
    assert heard(noise) == heard(noise)
