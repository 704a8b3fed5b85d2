"""Write the golden vectors of the bundled model: `make golden`. Prints the cosine of old and new; review the diff."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from onesense import Content, Embedder
from onesense.engine import conformance, models

FILE = Path(__file__).parent / "onesense_mini.npz"


def inputs() -> dict[str, Content]:
    """Inputs made by code, one or more a modality; the same on every machine."""
    return conformance.probes(models.info("onesense-mini"))


def embed() -> dict[str, np.ndarray]:
    """Name -> float32 [3072]."""
    made = inputs()
    return dict(zip(made, Embedder("onesense-mini").embed(list(made.values())), strict=True))


def main() -> None:
    """Compare with what is there, then replace it."""
    new = embed()
    if FILE.is_file():
        with np.load(FILE) as old:
            for name, vector in new.items():
                found = f"{float(old[name].astype(np.float32) @ vector):.6f}" if name in old.files else "new"
                sys.stdout.write(f"{name:10} {found}\n")
    for model in ("onesense-mini", "tiny"):  # what `onesense models verify` compares with
        conformance.make_reference(model, conformance.BUNDLED / f"{model}.npz")
    np.savez(FILE, **{name: vector.astype(np.float16) for name, vector in new.items()})


if __name__ == "__main__":
    main()
