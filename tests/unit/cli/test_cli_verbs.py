"""Each verb through the real app: output, JSON, exit codes."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from onesense.cli.main import app

TINY = ("--model", "tiny")


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(app, [str(a) for a in args])


def as_json(result: Result) -> dict:
    return json.loads(result.stdout)


@pytest.fixture
def note(tmp_path: Path) -> Path:
    path = tmp_path / "note.txt"
    path.write_text("the cat purrs on the sofa", encoding="utf-8")
    return path


# --- embed ----------------------------------------------------------------------------------------------------------


def vector(*args: str | Path) -> np.ndarray:
    result = run("embed", *args, "--json", "--dim", "64", *TINY)
    assert result.exit_code == 0, result.output
    return np.array(as_json(result)["embeddings"][0]["values"])


def test_embed_gives_one_unit_vector_for_all_inputs(note: Path) -> None:
    answer = as_json(run("embed", "-t", "a", "-f", note, "-t", "b", "--json", "--dim", "64", *TINY))
    assert answer["model"] == "tiny" and answer["dim"] == 64 and len(answer["embeddings"]) == 1
    assert np.linalg.norm(answer["embeddings"][0]["values"]) == pytest.approx(1, abs=1e-5)


def test_embed_keeps_the_order_of_text_and_files(note: Path) -> None:
    from onesense import Content, Embedder, Part

    typed = vector("-t", "before", "-f", note, "--text=after", f"--file={note}")
    wanted = Content("before", Part.file(note), "after", Part.file(note))
    other = Content("before", "after", Part.file(note), Part.file(note))
    with Embedder("tiny") as embedder:
        same, sorted_by_kind = embedder.embed([wanted, other], dim=64)
    assert typed @ same == pytest.approx(1, abs=1e-5)
    assert typed @ sorted_by_kind < 0.9999


def test_embed_each_gives_a_vector_an_input(note: Path) -> None:
    answer = as_json(run("embed", "-f", note, "-t", "the cat purrs on the sofa", "--each", "--json", *TINY))
    assert len(answer["embeddings"]) == 2
    assert answer["embeddings"][0]["values"] == pytest.approx(answer["embeddings"][1]["values"], abs=1e-6)


@pytest.mark.parametrize("name", ["v.npy", "v.json"])
def test_embed_writes_files(tmp_path: Path, name: str) -> None:
    result = run("embed", "-t", "x", "-t", "y", "--each", "--dim", "8", "--out", tmp_path / name, *TINY)
    assert result.exit_code == 0 and name in result.output
    if name.endswith(".npy"):
        vectors = np.load(tmp_path / name)
        assert vectors.dtype == np.float32
    else:
        saved = json.loads((tmp_path / name).read_text(encoding="utf-8"))
        vectors = np.array([e["values"] for e in saved["embeddings"]])
    assert vectors.shape == (2, 8)


def test_embed_shows_a_person_what_went_in(note: Path) -> None:
    result = run("embed", "-t", "[bold]x[/bold]", "--dim", "8", *TINY)
    assert "[bold]x[/bold]" in result.stdout  # text is never read as markup
    assert "--json" in result.stdout


@pytest.mark.parametrize(
    ("args", "code"),
    [
        ([], "invalid_input"),
        (["-t", "x", "--dim", "0"], "bad_dimension"),
        (["-t", "x", "--dim", "3073"], "bad_dimension"),
        (["-t", "x", "--task", "poetry"], "invalid_input"),
        (["-t", " "], "empty_input"),
        (["-f", "missing.txt"], "not_found"),
        (["-f", "."], "invalid_input"),
        (["-t", "x", "--out", "v.csv"], "invalid_input"),
        (["-t", "x", "--out", "no/such/folder/v.npy"], "not_found"),
        (["-t", "x", "--model", "nobody"], "not_found"),
    ],
)
def test_embed_tells_what_is_wrong_in_one_line(args: list[str], code: str) -> None:
    result = run("embed", "--json", *TINY, *args)
    assert result.exit_code == 2
    assert as_json(result)["error"]["code"] == code
    assert result.stderr.startswith("onesense: ") and result.stderr.rstrip().endswith(f"[{code}]")
    assert "Traceback" not in result.output


def test_without_json_stdout_stays_empty_on_errors() -> None:
    assert run("embed", *TINY).stdout == ""


def test_debug_shows_where_an_error_came_from() -> None:
    from onesense.errors import OnesenseError

    result = run("--debug", "embed", *TINY)
    assert isinstance(result.exception, OnesenseError)


def test_an_unknown_option_is_a_usage_error() -> None:
    assert run("embed", "--nonsense").exit_code == 2


# --- models, plugins, doctor ----------------------------------------------------------------------------------------


def test_models_lists_and_tells_about_one() -> None:
    listed = as_json(run("models", "--json"))["models"]
    tiny = as_json(run("models", "tiny", "--json"))
    assert tiny | {"error": None} in listed
    assert tiny["dim"] == 3072 and "pdf" in tiny["modalities"]
    assert "Apache-2.0" in run("models").stdout
    assert "max tokens" in run("models", "tiny").stdout


def test_models_names_those_that_exist_when_one_does_not() -> None:
    result = run("models", "nobody")
    assert result.exit_code == 2 and "`tiny`" in result.stderr


def test_plugins_lists_every_kind_and_where_it_comes_from() -> None:
    rows = as_json(run("plugins", "--json"))["plugins"]
    assert {"kind": "backends", "name": "tiny", "origin": "onesense.engine.backends.tiny", "error": None} in rows
    assert {"backends", "modalities", "stores"} <= {r["kind"] for r in rows}
    assert "onesense.engine.backends.tiny" in run("plugins").stdout


def test_plugins_says_why_one_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    from onesense import plugins

    real = plugins.names
    monkeypatch.setattr(plugins, "names", lambda kind: real(kind) | {"broken": "no_such_package.mine"})
    rows = [r for r in as_json(run("plugins", "--json"))["plugins"] if r["name"] == "broken"]
    assert rows and all("no_such_package" in r["error"] for r in rows)


def test_doctor_loads_the_model_and_fails_when_something_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    from onesense.cli import doctor

    monkeypatch.setattr(doctor, "DEFAULT_MODEL", "tiny")
    checks = {c["name"]: c for c in as_json(run("doctor", "--json"))["checks"]}
    assert checks["model tiny: finite"]["state"] == "8 vectors of 3072"
    assert checks["model tiny: vectors on record"]["is_fine"]
    assert checks["package numpy"]["state"] == np.__version__
    monkeypatch.setattr(doctor, "DEFAULT_MODEL", "lost")
    bad = run("doctor")
    assert bad.exit_code == 1 and "BROKEN" in bad.stdout and "`lost`" in bad.stdout


def test_version() -> None:
    import onesense

    assert run("--version").stdout.strip() == f"onesense {onesense.__version__}"


# --- index and search -----------------------------------------------------------------------------------------------


@pytest.fixture
def media(tmp_path: Path) -> Path:
    from PIL import Image

    folder = tmp_path / "media"
    folder.mkdir()
    (folder / "cat.txt").write_text("the cat purrs on the sofa", encoding="utf-8")
    (folder / "bread.txt").write_text("flour, water and salt", encoding="utf-8")
    Image.new("RGB", (32, 32), (200, 30, 30)).save(folder / "red.png")
    return folder


@pytest.fixture(params=["c.onesense", "c.json"])
def collection(tmp_path: Path, media: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / request.param
    result = run("index", media, "--to", path, "--dim", "64", *TINY)
    assert result.exit_code == 0, result.output
    assert "3 added" in result.stdout and "3 segments in all" in result.stdout
    return path


def test_search_finds_what_was_indexed(collection: Path, media: Path) -> None:
    hits = as_json(run("search", collection, "-t", "the cat purrs on the sofa", "-k", "2", "--json"))["hits"]
    assert len(hits) == 2
    assert hits[0]["path"] == str(media / "cat.txt") and hits[0]["score"] == pytest.approx(1, abs=1e-3)
    assert hits[0]["modality"] == "text" and "purrs" in hits[0]["preview"]


def test_search_by_file_and_by_modality(collection: Path, media: Path) -> None:
    hits = as_json(run("search", collection, "-f", media / "red.png", "--modality", "image", "--json"))["hits"]
    assert [h["path"] for h in hits] == [str(media / "red.png")]


def test_search_prints_a_table_for_people(collection: Path) -> None:
    out = run("search", collection, "-t", "bread of flour and water").stdout
    assert "bread.txt" in out and "score" in out


def test_search_filters_and_leaves_with_4_when_nothing_is_found(collection: Path, media: Path) -> None:
    hits = as_json(run("search", collection, "-t", "x", "--where", f"path={media / 'cat.txt'}", "--json"))["hits"]
    assert [h["path"] for h in hits] == [str(media / "cat.txt")]
    nothing = run("search", collection, "-t", "x", "--where", "album=lisbon")
    assert nothing.exit_code == 4 and "nothing found" in nothing.stdout


def test_search_opens_the_first_hit(collection: Path, media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    monkeypatch.setattr("typer.launch", lambda path: opened.append(path) or 0)
    result = run("search", collection, "-f", media / "red.png", "--modality", "image", "--open")
    assert opened == [str(media / "red.png")] and "opening" in result.stderr
    (media / "red.png").unlink()
    assert run("search", collection, "-t", "x", "--modality", "image", "--open").exit_code == 2


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["-t", "x"], "not_found"),
        ([], "invalid_input"),
        (["-t", "x", "--where", "album"], "invalid_input"),
    ],
)
def test_search_refuses(tmp_path: Path, args: list[str], code: str) -> None:
    result = run("search", tmp_path / "nowhere.onesense", "--json", *args)
    assert result.exit_code == 2 and as_json(result)["error"]["code"] == code


def test_where_reads_plain_values_and_lists() -> None:
    from onesense.cli.search import parse_where

    pairs = ["year=2024", "place=Lisbon", "good=true", "tag=a", "tag=b", "name=[x]", "q=a=b", "none=null"]
    assert parse_where(pairs) == {
        "year": 2024, "place": "Lisbon", "good": True, "tag": ["a", "b"], "name": "[x]", "q": "a=b", "none": "null",
    }  # fmt: skip


def test_index_is_quick_about_what_has_not_changed_and_prunes(collection: Path, media: Path) -> None:
    (media / "bread.txt").unlink()
    (media / "cat.txt").write_text("the dog barks", encoding="utf-8")
    report = as_json(run("index", media, "--to", collection, "--prune", "--json"))
    assert [len(report[k]) for k in ("added", "updated", "unchanged", "removed", "failed")] == [0, 1, 1, 1, 0]
    assert report["segments"] == 2


def test_index_names_what_failed_and_leaves_with_3(tmp_path: Path, media: Path) -> None:
    (media / "empty.jpg").write_bytes(b"")
    (media / "cut.png").write_bytes((media / "red.png").read_bytes()[:40])
    result = run("index", media, "--to", tmp_path / "c.onesense", *TINY)
    assert result.exit_code == 3
    assert "3 added" in result.stdout and "2 failed" in result.stdout
    assert "empty.jpg: " in result.stdout and "[empty_input]" in result.stdout
    assert "cut.png: " in result.stdout and "[cannot_decode]" in result.stdout


def test_index_of_a_path_that_is_not_there_leaves_with_3(tmp_path: Path) -> None:
    result = run("index", tmp_path / "gone", "--to", tmp_path / "c.onesense", *TINY)
    assert result.exit_code == 3 and "gone" in result.stdout


def test_index_refuses_a_collection_of_another_size(collection: Path, media: Path) -> None:
    result = run("index", media, "--to", collection, "--dim", "32", "--json")
    assert result.exit_code == 2 and as_json(result)["error"]["code"] == "fingerprint_mismatch"


# --- explain --------------------------------------------------------------------------------------------------------


def test_explain_shows_each_stage_with_real_shapes(media: Path) -> None:
    answer = as_json(run("explain", media / "red.png", "--dim", "64", "--json", *TINY))
    stages = {s["name"]: s for s in answer["stages"]}
    assert list(stages) == [
        "media.fetch", "media.sniff", "media.image.decode", "media.image.segments",
        "engine.models.acquire", "tiny.prepare", "tiny.embed", "vectors.truncate_normalize",
    ]  # fmt: skip
    assert stages["media.sniff"]["made"] == "image, image/png"
    assert stages["media.image.decode"]["made"] == "Image: uint8 [32, 32, 3] sRGB"
    assert stages["tiny.embed"]["made"].startswith("float32 [1, 3072]")
    assert stages["vectors.truncate_normalize"]["made"].startswith("float32 [1, 64]")
    assert all(s["ms"] >= 0 for s in stages.values())


def test_explain_prints_a_tree(media: Path) -> None:
    out = run("explain", media / "cat.txt", *TINY).stdout
    assert "media.text.decode" in out and "25 characters" in out and " ms" in out


@pytest.mark.parametrize(("name", "code"), [("gone.txt", "not_found"), ("empty.txt", "empty_input")])
def test_explain_stops_at_the_stage_that_fails(media: Path, name: str, code: str) -> None:
    (media / "empty.txt").write_bytes(b"")
    result = run("explain", media / name, "--json", *TINY)
    assert result.exit_code == 2 and as_json(result)["error"]["code"] == code


# --- eval -----------------------------------------------------------------------------------------------------------


def test_eval_says_what_it_needs(tmp_path: Path) -> None:
    result = run("eval", "--data", tmp_path / "nowhere", "--json", *TINY)
    assert result.exit_code == 2 and as_json(result)["error"]["code"] == "not_found"
    unknown = run("eval", "poetry", "--data", tmp_path, "--json", *TINY)
    assert unknown.exit_code == 2 and "poetry" in unknown.stderr
