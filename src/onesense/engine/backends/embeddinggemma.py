"""`embeddinggemma-2`, or `embeddinggemma:FOLDER`: Google's EmbeddingGemma 2, all modalities, interleaved.

Prompts are Gemini's. The vector is the mean of all tokens, the prompt's too. fp16 gives NaN and is refused.
"""

from __future__ import annotations

from collections.abc import Sequence

from ._torch.checkpoint import Checkpoint
from ._torch.message import Bounds, Item, samples_of


class Backend(Checkpoint):
    """A checkpoint of `EmbeddingGemma2Model`, whole or without its picture or sound tower."""

    family = "embeddinggemma"
    architecture = "EmbeddingGemma2Model"
    model_type = "embedding_gemma2"

    def render(self, items: Sequence[Item], instruction: str | None) -> str:
        """Text and placeholders, one after the other, as its template lays them out between <bos> and <eos>."""
        marks = {kind: getattr(self._processor, f"{kind}_token") for kind in ("image", "video", "audio")}
        return "".join(marks.get(item.kind) or item.value for item in items)

    def bounds(self) -> Bounds:
        """Frames as its video processor says; sound as many tokens as the processor reads, and the tower's window."""
        longest_s = self._processor.audio_seq_length * self._processor.audio_ms_per_token / 1_000
        return Bounds(super().bounds().n_frames, samples_of(longest_s))
