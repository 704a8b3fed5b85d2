"""Token numbers that OpenAI's clients send in place of texts, turned back into texts.

LangChain's `OpenAIEmbeddings` cuts texts into tokens of `cl100k_base` unless it is told not to. Reading them needs the
file in which OpenAI publishes that vocabulary, which is not ours to ship: `onesense serve --openai-tokens FILE`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import InvalidInput, NotFound


@dataclass(frozen=True, slots=True, eq=False)
class TokenTable:
    """The bytes behind each token number."""

    pieces: Mapping[int, bytes]

    @classmethod
    def read(cls, path: Path) -> TokenTable:
        """Read a `.tiktoken` file: a line a token, its bytes in base64 and its number.

        Raises:
            NotFound: the file does not exist.
            InvalidInput: it is no such file.
        """
        try:
            lines = path.read_bytes().splitlines()
            pairs = (line.split() for line in lines if line)
            return cls({int(number): base64.b64decode(piece, validate=True) for piece, number in pairs})
        except FileNotFoundError:
            raise NotFound(f"`{path}` does not exist: give OpenAI's `cl100k_base.tiktoken`") from None
        except (OSError, ValueError, binascii.Error) as cause:
            raise InvalidInput(f"`{path}` is no table of tokens such as `cl100k_base.tiktoken`: {cause}") from None

    def text(self, tokens: Sequence[int]) -> str:
        """The text that these tokens spell; half a letter at its ends becomes U+FFFD.

        Raises:
            InvalidInput: a number is in no line of the table.
        """
        if unknown := [token for token in tokens if token not in self.pieces]:
            raise InvalidInput(f"token {unknown[0]} is none of the {len(self.pieces):,} that this server knows")
        return b"".join(self.pieces[token] for token in tokens).decode("utf-8", "replace")
