"""The Python examples of the documents run as they stand, one after another, beside a folder `pictures`."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
NAMES = ("python", "search", "ask", "formats", "models", "training", "adapt")
PAGES = [ROOT / "README.md", *(ROOT / "docs" / f"{name}.md" for name in NAMES)]


def blocks() -> list[tuple[str, int, str]]:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(r"^```python\n(.*?)^```", text, re.M | re.S):
            found.append((page.name, text[: match.start()].count("\n") + 1, match[1]))
    return found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a white square on black, as the documents promise."""
    pixels = np.zeros((96, 96, 3), np.uint8)
    pixels[24:72, 24:72] = 255
    (tmp_path / "pictures").mkdir()
    Image.fromarray(pixels).save(tmp_path / "pictures" / "square.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("page", "line", "code"), [pytest.param(*b, id=f"{b[0]}:{b[1]}") for b in blocks()])
def test_example_runs(folder: Path, page: str, line: int, code: str) -> None:
    source = "\n" * line + code
    exec(compile(source, str(ROOT / page), "exec"), {"__name__": "example"})


def test_each_page_has_an_example() -> None:
    assert {page for page, _, _ in blocks()} == {page.name for page in PAGES}
