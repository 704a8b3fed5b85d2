"""Bytes to text: UTF-8, UTF-16 and UTF-32 by their marks, a declared charset, and Latin-1 where it is plausible."""

from __future__ import annotations

import codecs
import re

from ..errors import DecodeError

_MARKS = (  # UTF-32's little-endian mark begins with UTF-16's, so it comes first
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")  # tab, line ends, form feed and ANSI's escape are fine
_MAX_CONTROLS = 0.02  # share of control characters above which bytes are binary
_MIN_ASCII = 0.7  # share that makes Latin-1 plausible: West European prose has above 0.9, Cyrillic or Greek below 0.3
_MAX_BROKEN = 0.01  # share of broken bytes up to which a text is UTF-8 with a fault rather than another encoding


def looks_like_text(head: bytes) -> bool:
    """True when the first bytes of a file can be read as text in an encoding that needs no declaration."""
    return _guess(head) is not None


def to_text(raw: bytes, charset: str | None, label: str) -> str:
    """The text of a file, without its byte-order mark.

    Args:
        raw: the whole file.
        charset: declared by the caller; a byte-order mark outranks it.
        label: names the file in errors.

    Raises:
        DecodeError: the bytes are not text, are not of the declared charset, or need one to be declared.
    """
    encoding = next((name for mark, name in _MARKS if raw.startswith(mark)), None) or charset
    if encoding is None:
        text = _guess(raw)
        if text is None:
            advice = "if it is text, declare its charset: mime_type='text/plain; charset=windows-1251'"
            raise DecodeError(f"{label} is not text in UTF-8, UTF-16 or Latin-1; {advice}")
        return text
    try:
        return raw.decode(encoding)
    except LookupError as cause:
        raise DecodeError(f"{label} is declared to be in `{encoding}`, which is no known charset") from cause
    except UnicodeError as cause:
        raise DecodeError(f"{label} is not valid {encoding}: {cause}") from cause


def _guess(raw: bytes) -> str | None:
    """The text, None when the bytes are binary or of an encoding that cannot be told."""
    for mark, encoding in _MARKS:
        if raw.startswith(mark):
            return raw.decode(encoding, "ignore")
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        text = decoder.decode(raw)  # not final: a file may break off inside a character
    except UnicodeDecodeError:
        text = _repaired(raw)
    if not text or len(_CONTROLS.findall(text)) > _MAX_CONTROLS * len(text) or "\x00" in text:
        return None
    return text


def _repaired(raw: bytes) -> str:
    """UTF-8 with a few broken bytes, or Windows' Latin-1; '' when neither is plausible."""
    replaced = raw.decode("utf-8", "replace")
    n_broken = replaced.count("�")
    n_multibyte = sum(map(replaced.count, set(replaced[:100_000]) - {"�"} - set(map(chr, range(128)))))
    if n_broken < n_multibyte and n_broken <= _MAX_BROKEN * len(replaced):
        return replaced
    n_ascii = len(raw) - len(raw.translate(None, delete=bytes(range(32, 127)) + b"\t\r\n"))
    return raw.decode("cp1252", "replace") if n_ascii >= _MIN_ASCII * len(raw) else ""
