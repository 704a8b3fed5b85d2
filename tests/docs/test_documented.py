"""Everything public is documented, or this fails."""

import re
import tomllib
from pathlib import Path

import pytest
import typer

import onesense
from onesense import plugins
from onesense.cli.main import app
from onesense.cli.verb import ExitCode
from onesense.errors import OnesenseError

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def read(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def error_classes(base: type[OnesenseError] = OnesenseError) -> list[type[OnesenseError]]:
    return [base, *(c for child in base.__subclasses__() for c in error_classes(child))]


VERBS = typer.main.get_command(app).commands


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_a_chapter(verb: str) -> None:
    assert f"## `onesense {verb}`" in read("cli.md")


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_is_named_with_its_verb(verb: str) -> None:
    text = read("cli.md")
    common = text.split("## `onesense embed`")[0]
    chapter = text.split(f"## `onesense {verb}`")[1].split("\n## ")[0]
    options = [o for p in VERBS[verb].params for o in p.opts if o.startswith("-") and o != "--help"]
    missing = [o for o in options if not re.search(rf"{o}\b", common + chapter)]
    assert not missing, f"docs/cli.md does not say what {missing} of `onesense {verb}` do"


def test_no_chapter_is_about_a_verb_that_is_gone() -> None:
    assert set(re.findall(r"^## `onesense (\w+)`", read("cli.md"), re.M)) == set(VERBS)


def test_every_exit_code_is_documented() -> None:
    assert {int(n) for n in re.findall(r"^\| (\d) \|", read("cli.md"), re.M)} == {int(c) for c in ExitCode}


def test_the_table_of_errors_is_the_closed_list() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| (\d+) \| (\w+) \|", read("errors.md"), re.M)
    real = {(c.code, c.__name__, str(c.http_status), c.gemini_status) for c in error_classes()}
    assert set(rows) == real


@pytest.mark.parametrize("kind", plugins.KINDS)
def test_every_plugin_is_named(kind: str) -> None:
    text = read("extending.md")
    assert [n for n in plugins.names(kind) if f"`{n}`" not in text] == []


@pytest.mark.parametrize("name", [n for n in onesense.__all__ if not n.startswith("__")])
def test_every_public_name_is_explained(name: str) -> None:
    assert f"`{name}`" in read("python.md") or f"## `{name}" in read("python.md")


def test_links_between_documents_lead_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.glob("*.md")]
    links = [(page, m) for page in pages for m in re.findall(r"\]\((?!http)([^)#]+)", page.read_text(encoding="utf-8"))]
    assert links
    assert [f"{page.name}: {link}" for page, link in links if not (page.parent / link).exists()] == []


def test_the_changelog_starts_with_this_version() -> None:
    versions = re.findall(r"^## \[([\d.]+)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert versions[0] == onesense.__version__


def test_the_version_stands_in_one_place() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert pyproject["project"]["dynamic"] == ["version"]
    assert pyproject["tool"]["hatch"]["version"]["path"] == "src/onesense/__init__.py"
    assert "version:" not in (ROOT / "CITATION.cff").read_text(encoding="utf-8").replace("cff-version:", "")


def test_makefile_targets_named_in_the_documents_exist() -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.glob("*.md")]
    named = {
        n for page in pages for n in re.findall(r"\bmake ([a-z][a-z-]*)\b(?=`|\s+#)", page.read_text(encoding="utf-8"))
    }
    assert named
    assert named <= targets
