"""The scripts of examples/ run as they stand on a few of the demo's files, and find what a person would."""

import re
import runpy
import shutil
from pathlib import Path

import pytest
from PIL import Image

from onesense.cli import demo_library, demo_reports, demo_sounds

EXAMPLES = Path(__file__).parents[2] / "examples"
PHOTOS = ("chelsea.png", "coffee.png", "horse.png", "rocket.jpg", "text.png")
SOUNDS = ("cat", "telephone", "rain")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A part of what `onesense demo` makes."""
    root = tmp_path_factory.mktemp("demo") / "library"
    for name in ("photos", "sounds", "documents", "video"):
        (root / name).mkdir(parents=True)
    for name in PHOTOS:
        shutil.copyfile(demo_library.photo_folder() / name, root / "photos" / name)
    for name in SOUNDS:
        demo_library.write_wav(root / "sounds" / f"{name}.wav", demo_sounds.SOUNDS[name]())
    (root / "documents" / "shop.pdf").write_bytes(demo_reports.shop_report())
    demo_library.write_video(root / "video" / "reel.mp4", demo_library.photo_folder())
    return root


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """Run a script in an empty folder; what it printed."""

    def run(name: str, *args: object) -> str:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        monkeypatch.setattr("sys.argv", [name, *map(str, args)])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_walkthrough(run, library: Path) -> None:
    told = run("walkthrough.py", library)
    assert re.findall(r"^(\d)\.", told, re.M) == list("123456")
    assert told.count("3072 numbers, beginning") == 5
    text_picture, text_pdf = map(float, re.search(r"of a cat ([\d.]+), text and PDF ([\d.]+)", told).groups())
    assert text_picture > text_pdf + 0.1
    assert f"{len(PHOTOS) + len(SOUNDS)} records, 0 failed" in told
    assert "the words `a cat` in photos: photos/chelsea.png" in told
    assert "the words `a cat` in sounds: sounds/cat.wav" in told
    assert "a photograph of a cat in sounds: sounds/cat.wav" in told
    assert "photos/chelsea.png" in re.search(r"a sound of a cat in photos: (.+)", told)[1]


def test_gemini_quickstart(run, library: Path) -> None:
    told = run("gemini_quickstart.py", library / "photos" / "chelsea.png")
    assert "one text: 3072 numbers" in told
    alike = [[float(x) for x in row.split(",")] for row in re.findall(r"\[([\d., ]+)\]", told)]
    assert alike[0][1] > alike[0][2] + 0.1 and alike[0][0] == 1.0
    assert "text and picture: 1 vector of 1536 numbers" in told


def test_only_the_client_line_of_the_quickstart_is_ours() -> None:
    code = (EXAMPLES / "gemini_quickstart.py").read_text(encoding="utf-8").split('"""')[2]
    assert re.findall(r"^.*onesense.*$", code, re.M) == [
        "import onesense",
        "client = onesense.Client()  # was: genai.Client()",
    ]


def test_photo_library(run, library: Path, tmp_path: Path) -> None:
    told = run("photo_library.py", library / "photos", tmp_path / "kept.onesense")
    assert "5 new, 0 unchanged, 0 could not be read" in told
    found = ["a cat: chelsea.png", "una taza de café: coffee.png", "ein Pferd: horse.png", "rocket.jpg, 640 x 427"]
    assert [line for line in found if line not in told] == []
    assert "0 new, 5 unchanged" in run("photo_library.py", library / "photos", tmp_path / "kept.onesense")


def test_zero_shot(run, library: Path) -> None:
    told = run("zero_shot.py", library / "photos", "a cat", "a cup of coffee", "a rocket", "a page of text")
    labels = {name: label for label, name in re.findall(r"^(.+?) +\d+% (\S+)$", told, re.M)}
    assert labels["chelsea.png"] == "a cat" and labels["coffee.png"] == "a cup of coffee"
    assert labels["rocket.jpg"] == "a rocket" and labels["text.png"] == "a page of text"
    assert "of 5 sorted, 0 could not be read" in told


def test_duplicates(run, library: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    shutil.copytree(library / "photos", folder)
    with Image.open(folder / "chelsea.png") as cat:
        cat.resize((cat.width // 2, cat.height // 2)).save(folder / "cat small.jpg", quality=80)
    shutil.copyfile(folder / "horse.png", folder / "horse again.png")
    told = run("duplicates.py", folder)
    assert "keep chelsea.png" in told and "cat small.jpg" in told
    assert "2 of 7 pictures are there already" in told


def test_code_search(run, tmp_path: Path) -> None:
    (tmp_path / "tools.py").write_text(
        'def resize(picture, width):\n    """Make a picture smaller."""\n    return picture.resize(width)\n\n\n'
        'def mail(address, text):\n    """Send a letter to somebody."""\n    post(address, text)\n\n\n'
        'def mean(numbers):\n    """The average of a list."""\n    return sum(numbers) / len(numbers)\n'
    )
    told = run("code_search.py", tmp_path, "scale an image down", "write an e-mail", "compute the mean value")
    assert "3 functions" in told
    first = [after.split()[-1] for after in re.findall(r"^\S.*\n(   .+)$", told.partition("functions\n")[2], re.M)]
    assert first == ["resize", "mail", "mean"]


def test_every_example_is_listed_short_and_tested() -> None:
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    tests = Path(__file__).read_text(encoding="utf-8")
    scripts = list(EXAMPLES.glob("*.py"))
    assert scripts
    for script in scripts:
        assert f"]({script.name})" in listed
        assert f'run("{script.name}"' in tests
        assert len(script.read_text(encoding="utf-8").splitlines()) < 60
