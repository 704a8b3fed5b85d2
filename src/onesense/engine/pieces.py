"""For backends: the parts of a content, decoded to canonical media and checked against what the model can read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from onesense import media
from onesense.errors import UnsupportedModality
from onesense.types import LIMITS, Content, Decoded, Limits, ModelInfo, Part

if TYPE_CHECKING:
    from onesense.media.sandbox import Sandbox


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
    return [_readable(media.decode(part, limits(info)), info) for part in content.parts]


def decoded(content: Content, info: ModelInfo, sandbox: Sandbox) -> Content:
    """The same content with its encoded parts in canonical form, read in another process.

    Raises as `decode`, and what `Sandbox.run` raises.
    """
    parts = (_decoded_part(part, info, sandbox) for part in content.parts)
    return Content(*parts, title=content.title, instruction=content.instruction)


def _decoded_part(part: Part, info: ModelInfo, sandbox: Sandbox) -> Part:
    if not isinstance(part.value, (bytes, Path)):
        return part
    modality, value = _readable(sandbox.run(media.decode, part, limits(info)), info)
    # A plug-in may read its files into another modality's form: `decode` has to see the file then.
    return Part(value) if media.native(value) == modality else part


def _readable(found: tuple[str, Decoded], info: ModelInfo) -> tuple[str, Decoded]:
    modality, value = found
    if modality not in info.modalities:
        senses = ", ".join(sorted(info.modalities))
        raise UnsupportedModality(f"`{info.name}` has no sense for {modality}: it reads {senses}; choose another model")
    return modality, value
