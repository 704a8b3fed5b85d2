"""Models are downloaded from a hub, resumed, checked, found again and removed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from hub_server import COMMIT, Hub, running_hub
from onesense.engine import pull as module
from onesense.engine import records, shelf
from onesense.engine.pull import pull
from onesense.errors import CorruptData, InvalidInput, NotFound, StorageFull, Unavailable

pytest.importorskip("huggingface_hub")

_HEADER = json.dumps({"w": {"dtype": "F32", "shape": [60_000], "data_offsets": [0, 240_000]}}).encode()
WEIGHTS = len(_HEADER).to_bytes(8, "little") + _HEADER + bytes(range(240)) * 1_000
FILES = {
    "config.json": b'{"model_type": "bert"}',
    "modules.json": b"[]",
    "1_Pooling/config.json": b"{}",
    "model.safetensors": WEIGHTS,
    "LICENSE": b"Apache-2.0",
    "pytorch_model.bin": b"pickled",
    "modeling_own.py": b"print('hello')",
    "onnx/model.onnx": b"x",
}
WANTED = {"config.json", "modules.json", "1_Pooling/config.json", "model.safetensors", "LICENSE"}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, _clean_environment: Path) -> Iterator[Hub]:
    with running_hub(FILES) as found:
        monkeypatch.setenv("HF_ENDPOINT", found.url)
        monkeypatch.setenv("ONESENSE_MODELS", str(tmp_path / "models"))
        monkeypatch.setattr("huggingface_hub.utils.tqdm.disabled", True, raising=False)
        yield found


def test_what_is_downloaded_is_whole_and_holds_nothing_that_runs(hub: Hub) -> None:
    manifest = pull("maker/model")
    assert manifest.revision == COMMIT
    assert set(manifest.files) == WANTED
    there = {p.relative_to(shelf.folder("model")).as_posix() for p in shelf.folder("model").rglob("*") if p.is_file()}
    assert there == {*WANTED, shelf.MANIFEST}
    assert shelf.read_manifest("model") == manifest
    assert shelf.names() == ["model"]
    assert list(shelf.faults("model")) == []


def test_a_second_pull_downloads_nothing(hub: Hub) -> None:
    first = pull("maker/model")
    n_requests = len(hub.requests)
    assert pull("maker/model") == pull("maker/model", revision=COMMIT, is_offline=True) == first
    assert len(hub.requests) == n_requests


def _asked_for(hub: Hub, name: str) -> list[int]:
    """First byte of each request for a file."""
    ranges = [asked for method, path, asked in hub.requests if method == "GET" and path.endswith(name)]
    return [int(asked.removeprefix("bytes=").split("-")[0] or 0) for asked in ranges]


def test_a_connection_that_broke_goes_on_at_its_byte(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 4_096)
    hub.break_after = 20_000
    pull("maker/model")
    assert list(shelf.faults("model")) == []
    assert [at > 0 for at in _asked_for(hub, "model.safetensors")] == [False, True]


def test_a_pull_that_ended_early_goes_on_with_the_missing_files(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    hub.break_after, hub.n_breaks = 20_000, 30
    with pytest.raises(Unavailable, match="pull again"):
        pull("maker/model")
    assert not shelf.is_here("model")
    hub.n_breaks = 0
    hub.requests.clear()
    pull("maker/model")
    assert list(shelf.faults("model")) == []
    assert _asked_for(hub, "modules.json") == [] and _asked_for(hub, "model.safetensors") == [0]


def test_another_file_than_the_hub_promised_is_refused(hub: Hub) -> None:
    hub.lies = True
    with pytest.raises((CorruptData, Unavailable)):
        pull("maker/model")
    assert not shelf.is_here("model")
    hub.lies = False
    assert pull("maker/model").n_bytes == sum(len(FILES[name]) for name in WANTED)


def test_what_is_damaged_later_is_found_and_mended(hub: Hub) -> None:
    pull("maker/model")
    file = shelf.folder("model") / "model.safetensors"
    file.write_bytes(WEIGHTS[:-1] + b"?")
    (shelf.folder("model") / "LICENSE").unlink()
    assert list(shelf.faults("model")) == [
        "`LICENSE` is missing",
        "`model.safetensors` has another content than was downloaded",
    ]
    pull("maker/model")
    assert list(shelf.faults("model")) == []


def test_a_disk_that_is_too_small_is_told_before_the_download(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1_000))
    with pytest.raises(StorageFull, match="ONESENSE_MODELS"):
        pull("maker/model")
    assert not [path for _, path, _ in hub.requests if "/resolve/" in path]


def test_what_the_hub_does_not_have_is_told(hub: Hub) -> None:
    with pytest.raises(NotFound, match="the hub shows no `maker/other`"):
        pull("maker/other")
    with pytest.raises(NotFound, match="no revision `v9`"):
        pull("maker/model", revision="v9")
    with pytest.raises(NotFound, match="no open checkpoint is called `model`"):
        pull("model")
    with pytest.raises(NotFound):
        pull("a/b/c")


def test_a_hub_that_is_away_is_told(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(Unavailable, match="broke off"):
        pull("maker/model")


def test_offline_touches_no_network(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unavailable, match="offline"):
        pull("maker/model", is_offline=True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(Unavailable, match="offline"):
        pull("maker/model")
    assert hub.requests == []


def test_strict_wants_a_commit(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInput, match="no commit is pinned"):
        pull("maker/model", is_strict=True)
    assert pull("maker/model", revision=COMMIT, is_strict=True).revision == COMMIT


def test_pickled_weights_alone_are_not_downloaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    files = {name: data for name, data in FILES.items() if not name.endswith("safetensors")}
    with running_hub(files) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("ONESENSE_MODELS", str(tmp_path))
        with pytest.raises(InvalidInput, match="no safetensors"):
            pull("maker/model")


def test_a_record_is_pulled_under_its_own_name(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    record = replace(records.read("embeddinggemma-2"), repository="maker/model", revision=COMMIT)
    monkeypatch.setattr(module.records, "read", lambda name: record)
    assert pull("embeddinggemma-2", is_strict=True).name == "embeddinggemma-2"
    assert shelf.is_here("embeddinggemma-2")


def test_a_model_is_removed_with_what_a_broken_download_left(hub: Hub) -> None:
    pull("maker/model")
    assert shelf.remove("model") > len(WEIGHTS)
    assert shelf.names() == []
    with pytest.raises(NotFound):
        shelf.remove("model")
    (shelf.root() / "half").mkdir()
    (shelf.root() / "half" / "config.json").write_bytes(b"{}")
    assert shelf.remove("half") == 2


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc"])
def test_no_name_leads_out_of_the_folder_of_models(name: str, hub: Hub) -> None:
    with pytest.raises(InvalidInput):
        shelf.remove(name)


def test_a_manifest_that_cannot_be_read_is_told(hub: Hub) -> None:
    pull("maker/model")
    manifest = shelf.folder("model") / shelf.MANIFEST
    for broken in ("{", "[]", '{"format": "other"}', json.dumps({"format": shelf.FORMAT, "nonsense": 1})):
        manifest.write_text(broken)
        with pytest.raises(CorruptData):
            shelf.read_manifest("model")
