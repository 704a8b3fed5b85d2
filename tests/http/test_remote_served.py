"""Models behind a network against our own server: the same vectors as in process, wherever a model can be named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from google import genai
from typer.testing import CliRunner

import media_samples
from onesense import Client, Collection, Content, Embedder, Part, errors
from onesense.cli.main import app
from onesense.engine import models
from onesense.types import Task
from running_server import PLAIN, running

GEMINI = "gemini:gemini-embedding-2"
PNG = media_samples.picture("png")
CONTENTS = [
    Content("a red bicycle"),
    Content(Part.bytes(PNG)),
    Content(Part.bytes(media_samples.picture("webp"))),
    Content(Part.bytes(media_samples.sound("wav", media_samples.tone(2.0)))),
    Content(Part.bytes(media_samples.video("mp4", 2))),
    Content(Part.bytes(media_samples.pdf(["a page of text"]))),
    Content("my bike, ", Part.bytes(PNG), " in the rain"),
    Content("two parts", "of text"),
]


@pytest.fixture(autouse=True)
def _settings(url: str, monkeypatch: pytest.MonkeyPatch, _clean_environment: Path) -> Iterator[None]:
    monkeypatch.setenv("GEMINI_API_KEY", "any key")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", url)
    yield
    models.close()


@pytest.fixture(params=["gemini-embedding-2", "tiny", "chat", "texts"])
def name(request: pytest.FixtureRequest, url: str) -> str:
    named = {"chat": f"{url}/v1#tiny,media=image+audio+video+pdf", "texts": f"{url}/v1#tiny"}
    return named.get(request.param, f"gemini:{request.param}")


def test_vectors_are_those_of_the_process(name: str, embedder: Embedder) -> None:
    contents = [CONTENTS[0], CONTENTS[-1]] if name.endswith("#tiny") else CONTENTS
    with Embedder(name) as remote:
        assert (remote.embed(contents) * embedder.embed(contents)).sum(1).min() > 0.99999


@pytest.mark.parametrize("task", list(Task))
def test_a_task_is_told_in_googles_words(task: Task, embedder: Embedder) -> None:
    with Embedder("gemini:tiny") as remote:
        found, expected = remote.embed(CONTENTS, task=task), embedder.embed(CONTENTS, task=task)
    assert (found * expected).sum(1).min() > 0.99999


@pytest.mark.parametrize("dim", [1, 128, 768, 3072])
def test_every_size(name: str, dim: int, embedder: Embedder) -> None:
    with Embedder(name) as remote:
        np.testing.assert_allclose(remote.embed("a cat", dim), embedder.embed("a cat", dim), atol=1e-5)


def test_tokens_and_truncation_are_those_that_the_service_tells(embedder: Embedder) -> None:
    contents = [CONTENTS[0], CONTENTS[6], Content("word " * 3_000)]
    with Embedder("gemini:tiny") as remote:
        found, expected = remote.embed_detailed(contents), embedder.embed_detailed(contents)
    assert [(e.usage, e.truncated) for e in found] == [(e.usage, e.truncated) for e in expected]


def test_the_key_of_a_server_is_needed_and_taken(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", base)
    with Embedder(GEMINI) as remote, pytest.raises(errors.BadKey, match="GEMINI_API_KEY"):
        remote.embed("a")
    with pytest.raises(errors.MissingKey, match="ONESENSE_HTTP_KEY"):
        models.info(f"{base}/v1#tiny")
    monkeypatch.setenv("ONESENSE_HTTP_KEY", "ann-secret")
    assert models.info(f"{base}/v1#tiny").dim == 3072


def test_a_model_that_the_server_lacks(url: str) -> None:
    with pytest.raises(errors.NotFound, match="no-such"):
        models.info(f"{url}/v1#no-such")
    with pytest.raises(errors.NotFound, match="no-such"):
        models.info("gemini:no-such")


def test_the_client_takes_such_a_name(embedder: Embedder) -> None:
    client = Client()
    try:
        found = client.models.embed_content(model=GEMINI, contents=["a cat", "purring"])
    finally:
        client.close()
    expected = embedder.embed(Content("a cat", "purring"))[0]  # one vector, as under Google's own name
    np.testing.assert_allclose(found.embeddings[0].values, expected, atol=1e-5)
    assert len(found.embeddings) == 1


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "library"
    folder.mkdir()
    (folder / "bike.webp").write_bytes(media_samples.picture("webp"))
    (folder / "tone.wav").write_bytes(media_samples.sound("wav", media_samples.tone(2.0)))
    (folder / "film.mp4").write_bytes(media_samples.video("mp4", 2))
    (folder / "report.pdf").write_bytes(media_samples.pdf(["a page of text", "another"]))
    (folder / "cat.txt").write_text("a cat purring", encoding="utf-8")
    return folder


def test_a_collection_is_made_opened_and_searched(name: str, library: Path, tmp_path: Path) -> None:
    with Collection.open(tmp_path / "c.onesense", model=name, dim=256) as collection:
        report = collection.add([library])
        reads_media = len(collection.info.model) > 0 and not name.endswith("#tiny")
        assert len(report.added) == (5 if reads_media else 1)
        assert {f.code for f in report.failed} == (set() if reads_media else {"unsupported_modality"})
    with Collection.open(tmp_path / "c.onesense") as again:  # its name is kept with it
        assert again.search("a cat purring", k=1)[0].path.endswith("cat.txt")


def test_a_collection_can_be_read_while_the_server_is_down(library: Path, tmp_path: Path) -> None:
    with running(tmp_path / "server") as url:
        with Collection.open(tmp_path / "c.onesense", model=f"{url}/v1#tiny", dim=64) as collection:
            collection.add([library / "cat.txt"])
    models.close()
    with Collection.open(tmp_path / "c.onesense") as again:
        assert again.count() == 1


def test_a_service_that_fails_stops_indexing_and_keeps_what_is_there(
    library: Path, tmp_path: Path, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", base)
    with Collection.open(tmp_path / "c.onesense", model=GEMINI, dim=64) as collection:
        with pytest.raises(errors.BadKey):
            collection.add([library])
        assert collection.count() == 0
        monkeypatch.setenv("GEMINI_API_KEY", "ann-secret")
        models.close()
        assert len(collection.add([library]).added) == 5


def run(*args: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(args))
    return result.exit_code, result.output


def test_a_dry_run_sends_nothing_and_tells_the_price(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:9")  # nobody listens there
    to = str(tmp_path / "dry.onesense")
    code, said = run("index", str(library), "--to", to, "--dry-run", "--json", "--model", GEMINI)
    assert code == 0, said
    plan = json.loads(said)
    least = {"audio": 50, "image": 258, "pdf": 2 * 258, "text": 4, "video": 2 * 66}
    assert plan["tokens"].keys() == least.keys()
    assert all(n <= plan["tokens"][name] < 1.6 * n for name, n in least.items())
    price = {"text": 0.20, "image": 0.45, "audio": 6.50, "video": 12.00, "pdf": 0.45}
    assert plan["usd"] == pytest.approx(sum(n * price[name] / 1e6 for name, n in plan["tokens"].items()))
    assert plan["price"]["as_of"] and plan["price"]["source"].startswith("https://ai.google.dev/")
    assert plan["by_modality"]["pdf"]["n_segments"] == 2
    assert not (tmp_path / "dry.onesense").exists()

    every = ",".join(f"{name}=1000" for name in price)
    code, said = run("index", str(library), "--to", to, "--dry-run", "--model", GEMINI, "--price", every)
    assert code == 0 and f"about ${sum(plan['tokens'].values()) / 1_000:,.2f} by the prices given" in said
    code, said = run("index", str(library), "--to", to, "--dry-run", "--model", GEMINI, "--price", "text=1")
    assert code == 0 and "no price is known here for audio, image, pdf, video" in said
    monkeypatch.delenv("GEMINI_API_KEY")
    models.close()
    assert run("index", str(library), "--to", to, "--dry-run", "--model", GEMINI)[0] == 2


@pytest.mark.parametrize("price", ["text", "text=x", "text=-1", "=1", "text=inf", "text=nan", ","])
def test_a_price_that_is_none(price: str, library: Path, tmp_path: Path) -> None:
    code, said = run("index", str(library), "--to", str(tmp_path / "x"), "--dry-run", "--price", price)
    assert code == 2, said


def test_models_tells_about_them(url: str) -> None:
    code, said = run("models", GEMINI, "--json")
    assert code == 0 and json.loads(said)["is_remote"] is True
    assert json.loads(run("models", f"{url}/v1#tiny", "--json")[1])["name"] == f"{url}/v1#tiny,width=3072"
    assert GEMINI in run("models")[1]


def test_a_server_may_stand_before_a_service(tmp_path: Path, embedder: Embedder) -> None:
    with running(tmp_path / "front", models=(GEMINI,)) as front:
        with genai.Client(api_key="any key", http_options={"base_url": front}) as client:
            answer = client.models.embed_content(model="gemini-embedding-2", contents="a cat")
        np.testing.assert_allclose(answer.embeddings[0].values, embedder.embed("a cat")[0], atol=1e-5)
        body = {"model": GEMINI, "input": "a cat"}
        assert PLAIN.post(f"{front}/v1/embeddings", json=body).status_code == 200
        named = PLAIN.post(f"{front}/v1beta/models/{GEMINI}:embedContent", json={"content": {"parts": [{"text": "a"}]}})
        assert named.status_code == 200, named.text
