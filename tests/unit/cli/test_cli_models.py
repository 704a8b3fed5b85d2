"""`onesense models`: list, info, pull, verify, remove, as typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hub_server import COMMIT, running_hub
from onesense.cli.main import app
from onesense.engine import models, records
from onesense.engine.backends import tiny


def run(*args: str) -> Any:
    return CliRunner().invoke(app, ["models", *args])


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, _clean_environment: Path) -> Any:
    monkeypatch.setenv("ONESENSE_MODELS", str(tmp_path / "models"))
    models.close()
    yield
    models.close()


@pytest.mark.parametrize("args", [(), ("list",)])
def test_the_list_has_what_can_be_used_and_why_others_cannot(args: tuple[str, ...]) -> None:
    found = json.loads(run(*args, "--json").output)["models"]
    errors = {entry["name"]: entry["error"] for entry in found}
    assert errors["onesense-mini"] is None
    assert "onesense models pull embeddinggemma-2" in errors["embeddinggemma-2"]
    assert "embeddinggemma-2" in run(*args).output


@pytest.mark.parametrize("args", [("tiny",), ("info", "tiny"), ("--json", "tiny"), ("tiny", "--json")])
def test_a_name_alone_tells_about_the_model(args: tuple[str, ...]) -> None:
    result = run(*args)
    assert result.exit_code == 0
    assert "seed-0" in result.output


@pytest.mark.parametrize("name", records.names())
def test_a_checkpoint_that_is_not_here_is_told_about_too(name: str) -> None:
    facts = json.loads(run("info", name, "--json").output)
    assert facts["state"].endswith(f"onesense models pull {name}")
    assert facts["revision"] == (records.read(name).revision or "not pinned yet")


def test_an_unknown_name_is_told() -> None:
    for verb in ("info", "verify", "pull", "remove"):
        result = run(verb, "nothing")
        assert result.exit_code == 2, verb
        assert "nothing" in result.stderr
    assert run("nothing").exit_code == 2


def test_a_model_comes_and_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    with running_hub({"config.json": b"{}", "model.safetensors": b"\2\0\0\0\0\0\0\0{}"}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        result = run("pull", "maker/model")
    assert result.exit_code == 0
    assert f"sentence-transformers:model: revision {COMMIT}" in result.output
    assert run("pull", "maker/model", "--offline", "--json").exit_code == 0
    assert json.loads(run("remove", "model", "--json").stdout)["bytes"] > 0
    assert run("remove", "model").exit_code == 2


def test_offline_and_strict_refuse() -> None:
    assert run("pull", "wemm-embedding-2b", "--offline").exit_code == 1
    result = run("pull", "wemm-embedding-2b", "--strict")
    assert result.exit_code == 2 and "no commit is pinned" in result.stderr


def test_verify_prints_what_was_compared_and_the_exact_prompts() -> None:
    result = run("verify", "tiny")
    assert result.exit_code == 0
    assert "vectors on record" in result.output and "'TEXT'" in result.output
    facts = json.loads(run("verify", "onesense-mini", "--json").stdout)
    assert facts["is_fine"] and facts["prompts"]["search query"] == "query: TEXT"


def test_verify_fails_where_vectors_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    embed = tiny.Backend.embed
    monkeypatch.setattr(tiny.Backend, "embed", lambda self, batch: embed(self, batch)[:, ::-1].copy())
    result = run("verify", "tiny")
    assert result.exit_code == 1 and "BROKEN" in result.output


def test_doctor_compares_the_bundled_model_and_looks_at_downloaded_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    from onesense.engine import shelf
    from onesense.engine.shelf import Manifest

    (shelf.root() / "half").mkdir(parents=True)
    shelf.write_manifest(Manifest("half", "maker/half", COMMIT, {"gone.safetensors": {"bytes": 1, "sha256": ""}}))
    result = CliRunner().invoke(app, ["doctor", "--json"])
    checks = {check["name"]: check for check in json.loads(result.stdout)["checks"]}
    assert checks["model onesense-mini: vectors on record"]["is_fine"]
    assert not checks["model half"]["is_fine"] and "gone.safetensors" in checks["model half"]["state"]
    assert result.exit_code == 1
