"""Items of unequal length as one batch of tensors, and token vectors as one vector an item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_SEQUENCES = ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids")
"""Tensors [1, L]; the first is padded with the tokeniser's padding token, the others with 0."""


def collate(items: Sequence[Mapping[str, Any]], pad_id: int, side: str = "right") -> dict[str, Any]:
    """Pad sequences, and lay pictures, frames and sounds one after the other in the order of the items.

    Args:
        items: what a processor made of each content, batch axis 1.
        pad_id: padding token.
        side: where the padding goes; a right model gives the same vectors for either.

    Returns:
        Tensors by name; `input_ids` and `attention_mask` int64 [B, L].
    """
    import torch

    found: dict[str, Any] = {}
    for name in dict.fromkeys(key for item in items for key in item):
        tensors = [item[name] for item in items if name in item]
        if name in _SEQUENCES:
            found[name] = _pad_sequences(tensors, pad_id if name == "input_ids" else 0, side)
        else:
            found[name] = torch.cat(_same_shape(tensors, -1 if name.endswith("position_ids") else 0))
    return found


def _pad_sequences(tensors: Sequence[Any], value: int, side: str) -> Any:
    import torch

    longest = max(t.shape[-1] for t in tensors)
    gaps = [longest - t.shape[-1] for t in tensors]
    pads = [(gap, 0) if side == "left" else (0, gap) for gap in gaps]
    return torch.cat([torch.nn.functional.pad(t, pad, value=value) for t, pad in zip(tensors, pads, strict=True)])


def _same_shape(tensors: Sequence[Any], value: int) -> list[Any]:
    """Pad every axis but the first to the largest: sounds of unequal length; their mask tells what is padding."""
    import torch

    largest = [max(sizes) for sizes in zip(*(t.shape[1:] for t in tensors), strict=True)]
    padded = []
    for tensor in tensors:
        gaps = [most - size for most, size in zip(largest, tensor.shape[1:], strict=True)]
        padded.append(torch.nn.functional.pad(tensor, [n for gap in reversed(gaps) for n in (0, gap)], value=value))
    return padded


def pool(tokens: Any, attention_mask: Any, how: str) -> Any:
    """Float32 [B, D]: the mean of an item's tokens, or its last one; padding counts nowhere.

    Args:
        tokens: [B, L, D] of any dtype.
        attention_mask: int [B, L], 1 for a token.
        how: `mean` or `last`.
    """
    import torch

    tokens = tokens.float()
    if how == "last":
        places = torch.arange(attention_mask.shape[1], device=attention_mask.device)
        last = (attention_mask * places).argmax(1)  # [B], whichever side the padding is on
        return tokens[torch.arange(len(tokens), device=tokens.device), last]
    mask = attention_mask.unsqueeze(-1).float()  # [B, L, 1]
    return (tokens * mask).sum(1) / mask.sum(1)
