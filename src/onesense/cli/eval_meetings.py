"""A made-up library of meetings, to measure answers on: said (espeak-ng), on slides (PDF), filmed (MP4) and noted.

Every fact stands in one place only, so that there is one right citation; some questions have no answer in it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onesense.errors import NotFound
from onesense.types import Array

from .demo_pdf import Page, write_pdf

PAUSE_S = 0.8
SCENE_S = 6.0
FILM_FPS = 5.0
SPEED = 150  # words a minute


@dataclass(frozen=True, slots=True)
class Meeting:
    """One meeting and the questions that it answers."""

    name: str
    said: tuple[str, ...]
    slides: tuple[tuple[str, str], ...]
    """Title and text of each."""
    filmed: tuple[str, ...]
    """What is written on the board that the camera shows, one scene each."""
    notes: tuple[str, ...]
    asked: tuple[tuple[str, str, int], ...]
    """Question, the medium that answers it (said, slides, filmed, notes), the number of the sentence or scene."""


MEETINGS = (
    Meeting(
        "garden",
        (
            "Good morning everybody, this is the garden committee.",
            "The greenhouse will be painted dark green next spring.",
            "Our neighbour complained about the noise of the lawn mower.",
        ),
        (
            ("Garden plan", "Three raised beds will be built along the south wall."),
            ("Costs of the shed", "The wooden shed costs 4200 euros, delivery included."),
        ),
        ("The compost goes to the barn", "Twelve bee hives arrive"),
        (
            "Petra orders the tulip bulbs before the first frost.",
            "The next meeting of the garden committee is on the ninth of May.",
        ),
        (
            ("What colour will the greenhouse be painted?", "said", 1),
            ("Who complained about the lawn mower?", "said", 2),
            ("What does the wooden shed cost?", "slides", 1),
            ("How many raised beds will be built?", "slides", 0),
            ("Who orders the tulip bulbs?", "notes", 0),
            ("When does the garden committee meet next?", "notes", 1),
            ("Where does the compost go?", "filmed", 0),
            ("How many bee hives arrive?", "filmed", 1),
        ),
    ),
    Meeting(
        "harbour",
        (
            "Welcome to the harbour board, the captain is here as well.",
            "The ferry to the island leaves every two hours in winter.",
            "The old crane will be taken down by helicopter.",
        ),
        (
            ("Passengers of the ferry", "Ninety thousand passengers took the ferry last year."),
            ("Dredging", "The channel will be dredged to a depth of seven metres."),
        ),
        ("Yachts pay ninety euros", "Seals rest on pier four"),
        ("The harbour office closes at noon on Saturdays.", "Mister Olsen repairs the lighthouse lamp."),
        (
            ("How often does the ferry leave in winter?", "said", 1),
            ("How will the old crane be taken down?", "said", 2),
            ("How many passengers took the ferry last year?", "slides", 0),
            ("How deep will the channel be dredged?", "slides", 1),
            ("Who repairs the lighthouse lamp?", "notes", 1),
            ("When does the harbour office close on Saturdays?", "notes", 0),
            ("What do yachts pay?", "filmed", 0),
            ("Where do the seals rest?", "filmed", 1),
        ),
    ),
    Meeting(
        "school",
        (
            "This is the meeting of the school parents.",
            "The children will visit the planetarium in October.",
            "We need volunteers who bake cakes for the summer party.",
        ),
        (
            ("New library", "The school library gets eight hundred new books."),
            ("Sports hall", "The roof of the sports hall leaks and is closed until June."),
        ),
        ("Swimming is on Tuesday", "The chess club needs clocks"),
        ("The music teacher is looking for a second hand cello.", "Lunch will cost three euros and fifty cents."),
        (
            ("Where will the children go in October?", "said", 1),
            ("What are volunteers needed for at the summer party?", "said", 2),
            ("How many new books does the school library get?", "slides", 0),
            ("Until when is the sports hall closed?", "slides", 1),
            ("What instrument is the music teacher looking for?", "notes", 0),
            ("How much does school lunch cost?", "notes", 1),
            ("On which day is swimming?", "filmed", 0),
            ("What does the chess club need?", "filmed", 1),
        ),
    ),
)

UNANSWERED = (
    "What is the melting point of tungsten?",
    "Who won the football championship in Argentina?",
    "Which vaccine was given to the penguins?",
    "How is quantum entanglement measured?",
)
"""Questions about nothing that is in it."""


def build(folder: Path) -> Path:
    """Write the library and `questions.jsonl` beside it; returns the latter.

    Raises:
        NotFound: espeak-ng is not installed.
    """
    if shutil.which("espeak-ng") is None:
        raise NotFound("the meetings are spoken by `espeak-ng`, which is not installed: apt install espeak-ng")
    lines = [line for meeting in MEETINGS for line in _written(meeting, folder / "meetings" / meeting.name)]
    lines += [{"question": text, "gold": [], "kind": "absent"} for text in UNANSWERED]
    questions = folder / "questions.jsonl"
    questions.write_text("\n".join(json.dumps(line) for line in lines) + "\n", encoding="utf-8")
    return questions


def _written(meeting: Meeting, folder: Path) -> list[dict[str, Any]]:
    folder.mkdir(parents=True)
    spans = speak(meeting.said, folder / "recording.wav")
    (folder / "slides.pdf").write_bytes(write_pdf([_slide(*slide) for slide in meeting.slides], meeting.name))
    (folder / "film.mp4").write_bytes(film(meeting.filmed))
    scenes = [(n * SCENE_S, (n + 1) * SCENE_S) for n in range(len(meeting.filmed))]
    for n, note in enumerate(meeting.notes):
        (folder / f"note{n + 1}.txt").write_text(note + "\n", encoding="utf-8")
    places: dict[str, list[dict[str, Any]]] = {
        "said": [{"path": f"{meeting.name}/recording.wav", "t": list(span)} for span in spans],
        "slides": [{"path": f"{meeting.name}/slides.pdf", "page": n + 1} for n in range(len(meeting.slides))],
        "filmed": [{"path": f"{meeting.name}/film.mp4", "t": list(scene)} for scene in scenes],
        "notes": [{"path": f"{meeting.name}/note{n + 1}.txt"} for n in range(len(meeting.notes))],
    }
    return [{"question": text, "gold": [places[kind][n]], "kind": kind} for text, kind, n in meeting.asked]


def _slide(title: str, text: str) -> Page:
    page = Page(title)
    page.paragraph(text)
    return page


def film(boards: Sequence[str]) -> bytes:
    """An MP4 without sound that shows one board after the other, `SCENE_S` seconds each."""
    import numpy as np

    from onesense.media._cut import of_video
    from onesense.types import Video

    n_frames = round(SCENE_S * FILM_FPS)
    frames = np.repeat(np.stack([_board(n, words) for n, words in enumerate(boards)]), n_frames, axis=0)
    return of_video(Video(frames, np.arange(len(frames)) / FILM_FPS, None, SCENE_S * len(boards)))


def _board(number: int, words: str) -> Array:
    """uint8 [H, W, 3]: words on a board of one of three colours."""
    import textwrap

    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("RGB", (640, 360), ((238, 234, 214), (214, 230, 240), (236, 220, 226))[number % 3])
    lines = "\n".join(textwrap.wrap(words, 18))
    ImageDraw.Draw(picture).multiline_text((40, 90), lines, fill=(20, 20, 30), font=ImageFont.load_default(56))
    return np.asarray(picture)


def speak(sentences: tuple[str, ...], path: Path) -> list[tuple[float, float]]:
    """Speak sentences into one WAV with pauses between them; where each begins and ends, in seconds."""
    spans, at_s = [], 0.0
    with wave.open(str(path), "wb") as out:
        for n, sentence in enumerate(sentences):
            clip = path.with_suffix(f".{n}.wav")
            command = ["espeak-ng", "-v", "en-us", "-s", str(SPEED), "-w", str(clip), "--", sentence]
            subprocess.run(command, check=True, capture_output=True, timeout=60)
            with wave.open(str(clip), "rb") as spoken:
                if n == 0:
                    out.setparams(spoken.getparams())
                rate_hz, n_samples = spoken.getframerate(), spoken.getnframes()
                out.writeframes(spoken.readframes(n_samples) + b"\0\0" * round(PAUSE_S * rate_hz))
            clip.unlink()
            spans.append((round(at_s, 3), round(at_s + n_samples / rate_hz, 3)))
            at_s += n_samples / rate_hz + PAUSE_S
    return spans
