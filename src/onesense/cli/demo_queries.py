"""What the demo asks, and what must be among the first answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onesense.types import Content, Hit


@dataclass(frozen=True, slots=True)
class Query:
    """One question and its expected answer."""

    label: str
    """The pair of modalities that it crosses, for the reader."""
    inputs: Sequence[str | Path]
    """Text, or a `Path` below the demo's folder; several make one composite query."""
    expect: str
    """File that must be found, below the library's folder."""
    k: int = 1
    """It must be among the first k hits."""
    among: str | None = None
    """Modality to search in; None for all."""
    page: int | None = None
    """Page that must be found."""
    second: float | None = None
    """A second that the found stretch must contain."""

    def content(self, root: Path) -> Content:
        """The query as one Content."""
        from onesense.types import Content, Part

        return Content(*(Part.file(root / i) if isinstance(i, Path) else Part.text(i) for i in self.inputs))

    def spoken(self) -> str:
        """The query in a line, as a person would type it."""
        return " ".join(f"-f {i}" if isinstance(i, Path) else f'-t "{i}"' for i in self.inputs)

    def is_answered_by(self, hit: Hit) -> bool:
        """Whether this hit is the expected file, page and second."""
        if Path(hit.path).as_posix().rpartition("library/")[2] != self.expect:
            return False
        if self.page is not None and hit.locator.page != self.page:
            return False
        start, end = hit.locator.start_s, hit.locator.end_s
        return self.second is None or (start is not None and end is not None and start <= self.second <= end)


QUERIES: Sequence[Query] = (
    Query("text → image", ["a cat"], "photos/chelsea.png", among="image"),
    Query("text → image", ["a rocket taking off"], "photos/rocket.jpg", among="image"),
    Query("text → audio", ["a telephone ringing"], "sounds/telephone.wav", among="audio"),
    Query("text → audio", ["birds singing"], "sounds/birdsong.wav", among="audio"),
    Query("text in Spanish → image", ["una taza de café"], "photos/coffee.png", among="image"),
    Query("text in Japanese → note in English", ["猫を獣医に連れて行く"], "notes/vet.md", among="text"),
    Query(
        "text in English → note in Japanese",
        ["reservation at a Japanese hot spring inn"],
        "notes/onsen.txt",
        among="text",
    ),
    Query("image → image", [Path("queries/cup.png")], "photos/coffee.png", among="image"),
    Query("audio → text", [Path("queries/siren.wav")], "notes/emergency.txt", k=3, among="text"),
    Query("audio → image", [Path("queries/meow.wav")], "photos/chelsea.png", k=3, among="image"),
    Query("audio → image", [Path("queries/clock.wav")], "photos/clock_motion.png", k=3, among="image"),
    Query("image → text", [Path("queries/cat.png")], "notes/vet.md", among="text"),
    Query("text → PDF page", ["how many kilograms of pears were harvested"], "documents/orchard.pdf", k=1, page=2),
    Query("text → PDF page", ["revenue chart"], "documents/shop.pdf", among="pdf", page=1),
    Query("text → words printed in a photograph", ["how much were the croissants"], "scans/receipt.jpg", among="image"),
    Query("text → words printed in a photograph", ["watch out for the bull"], "scans/gate.jpg", among="image"),
    Query("text → video second", ["a rocket lifts off"], "video/reel.mp4", k=1, among="video", second=20.0),
    Query("spoken memo by what it says", ["hundreds of lakes and rivers"], "memos/memo-02.ogg", k=3, among="audio"),
    Query(
        "image + text → note",
        [Path("queries/cat.png"), "appointment with the doctor"],
        "notes/vet.md",
        k=1,
        among="text",
    ),
)
