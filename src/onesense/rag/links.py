"""Addresses of places in files: `onesense://library/%2Fhome%2Fme%2Ftalk.mp3#t=41,49`.

They name the file and the place, not the row, so that they outlive indexing anew. Source of what stands behind `#`:
W3C Media Fragments (`t=`), RFC 8118 (`page=`), RFC 5147 (`char=`).
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from onesense.errors import InvalidInput
from onesense.types import Hit, Locator

SCHEME = "onesense"
_SHAPE = "onesense://COLLECTION/QUOTED-PATH#t=41,49 (or #page=3, #char=0,120, or nothing for the whole file)"


def link(collection: str, path: str, place: Locator) -> str:
    """The address of a place in a file of a collection."""
    fragment = _fragment(place)
    return f"{SCHEME}://{quote(collection, safe='')}/{quote(path, safe='')}" + (f"#{fragment}" if fragment else "")


def parse(text: str) -> tuple[str, str, Locator]:
    """Collection, path and place of an address.

    Raises:
        InvalidInput: it is no such address.
    """
    parts = urlsplit(text.strip())
    path = unquote(parts.path[1:])
    if parts.scheme != SCHEME or not parts.netloc or not path:
        raise InvalidInput(f"`{text[:200]}` is no address of a place; they look like {_SHAPE}")
    return unquote(parts.netloc), path, _place(text, parts.fragment)


def studio_link(collection: str, hit: Hit) -> str:
    """Where the Studio opens a hit, below the server's address."""
    return "/#/ask?" + urlencode({"c": collection, "id": hit.id})


def _fragment(place: Locator) -> str:
    if place.page is not None:
        return f"page={place.page}"
    if place.start_s is not None:
        return f"t={_seconds(place.start_s)}" + ("" if place.end_s is None else f",{_seconds(place.end_s)}")
    if place.start_char is not None:
        return f"char={place.start_char},{place.end_char}"
    return ""


def _seconds(value: float) -> str:
    """To the millisecond, without zeros that say nothing."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


def _place(text: str, fragment: str) -> Locator:
    fields: Mapping[str, list[str]] = parse_qs(fragment)
    try:
        if "page" in fields:
            return Locator(page=int(fields["page"][0]))
        if "t" in fields:
            start, _, end = fields["t"][0].partition(",")
            return Locator(start_s=float(start or 0), end_s=float(end) if end else None)
        if "char" in fields:
            start, _, end = fields["char"][0].partition(",")
            return Locator(start_char=int(start), end_char=int(end))
    except ValueError:
        raise InvalidInput(f"`{text[:200]}` names no place: {_SHAPE}") from None
    return Locator()
