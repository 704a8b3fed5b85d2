"""What every backend must do. A new file in `engine/backends/` is found by its name; it brings no test of its own."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from onesense import plugins
from onesense.engine import batcher
from onesense.errors import OnesenseError
from onesense.types import (
    SAMPLE_RATE_HZ,
    Array,
    Audio,
    Backend,
    Batch,
    Content,
    Document,
    Family,
    Features,
    Image,
    Metered,
    ModelInfo,
    Page,
    Part,
    Task,
    Video,
)
from onesense.vectors import cosine
from running_server import running
from small_adapter import saved_adapter

EXAMPLES = Path(__file__).parents[2] / "examples" / "plugins"
FAMILIES: dict[str, Callable[[str], str]] = {
    "gemini": lambda url: "gemini:tiny",
    "http": lambda url: f"{url}/v1#tiny,media=image+audio+video+pdf,max_tokens=512",
    "adapted": lambda url: f"adapted:{saved_adapter(Path(tempfile.mkdtemp()) / 'adapter')}",
}
"""Of a plug-in that opens many models: the name of one, given the address of a server that answers as `tiny`."""
OPTIONAL_EXTRAS = {"https", "embeddinggemma", "lco_omni", "qwen_vl", "sentence_transformers", "wemm"}
"""Backends that an extra or a remote service must be there for: `https` is `http` with a certificate; the others are
open checkpoints, which tests/torch puts through this file."""


@dataclass
class _Point:
    name: str
    value: str


def _open(name: str) -> Backend:
    """A backend of its own: by the name of its plug-in, or of a model of a family."""
    if ":" in name:
        scheme, _, model = name.partition(":")
        return plugins.load("backends", scheme)(model=model)  # type: ignore[no-any-return]
    return _load(name)()


def _load(name: str) -> type[Backend]:
    if name == "hashed_words":  # the example, found as an installed package would be
        sys.path.insert(0, str(EXAMPLES))
        with pytest.MonkeyPatch.context() as patch:
            point = _Point("hashed_words", "hashed_words:Backend")
            patch.setattr(plugins, "entry_points", lambda group: [point] if group == "onesense.backends" else [])
            return plugins.load("backends", name)  # type: ignore[no-any-return]
    return plugins.load("backends", name)  # type: ignore[no-any-return]


def _names() -> list[str]:
    found = [name for name in plugins.names("backends") if name not in OPTIONAL_EXTRAS]
    return [*found, "hashed_words"]


def _set(patch: pytest.MonkeyPatch, url: str) -> None:
    patch.setenv("GEMINI_API_KEY", "any key")
    patch.setenv("GOOGLE_GEMINI_BASE_URL", url)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("server")) as address:
        yield address


@pytest.fixture(autouse=True)
def _settings(url: str, _clean_environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, url)


@pytest.fixture(scope="module", params=_names())
def model(request: pytest.FixtureRequest, url: str) -> str:
    """What opens the backend: its plug-in's name, or that of a model of a family."""
    family = FAMILIES.get(request.param)
    return request.param if family is None else family(url)


@pytest.fixture(scope="module")
def backend(model: str, url: str) -> Iterator[Backend]:
    with pytest.MonkeyPatch.context() as patch:
        _set(patch, url)
        loaded = _open(model)
    yield loaded
    loaded.close()
    loaded.close()


def _wave(hz: float, seconds: float = 1.0) -> Audio:
    times = np.arange(int(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return Audio((0.5 * np.sin(2 * np.pi * hz * times)).astype(np.float32))


def _picture(seed: int, height: int = 48, width: int = 64) -> Image:
    corners = np.random.RandomState(seed).randint(0, 256, (3, 4, 3)).astype(np.uint8)
    return Image(np.ascontiguousarray(corners.repeat(height // 3, 0).repeat(width // 4, 1)))


def _film(seed: int, sound: Audio | None = None) -> Video:
    frames = np.stack([_picture(seed + i).pixels for i in range(3)])
    return Video(frames, np.arange(3, dtype=np.float32), sound, 3.0)


def _page(seed: int, text: str) -> Page:
    return Page(_picture(seed, 96, 64), text, 1)


SAMPLES: dict[str, list[Callable[[], object]]] = {
    "text": [
        lambda: "a cat",
        lambda: "ein Hund schläft im Garten",
        lambda: "東京の天気は晴れです。",
        lambda: "The quick brown fox jumps over the lazy dog. " * 8,
    ],
    "image": [lambda: _picture(1), lambda: _picture(2), lambda: _picture(3, 300, 40)],
    "audio": [lambda: _wave(220), lambda: _wave(3000), lambda: _wave(220, 2.5)],
    "video": [lambda: _film(10), lambda: _film(20), lambda: _film(10, _wave(440, 3.0))],
    "pdf": [
        lambda: _page(5, "Annual report"),
        lambda: _page(6, "Annual report"),
        lambda: _page(5, "Weather in May"),
        lambda: Document((_page(5, "Annual report"), _page(7, "Page two"))),
    ],
}


def _contents(backend: Backend, modality: str) -> list[Content]:
    return [Content(Part(make())) for make in SAMPLES[modality]]  # type: ignore[arg-type]


def _mixed(backend: Backend) -> list[Content]:
    found = [c for modality in SAMPLES if modality in backend.info.modalities for c in _contents(backend, modality)]
    if "image" in backend.info.modalities:
        found.append(Content("my bike, ", Part(_picture(8)), " in the rain"))
    return found


def _embed(backend: Backend, contents: list[Content]) -> Array:
    return backend.embed(Batch(tuple(backend.prepare(c) for c in contents)))


def _read(backend: Backend, content: Content) -> Features:
    """The features, after the answer where a service tells the tokens only then."""
    features = backend.prepare(content)
    if isinstance(backend, Metered):
        backend.embed(Batch((features,)))
        return backend.metered(features)
    return features


def test_it_fulfils_the_protocol_and_has_its_record_on_the_class(backend: Backend) -> None:
    assert isinstance(backend, Backend)
    of_class = type(backend)
    model = backend.info.name.partition(":")[2]
    assert isinstance(backend.info, ModelInfo)
    assert (of_class.describe(model) if isinstance(of_class, Family) else of_class.info) == backend.info


def test_its_record_is_complete(backend: Backend) -> None:
    info = backend.info
    assert re.fullmatch(r"[a-z0-9][a-z0-9.-]*(:\S+)?", info.name)
    assert info.revision
    assert info.licence
    assert "text" in info.modalities
    assert info.modalities <= set(SAMPLES)
    assert info.mrl_dims[0] == info.dim
    assert list(info.mrl_dims) == sorted(info.mrl_dims, reverse=True)
    assert info.max_tokens >= 16
    for task, template in info.prompts.items():
        assert isinstance(task, Task)
        assert template.count("{text}") == 1


def test_rows_are_finite_float32_of_the_promised_width(backend: Backend) -> None:
    rows = _embed(backend, _mixed(backend))
    assert rows.shape == (len(_mixed(backend)), backend.info.dim)
    assert rows.dtype == np.float32
    assert np.isfinite(rows).all()
    assert (np.linalg.norm(rows, axis=1) > 1e-6).all()


def test_an_item_does_not_depend_on_its_neighbours_in_the_batch(backend: Backend) -> None:
    contents = _mixed(backend)
    together = _embed(backend, contents)
    alone = np.concatenate([_embed(backend, [c]) for c in contents])
    assert np.diag(cosine(together, alone)).min() > 0.9999


def test_the_order_is_kept(backend: Backend) -> None:
    contents = _mixed(backend)
    forward, backward = _embed(backend, contents), _embed(backend, contents[::-1])[::-1]
    assert np.diag(cosine(forward, backward)).min() > 0.9999


def test_it_is_deterministic(backend: Backend) -> None:
    contents = _mixed(backend)
    assert np.diag(cosine(_embed(backend, contents), _embed(backend, contents))).min() > 0.999999


@pytest.mark.parametrize("modality", list(SAMPLES))
def test_two_inputs_give_two_vectors(backend: Backend, modality: str) -> None:
    if modality not in backend.info.modalities:
        with pytest.raises(OnesenseError, match=f"(?i){modality}"):
            backend.prepare(_contents(backend, modality)[0])
        return
    rows = _embed(backend, _contents(backend, modality))
    off_diagonal = cosine(rows, rows)[~np.eye(len(rows), dtype=bool)]
    assert off_diagonal.max() < 0.99999


def test_it_reads_to_the_end_and_says_where_the_end_was(backend: Backend) -> None:
    word = "again "
    fits = _read(backend, Content(word * 10))
    long = _read(backend, Content(word * (backend.info.max_tokens * 3)))
    assert not fits.truncated
    assert long.truncated
    assert fits.n_tokens < long.n_tokens <= backend.info.max_tokens
    assert _embed(backend, [Content(word * (backend.info.max_tokens * 3))]).shape == (1, backend.info.dim)
    first, last = _embed(backend, [Content(word * 10 + "first"), Content(word * 10 + "last")])
    assert cosine(first[None], last[None])[0, 0] < 0.99999


def test_one_letter_is_enough(backend: Backend) -> None:
    assert backend.prepare(Content("a")).n_tokens >= 1
    assert np.isfinite(_embed(backend, [Content("a")])).all()


@pytest.mark.parametrize("text", ["", " \n\t "])
def test_nothing_is_refused_or_read_but_never_nan(backend: Backend, text: str) -> None:
    try:
        rows = _embed(backend, [Content(text)])
    except OnesenseError as error:
        assert str(error)
    else:
        assert np.isfinite(rows).all()


def test_tokens_add_up(backend: Backend) -> None:
    for content in _mixed(backend):
        features = backend.prepare(content)
        assert features.n_tokens > 0
        assert sum(features.usage.values()) == features.n_tokens
        assert set(features.usage) <= backend.info.modalities
        assert 0 not in features.usage.values()


def test_the_order_of_parts_counts(backend: Backend) -> None:
    if "image" not in backend.info.modalities:
        pytest.skip("reads text only, and may be a bag of words")
    one = Content("left of ", Part(_picture(1)), Part(_picture(2)))
    other = Content("left of ", Part(_picture(2)), Part(_picture(1)))
    assert cosine(_embed(backend, [one]), _embed(backend, [other]))[0, 0] < 0.999999


def test_every_plan_of_the_batcher_gives_the_same_rows(backend: Backend) -> None:
    contents = _mixed(backend)
    items = [backend.prepare(c) for c in contents]
    wide = batcher.run(backend.embed, items, budget_tokens=10**6)
    narrow = batcher.run(backend.embed, items, budget_tokens=1)
    assert np.diag(cosine(np.stack(wide), np.stack(narrow))).min() > 0.9999  # type: ignore[arg-type]


def test_after_close_it_does_not_answer_nonsense(model: str) -> None:
    loaded = _open(model)
    features = loaded.prepare(Content("a"))
    before = loaded.embed(Batch((features,)))
    loaded.close()
    loaded.close()
    try:
        after = loaded.embed(Batch((features,)))
    except OnesenseError:
        return
    assert cosine(before, after)[0, 0] > 0.9999
