"""Discovery by file name and by entry point."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

import pytest

from onesense import plugins
from onesense.errors import NotFound, PluginError


@dataclass
class Point:
    name: str
    value: str


def _points(monkeypatch: pytest.MonkeyPatch, *points: Point) -> None:
    monkeypatch.setattr(plugins, "entry_points", lambda group: points if group == "onesense.backends" else ())


def test_built_ins_are_the_files_of_the_folder_and_hidden_ones_are_skipped() -> None:
    found = plugins.names("backends")
    assert found["tiny"] == "onesense.engine.backends.tiny"
    assert not [name for name in found if name.startswith("_")]


def test_helpers_of_the_media_room_are_no_modalities() -> None:
    assert not {"sniff", "fetch", "sandbox", "segment"} & set(plugins.names("modalities"))


def test_listing_imports_nothing() -> None:
    script = "import sys; from onesense import plugins; plugins.names('backends'); print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not [name for name in out if name.startswith("onesense.engine")]


def test_a_plug_in_is_loaded_by_name() -> None:
    assert plugins.load("backends", "tiny").info.name == "tiny"


@pytest.mark.parametrize(("kind", "word"), [("backends", "backend"), ("modalities", "modality"), ("stores", "store")])
def test_an_unknown_name_is_refused_in_the_words_of_its_kind(kind: str, word: str) -> None:
    with pytest.raises(NotFound, match=f"no {word} is called `nothing`"):
        plugins.load(kind, "nothing")


def test_an_outside_plug_in_is_found_by_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    _points(monkeypatch, Point("mine", "onesense.engine.backends.tiny:Backend"))
    assert plugins.load("backends", "mine").info.name == "tiny"


def test_two_plug_ins_of_one_name_are_an_error_that_names_both(monkeypatch: pytest.MonkeyPatch) -> None:
    _points(monkeypatch, Point("tiny", "their_package:Backend"))
    with pytest.raises(PluginError, match=r"onesense\.engine\.backends\.tiny and their_package:Backend"):
        plugins.names("backends")


@pytest.mark.parametrize(
    ("target", "reason"),
    [("no_such_package", "No module named"), ("onesense.engine.backends.tiny:Nothing", "Nothing")],
)
def test_a_plug_in_that_does_not_load_says_why(monkeypatch: pytest.MonkeyPatch, target: str, reason: str) -> None:
    _points(monkeypatch, Point("broken", target))
    with pytest.raises(PluginError, match=reason):
        plugins.load("backends", "broken")


@pytest.mark.parametrize("source", ["def broken(:", "raise RuntimeError('library does not load')", "1 / None"])
def test_a_plug_in_whose_file_is_broken_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path, source: str) -> None:  # type: ignore[no-untyped-def]
    name = f"broken_plugin_{abs(hash(source))}"
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    _points(monkeypatch, Point("broken", name))
    with pytest.raises(PluginError, match=r"`broken`.*does not load"):
        plugins.load("backends", "broken")
