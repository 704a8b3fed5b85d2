"""The trunk's two runtimes say the same, and the second takes over only when it does."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from onesense.engine.backends._mini import openvino_trunk, runtime
from onesense.engine.backends._mini.package import Package
from onesense.engine.backends._mini.runtime import SETTING, Trunk
from onesense.engine.backends._mini.words import WordTable
from onesense.errors import InvalidInput, MissingExtra

installed = pytest.mark.skipif(find_spec("openvino") is None, reason="the extra [openvino] is not installed")


@pytest.fixture(scope="module")
def batch() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    table = WordTable.open(Package())
    x = np.stack([table(random.integers(5, 50_000, 20)) for _ in range(4)]).astype(np.float32)
    mask = np.ones((4, 20), np.float32)
    mask[1, 12:] = mask[3, 3:] = 0
    return x, mask


def same(a: np.ndarray, b: np.ndarray) -> float:
    return float(((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min())


def test_an_unknown_runtime_is_refused_by_name(monkeypatch):
    monkeypatch.setenv(SETTING, "tensorrt")
    with pytest.raises(InvalidInput, match="auto, onnxruntime, openvino"):
        runtime.chosen()


def test_a_runtime_that_is_not_installed_names_its_extra(monkeypatch):
    monkeypatch.setenv(SETTING, "openvino")
    monkeypatch.setattr(runtime, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"onesense\[openvino\]"):
        Trunk(Package(), 1)


@installed
def test_openvino_answers_as_onnx_runtime_does(monkeypatch, batch):
    answers = {}
    for name in ("onnxruntime", "openvino"):
        monkeypatch.setenv(SETTING, name)
        trunk = Trunk(Package(), 1)
        assert trunk.runtime == name
        answers[name] = trunk(*batch)
    assert answers["openvino"].dtype == np.float32
    assert same(*answers.values()) > 0.9998


SILENT = """
import multiprocessing.process as process, socket, sys
def refuse(*_, **__): raise SystemExit("it reports home")
process.BaseProcess.start = socket.socket.connect = refuse
from onesense.engine.backends._mini.openvino_trunk import has_bf16, load
load()
has_bf16()
assert not [name for name in sys.modules if name.startswith("openvino_telemetry")]
"""


@installed
def test_openvino_is_imported_without_its_telemetry():
    subprocess.run([sys.executable, "-c", SILENT], check=True, timeout=60)


class Other:
    """A second runtime that turns the first one's answer by some angle."""

    def __init__(self, right: np.ndarray, noise: float) -> None:
        self.answer = right + noise * np.linalg.norm(right, axis=1, keepdims=True) * np.eye(len(right), right.shape[1])

    def run(self, x, mask):
        return [self.answer.astype(np.float32)]


@installed
@pytest.mark.parametrize(("noise", "expected"), [(0.0, "openvino"), (0.2, "onnxruntime")])
def test_auto_goes_over_after_some_work_and_only_if_the_answers_agree(monkeypatch, batch, noise, expected):
    monkeypatch.setenv(SETTING, "auto")
    monkeypatch.setattr(runtime, "SWITCH_TOKENS", 2 * batch[1].size)
    trunk = Trunk(Package(), 1)
    first = trunk(*batch)
    monkeypatch.setattr(runtime, "_openvino", lambda *_: Other(first, noise))
    monkeypatch.setattr(openvino_trunk, "has_bf16", lambda: True)
    assert trunk.runtime == "onnxruntime"
    trunk(*batch)
    assert trunk.runtime == expected
    assert same(trunk(*batch), first) > 0.999


def test_auto_stays_where_the_extra_is_not_installed(monkeypatch, batch):
    monkeypatch.delenv(SETTING, raising=False)
    monkeypatch.setattr(runtime, "find_spec", lambda _: None)
    monkeypatch.setattr(runtime, "SWITCH_TOKENS", 1)
    trunk = Trunk(Package(), 1)
    trunk(*batch)
    assert trunk.runtime == "onnxruntime"
