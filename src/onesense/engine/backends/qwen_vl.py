"""`qwen3-vl-embedding-2b` and `-8b`, or `qwen-vl:FOLDER`: Qwen3-VL-Embedding; text, pictures, video, interleaved.

The task is an instruction in the system message; the vector is the last token of the message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ._torch.checkpoint import Checkpoint


class Backend(Checkpoint):
    """A checkpoint of Qwen3-VL, read without its language-model head."""

    family = "qwen_vl"
    architecture = "Qwen3VLModel"
    model_type = "qwen3_vl"
    unread = r"^lm_head\."
    forward_options: ClassVar[Mapping[str, Any]] = {"use_cache": False}
