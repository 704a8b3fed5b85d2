"""Pictures, sounds and videos themselves, as a language model gets them: the stretch that was found, and no more."""

from __future__ import annotations

import base64
import io
import struct
import time
import wave
from pathlib import Path

import av
import numpy as np
import pytest
from pydantic_ai.messages import BinaryContent, ModelMessage, UserPromptPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

import chat_server
from onesense.index.collection import Collection
from onesense.rag import prompt
from onesense.rag.ask import Conversation
from onesense.rag.library import Library
from onesense.rag.retrieve import TOKENS_PER_S, Wanted
from onesense.rag.types import Passage
from onesense.types import Hit, Locator

RATE_HZ = 8_000
HOURS_S = 3 * 3600
ALL = frozenset({"image", "audio", "video"})


def asked(library: Library, question: str, modality: str) -> tuple[list[str], list[BinaryContent]]:
    """Headings and media that a model gets which takes everything."""
    given: list[str | BinaryContent] = []

    async def stream(messages: list[ModelMessage], info: AgentInfo):
        given.extend(next(part for part in messages[-1].parts if isinstance(part, UserPromptPart)).content)
        yield "So it is [1]."

    wanted = Wanted(modality=(modality,))
    answer = Conversation(library, llm=FunctionModel(stream_function=stream), wanted=wanted).ask(question)
    assert answer.text == "So it is [1]."
    texts = [part for part in given if isinstance(part, str)]
    return texts, [part for part in given if isinstance(part, BinaryContent)]


def wav_s(data: bytes) -> float:
    with wave.open(io.BytesIO(data)) as file:
        return file.getnframes() / file.getframerate()


def test_a_sound_is_handed_over_as_such(library: Library) -> None:
    texts, (sound,) = asked(library, "tone", "audio")
    assert texts[0].startswith('<source number="1" file="tone.wav 0:00.0–0:02.0" kind="audio">')
    assert sound.media_type == "audio/wav"
    assert wav_s(sound.data) == pytest.approx(2.0, abs=0.05)


def test_a_video_clip_is_handed_over_as_such(library: Library) -> None:
    texts, (clip,) = asked(library, "reel", "video")
    assert 'kind="video"' in texts[0] and clip.media_type == "video/mp4"
    with av.open(io.BytesIO(clip.data)) as film:
        assert {stream.type for stream in film.streams} == {"video", "audio"}
        assert film.duration / av.time_base == pytest.approx(2.0, abs=0.3)


def test_a_clip_that_cannot_be_made_is_told_and_the_rest_is_asked(asked_copy: Library) -> None:
    path = next(e.path for e in asked_copy.collection("test").files() if e.path.endswith("tone.wav"))
    Path(path).unlink()
    passages = asked_copy.search("x", 1, modality=["audio"])[0] + asked_copy.search("x", 1, modality=["image"])[0]
    message, notes = prompt.sources(asked_copy, passages, "What is there?", ALL)
    assert [part.media_type for part in message if isinstance(part, BinaryContent)] == ["image/jpeg"]
    assert len(notes) == 1 and "could not be shown" in notes[0] and "tone.wav" in notes[0]


def test_a_server_that_hears_gets_the_sound(library: Library, chat: tuple[str, list]) -> None:
    chat[1].clear()
    talk = Conversation(library, llm=f"{chat[0]}#hears_audio", wanted=Wanted(modality=("audio",)))
    assert talk.ask("tone").text == "A tone [1]."
    content = chat[1][-1]["body"]["messages"][-1]["content"]
    (sound,) = (part["input_audio"] for part in content if part["type"] == "input_audio")
    assert sound["format"] == "wav"
    assert wav_s(base64.b64decode(sound["data"].rpartition(",")[2])) == pytest.approx(2.0, abs=0.05)
    assert not chat_server.said(chat[1][-1]["body"]).startswith("RIFF")


# --- three hours ------------------------------------------------------------------------------------------------------


def three_hours(path: Path) -> None:
    """A recording, silent but for noise in the minute after two hours; the silence takes no room on the disk."""
    n_bytes = 2 * RATE_HZ * HOURS_S
    header = struct.pack("<IHHIIHH", 16, 1, 1, RATE_HZ, 2 * RATE_HZ, 2, 16)
    with path.open("wb") as file:
        file.write(b"RIFF" + struct.pack("<I", 36 + n_bytes) + b"WAVEfmt " + header + b"data")
        file.write(struct.pack("<I", n_bytes))
        file.seek(44 + 2 * RATE_HZ * 7_200)
        file.write(np.random.default_rng(0).integers(-9_000, 9_000, 60 * RATE_HZ, np.int16).tobytes())
        file.truncate(44 + n_bytes)


def test_of_three_hours_the_stretch_is_handed_over_at_once(library: Library, tmp_path: Path) -> None:
    path = tmp_path / "meeting.wav"
    three_hours(path)
    place = Locator(start_s=7_200.0, end_s=7_230.0)
    passage = Passage(1, "test", Hit("x", str(path), place, "audio", 0.5, 0.5, "", facts={"mime": "audio/wav"}), "")
    start_s = time.monotonic()
    message, notes = prompt.sources(library, [passage], "What was said after two hours?", ALL)
    assert time.monotonic() - start_s < 5
    (sound,) = (part for part in message if isinstance(part, BinaryContent))
    assert not notes and wav_s(sound.data) == pytest.approx(30.0, abs=0.1)
    samples = np.frombuffer(sound.data[44:], np.int16)
    assert np.abs(samples[: len(samples) // 10]).mean() > 1_000  # the noise, not the silence around it


def test_three_hours_as_one_place_are_not_handed_over(library: Library, tmp_path: Path) -> None:
    path = tmp_path / "meeting.wav"
    three_hours(path)
    whole = Hit("x", str(path), Locator(start_s=0.0, end_s=float(HOURS_S)), "audio", 0.5, 0.5, "")
    message, notes = prompt.sources(library, [Passage(1, "test", whole, "")], "What was said?", ALL)
    assert not [part for part in message if isinstance(part, BinaryContent)]
    assert "could not be shown" in notes[0]


@pytest.mark.slow
def test_three_hours_are_indexed_and_asked_within_the_budget(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    three_hours(tmp_path / "files" / "meeting.wav")
    with Collection.open(tmp_path / "test.json", model="tiny", dim=64) as collection:
        assert not collection.add([tmp_path / "files"]).failed
        start_s = time.monotonic()
        _, media = asked(Library({"test": collection}), "meeting", "audio")
        assert time.monotonic() - start_s < 10
    assert media and sum(wav_s(clip.data) for clip in media) * TOKENS_PER_S["audio"] <= 6_000


@pytest.fixture
def asked_copy(tmp_path: Path):
    import asked_library

    with Library.open([asked_library.build(tmp_path / "files", tmp_path / "test.json")]) as opened:
        yield opened
