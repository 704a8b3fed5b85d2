"""For backends: the parts of a content, decoded to canonical media and checked against what the model can read."""

from __future__ import annotations

from dataclasses import replace

from onesense import media
from onesense.errors import UnsupportedModality
from onesense.types import LIMITS, Content, Decoded, Limits, ModelInfo, Part


def limits(info: ModelInfo) -> Limits:
    """How large media are decoded for this model."""
    return replace(LIMITS, image_side=info.image_side)


def decode(content: Content, info: ModelInfo) -> list[tuple[str, Decoded]]:
    """Decode every part.

    Args:
        content: what `Backend.prepare` was given.
        info: record of the model that will read it.

    Returns:
        (modality name, canonical value) a part, in order.

    Raises:
        UnsupportedModality: the model has no sense for a part's modality.
        InvalidInput: a part cannot be decoded; subclasses say why.
    """
    return [_decode_part(part, info) for part in content.parts]


def _decode_part(part: Part, info: ModelInfo) -> tuple[str, Decoded]:
    modality, value = media.decode(part, limits(info))
    if modality not in info.modalities:
        senses = ", ".join(sorted(info.modalities))
        raise UnsupportedModality(f"`{info.name}` has no sense for {modality}: it reads {senses}; choose another model")
    return modality, value
