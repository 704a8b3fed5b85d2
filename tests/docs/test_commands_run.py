"""The commands of docs/cli.md that search and analyse run as they stand, in a folder that has what they name."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from onesense import Collection
from onesense.cli.main import app

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
VERBS = ("search", "analyse")


def commands() -> list[str]:
    chapters = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.M)
    wanted = [chapter for chapter in chapters if chapter.startswith(tuple(f"`onesense {verb}`" for verb in VERBS))]
    blocks = [block for chapter in wanted for block in re.findall(r"^```bash\n(.*?)^```", chapter, re.M | re.S)]
    return [line for block in blocks for line in block.splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs (one twice, one large and dated), a note, and collections of them."""
    root = tmp_path_factory.mktemp("cli")
    (root / "photos").mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (48, 48, 3), np.uint8)
    Image.fromarray(pixels).save(root / "photos" / "bike.jpg")
    Image.fromarray(pixels).save(root / "photos" / "bike again.jpg")
    exif = Image.Exif()
    exif[0x0132] = "2024:05:01 10:00:00"
    Image.new("RGB", (2000, 1200), "blue").save(root / "holiday.jpg", exif=exif)
    (root / "cat.txt").write_text("a cat purring", encoding="utf-8")
    for name in ("library.onesense", "photos.onesense"):
        with Collection.open(root / name, model="tiny", dim=64) as opened:
            assert not opened.add([root / "photos", root / "holiday.jpg", root / "cat.txt"]).failed
    return root


@pytest.mark.parametrize("line", commands())
def test_command_finds_something(folder: Path, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    program, *args = shlex.split(line)
    result = CliRunner().invoke(app, args)
    assert program == "onesense" and result.exit_code == 0, result.output
    if "--out" in args:
        assert (folder / args[args.index("--out") + 1]).stat().st_size > 0


def test_both_verbs_have_commands() -> None:
    assert {shlex.split(line)[1] for line in commands()} == set(VERBS)
