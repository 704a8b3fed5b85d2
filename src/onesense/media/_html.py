"""HTML to the text that a reader sees, in time linear in its length.

`html.parser` is not used: of Python 3.11 it takes quadratic time on unclosed tags (24 kB of `<a b=` take 7.5 s), and a
file must not be able to hang an indexing run. Every alternative below ends at the end of the text, so what one match
has looked at, no other match looks at again.
"""

from __future__ import annotations

import re
from html import unescape

_TOKEN = re.compile(
    r"""<!--.*?(?:-->|\Z)
      | <(?P<close>/?)(?P<tag>[a-z][a-z0-9:-]*+)
        (?P<rest>(?:=\s*+"[^"]*+(?:"|\Z)|=\s*+'[^']*+(?:'|\Z)|[^>])*+)(?:>|\Z)
      | <[!?][^>]*(?:>|\Z)""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_UNREAD = frozenset({"script", "style", "template", "noscript", "svg", "iframe", "object", "textarea"})
"""Elements whose content is no text of the page."""
_PARAGRAPHS = frozenset(
    "address article aside blockquote body dd details div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5"
    " h6 header hr main nav ol p pre section summary table title ul".split()
)
_LINES = frozenset({"br", "li", "tr", "option"})
_CELLS = frozenset({"td", "th"})
_ALT = re.compile(r"""\balt\s*+=\s*+(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)
_TITLE = re.compile(r"<title\b[^>]*>([^<]*)", re.IGNORECASE)
_SPACES = re.compile(r"[ \t\r\n\f\v\xa0]+")
_GAPS = re.compile(r"[ \t]{2,}")
_BREAKS = re.compile(r"[ \t]?\n[ \t\n]*")


def html_to_text(html: str) -> str:
    """Visible text: paragraphs parted by an empty line, cells by tabs, with the title and the words of pictures."""
    pieces, at = [], 0
    while (match := _TOKEN.search(html, at)) is not None:
        pieces.append(_words(html[at : match.start()]))
        pieces.append(_mark(match))
        at = _past_unread(html, match) or match.end()
    pieces.append(_words(html[at:]))
    text = _GAPS.sub(lambda run: "\t" if "\t" in run[0] else " ", "".join(pieces))
    return _BREAKS.sub(lambda run: "\n\n" if run[0].count("\n") > 1 else "\n", text).strip()


def html_title(html: str) -> str | None:
    """What its `<title>` says, None without one."""
    match = _TITLE.search(html)
    return _words(match[1]).strip() or None if match else None


def _words(raw: str) -> str:
    return _SPACES.sub(" ", unescape(raw)) if raw else ""


def _mark(match: re.Match[str]) -> str:
    """What a tag does to the text: a break, a tab, the words of a picture, or nothing."""
    tag = (match["tag"] or "").lower()
    if tag in _PARAGRAPHS:
        return "\n\n"
    if tag in _LINES:
        return "\n"
    if tag in _CELLS:
        return "\t" if match["close"] else ""
    alt = _ALT.search(match["rest"]) if tag == "img" else None
    return f" {_words(alt[1] or alt[2] or '')} " if alt else ""


def _past_unread(html: str, match: re.Match[str]) -> int | None:
    """Where an element whose content is not read ends; None for any other tag."""
    tag = (match["tag"] or "").lower()
    if tag not in _UNREAD or match["close"]:
        return None
    end = re.compile(f"</{tag}[^>]*>?", re.IGNORECASE).search(html, match.end())
    return end.end() if end else len(html)
