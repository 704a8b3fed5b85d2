"""The demo: what it builds, what it asks, and that it fails loudly."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from onesense import media
from onesense.cli import demo_library, demo_pdf, demo_reports, demo_scans, demo_sounds
from onesense.cli.demo_queries import QUERIES, Query
from onesense.cli.main import app
from onesense.errors import MissingExtra
from onesense.media import image
from onesense.types import LIMITS, Hit, Locator, Page, Part

ASSETS = Path(demo_library.__file__).parent / "demo_assets"


# --- sounds -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sounds() -> dict[str, np.ndarray]:
    return {name: make() for name, make in demo_sounds.SOUNDS.items()}


@pytest.mark.parametrize("name", demo_sounds.SOUNDS)
def test_sound_is_loud_finite_and_some_seconds_long(sounds: dict[str, np.ndarray], name: str) -> None:
    x = sounds[name]
    assert x.dtype == np.float32 and x.ndim == 1 and 3 * 16_000 <= len(x) <= 10 * 16_000
    assert np.abs(x).max() == pytest.approx(0.8, abs=1e-6)
    assert np.sqrt((x**2).mean()) > 0.005


def test_sounds_are_all_different(sounds: dict[str, np.ndarray]) -> None:
    def spectrum(x: np.ndarray) -> np.ndarray:
        power = np.abs(np.fft.rfft(x, 1 << 17)).reshape(-1)[: 1 << 16].reshape(256, -1).mean(1)
        return power / np.linalg.norm(power)

    rows = np.stack([spectrum(x) for x in sounds.values()])
    likeness = rows @ rows.T - np.eye(len(rows))
    assert likeness.max() < 0.999


def test_sounds_are_the_same_each_time(sounds: dict[str, np.ndarray]) -> None:
    assert np.array_equal(demo_sounds.church_bell(), sounds["church-bell"])
    assert np.array_equal(demo_sounds.fire(), sounds["fire"])


def test_the_siren_wails_between_600_and_1400_hertz(sounds: dict[str, np.ndarray]) -> None:
    power = np.abs(np.fft.rfft(sounds["siren"])) ** 2
    peak_hz = power.argmax() * 16_000 / len(sounds["siren"])
    assert 550 < peak_hz < 1450


# --- documents --------------------------------------------------------------------------------------------------------


def pages(data: bytes) -> list[Page]:
    _, document = media.decode(Part.bytes(data, "application/pdf"))
    return list(document.pages)


def test_reports_have_text_tables_and_charts() -> None:
    year, harvest, rain = pages(demo_reports.orchard_report())
    assert "late frost in April" in " ".join(year.text.split())
    assert all(cell in harvest.text for cell in ("Pears", "985", "2025, kg"))
    blue = (rain.image.pixels[..., 2] > 150) & (rain.image.pixels[..., 0] < 100)
    assert blue.mean() > 0.01  # the bars


def test_pdf_is_reproducible_and_escapes_brackets() -> None:
    page = demo_pdf.Page("a (b) \\ é")
    assert pages(demo_pdf.write_pdf([page], "t"))[0].text.strip() == "a (b) \\ é"
    assert demo_reports.shop_report() == demo_reports.shop_report()


# --- the library ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict, int, str]:
    """The whole demo once, with a model that has learnt nothing: folder, JSON, exit code, stderr."""
    folder = tmp_path_factory.mktemp("demo")
    result = CliRunner().invoke(app, ["demo", "--folder", str(folder), "--model", "tiny", "--json"])
    return folder, json.loads(result.stdout), result.exit_code, result.stderr


def test_everything_in_the_library_is_indexed(run: tuple[Path, dict, int, str]) -> None:
    folder, _, _, stderr = run
    assert "FAILED" not in stderr
    kinds = {p.parent.name for p in (folder / "library").rglob("*.*")}
    assert kinds == {"photos", "scans", "sounds", "memos", "video", "documents", "notes"}


def test_a_query_that_misses_its_item_is_named_and_fails(run: tuple[Path, dict, int, str]) -> None:
    _, answer, exit_code, stderr = run
    assert exit_code == 4 and answer["missed"]
    assert stderr.count("MISSED: ") == len(answer["missed"])
    ranks = [q["rank"] for q in answer["queries"]]
    assert len(ranks) == len(QUERIES) and ranks.count(None) == len(answer["missed"])


@pytest.mark.parametrize("query", QUERIES, ids=lambda q: f"{q.label}: {q.expect}")
def test_each_query_can_be_answered(run: tuple[Path, dict, int, str], query: Query) -> None:
    folder = run[0]
    path = folder / "library" / query.expect
    assert path.is_file()
    assert all((folder / i).is_file() for i in query.inputs if isinstance(i, Path))
    segments = list(media.segments(path))
    assert query.among in (None, segments[0].modality)
    hits = [Hit("", str(path), s.locator, s.modality, 1.0, None, "") for s in segments]
    assert any(query.is_answered_by(hit) for hit in hits)
    assert 1 <= query.k <= 3


def test_queries_cross_many_pairs_of_modalities() -> None:
    assert len(QUERIES) >= 12
    assert len({q.label for q in QUERIES}) >= 11
    assert any(len(q.inputs) > 1 for q in QUERIES)


def test_query_files_are_not_copies_of_what_they_find(run: tuple[Path, dict, int, str]) -> None:
    library = {p.read_bytes() for p in (run[0] / "library").rglob("*.*") if p.is_file()}
    assert not any(p.read_bytes() in library for p in (run[0] / "queries").iterdir())


def test_the_video_shows_and_plays_its_scenes(run: tuple[Path, dict, int, str]) -> None:
    segments = list(media.segments(run[0] / "library" / "video" / "reel.mp4"))
    assert len(segments) == len(demo_library.SCENES)
    loudness = []
    for segment, (photo, _) in zip(segments, demo_library.SCENES, strict=True):
        video = segment.content.parts[0].value
        original = demo_library.read_photo(run[0] / "library" / "photos" / photo)
        middle = video.frames[len(video.frames) // 2]
        assert np.abs(middle.mean((0, 1)) - original.mean((0, 1))).max() < 45, photo
        loudness.append(float(np.abs(video.sound.samples).mean()))
    has_sound = [name is not None for _, name in demo_library.SCENES]
    assert [x > 0.003 for x in loudness] == has_sound


def test_everyone_is_credited(run: tuple[Path, dict, int, str]) -> None:
    text = (run[0] / "CREDITS.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^\| (?:photos/)?([\w.-]+) \|", text, re.M)) - {"file"}
    photos = {p.name for p in (run[0] / "library" / "photos").iterdir()}
    memos = {p.name for p in (run[0] / "library" / "memos").iterdir()}
    assert named == photos | memos


def test_committed_voices_stay_few_and_free() -> None:
    rows = re.findall(
        r"^\| memo-\d+\.ogg .*\| ([\w.-]+) \|$", (ASSETS / "CREDITS.md").read_text(encoding="utf-8"), re.M
    )
    assert set(rows) == {"CC0-1.0", "CC-BY-4.0"} and len(rows) == len(list(ASSETS.glob("*.ogg")))
    assert sum(p.stat().st_size for p in ASSETS.glob("*.ogg")) < 300_000


def test_without_scikit_image_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_library, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"onesense\[demo\]"):
        demo_library.photo_folder()


# --- judging ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "locator", "is_right"),
    [
        (Query("", ["x"], "a/b.pdf", page=2), Locator(page=2), True),
        (Query("", ["x"], "a/b.pdf", page=2), Locator(page=1), False),
        (Query("", ["x"], "a/b.pdf", second=20.0), Locator(start_s=16.0, end_s=24.0), True),
        (Query("", ["x"], "a/b.pdf", second=20.0), Locator(start_s=24.0, end_s=32.0), False),
        (Query("", ["x"], "a/b.pdf", second=20.0), Locator(), False),
        (Query("", ["x"], "a/c.pdf"), Locator(), False),
    ],
)
def test_only_the_right_place_counts(query: Query, locator: Locator, is_right: bool) -> None:
    assert query.is_answered_by(Hit("", "/x/library/a/b.pdf", locator, "pdf", 0.5, None, "")) is is_right


def test_a_query_is_shown_as_it_would_be_typed() -> None:
    query = Query("", [Path("queries/cat.png"), "a vet"], "notes/vet.md")
    assert query.spoken() == '-f queries/cat.png -t "a vet"'
    assert [p.value for p in query.content(Path("d")).parts] == [Path("d/queries/cat.png"), "a vet"]


@pytest.mark.parametrize("name", sorted(demo_scans.SCANS))
def test_scans_are_pictures_with_words_on_them(name):
    drawn = demo_scans.SCANS[name]()
    pixels = image.modality.decode(drawn, Part(drawn), replace(LIMITS, image_side=480)).pixels
    assert min(pixels.shape[:2]) >= 480 and np.ptp(pixels) > 150
    assert demo_scans.SCANS[name]() == drawn
