"""`import onesense` is free."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import onesense

HEAVY = {"torch", "onnxruntime", "lancedb", "numpy", "PIL", "av", "pypdfium2", "tokenizers", "google", "asyncio"}
PROBE = """
import json, sys, time
before = time.process_time()
import onesense
spent_s = time.process_time() - before
print(json.dumps([spent_s, sorted({name.split(".")[0] for name in sys.modules})]))
"""


def _probe() -> tuple[float, set[str]]:
    out = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True).stdout
    spent_s, names = json.loads(out)
    return spent_s, set(names)


def test_import_loads_nothing_heavy_and_takes_under_200_ms() -> None:
    runs = [_probe() for _ in range(3)]
    assert not HEAVY & runs[0][1]
    assert min(spent_s for spent_s, _ in runs) < 0.2  # CPU time, best of three: other work on the machine is not ours


def test_client_and_embedder_load_neither_torch_nor_onnxruntime_nor_media_libraries() -> None:
    script = "import onesense, sys; onesense.Client; onesense.Embedder('tiny').embed('a'); print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not (HEAVY - {"numpy", "asyncio"}) & {name.split(".")[0] for name in out}


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Embeder"):
        onesense.Embeder  # noqa: B018


def test_public_names_are_listed() -> None:
    assert {"Client", "Embedder", "Collection", "Content", "Part"} <= set(dir(onesense))
