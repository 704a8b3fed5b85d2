"""`lco-omni-7b`, or `lco-omni:FOLDER`: LCO-Embedding-Omni, the thinker of Qwen2.5-Omni; all modalities, interleaved.

Each message ends with the request that it was trained with, `Summarize the above image in one word:`; the vector is the
last token's. Its makers take 2 frames a second of a video, Onesense 1 unless `Part.fps` says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ._torch.checkpoint import Checkpoint
from ._torch.message import Item

_REQUEST = "\nSummarize the above{what} in one word:"


class Backend(Checkpoint):
    """A checkpoint of the thinker, without its head."""

    family = "lco_omni"
    architecture = "Qwen2_5OmniThinkerForConditionalGeneration"
    model_type = "qwen2_5_omni_thinker"
    forward_options: ClassVar[Mapping[str, Any]] = {"use_cache": False, "output_hidden_states": True}

    def trimmed(self, model: Any) -> Any:
        """The head gives 152,064 numbers a token that nobody reads."""
        from torch import nn

        model.lm_head = nn.Identity()
        return model

    def render(self, items: Sequence[Item], instruction: str | None) -> str:
        """The message with the request behind it; `the above` where there are several kinds."""
        kinds = {item.owner if item.kind in ("audio", "video") else item.kind for item in items}
        what = f" {kinds.pop()}" if len(kinds) == 1 else ""
        request = Item("text", _REQUEST.format(what=what), items[-1].owner)
        return super().render([*items, request], instruction)

    def media_options(self, items: Sequence[Item]) -> dict[str, Any]:
        """The frame rate, from which the places of frames in time are made."""
        films = [item.value for item in items if item.kind == "video"]
        return {"fps": films[0].fps} if films else {}

    def token_vectors(self, outputs: Any) -> Any:
        """The last layer after its norm."""
        return outputs.hidden_states[-1]
