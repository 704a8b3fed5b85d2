"""A small PDF writer: Helvetica text, lines and filled boxes, enough for reports with tables and bar charts."""

from __future__ import annotations

from collections.abc import Sequence

WIDTH_PT, HEIGHT_PT = 595, 842  # A4 in points
_MARGIN_PT = 60
Colour = tuple[float, float, float]


class Page:
    """One page under construction; the origin is the lower left corner, lengths are points."""

    def __init__(self, title: str) -> None:
        self._ops: list[str] = []
        self.y_pt: float = HEIGHT_PT - 80
        """Where the next paragraph or table starts."""
        self.text(_MARGIN_PT, self.y_pt, title, size_pt=22, bold=True)
        self.y_pt -= 40

    def text(self, x_pt: float, y_pt: float, words: str, *, size_pt: float = 12, bold: bool = False) -> None:
        """Write one line."""
        face = "F2" if bold else "F1"
        escaped = words.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
        self._ops.append(f"0 g BT /{face} {size_pt} Tf {x_pt:.1f} {y_pt:.1f} Td ({escaped}) Tj ET")

    def box(self, x_pt: float, y_pt: float, width_pt: float, height_pt: float, colour: Colour) -> None:
        """Fill a rectangle."""
        r, g, b = colour
        self._ops.append(f"{r} {g} {b} rg {x_pt:.1f} {y_pt:.1f} {width_pt:.1f} {height_pt:.1f} re f")

    def line(self, x0_pt: float, y0_pt: float, x1_pt: float, y1_pt: float) -> None:
        """Draw a thin black line."""
        self._ops.append(f"0 G 0.8 w {x0_pt:.1f} {y0_pt:.1f} m {x1_pt:.1f} {y1_pt:.1f} l S")

    def paragraph(self, words: str, *, columns: int = 82) -> None:
        """Write text below what is there, broken into lines of at most `columns` characters."""
        import textwrap

        for row in textwrap.wrap(words, columns):
            self.text(_MARGIN_PT, self.y_pt, row)
            self.y_pt -= 17
        self.y_pt -= 10

    def table(self, rows: Sequence[Sequence[object]]) -> None:
        """Draw a ruled table; the first row is its head."""
        width_pt = (WIDTH_PT - 2 * _MARGIN_PT) / len(rows[0])
        right = WIDTH_PT - _MARGIN_PT
        for number, row in enumerate(rows):
            self.line(_MARGIN_PT, self.y_pt + 16, right, self.y_pt + 16)
            for column, cell in enumerate(row):
                self.text(_MARGIN_PT + 6 + column * width_pt, self.y_pt, str(cell), bold=number == 0)
            self.y_pt -= 24
        self.line(_MARGIN_PT, self.y_pt + 16, right, self.y_pt + 16)
        self.y_pt -= 20

    def bars(self, values: dict[str, float], colour: Colour, *, height_pt: float = 260) -> None:
        """Draw a bar chart with a label under and a figure over each bar."""
        base, step = self.y_pt - height_pt, (WIDTH_PT - 2 * _MARGIN_PT) / len(values)
        peak = max(values.values())
        for place, (label, value) in enumerate(values.items()):
            x, tall = _MARGIN_PT + place * step, (height_pt - 30) * value / peak
            self.box(x + step * 0.2, base, step * 0.6, tall, colour)
            self.text(x + step * 0.25, base + tall + 6, f"{value:g}")
            self.text(x + step * 0.2, base - 18, label)
        self.line(_MARGIN_PT, base, WIDTH_PT - _MARGIN_PT, base)
        self.line(_MARGIN_PT, base, _MARGIN_PT, self.y_pt)
        self.y_pt = base - 50

    def stream(self) -> bytes:
        """The page's drawing operators."""
        return "\n".join(self._ops).encode("cp1252")


def write_pdf(pages: Sequence[Page], title: str) -> bytes:
    """Bytes of a PDF 1.4 file with these pages; the same pages give the same bytes.

    Source: ISO 32000-1, 7.5 (file structure) and 9.6.2.2 (the standard fonts need no embedding).
    """
    page_ids = [5 + 2 * n for n in range(len(pages))]
    kids = " ".join(f"{n} 0 R" for n in page_ids)
    fonts = "/Font << /F1 3 0 R /F2 4 0 R >>"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold /Encoding /WinAnsiEncoding >>",
    ]
    for number, page in zip(page_ids, pages, strict=True):
        size = f"/MediaBox [0 0 {WIDTH_PT} {HEIGHT_PT}]"
        link = f"/Parent 2 0 R /Contents {number + 1} 0 R"
        objects.append(f"<< /Type /Page {link} {size} /Resources << {fonts} >> >>".encode())
        body = page.stream()
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(body), body))
    objects.append(b"<< /Title (%s) >>" % title.encode("cp1252"))
    return _assemble(objects)


def _assemble(objects: Sequence[bytes]) -> bytes:
    """Number the objects and append the table of their offsets; the last object is the file's info."""
    out = bytearray(b"%PDF-1.4\n")
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    trailer = b"<< /Size %d /Root 1 0 R /Info %d 0 R >>" % (len(objects) + 1, len(objects))
    return bytes(out + b"trailer\n%s\nstartxref\n%d\n%%%%EOF\n" % (trailer, start))
