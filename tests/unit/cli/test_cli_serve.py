"""`onesense serve`: what its options become."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from onesense.cli.main import app
from onesense.server import run
from onesense.server.settings import Settings


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What would have been served."""
    found: dict[str, Any] = {}

    def serve(settings: Settings, **options: Any) -> None:
        found.update(options, settings=settings)
        options["on_start"]("http://127.0.0.1:1")

    monkeypatch.setattr(run, "serve", serve)
    return found


def call(*options: str, **environment: str) -> Any:
    return CliRunner().invoke(app, ["serve", "--model", "tiny", *options], env=environment)


def test_options_become_settings(served: dict[str, Any], tmp_path: Path) -> None:
    keys = tmp_path / "keys.toml"
    keys.write_text('[bob]\nkey = "bob\'s own secret"\n', encoding="utf-8")
    result = call(
        *("--alias", "mine=tiny", "--host", "0.0.0.0", "--port", "0", "--key-file", str(keys), "--honour-task-type"),
        *(
            "--limit",
            "max_batch_items=7",
            "--limit",
            "requests_per_min=5",
            "--fetch-host",
            "a.org",
            "--cache-items",
            "0",
        ),
        ONESENSE_API_KEYS="alice=alices-secret carol=carols-secret",
    )
    assert result.exit_code == 0, result.output
    settings = served["settings"]
    assert settings.models == ("tiny",)
    assert settings.names["mine"] == "tiny"
    assert [key.name for key in settings.keys] == ["bob", "alice", "carol"]
    assert (settings.limits.max_batch_items, settings.limits.requests_per_min) == (7, 5)
    assert (settings.urls.is_on, settings.urls.hosts) == (True, frozenset({"a.org"}))
    assert settings.honours_tasks
    assert served["tls"] is None


def test_the_address_is_told_to_people_and_to_programs(served: dict[str, Any]) -> None:
    assert "tiny at http://127.0.0.1:1" in call().stderr
    told = json.loads(call("--json").stdout)
    assert told["url"] == "http://127.0.0.1:1"
    assert told["names"]["gemini-embedding-2"] == "tiny"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--host", "0.0.0.0"], "there is no key"),
        (["--alias", "mine"], "not NAME=VALUE"),
        (["--alias", "mine=other"], "this server serves tiny"),
        (["--limit", "speed=5"], "there is no limit `speed`"),
        (["--limit", "max_waiting=many"], "a whole number above 0"),
        (["--limit", "max_waiting=0"], "a whole number above 0"),
        (["--api-key", "secret-without-name"], "key 1 is not NAME=SECRET"),
        (["--key-file", "nowhere.toml"], "cannot be read"),
        (["--tls-cert", "a.pem"], "belong together"),
        (["--log-level", "loud"], "--log-level is one of"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(served: dict[str, Any], options: list[str], said: str) -> None:
    result = call(*options)
    assert (result.exit_code, served) == (2, {})
    assert said in result.stderr
    assert "Traceback" not in result.output
    assert "secret" not in result.stderr.replace("NAME=SECRET", "")


def test_collections_and_folders_are_named_where_they_are(served: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "a.onesense").mkdir()
    options = ["--collection", str(tmp_path / "a.onesense"), "--media-root", str(tmp_path)]
    assert call(*options).exit_code == 0
    settings = served["settings"]
    assert (settings.collections, settings.media_roots) == ((tmp_path / "a.onesense",), (tmp_path,))


def test_a_collection_that_is_not_there_is_said(served: dict[str, Any]) -> None:
    result = call("--collection", "/no/such.onesense")
    assert result.exit_code != 0
    assert "/no/such.onesense" in result.stderr and "onesense index" in result.stderr
