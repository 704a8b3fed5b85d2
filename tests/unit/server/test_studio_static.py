"""The Studio's files: texts in every language, nothing parsed as HTML, nothing from elsewhere, and light."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import onesense.server.studio as studio

STATIC = Path(studio.__file__).parent / "static"
MODULES = sorted(STATIC.rglob("*.js"))
LANGUAGES = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (STATIC / "i18n").glob("*.json")}
FORMS = ("zero", "one", "two", "few", "many", "other")
MOST_BYTES = 300_000  # of the page before media


def base(key: str) -> str:
    stem, _, form = key.rpartition(".")
    return stem if form in FORMS else key


def fields(text: str) -> set[str]:
    return set(re.findall(r"{(\w+)}", text))


def test_there_are_five_languages() -> None:
    assert set(LANGUAGES) == {"en", "es", "zh", "ar", "hi"}
    listed = re.search(r"LANGUAGES = {(.*?)}", (STATIC / "i18n.js").read_text(encoding="utf-8"))
    assert listed and set(re.findall(r"(\w\w): ", listed[1])) == set(LANGUAGES)


@pytest.mark.parametrize("code", sorted(LANGUAGES))
def test_a_language_says_everything_with_the_same_fields(code: str) -> None:
    english, texts = LANGUAGES["en"], LANGUAGES[code]
    assert {base(key) for key in texts} == {base(key) for key in english}
    assert [key for key, text in texts.items() if not text.strip()] == []
    for key, text in texts.items():
        told = english.get(key, english.get(f"{base(key)}.other", ""))
        assert fields(text) <= fields(told), f"{code}: {key}"
        if key.rpartition(".")[2] in ("other", "many", "few") or base(key) == key:
            assert fields(text) == fields(told), f"{code}: {key}"


def test_every_text_that_is_asked_for_exists() -> None:
    known = {base(key) for key in LANGUAGES["en"]}
    asked = {key for path in MODULES for key in re.findall(r"""\bt\("([\w.-]+)\"""", path.read_text(encoding="utf-8"))}
    assert len(asked) > 100
    assert asked - known == set()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_nothing_is_parsed_as_html_or_run_from_text(path: Path) -> None:
    code = path.read_text(encoding="utf-8")
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "DOMParser",
    ):
        assert word not in code, word


def test_nothing_comes_from_elsewhere() -> None:
    for path in STATIC.rglob("*.*"):
        text = path.read_text(encoding="utf-8")
        found = set(re.findall(r"https?://[\w./-]+", text)) - {"http://www.w3.org/2000/svg"}
        assert found <= {"https://generativelanguage.googleapis.com"}, path.name  # in the code that people copy


def test_the_page_is_light() -> None:
    sizes = [path.stat().st_size for path in STATIC.rglob("*.*") if path.suffix != ".json"]
    assert sum(sizes) + max(path.stat().st_size for path in (STATIC / "i18n").iterdir()) < MOST_BYTES


@pytest.mark.parametrize("path", [*MODULES, *STATIC.glob("*.html")], ids=lambda path: path.name)
def test_every_file_that_is_named_is_there(path: Path) -> None:
    code = path.read_text(encoding="utf-8")
    for name in re.findall(r"""(?:from |import\()"(\.[\w./-]+)\"""", code):
        assert (path.parent / name).is_file(), name
    for name in re.findall(r"""(?:src|href)="/studio/([\w./-]+)\"""", code):
        assert (STATIC / name).is_file(), name


def test_every_icon_that_is_used_is_drawn() -> None:
    drawn = set(re.findall(r'<symbol id="([\w-]+)"', (STATIC / "icons.svg").read_text(encoding="utf-8")))
    code = "".join(path.read_text(encoding="utf-8") for path in MODULES)
    assert set(re.findall(r"""icon(?:\(|: )"([\w-]+)\"""", code)) <= drawn
