"""`onesense explain` and `onesense models` tell what a text layer reads and what it needs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as pil
from typer.testing import CliRunner

from onesense.cli.main import app
from onesense.engine import models
from onesense.engine.backends._mini import ocr
from onesense.engine.backends._mini.layers import LAYERS, Layer
from onesense.engine.backends._mini.written import Line
from onesense.errors import NotFound


@pytest.fixture(autouse=True)
def _unloaded() -> Iterator[None]:
    yield
    models.close()


def _says(*texts: str) -> Layer:
    return Layer("the words in pictures [ocr]", lambda: "fake", lambda threads: lambda medium: [Line(t) for t in texts])


def _explain(folder: Path) -> str:
    file = folder / "sign.png"
    pil.fromarray(np.arange(48 * 64 * 3, dtype=np.uint8).reshape(48, 64, 3)).save(file)
    result = CliRunner().invoke(app, ["explain", str(file), "--model", "onesense-mini+ocr", "--json"])
    assert result.exit_code == 0, result.output
    (stage,) = (s for s in json.loads(result.stdout)["stages"] if s["name"] == "onesense-mini+ocr.prepare")
    return str(stage["details"][1])


def test_explain_shows_what_was_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(LAYERS, "ocr", _says("closed on", "Mondays"))
    line = _explain(tmp_path)
    assert line.startswith("ocr in ") and " ms, " in line
    assert line.endswith(" tokens: closed on Mondays")


def test_explain_says_that_there_were_no_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(LAYERS, "ocr", _says())
    assert _explain(tmp_path).endswith("no words")


def test_models_lists_layers_with_what_they_lack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocr, "find_spec", lambda package: None)
    listed = json.loads(CliRunner().invoke(app, ["models", "--json"]).stdout)["models"]
    errors = {entry["name"]: entry["error"] for entry in listed}
    assert errors["onesense-mini"] is None
    assert "pip install 'onesense[ocr]'" in errors["onesense-mini+ocr"]
    assert "onesense-mini+ocr+transcribe" in errors


def test_an_unknown_layer_is_told_in_a_line() -> None:
    result = CliRunner().invoke(app, ["models", "onesense-mini+voice"])
    assert isinstance(result.exception, (SystemExit, NotFound))
    assert result.exit_code
