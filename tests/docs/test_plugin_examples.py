"""The plug-ins of examples/plugins, found and used the way an installed package's are: by their entry points."""

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from onesense import plugins
from onesense.evals.packs import write_pack

PLUGINS = Path(__file__).parents[2] / "examples" / "plugins"
POINTS = """\
[onesense.backends]
hashed-words = hashed_words:Backend
[onesense.modalities]
docx = docx:modality
[onesense.stores]
sqlite = sqlite_store
[onesense.tasks]
own-questions = own_questions:task
"""
NAMES = {"backends": "hashed-words", "modalities": "docx", "stores": "sqlite", "tasks": "own-questions"}
PARAGRAPHS = ["The garden shed costs 4200 euros.", "Cats purr when they are content."]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder on the path with what `pip install` leaves of a package that announces the four."""
    folder = tmp_path_factory.mktemp("site")
    record = folder / "onesense_examples-1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: onesense-examples\nVersion: 1.0\n")
    (record / "entry_points.txt").write_text(POINTS)
    return folder


def onesense(site: Path, *args: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{PLUGINS}"}
    command = [sys.executable, "-c", "from onesense.cli.main import main; main()", *args]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def answer(site: Path, *args: str) -> dict | list:
    done = onesense(site, *args, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def docx(*paragraphs: str) -> bytes:
    space = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    body = "".join(f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>" for text in paragraphs)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", f'<w:document xmlns:w="{space}"><w:body>{body}</w:body></w:document>')
    return stream.getvalue()


def test_there_is_one_example_a_kind() -> None:
    assert set(NAMES) == set(plugins.KINDS)


def test_they_are_found_and_load(site: Path) -> None:
    listed = json.dumps(answer(site, "plugins"))
    assert all(name in listed for name in NAMES.values())
    assert "does not load" not in listed


def test_word_documents_are_indexed_by_a_model_into_a_store_of_ones_own(site: Path, tmp_path: Path) -> None:
    (tmp_path / "offer.docx").write_bytes(docx(PARAGRAPHS[0]))
    (tmp_path / "cats.docx").write_bytes(docx(PARAGRAPHS[1]))
    place = str(tmp_path / "notes.sqlite")
    answer(site, "index", str(tmp_path), "--to", place, "--model", "hashed-words")
    hits = answer(site, "search", place, "-t", "what does the garden shed cost?")["hits"]
    assert hits[0]["path"].endswith("offer.docx") and hits[0]["modality"] == "docx"
    assert Path(place).read_bytes().startswith(b"SQLite format 3")


@pytest.mark.parametrize(
    ("content", "code"),
    [(docx(PARAGRAPHS[0])[:120], "no Word document"), (docx(), "no text"), (docx("<w:t>"), "no Word document")],
    ids=["cut off", "empty", "broken XML"],
)
def test_a_bad_word_document_is_named(site: Path, tmp_path: Path, content: bytes, code: str) -> None:
    (tmp_path / "bad.docx").write_bytes(content)
    done = onesense(site, "explain", str(tmp_path / "bad.docx"), "--model", "tiny")
    assert done.returncode == 2 and code in done.stderr and "Traceback" not in done.stderr


def test_own_questions_are_measured(site: Path, tmp_path: Path) -> None:
    questions = ["what does the garden shed cost?", "do cats purr?"]
    rows = [{"question": q, "passage": p} for q, p in zip(questions, PARAGRAPHS, strict=True)]
    write_pack(tmp_path, {"own/questions.jsonl": "\n".join(map(json.dumps, rows)).encode()})
    report = answer(site, "eval", "own-questions", "--data", str(tmp_path), "--model", "hashed-words")
    first = report["tasks"][0]["results"][0]
    assert (first["metric"], first["value"], first["n"], first["chance"]) == ("R@1", 1.0, 2, 0.5)
