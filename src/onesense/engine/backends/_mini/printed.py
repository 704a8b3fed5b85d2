"""Words printed in pictures, read by the model's own two small networks: Latin, Greek and Cyrillic letters.

A finder marks the middle band of each line in a grey picture. Each band, widened to its line, is cut out, turned
upright and read letter by letter. Lines of which the reader is not sure are dropped: other scripts, textures taken for
print.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ....types import Array
from .graph import Graph, widen
from .package import Package
from .reading_order import reading_order
from .written import Line, fitting

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

CELL = 4  # px of a picture, a side, that one value of the finder stands for
MULTIPLE = 16  # px: what the finder's sides are padded to
BAND = 0.5  # of a line's height that its band covers
HEIGHT, STEP = 32, 4  # as trained: px of a line, px an output
STRETCH = 1.3  # wider than it was; trained with 1.2, but narrow letters are read better so (dev/LOG.md)
ROOM = 1.0  # of a line's height that is cut out
BEFORE = 0.15  # of its height that is added before and after it
SURE = 0.5  # of a cell to lie in a band
MIN_CONFIDENCE = 0.8
SHORT, SHORT_CONFIDENCE = 3, 0.97  # letters and digits; textures are taken for less, and page numbers are surer
MIN_SIDE = 12  # px; a smaller picture cannot show a letter
MIN_HIGH = 5.0  # px of a line; smaller print cannot be told apart
MIN_HINT = 3.0  # the same in half of the picture
MIN_COLUMNS = 2  # cells
TURNED = 3.0  # times its height a line is wide before its slope is believed
LONG_SIDE = 1_600  # px; larger pictures are reduced
MAX_LINES = 400
MAX_LEVELS = 5
MAX_CHARS = 4_000  # a dense page; about 1,200 pieces
RUN_PX = 6_144  # of lines one after another in one run of the reader
MIXED = 0.3  # of a line's letters that a script has at least, for the line to be in two
SCRIPTS = (((0x41, 0x24F), (0x1E00, 0x1EFF)), ((0x370, 0x3FF),), ((0x400, 0x52F),))
"""Code points of Latin, Greek and Cyrillic letters."""
REDUCE = 1.6  # times `HEIGHT`: higher lines are cut from a picture of half the size, so that no stroke is skipped


def decode(shares: Array, letters: Sequence[str]) -> tuple[str, float]:
    """What the reader says: the most likely letter of each step, repeats and blanks dropped (Graves et al. 2006).

    Args:
        shares: float32 [T, letters + 1], the blank first.
        letters: what outputs 1 and up stand for.

    Returns:
        The text, and the geometric mean of the shares of its letters; 0 when it is empty.
    """
    best = shares.argmax(1)
    fresh = (best != 0) & (best != np.concatenate([[0], best[:-1]]))
    kept = np.flatnonzero(fresh)
    if not len(kept):
        return "", 0.0
    sure = float(np.exp(np.log(np.maximum(shares[kept, best[kept]], 1e-6)).mean()))
    return "".join(letters[i - 1] for i in best[kept]), sure


def is_believed(text: str, sure: float) -> bool:
    """Whether a line is print, by what was read and how sure the reader is of it."""
    n = sum(map(str.isalnum, text))
    return n >= 2 and sure >= (MIN_CONFIDENCE if n >= SHORT else SHORT_CONFIDENCE)


def one_script(shares: Array, scripts: Array) -> Array:
    """The shares without letters of scripts that the line is hardly in: и is no u between Latin letters.

    Args:
        shares: float32 [T, letters + 1], the blank first.
        scripts: int64 [letters + 1], a number of `SCRIPTS` each.
    """
    best = scripts[shares.argmax(1)]
    counts = np.bincount(best[best > 0], minlength=len(SCRIPTS) + 1)
    alien = (counts < MIXED * counts.sum()) & (np.arange(len(counts)) > 0)
    return np.where(alien[scripts], 0.0, shares) if alien.any() else shares


def scripts_of(letters: Sequence[str]) -> Array:
    """Int64 [letters + 1]: for the blank and each letter the number of its script, 0 for what stands in all."""
    found = [0]
    for letter in letters:
        inside = (i for i, ranges in enumerate(SCRIPTS, 1) if any(low <= ord(letter) <= high for low, high in ranges))
        found.append(next(inside, 0) if letter.isalpha() else 0)
    return np.array(found)


@dataclass(frozen=True, slots=True)
class Strip:
    """A line in a picture: a rectangle that may be turned, in px."""

    x: float
    y: float
    """Its middle."""
    wide: float
    high: float
    slope: float
    """Px down a px right."""

    @property
    def box(self) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1 round it."""
        high = self.high + abs(self.slope) * self.wide
        return self.x - self.wide / 2, self.y - high / 2, self.x + self.wide / 2, self.y + high / 2


class PrintReader:
    """Finds and reads lines of print. Any thread may call it."""

    def __init__(self, package: Package, threads: int = 0) -> None:
        """Load the networks (0.4 MB).

        Args:
            package: the model folder.
            threads: of each session, 0 for one a core that this process may use.
        """
        stored = package.arrays("reader.npz")
        self._letters = [chr(c) for c in stored.pop("letters")]
        self._scripts = scripts_of(self._letters)
        self._reader = Graph(package.file("reader.onnx"), widen(stored), threads)
        self._finder = Graph(package.file("finder.onnx"), widen(package.arrays("finder.npz")), threads)

    def __call__(self, pixels: Array) -> list[Line]:
        """Lines of print in reading order, at most `MAX_CHARS` characters.

        Args:
            pixels: uint8 [H, W, 3], sRGB.
        """
        if min(pixels.shape[:2]) < MIN_SIDE:
            return []
        picture = _grey(pixels)
        if not self._is_hinted(picture):
            return []
        levels = _levels(picture)
        strips = strips_of(self._band(levels[0]))
        texts = self._read(levels, strips)
        order = reading_order(np.array([strip.box for strip in strips], np.float32).reshape(-1, 4))
        return fitting((Line(texts[i]) for i in order if texts[i]), MAX_CHARS)

    def _is_hinted(self, picture: Picture) -> bool:
        """Whether half of the picture shows a line, for a quarter of the cost.

        Most photographs show nothing there that is wider than high, and no measured picture with words was lost so.
        """
        if min(picture.size) < 2 * HEIGHT:
            return True
        hints = strips_of(self._band(_values(picture.reduce(2))), MIN_HINT)
        return any(strip.wide > strip.high for strip in hints)

    def _band(self, grey: Array) -> Array:
        """Float32 [H / 4, W / 4] 0..1, how likely each place lies in the band of a line."""
        height, width = grey.shape
        padded = np.pad(grey, ((0, -height % MULTIPLE), (0, -width % MULTIPLE)), mode="edge")
        band: Array = self._finder.run(pixels=padded[None])[0][0]
        return band

    def _read(self, levels: Sequence[Array], strips: Sequence[Strip]) -> list[str]:
        """The text of each strip, empty where the reader is not sure."""
        cut = [cut_out(levels, strip) for strip in strips]
        texts = [""] * len(cut)
        for run in _runs([line.shape[1] for line in cut]):
            widest = cut[run[-1]].shape[1]
            lines = np.stack([np.pad(cut[i], ((0, 0), (0, widest - cut[i].shape[1])), mode="edge") for i in run])
            for i, scores in zip(run, self._reader.run(lines=lines)[0], strict=True):
                shares = one_script(np.exp(scores[: -(-cut[i].shape[1] // STEP)]), self._scripts)
                text, sure = decode(shares, self._letters)
                if is_believed(text, sure):
                    texts[i] = text.strip()
        return texts


def _grey(pixels: Array) -> Picture:
    """The picture in grey with a long side of at most `LONG_SIDE`."""
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(pixels)).convert("L")
    scale = LONG_SIDE / max(picture.size)
    if scale < 1:
        picture = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))
    return picture


def _levels(picture: Picture) -> list[Array]:
    """The picture, half of it, a quarter: float32 [H, W] 0..1."""
    levels = [picture]
    while min(levels[-1].size) >= 2 * HEIGHT and len(levels) < MAX_LEVELS:
        levels.append(levels[-1].reduce(2))
    return [_values(level) for level in levels]


def _values(picture: Picture) -> Array:
    return np.asarray(picture, np.float32) / 255


def strips_of(band: Array, min_high: float = MIN_HIGH) -> list[Strip]:
    """Lines from the finder's answer: each connected patch of sure cells is the middle band of one.

    Place, slope and height are moments of the shares in and round the patch, finer than a cell.

    Args:
        band: float32 [H / 4, W / 4], 0..1.
        min_high: px that a line must have.
    """
    patches = connected(band > SURE)
    n = int(patches.max()) + 1
    if n <= 1:
        return []
    patches = _with_fringe(patches)
    rows, columns = np.nonzero(patches)
    which, share = patches[rows, columns], band[rows, columns].astype(np.float64)
    weight = np.bincount(which, share, n)
    weight[weight == 0] = 1.0
    x, y = (np.bincount(which, share * v, n) / weight for v in (columns, rows))
    spread = np.bincount(which, share * (columns - x[which]) ** 2, n)
    slant = np.bincount(which, share * (columns - x[which]) * (rows - y[which]), n)
    first, last = np.full(n, band.shape[1]), np.zeros(n, int)
    np.minimum.at(first, which, columns)
    np.maximum.at(last, which, columns)
    found = []
    for i in np.argsort(-weight[1:], kind="stable")[:MAX_LINES] + 1:
        n_columns = last[i] - first[i] + 1
        high = CELL * weight[i] / n_columns / BAND
        if n_columns < MIN_COLUMNS or high < min_high:
            continue
        wide = CELL * float(n_columns)
        slope = slant[i] / spread[i] if wide > TURNED * high else 0.0
        middle = (first[i] + last[i] + 1) / 2
        down = y[i] + slope * (middle - 0.5 - x[i])
        found.append(Strip(CELL * float(middle), CELL * float(down + 0.5), wide, float(high), float(slope)))
    return found


def connected(cells: Array) -> Array:
    """Patches of true cells that touch by an edge, numbered from 1; int64 [H, W], 0 elsewhere.

    Runs of each row are joined with those of the row above that they touch (Rosenfeld and Pfaltz 1966, by runs).
    """
    height, width = cells.shape
    edges = np.diff(np.pad(cells, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(edges == 1)
    ends = np.nonzero(edges == -1)[1]
    parent = list(range(len(rows)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    at = np.searchsorted(rows, np.arange(height + 1)).tolist()
    left, right = starts.tolist(), ends.tolist()
    for row in range(1, height):
        above, here = at[row - 1], at[row]
        while above < at[row] and here < at[row + 1]:
            if left[above] < right[here] and left[here] < right[above]:
                parent[root(here)] = root(above)
            if right[above] < right[here]:
                above += 1
            else:
                here += 1
    _, numbers = np.unique([root(i) for i in range(len(parent))], return_inverse=True)
    marks = np.zeros((height, width + 1), np.int64)
    np.add.at(marks, (rows, starts), numbers + 1)
    np.add.at(marks, (rows, ends), -(numbers + 1))
    return marks[:, :width].cumsum(1)


def _with_fringe(patches: Array) -> Array:
    """Each patch with the free cells straight above and below it, whose shares still belong to it."""
    out = patches.copy()
    for to, of in ((slice(1, None), slice(None, -1)), (slice(None, -1), slice(1, None))):
        free = out[to] == 0
        out[to][free] = patches[of][free]
    return out


def cut_out(levels: Sequence[Array], strip: Strip) -> Array:
    """A strip, upright and `HEIGHT` px high, float32 [32, W]; W is at least 8."""
    high = ROOM * strip.high
    wide = strip.wide + 2 * BEFORE * strip.high
    depth = int(np.clip(np.ceil(np.log2(max(high / (REDUCE * HEIGHT), 1e-6))), 0, len(levels) - 1))
    picture, scale = levels[depth], 0.5**depth
    n = max(8, round(wide * STRETCH * HEIGHT / high))
    along = (np.arange(n, dtype=np.float32) + 0.5) / n * wide - wide / 2
    down = (np.arange(HEIGHT, dtype=np.float32) + 0.5) / HEIGHT * high - high / 2
    x = (strip.x + along)[None] * scale - 0.5
    y = (strip.y + strip.slope * along[None] + down[:, None]) * scale - 0.5
    return _sampled(picture, np.broadcast_to(x, y.shape), y)


def _sampled(picture: Array, x: Array, y: Array) -> Array:
    """Values between pixels, bilinear; outside the picture those of its edge."""
    height, width = picture.shape
    x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    left, top = np.minimum(x.astype(np.int64), max(width - 2, 0)), np.minimum(y.astype(np.int64), max(height - 2, 0))
    right, below = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    dx, dy = (x - left).astype(np.float32), (y - top).astype(np.float32)
    upper = picture[top, left] * (1 - dx) + picture[top, right] * dx
    lower = picture[below, left] * (1 - dx) + picture[below, right] * dx
    out: Array = upper * (1 - dy) + lower * dy
    return out


def _runs(widths: Sequence[int]) -> Iterator[list[int]]:
    """Lines of like width together, the narrowest first, of at most `RUN_PX` padded px."""
    run: list[int] = []
    for i in sorted(range(len(widths)), key=widths.__getitem__):
        if run and widths[i] * (len(run) + 1) > RUN_PX:
            yield run
            run = []
        run.append(i)
    if run:
        yield run
