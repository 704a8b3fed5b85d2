"""`wemm-embedding-2b`, `-4b` and `-9b`, or `wemm:FOLDER`: Tencent's WeMM-Embedding; text, pictures, video, interleaved.

Its chat template ends a message with the token `<embedding>`, whose vector is the content's. The checkpoint brings
Python files; the architecture is Qwen3.5's own, so none of them runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ...errors import CorruptData
from ._torch.checkpoint import Checkpoint
from ._torch.message import Item

END = "<embedding>"


class Backend(Checkpoint):
    """A checkpoint of Qwen3.5, read without its language-model and next-token heads."""

    family = "wemm"
    architecture = "Qwen3_5Model"
    model_type = "qwen3_5"
    unread = r"^(lm_head|mtp)\."
    is_prompting = False
    forward_options: ClassVar[Mapping[str, Any]] = {"use_cache": False}

    def render(self, items: Sequence[Item], instruction: str | None) -> str:
        """The message; refused where the template forgets the token that the model was trained to pool at."""
        rendered = super().render(items, instruction).rstrip("\n")
        if not rendered.endswith(END):
            raise CorruptData(f"the chat template of `{self.info.name}` does not end with `{END}`: download it again")
        return rendered
