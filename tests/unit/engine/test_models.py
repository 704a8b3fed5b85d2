"""Names to models, and one loaded copy of each."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from onesense import plugins
from onesense.engine import models
from onesense.engine.backends import tiny
from onesense.errors import BackendError, NotFound, OnesenseError, PluginError
from onesense.types import ModelInfo


@pytest.fixture(autouse=True)
def _unloaded() -> Iterator[None]:
    models.close()
    yield
    models.close()


def _install(monkeypatch: pytest.MonkeyPatch, **backends: object) -> None:
    """Backends by plug-in name, as if their files lay in the folder."""
    monkeypatch.setattr(plugins, "names", lambda kind: {name: f"test.{name}" for name in backends})
    monkeypatch.setattr(plugins, "load", lambda kind, name: backends[name])


@dataclass
class Slow(tiny.Backend):
    n_made = 0
    n_closed = 0

    def __init__(self) -> None:
        Slow.n_made += 1
        time.sleep(0.05)

    def close(self) -> None:
        Slow.n_closed += 1


@pytest.mark.parametrize("name", ["tiny", "models/tiny", " tiny "])
def test_a_name_gives_the_one_loaded_model(name: str) -> None:
    assert models.resolve(name) is models.resolve("tiny")


def test_dash_and_underscore_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    _install(monkeypatch, my_model=tiny.Backend)
    assert models.resolve("my-model") is models.resolve("my_model")


@pytest.mark.parametrize("name", ["nothing", "", "gemini-embedding-2", "../tiny", "tiny.py"])
def test_an_unknown_name_lists_what_there_is(name: str) -> None:
    with pytest.raises(NotFound, match=r"there are .*`tiny`"):
        models.resolve(name)
    with pytest.raises(NotFound):
        models.info(name)


def test_two_files_for_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _install(monkeypatch, **{"my_model": tiny.Backend, "my-model": tiny.Backend})
    with pytest.raises(PluginError, match="could be any of"):
        models.resolve("my-model")


def test_many_threads_load_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    _install(monkeypatch, slow=Slow)
    Slow.n_made = Slow.n_closed = 0
    threads = [threading.Thread(target=models.resolve, args=("slow",)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Slow.n_made == 1
    models.close()
    models.close()
    assert Slow.n_closed == 1
    models.resolve("slow")
    assert Slow.n_made == 2


def test_records_are_read_without_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny.Backend, "__init__", lambda self: pytest.fail("weights were loaded"))
    assert models.info("tiny").dim == 3072
    assert "tiny" in [info.name for info in models.list_models()]


def test_a_broken_plug_in_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    _install(monkeypatch, bad_one=object, tiny=tiny.Backend)
    found = models.survey()
    assert isinstance(found["tiny"], ModelInfo)
    assert isinstance(found["bad-one"], OnesenseError)
    assert "info" in str(found["bad-one"])
    assert [info.name for info in models.list_models()] == ["tiny"]


def test_weights_that_do_not_load_say_so_and_are_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(tiny.Backend):
        def __init__(self) -> None:
            raise RuntimeError("protobuf is damaged")

    _install(monkeypatch, broken=Broken)
    with pytest.raises(BackendError, match="`broken` failed while loading its weights: RuntimeError: protobuf"):
        models.resolve("broken")
    _install(monkeypatch, broken=tiny.Backend)
    assert models.resolve("broken").info.name == "tiny"
