"""A modality of your own: Word documents. One file, one object `modality`.

Announce it in a package's pyproject.toml, and `onesense index` reads every `.docx` it meets, whatever the model:

    [project.entry-points."onesense.modalities"]
    docx = "docx:modality"

Its segments are texts, which every model senses. As a `Part` a whole document is for models that name `docx` in their
record.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

from onesense.errors import DecodeError, EmptyInput, TooLarge
from onesense.media import fetch, text
from onesense.types import LIMITS, Decoded, Limits, Part, Segment

WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
MIME = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


class Docx:
    """Word documents as text, a paragraph a line. Stateless, so any thread may use it."""

    name = "docx"
    mimes = frozenset({MIME})
    suffixes = frozenset({".docx"})

    def sniff(self, head: bytes) -> str | None:
        """A ZIP archive among whose first entries is the folder `word`."""
        return MIME if head.startswith(b"PK\x03\x04") and b"word/" in head else None

    def decode(self, source: bytes | Path, part: Part, limits: Limits = LIMITS) -> str:
        """The text of the document's body."""
        raw = fetch.read(source, limits.max_bytes)
        try:
            with zipfile.ZipFile(io.BytesIO(raw)) as archive:
                xml = archive.open("word/document.xml").read(limits.max_text_bytes + 1)  # a bomb stops here
            if len(xml) > limits.max_text_bytes:
                raise TooLarge(f"{fetch.label(source)} holds more than {limits.max_text_bytes:,} bytes of text")
            paragraphs = ElementTree.fromstring(xml).iter(f"{WORD}p")
        except (zipfile.BadZipFile, KeyError, EOFError, OSError, ValueError, ElementTree.ParseError) as cause:
            raise DecodeError(f"{fetch.label(source)} is no Word document that can be read: {cause}") from cause
        found = "\n\n".join("".join(run.text or "" for run in p.iter(f"{WORD}t")) for p in paragraphs).strip()
        if not found:
            raise EmptyInput(f"{fetch.label(source)} holds no text")
        return found

    def segments(self, source: bytes | Path, limits: Limits = LIMITS) -> Iterator[Segment]:
        """Stretches of a few hundred characters, cut as every other text is."""
        for segment in text.modality.segments(self.decode(source, Part(source), limits).encode(), limits):
            yield replace(segment, modality=self.name)

    def preview(self, value: Decoded) -> str:
        """The first words."""
        return text.modality.preview(value)


modality = Docx()
