"""The bundled model gives the vectors that it gave when its weights were committed (`make golden` renews them)."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

MAKE = Path(__file__).parents[2] / "golden" / "make.py"


@pytest.fixture(scope="module")
def golden():
    spec = importlib.util.spec_from_file_location("golden_make", MAKE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_vectors_are_those_on_record(golden):
    vectors = golden.embed()
    with np.load(golden.FILE) as stored:
        assert set(stored.files) == set(vectors)
        for name, vector in vectors.items():
            assert vector.shape == (3072,) and abs(float(np.linalg.norm(vector)) - 1) < 1e-5
            old = stored[name].astype(np.float32)
            assert float(vector @ old / np.linalg.norm(old)) > 0.999, name
