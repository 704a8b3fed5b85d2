"""For backends: the parts of a content, decoded to canonical media and checked against what the model can read."""

from __future__ import annotations

from pathlib import Path

from onesense.errors import UnsupportedModality
from onesense.types import Audio, Content, Decoded, Document, Image, ModelInfo, Page, Part, Video

_KINDS = {str: "text", Image: "image", Audio: "audio", Video: "video", Page: "pdf", Document: "pdf"}


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
    modality, value = _canonical(part)
    if modality not in info.modalities:
        senses = ", ".join(sorted(info.modalities))
        raise UnsupportedModality(f"`{info.name}` has no sense for {modality}: it reads {senses}; choose another model")
    return modality, value


def _canonical(part: Part) -> tuple[str, Decoded]:
    """A medium that is canonical already stays as it is; files, bytes and stretches are the media room's."""
    is_whole = (part.start_s, part.end_s, part.fps, part.pages) == (None, None, None, None)
    if is_whole and not isinstance(part.value, (bytes, Path)):
        return _KINDS[type(part.value)], part.value
    from onesense import media

    found: tuple[str, Decoded] = media.decode(part)
    return found
