"""Two-part uploads read as they come: a little JSON about a file, then the file, which is never held whole."""

from __future__ import annotations

from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from ..errors import MalformedRequest

MAX_METADATA_BYTES = 1 << 16


class TwoParts:
    """Takes apart `multipart/related`, and the `multipart/form-data` of `curl -F`, piece by piece.

    A part of type JSON, or of the form name `metadata`, before the file is its metadata.

    Args:
        content_type: the header of the request, with its boundary.

    Raises:
        MalformedRequest: there is no boundary, or one that is too long.
    """

    def __init__(self, content_type: str) -> None:
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if not boundary:
            raise MalformedRequest("the Content-Type of a multipart upload names no `boundary`")
        self.metadata = bytearray()
        self.media_type: str | None = None
        """Of the file; None before it begins, '' where it is not declared."""
        self.is_complete = False
        """Whether the file came to its end."""
        self._pieces: list[bytes] = []
        self._name, self._value = bytearray(), bytearray()
        self._headers: dict[str, str] = {}
        self._in_media = False
        callbacks: Any = {
            "on_part_begin": self._begin_part,
            "on_header_field": lambda data, start, end: self._name.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": self._take,
            "on_part_end": self._end_part,
        }
        try:
            self._parser = MultipartParser(boundary, callbacks)
        except FormParserError as cause:
            raise MalformedRequest(f"the `boundary` of a multipart upload cannot be used: {cause}") from cause

    def feed(self, piece: bytes) -> bytes:
        """Read on.

        Returns:
            The bytes of the file that were in this piece.

        Raises:
            MalformedRequest: it is no multipart, has two files, or endless metadata.
        """
        try:
            self._parser.write(piece)
        except FormParserError as cause:
            raise MalformedRequest(f"the multipart body cannot be read: {cause}") from cause
        came = b"".join(self._pieces)
        self._pieces.clear()
        return came

    def _begin_part(self) -> None:
        self._headers = {}

    def _end_header(self) -> None:
        self._headers[self._name.decode("latin-1").lower()] = self._value.decode("latin-1")
        self._name.clear()
        self._value.clear()

    def _end_headers(self) -> None:
        kind = self._headers.get("content-type", "")
        name = parse_options_header(self._headers.get("content-disposition"))[1].get(b"name")
        is_metadata = name == b"metadata" or (kind.startswith("application/json") and name is None)
        self._in_media = not is_metadata or bool(self.metadata)
        if self._in_media:
            if self.media_type is not None:
                raise MalformedRequest("a multipart upload has one file: this one has two")
            self.media_type = kind

    def _take(self, data: bytes, start: int, end: int) -> None:
        if self._in_media:
            self._pieces.append(bytes(data[start:end]))
            return
        self.metadata += data[start:end]
        if len(self.metadata) > MAX_METADATA_BYTES:
            raise MalformedRequest(f"the metadata of an upload has at most {MAX_METADATA_BYTES:,} bytes")

    def _end_part(self) -> None:
        self.is_complete |= self._in_media
