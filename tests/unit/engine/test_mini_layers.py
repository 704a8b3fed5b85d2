"""Text layers: names, records, errors, and sequences, with readers that say what they are told."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from onesense.engine import models, pieces
from onesense.engine.backends._mini import layers, ocr, transcript
from onesense.engine.backends._mini.layers import LAYERS, Layer
from onesense.engine.backends._mini.package import IMAGE_SIDE
from onesense.engine.backends._mini.senses import Heard
from onesense.engine.backends._mini.written import Line, digest, fitting
from onesense.engine.backends.onesense_mini import FRAMES_READ, Backend
from onesense.errors import MissingExtra, NotFound
from onesense.types import Audio, Batch, Content, Document, Image, Page, Part, Video

BOTH = ("ocr", "transcribe")


class Reader:
    """Says the lines that it was given, and remembers what it was shown."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.shown: list[np.ndarray] = []

    def __call__(self, medium: np.ndarray) -> list[Line]:
        self.shown.append(medium)
        return self.lines


class Ear:
    """Hears speech in every sound whose first sample is not zero."""

    def __call__(self, samples: np.ndarray) -> Heard:
        rng = np.random.default_rng(0)
        speaks = bool(samples[0])
        speech = rng.standard_normal((3 if speaks else 0, 384)).astype(np.float32)
        look, concept = np.eye(672, dtype=np.float32)[0], np.eye(384, dtype=np.float32)[0]
        return Heard(concept[None], np.array([0.5], np.float32), speech, concept, float(speaks), look)


@pytest.fixture(scope="module")
def loaded() -> Iterator[Backend]:
    with pytest.MonkeyPatch.context() as patch:
        _fake(patch)
        backend = Backend(layers=BOTH)
    yield backend
    backend.close()


def _fake(patch: pytest.MonkeyPatch) -> None:
    """Readers without packages."""
    for name in BOTH:
        patch.setitem(LAYERS, name, Layer(f"words [{name}]", lambda: "fake", lambda threads: Reader()))  # type: ignore[arg-type]


@pytest.fixture
def backend(loaded: Backend, monkeypatch: pytest.MonkeyPatch) -> Backend:
    """A model with both layers, whose readers read nothing yet."""
    monkeypatch.setitem(loaded._senses, "ocr", Reader())
    monkeypatch.setitem(loaded._senses, "transcribe", Reader())
    monkeypatch.setitem(loaded._senses, "ears", Ear())
    return loaded


@pytest.fixture(scope="module")
def plain() -> Iterator[Backend]:
    backend = Backend()
    yield backend
    backend.close()


def _picture(seed: int = 1) -> Image:
    corners = np.random.RandomState(seed).randint(0, 256, (3, 4, 3)).astype(np.uint8)
    return Image(np.ascontiguousarray(corners.repeat(20, 0).repeat(20, 1)))


def _sound(speaks: bool) -> Audio:
    return Audio(np.full(16_000, 0.1 if speaks else 0.0, np.float32))


def _vector(backend: Backend, *parts: object) -> np.ndarray:
    row = backend.embed(Batch((backend.prepare(Content(*(Part(p) for p in parts))),)))[0]  # type: ignore[arg-type]
    return row / np.linalg.norm(row)


# --- names and records ---------------------------------------------------------------------------------------------


@pytest.fixture
def readable(monkeypatch: pytest.MonkeyPatch) -> None:
    _fake(monkeypatch)


@pytest.mark.usefixtures("readable")
def test_the_order_of_the_layers_in_a_name_does_not_matter() -> None:
    wanted = models.info("onesense-mini+ocr+transcribe")
    assert wanted.name == "onesense-mini+ocr+transcribe"
    for name in ("onesense-mini+transcribe+ocr", "models/onesense_mini+ocr+transcribe+ocr"):
        assert models.info(name) == wanted


@pytest.mark.usefixtures("readable")
def test_every_mix_is_another_model_and_another_fingerprint() -> None:
    names = ["onesense-mini", *(f"onesense-mini+{mix}" for mix in ("ocr", "transcribe", "ocr+transcribe"))]
    records = [models.info(name) for name in names]
    assert [record.name for record in records] == names
    assert len({record.fingerprint(3072, None) for record in records}) == 4
    assert {record.revision for record in records} == {records[0].revision}
    assert set(names) <= {record.name for record in models.list_models()}


def test_other_networks_give_another_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    found = set()
    for version in ("a", "b"):
        monkeypatch.setitem(LAYERS, "ocr", Layer("words", lambda v=version: v, LAYERS["ocr"].open))
        found.add(models.info("onesense-mini+ocr").fingerprint(768, None))
    assert len(found) == 2


def test_without_a_layer_the_record_is_the_bundled_one(plain: Backend) -> None:
    assert plain.info == Backend.info == models.info("onesense-mini") == layers.described(Backend.info, ())


@pytest.mark.parametrize("name", ["onesense-mini+voice", "onesense-mini+", "onesense-mini+ocr+voice"])
def test_an_unknown_layer_names_the_known_ones(name: str) -> None:
    for ask in (models.info, models.resolve):
        with pytest.raises(NotFound, match=r"`onesense-mini\+ocr`, `onesense-mini\+transcribe`"):
            ask(name)


def test_a_model_without_layers_says_so() -> None:
    with pytest.raises(NotFound, match=r"`tiny` has no text layer called `ocr`: it has none"):
        models.info("tiny+ocr")


@pytest.mark.parametrize(("module", "name"), [(ocr, "ocr"), (transcript, "transcribe")])
def test_a_missing_package_names_its_extra(module: object, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda package: None)
    advice = rf"pip install 'onesense\[{name}\]'"
    for ask in (models.info, models.resolve):
        with pytest.raises(MissingExtra, match=advice):
            ask(f"onesense-mini+{name}")
    listed = models.survey()[f"onesense-mini+{name}"]
    assert isinstance(listed, MissingExtra)
    assert "onesense-mini" in {record.name for record in models.list_models()}


def test_pictures_are_decoded_larger_for_ocr_only(backend: Backend, plain: Backend) -> None:
    assert pieces.limits(plain.info).image_side == IMAGE_SIDE < layers.IMAGE_SIDE
    assert pieces.limits(backend.info).image_side == layers.IMAGE_SIDE


# --- sequences -----------------------------------------------------------------------------------------------------


def _lines(backend: Backend, layer: str, *lines: Line) -> Reader:
    reader = backend._senses[layer]
    assert isinstance(reader, Reader)
    reader.lines = list(lines)
    return reader


def test_where_nothing_is_read_the_vector_is_that_of_the_model_without(backend: Backend, plain: Backend) -> None:
    picture, film = _picture(), Video(np.stack([_picture(2).pixels] * 3), np.arange(3, dtype=np.float32), None, 3.0)
    for value in (picture, film, Page(picture, "", 1), Page(picture, "Annual report", 1), "a cat"):
        assert np.array_equal(_vector(backend, value), _vector(plain, value))


def test_words_of_a_picture_follow_its_tokens(backend: Backend) -> None:
    before = backend.prepare(Content(Part(_picture())))
    _lines(backend, "ocr", Line("closed on"), Line("Mondays"))
    after = backend.prepare(Content(Part(_picture())))
    words = backend._tokenizer.encode("closed on") + backend._tokenizer.encode("Mondays")
    assert after.n_tokens == before.n_tokens + len(words)
    assert [int(i) for span in after.payload.spans[len(before.payload.spans) :] for i in span] == words
    (layer,) = after.layers
    assert (layer.name, layer.text, layer.n_tokens) == ("ocr", "closed on Mondays", len(words))
    assert layer.ms >= 0
    assert after.usage == {"image": after.n_tokens}


def test_words_bring_a_picture_nearer_to_themselves(backend: Backend) -> None:
    asked = _vector(backend, "the bakery is closed on Mondays")
    before = _vector(backend, _picture())
    _lines(backend, "ocr", Line("bakery closed on Mondays"))
    assert asked @ _vector(backend, _picture()) > asked @ before + 0.1


def test_a_scan_is_embedded_as_the_page_with_that_text_layer(backend: Backend) -> None:
    _lines(backend, "ocr", Line("Annual report"))
    written = _vector(backend, Page(_picture(), "Annual report", 1))
    assert np.array_equal(_vector(backend, Page(_picture(), "  ", 1)), written)
    assert np.array_equal(_vector(backend, Document((Page(_picture(), "", 1),))), written)


def test_a_page_with_a_text_layer_is_not_read(backend: Backend) -> None:
    reader = _lines(backend, "ocr", Line("other words"))
    assert backend.prepare(Content(Part(Page(_picture(), "Annual report", 1)))).layers == ()
    assert not reader.shown


def test_a_few_frames_are_read_and_lines_that_stay_count_once(backend: Backend) -> None:
    film = Video(np.stack([_picture(i).pixels for i in range(9)]), np.arange(9, dtype=np.float32), None, 9.0)
    before = backend.prepare(Content(Part(film))).n_tokens
    reader = _lines(backend, "ocr", Line("breaking news"))
    reader.shown.clear()
    after = backend.prepare(Content(Part(film)))
    assert [int(np.argmax([np.array_equal(s, f) for f in film.frames])) for s in reader.shown] == [0, 3, 5, 8]
    assert len(reader.shown) == FRAMES_READ
    assert after.n_tokens == before + len(backend._tokenizer.encode("breaking news"))


def test_what_is_said_stands_where_it_is_said(backend: Backend) -> None:
    _lines(backend, "transcribe", Line("first", 0.0), Line("last", 9.0))
    film = Video(np.stack([_picture(i).pixels for i in range(3)]), np.array([0, 4, 8], np.float32), _sound(True), 10.0)
    spans = backend.prepare(Content(Part(film))).payload.spans
    words = [at for at, span in enumerate(spans) if span.ndim == 1]
    pictures = [at for at, span in enumerate(spans) if span.ndim == 2]
    assert [spans[at].tolist() for at in words] == [backend._tokenizer.encode(w) for w in ("first", "last")]
    assert words[1] == len(spans) - 1
    assert words[0] < pictures[-1]


def test_a_transcript_follows_the_tokens_of_speech(backend: Backend) -> None:
    reader = _lines(backend, "transcribe", Line("good morning"))
    features = backend.prepare(Content(Part(_sound(True))))
    assert [layer.text for layer in features.layers] == ["good morning"]
    assert features.payload.spans[1].tolist() == backend._tokenizer.encode("good morning")
    assert len(reader.shown) == 1


def test_only_speech_is_transcribed(backend: Backend) -> None:
    reader = _lines(backend, "transcribe", Line("a guess"))
    assert backend.prepare(Content(Part(_sound(False)))).layers == ()
    assert not reader.shown


def test_words_do_not_count_as_a_sense(backend: Backend) -> None:
    before = backend.prepare(Content(Part(_picture()))).payload.senses[0]
    _lines(backend, "ocr", Line("closed on Mondays"))
    assert 0 < backend.prepare(Content(Part(_picture()))).payload.senses[0] < before


def test_concepts_stand_for_what_is_not_written(backend: Backend) -> None:
    assert backend.prepare(Content(Part(_picture()))).payload.share == 1.0
    _lines(backend, "ocr", Line("closed on Mondays"))
    payload = backend.prepare(Content(Part(_picture()))).payload
    assert payload.share == pytest.approx(float(payload.senses[0]))
    film = Video(_picture().pixels[None], np.zeros(1, np.float32), None, 1.0)
    assert backend.prepare(Content(Part(film))).payload.share < 0.5


def test_what_does_not_fit_is_left_out_and_told(backend: Backend) -> None:
    _lines(backend, "ocr", Line("word " * 9_000))
    features = backend.prepare(Content(Part(_picture())))
    assert features.truncated
    assert features.n_tokens == backend.info.max_tokens


def test_a_sound_is_cut_where_tokens_and_transcript_no_longer_fit(backend: Backend, plain: Backend) -> None:
    assert backend._longest < plain._longest


# --- readers -------------------------------------------------------------------------------------------------------


def _boxes(*lines: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(lines, np.float32)


def test_a_table_is_read_row_by_row() -> None:
    cells = [(x, y, x + 60, y + 12) for y in (0, 20, 40, 60) for x in (0, 100, 200)]
    shuffled = np.random.default_rng(0).permutation(len(cells))
    assert [int(shuffled[i]) for i in ocr.reading_order(_boxes(*(cells[i] for i in shuffled)))] == list(range(12))


def test_columns_are_read_one_after_the_other_below_their_heading() -> None:
    left = [(0, y, 280, y + 12) for y in range(60, 200, 20)]
    right = [(320, y, 600, y + 12) for y in range(60, 200, 20)]
    lines = [(100, 0, 500, 30), *left, *right, (0, 300, 600, 312)]
    shuffled = np.random.default_rng(1).permutation(len(lines))
    found = [int(shuffled[i]) for i in ocr.reading_order(_boxes(*(lines[i] for i in shuffled)))]
    assert found == list(range(len(lines)))


def test_slanted_lines_that_overlap_are_read_from_the_top() -> None:
    assert ocr.reading_order(_boxes((0, 10, 300, 40), (0, 0, 300, 26), (10, 24, 300, 60))) == [1, 0, 2]
    assert ocr.reading_order(np.zeros((0, 4), np.float32)) == []


def test_many_lines_need_no_deep_recursion() -> None:
    assert ocr.reading_order(_boxes(*((0, 20 * i, 50, 20 * i + 9 - i % 3) for i in range(1_500)))) == list(range(1_500))


def test_lines_beyond_the_cap_are_left_out_whole() -> None:
    lines = [Line("four"), Line("seven77"), Line("x")]
    assert fitting(lines, 11) == lines[:2]
    assert fitting(lines, 10) == lines[:1]


def test_networks_differ_by_their_bytes_and_by_their_size(tmp_path) -> None:
    found = set()
    for content in (b"a", b"b", b"aa"):
        (tmp_path / "model.bin").write_bytes(content)
        found.add(digest([tmp_path / "model.bin"]))
    assert len(found) == 3
