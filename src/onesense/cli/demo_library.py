"""Builds the demo's sample library: photographs, sounds, a video, spoken memos, PDFs and notes.

Photographs come from scikit-image's own package files (extra `[demo]`), voices and notes from `demo_assets`; scans,
sounds, video and PDFs are made here.
"""

from __future__ import annotations

import wave
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from shutil import copyfile
from typing import TYPE_CHECKING, cast

import numpy as np

from onesense.errors import MissingExtra
from onesense.types import SAMPLE_RATE_HZ, Array

from . import demo_reports, demo_scans, demo_sounds

if TYPE_CHECKING:
    from av import AudioStream, VideoFrame
    from av.container import OutputContainer

    from onesense.types import Image

PHOTOS = {
    "astronaut.png": "Eileen Collins, NASA; public domain",
    "brick.png": "CC0Textures; CC0",
    "camera.png": "Lav Varshney; CC0",
    "cell.png": "Paul Müller et al.; CC0",
    "chelsea.png": "Stefan van der Walt; CC0",
    "clock_motion.png": "Stefan van der Walt; public domain",
    "coffee.png": "Rachel Michetti, courtesy of Pikolo Espresso Bar; CC0",
    "coins.png": "Brooklyn Museum; no known copyright restrictions",
    "grass.png": "linolafett; CC0",
    "gravel.png": "CC0Textures; CC0",
    "horse.png": "Andreas Preuss; CC0",
    "hubble_deep_field.jpg": "NASA, ESA; public domain",
    "ihc.png": "Center for Microscopy and Molecular Imaging; no known copyright restrictions",
    "retina.jpg": "Mikael Häggström; CC0",
    "rocket.jpg": "SpaceX; public domain",
    "text.png": "Wikipedia, Corner.png; public domain",
}
"""Files of scikit-image's wheel -> who made them and the licence that scikit-image states."""

SCENES: Sequence[tuple[str, str | None]] = (
    ("hubble_deep_field.jpg", None),
    ("coffee.png", None),
    ("rocket.jpg", "rocket"),
    ("chelsea.png", None),
    ("brick.png", "church-bell"),
)
"""The video: photograph and sound of each scene."""
SCENE_S = 8.0
_FPS = 12
_SIZE = (240, 320)
_ASSETS = Path(__file__).parent / "demo_assets"


def build(root: Path) -> None:
    """Write the library to `root/library`, the queries' own files to `root/queries`, and who made what.

    Raises:
        MissingExtra: scikit-image, which carries the photographs, is not installed.
    """
    photos = photo_folder()
    library, queries = root / "library", root / "queries"
    for name in ("photos", "scans", "sounds", "memos", "video", "documents", "notes"):
        (library / name).mkdir(parents=True, exist_ok=True)
    queries.mkdir(exist_ok=True)
    for name in PHOTOS:
        copyfile(photos / name, library / "photos" / name)
    for name, draw in demo_scans.SCANS.items():
        (library / "scans" / name).write_bytes(draw())
    for name, synthesise in demo_sounds.SOUNDS.items():
        write_wav(library / "sounds" / f"{name}.wav", synthesise())
    for voice in sorted(_ASSETS.glob("memo-*.ogg")):
        copyfile(voice, library / "memos" / voice.name)
    for note in sorted((_ASSETS / "notes").iterdir()):
        copyfile(note, library / "notes" / note.name)
    (library / "documents" / "orchard.pdf").write_bytes(demo_reports.orchard_report())
    (library / "documents" / "shop.pdf").write_bytes(demo_reports.shop_report())
    write_video(library / "video" / "reel.mp4", photos)
    _write_queries(queries, photos)
    (root / "CREDITS.md").write_text(_credits(), encoding="utf-8")


def photo_folder() -> Path:
    """Where scikit-image keeps the pictures of its wheel; nothing is downloaded.

    Raises:
        MissingExtra: scikit-image is not installed.
    """
    found = find_spec("skimage")
    if found is None or found.origin is None:
        raise MissingExtra("the demo's photographs come with scikit-image: pip install 'onesense[demo]'")
    return Path(found.origin).parent / "data"


def write_wav(path: Path, samples: Array) -> None:
    """Write mono 16-bit PCM.

    Args:
        path: where to.
        samples: float32 [S], -1..1, 16 kHz.
    """
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes((samples * 32767).astype("<i2").tobytes())


def read_photo(path: Path) -> Array:
    """Pixels of a photograph, uint8 [H, W, 3], through the house's own decoder."""
    from onesense.plugins import load
    from onesense.types import Part

    decoded = load("modalities", "image").decode(path, Part.file(path))
    return cast("Image", decoded).pixels


# --- the video ----------------------------------------------------------------------------------------------------


def write_video(path: Path, photos: Path) -> None:
    """Pan over the scenes' photographs, `SCENE_S` seconds each, with their sounds; MPEG-4 and AAC in MP4."""
    import av

    with av.open(str(path), "w") as container:
        picture = container.add_stream("mpeg4", rate=_FPS)
        picture.height, picture.width = _SIZE
        picture.pix_fmt = "yuv420p"
        picture.bit_rate = 900_000
        sound = container.add_stream("aac", rate=SAMPLE_RATE_HZ, layout="mono")
        for frame in _frames(photos):
            container.mux(picture.encode(frame))
        container.mux(picture.encode())
        _mux_sound(container, sound)


def _frames(photos: Path) -> Iterator[VideoFrame]:
    import av

    n_frames = int(SCENE_S * _FPS)
    for name, _ in SCENES:
        pixels = read_photo(photos / name)
        for n in range(n_frames):
            yield av.VideoFrame.from_ndarray(_pan(pixels, n / n_frames), format="rgb24")


def _pan(pixels: Array, share: float) -> Array:
    """The window that the video shows after `share` of a scene, uint8 [*_SIZE, 3]; it slides to the lower right."""
    height, width = pixels.shape[:2]
    side = 0.9  # of the largest window of the video's shape
    scale = min(height / _SIZE[0], width / _SIZE[1]) * side
    window = (_SIZE[0] * scale, _SIZE[1] * scale)
    top, left = (height - window[0]) * share, (width - window[1]) * share
    rows = (top + np.arange(_SIZE[0]) * scale).astype(int)
    columns = (left + np.arange(_SIZE[1]) * scale).astype(int)
    return np.ascontiguousarray(pixels[rows][:, columns])


def _sound_track() -> Array:
    """float32 [S]: each scene's sound from its start, silence where it has none."""
    track = np.zeros(int(len(SCENES) * SCENE_S * SAMPLE_RATE_HZ), np.float32)
    for number, (_, name) in enumerate(SCENES):
        if name is not None:
            sound = demo_sounds.SOUNDS[name]()[: int(SCENE_S * SAMPLE_RATE_HZ)]
            start = int(number * SCENE_S * SAMPLE_RATE_HZ)
            track[start : start + len(sound)] = sound
    return track


def _mux_sound(container: OutputContainer, stream: AudioStream) -> None:
    import av

    track = _sound_track()
    for start in range(0, len(track), 1024):  # AAC's frame
        frame = av.AudioFrame.from_ndarray(track[None, start : start + 1024], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = SAMPLE_RATE_HZ, start
        container.mux(stream.encode(frame))
    container.mux(stream.encode())


# --- what the queries bring along ---------------------------------------------------------------------------------


def _write_queries(folder: Path, photos: Path) -> None:
    """Files that are like something in the library and equal to nothing in it."""
    cup = read_photo(photos / "coffee.png")
    _write_picture(folder / "cup.png", cup[40:360, 120:520][:, ::-1])
    cat = read_photo(photos / "chelsea.png")
    _write_picture(folder / "cat.png", cat[10:290, 60:420][:, ::-1])
    write_wav(folder / "siren.wav", demo_sounds.siren()[SAMPLE_RATE_HZ:])
    write_wav(folder / "meow.wav", demo_sounds.cat_meow()[: 3 * SAMPLE_RATE_HZ])
    write_wav(folder / "clock.wav", demo_sounds.clock_ticking()[: 4 * SAMPLE_RATE_HZ])


def _write_picture(path: Path, pixels: Array) -> None:
    from PIL import Image

    Image.fromarray(np.ascontiguousarray(pixels)).save(path)


def _credits() -> str:
    rows = [f"| photos/{name} | {who} |" for name, who in PHOTOS.items()]
    head = (
        "# Who made the demo library\n\nPhotographs as carried by scikit-image:\n\n| file | by; licence |\n|---|---|\n"
    )
    rest = "\n\nSounds, video, documents and notes are made by Onesense's own code (Apache-2.0).\n\n"
    voices = (_ASSETS / "CREDITS.md").read_text(encoding="utf-8")
    return head + "\n".join(rows) + rest + voices
