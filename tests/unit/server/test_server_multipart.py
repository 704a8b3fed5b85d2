"""Multipart uploads, cut anywhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onesense.errors import MalformedRequest
from onesense.server.multipart import MAX_METADATA_BYTES, TwoParts

KIND = 'multipart/related; boundary="B B"'


def body(metadata: bytes, media: bytes) -> bytes:
    head = b"--B B\r\nContent-Type: application/json\r\n\r\n" + metadata + b"\r\n"
    return head + b"--B B\r\nContent-Type: image/png\r\n\r\n" + media + b"\r\n--B B--\r\n"


@given(st.binary(max_size=200), st.lists(st.integers(1, 60), max_size=20))
def test_the_pieces_of_a_body_do_not_matter(media: bytes, cuts: list[int]) -> None:
    media = media.replace(b"\r\n--B B", b"")
    whole = body(b'{"file":{}}', media)
    parts = TwoParts(KIND)
    came = b""
    for cut in [*cuts, len(whole)]:
        piece, whole = whole[:cut], whole[cut:]
        came += parts.feed(piece) if piece else b""
    assert came == media
    assert (bytes(parts.metadata), parts.media_type, parts.is_complete) == (b'{"file":{}}', "image/png", True)


def test_a_body_without_its_end_is_not_complete() -> None:
    parts = TwoParts(KIND)
    parts.feed(body(b"{}", b"abc")[:-8])
    assert not parts.is_complete


def test_endless_metadata_and_a_second_file_are_refused() -> None:
    with pytest.raises(MalformedRequest, match="at most"):
        TwoParts(KIND).feed(body(b" " * (MAX_METADATA_BYTES + 1), b""))
    with pytest.raises(MalformedRequest, match="has two"):
        TwoParts(KIND).feed(body(b"{}", b"x")[:-4] + b"\r\nContent-Type: image/png\r\n\r\ny\r\n--B B--\r\n")


@pytest.mark.parametrize(
    "kind",
    ["multipart/related", "multipart/related; boundary=", "", "text/plain", f"multipart/related; boundary={'x' * 300}"],
)
def test_a_type_without_a_boundary_is_refused(kind: str) -> None:
    with pytest.raises(MalformedRequest, match="boundary"):
        TwoParts(kind)
