"""CONTRIBUTING.md, the decisions and the release script are about the house as it stands."""

import importlib.util
import io
import re
import tarfile
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

import onesense

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "onesense"
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
FLOW = re.findall(r"^\d+\. .+$", PAGE.split("## How a request flows")[1].split("\n## ")[0], re.M)


@pytest.fixture(scope="module")
def release() -> ModuleType:
    spec = importlib.util.spec_from_file_location("release", ROOT / "dev" / "release.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_way_of_a_request_is_ten_lines() -> None:
    assert [line.partition(".")[0] for line in FLOW] == [str(n) for n in range(1, 11)]


@pytest.mark.parametrize("line", FLOW)
def test_files_on_the_way_of_a_request_exist(line: str) -> None:
    names = re.findall(r"`([\w/]+\.py)`", line)
    assert names
    assert [name for name in names if not (SOURCE / name).is_file()] == []


def test_folders_and_examples_of_new_pieces_exist() -> None:
    rows = re.findall(r"^\| an? [^|]+\| `([^`]+)` \| \[[^]]+\]\(([^)]+)\)", PAGE, re.M)
    assert len(rows) == 4
    assert all((ROOT / folder).is_dir() and (ROOT / file).is_file() for folder, file in rows)


def test_every_suite_that_make_knows_has_a_row() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    suites = set(re.findall(r"^(test[a-z-]*|fuzz-[a-z]+|docs):", makefile, re.M))
    assert suites <= set(re.findall(r"`make ([a-z-]+)`", PAGE.split("## Tests")[1]))


def test_every_decision_is_listed_and_dated() -> None:
    notes = sorted((ROOT / "dev" / "decisions").glob("[0-9]*.md"))
    listed = re.findall(
        r"\]\((\d-[\w-]+\.md)\)", (ROOT / "dev" / "decisions" / "README.md").read_text(encoding="utf-8")
    )
    assert listed == [note.name for note in notes]
    for note in notes:
        text = note.read_text(encoding="utf-8")
        assert re.search(r"^20\d\d-\d\d-\d\d\. (In force|Replaced by)", text, re.M), note.name
        assert all(part in text for part in ("**Decided.**", "**Why.**", "**What it costs.**", "**Decide again**"))


def test_links_of_decisions_and_examples_lead_somewhere() -> None:
    pages = [ROOT / "examples" / "README.md", *(ROOT / "dev" / "decisions").glob("*.md")]
    links = [(page, link) for page in pages for link in re.findall(r"\]\((?!http)([^)#]+)", page.read_text("utf-8"))]
    assert [f"{page.name}: {link}" for page, link in links if not (page.parent / link).exists()] == []


def test_hooks_fetch_nothing() -> None:
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert re.findall(r"repo: (\S+)", hooks) == ["local"]
    assert set(re.findall(r"language: (\S+)", hooks)) == {"system"}
    assert all(name in hooks for name in ("ruff format", "ruff check", ".venv/bin/mypy"))


def test_package_and_changelog_agree_on_the_version(release: ModuleType) -> None:
    assert release.version() == onesense.__version__


def test_a_changelog_of_another_version_stops_the_release(
    release: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "src" / "onesense").mkdir(parents=True)
    (tmp_path / "src" / "onesense" / "__init__.py").write_text('__version__ = "2.0.0"\n')
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## [1.9.0] - 2026-01-01\n\n## [2.0.0]\n")
    monkeypatch.setattr(release, "ROOT", tmp_path)
    with pytest.raises(SystemExit, match=r"says 2\.0\.0, CHANGELOG\.md 1\.9\.0"):
        release.version()


def wheel(folder: Path, *extra: str) -> Path:
    path = folder / "onesense-2.0.0-py3-none-any.whl"
    needed = ("py.typed", "engine/backends/_mini/weights/words.nibbles.npy", "server/studio/static/index.html")
    with zipfile.ZipFile(path, "w") as archive:
        for name in (*(f"onesense/{name}" for name in needed), *extra):
            archive.writestr(name, b"x")
    return path


def test_a_sound_wheel_has_no_faults(release: ModuleType, tmp_path: Path) -> None:
    assert release.faults(wheel(tmp_path, "onesense-2.0.0.dist-info/METADATA"), "2.0.0") == []


def test_test_data_beside_the_package_and_size_are_faults(
    release: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = wheel(tmp_path, "onesense/tests/golden/vectors.npy", "bench.py")
    monkeypatch.setattr(release, "MAX_BYTES", 10)
    found = " ".join(release.faults(path, "2.1.0"))
    assert "`onesense/tests/golden/vectors.npy` is inside" in found
    assert "`bench.py` would be installed" in found
    assert "PyPI takes 10" in found and "not of version 2.1.0" in found


def test_a_source_archive_without_weights_is_a_fault(release: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "onesense-2.0.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in ("src/onesense/py.typed", "src/onesense/server/studio/static/index.html"):
            archive.addfile(tarfile.TarInfo(f"onesense-2.0.0/{name}"), io.BytesIO())
    assert release.faults(path, "2.0.0") == [
        "`src/onesense/engine/backends/_mini/weights/words.nibbles.npy` is missing"
    ]
