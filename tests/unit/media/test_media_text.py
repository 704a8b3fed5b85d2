import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import media_samples as samples
from onesense.errors import DecodeError, EmptyInput, TooLarge
from onesense.media._charset import looks_like_text, to_text
from onesense.media._html import html_title, html_to_text
from onesense.media._spans import code_blocks, lines, paragraphs, rows
from onesense.media.text import modality
from onesense.types import Limits, Part


def decode(source, mime=None):
    return modality.decode(source, Part(source, mime))


def segments(tmp_path, name, text):
    file = tmp_path / name
    file.write_text(text, encoding="utf-8", newline="")
    whole = decode(file)
    found = list(modality.segments(file))
    for segment in found:
        words = whole[segment.locator.start_char : segment.locator.end_char]
        assert words.strip()
        assert segment.content.parts[0].value.endswith(words)
        assert len(words) <= 1000
    return found


# --- encodings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_unicode_is_told_by_its_bytes(encoding):
    text = "Grüße, 世界, здравствуй\r\nline two 🚲"
    assert decode(text.encode(encoding)) == text


def test_latin_1_where_it_is_plausible():
    text = "Das Café liegt an der Straße, façade à l'œuvre – naïve."
    assert decode(text.encode("cp1252")) == text


def test_other_charsets_must_be_declared():
    raw = "Съешь ещё этих мягких французских булок, да выпей чаю".encode("cp1251")
    with pytest.raises(DecodeError, match="declare its charset"):
        to_text(raw, None, "it")
    assert decode(raw, "text/plain; charset=windows-1251").startswith("Съешь")
    with pytest.raises(DecodeError, match="no known charset"):
        decode(b"abc", "text/plain; charset=klingon")
    with pytest.raises(DecodeError, match="not valid ascii"):
        decode("é".encode(), "text/plain; charset=ascii")
    with pytest.raises(DecodeError):
        decode(b"6162", "text/plain; charset=hex")


def test_a_text_that_breaks_off_inside_a_character():
    assert decode("Grüße".encode()[:-3]) == "Gr" + "ü"
    assert looks_like_text(("世界" * 3000).encode()[:4096])


def test_a_broken_byte_in_utf8_stays_local():
    raw = ("Übermäßig schöne Grüße aus Köln. " * 20).encode() + b"\xff" + b"Ende"
    assert decode(raw).endswith("�Ende")


@pytest.mark.parametrize(
    "raw", [bytes(100), bytes(range(256)), np.random.default_rng(0).bytes(4000), b"\x01\x02\x03abc"]
)
def test_binary_is_no_text(raw):
    assert not looks_like_text(raw)
    with pytest.raises(DecodeError, match="not text"):
        to_text(raw, None, "it")


def test_blank_and_oversized_texts():
    with pytest.raises(EmptyInput, match="white space"):
        decode(b" \n\t ")
    with pytest.raises(EmptyInput):
        decode(b"<html><script>x</script></html>")
    with pytest.raises(TooLarge):
        modality.decode(b"abcd", Part(b"abcd"), Limits(max_text_bytes=3))


# --- HTML ---------------------------------------------------------------------------------------------------------

HTML = """<!DOCTYPE html><html><head><title>Fish &amp; chips</title><style>p { color: red }</style>
<script>if (1 < 2) document.write("<p>no</p>")</script></head><body><!-- hidden <p>note</p> -->
<h1>Menu</h1><p>A &lt;large&gt;   cod,<br>fried.<p title="a > b">Peas
too.</p><table><tr><td>cod</td><td>9&nbsp;£</td></tr></table><img src=x alt="a plate">
<ul><li>salt<li>vinegar</ul></html>"""


def test_html_is_what_a_reader_sees():
    text = decode(HTML.encode())
    assert text == (
        "Fish & chips\n\nMenu\n\nA <large> cod,\nfried.\n\nPeas too.\n\ncod\t9 £\n\na plate\n\nsalt\nvinegar"
    )
    assert html_title(HTML) == "Fish & chips"
    assert html_title("<p>x") is None


@pytest.mark.parametrize(
    "piece",
    [
        "<a b=",
        "<a '",
        "<!--",
        "<!",
        "</",
        "<",
        "<script>",
        "<a b='",
        "<svg",
        "&#",
        "<title>",
        "=' ",
        "<b> ",
        "<td></td>",
    ],
)
def test_html_is_read_in_linear_time(piece):
    text = html_to_text(piece * 100_000)  # quadratic time would be minutes
    assert len(text) <= len(piece) * 100_000


@given(st.text(alphabet="<>/!-='\"ab cscript&;#\n", max_size=200))
def test_any_html_gives_text(markup):
    assert isinstance(html_to_text(markup), str)


# --- segments -----------------------------------------------------------------------------------------------------


def test_paragraphs_are_packed_and_headings_open_segments(tmp_path):
    body = "Words of a paragraph that says something. " * 6
    text = f"# Title here\n\n{body}\n\n{body}\n\n## Second part\n\n{body}\n\nshort end\n"
    found = segments(tmp_path, "notes.md", text)
    assert [s.content.parts[0].value.split("\n")[0] for s in found] == ["# Title here", "## Second part"]
    assert {s.content.title for s in found} == {"Title here"}
    assert found[0].preview.startswith("# Title here Words of")
    assert found[0].modality == "text"


def test_a_short_text_is_one_segment(tmp_path):
    (only,) = segments(tmp_path, "a.txt", "\n  hello world\n\n")
    assert only.content.parts[0].value == "hello world"
    assert only.locator.to_dict() == {"start_char": 3, "end_char": 14}


def test_an_endless_line_is_cut_at_words(tmp_path):
    found = segments(tmp_path, "a.log", "word " * 20_000)
    assert all(400 < len(s.content.parts[0].value) <= 1000 for s in found[:-1])
    assert all(not s.content.parts[0].value.startswith("ord") for s in found)
    assert len(segments(tmp_path, "b.txt", "x" * 100_000)) == 100
    assert len(segments(tmp_path, "b.json", '{"a":' * 10_000)) > 40


def test_code_is_cut_at_top_level_blocks(tmp_path):
    body = "    value = compute(value)\n\n" * 12
    found = segments(tmp_path, "a.py", f"import os\n\n\ndef first(value):\n{body}\n\ndef second(value):\n{body}")
    starts = [s.content.parts[0].value.split("\n")[0] for s in found]
    assert starts[-1] == "def second(value):"
    assert len(found) == 2


def test_tables_repeat_their_header(tmp_path):
    table = "name,age\n" + "".join(f'"row {n}, with\na break",{n}\n' for n in range(200))
    found = segments(tmp_path, "a.csv", table)
    assert len(found) > 3
    assert all(s.content.parts[0].value.startswith("name,age\n") for s in found)
    assert found[0].locator.start_char == 0
    assert all(s.content.parts[0].value.count('"') % 2 == 0 for s in found)


def test_an_unclosed_quote_does_not_lose_the_table(tmp_path):
    found = segments(tmp_path, "a.csv", 'a,b\n"open,1\n' + "x,2\n" * 1000)
    assert sum(s.locator.end_char - s.locator.start_char for s in found) > 3900


def test_json_lines_are_whole(tmp_path):
    found = segments(tmp_path, "a.jsonl", "".join(f'{{"n": {n}, "text": "some words here"}}\n' for n in range(100)))
    assert all(s.content.parts[0].value.startswith("{") and s.content.parts[0].value.endswith("}") for s in found)


@pytest.mark.parametrize("split", [paragraphs, code_blocks, lines, rows])
@given(text=st.text(alphabet='ab .,\n\r\t#=-"{}。é', max_size=5000))
@settings(max_examples=40, deadline=None)
def test_spans_are_in_order_and_lose_nothing(split, text):
    at, kept = 0, []
    for span in split(text):
        assert at <= span.start < span.end <= len(text)
        assert span.end - span.start <= 1000
        kept.append(text[span.start : span.end])
        at = span.end
    assert "".join("".join(kept).split()) == "".join(text.split())


def test_preview_is_the_first_words():
    assert modality.preview("one\n two  three") == "one two three"
    assert modality.preview("word " * 100).endswith("word …")
    assert len(modality.preview("x" * 10_000)) < 110


def test_pictures_are_no_text():
    assert modality.sniff(samples.picture("PNG")) is None
