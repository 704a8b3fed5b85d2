"""The head of an ISO media file (MP4, MOV, HEIC, AVIF), which pictures, sound and video share."""

from __future__ import annotations


def ftyp_brands(head: bytes) -> list[bytes]:
    """The brands that a file declares, the main one first; none for another type of file.

    Source: ISO/IEC 14496-12, section 4.3.
    """
    if head[4:8] != b"ftyp":
        return []
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return [head[8:12], *(head[i : i + 4] for i in range(16, end - 3, 4))]
