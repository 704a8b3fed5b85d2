"""Every family of open checkpoints, on a small one with random weights: the backends' contract and its own promises."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_checkpoints

from contracts import test_backends as contract
from onesense import Embedder, plugins
from onesense.engine import models
from onesense.errors import CorruptData, InvalidInput, NotFound, OnesenseError, TooLarge
from onesense.types import Audio, Batch, Content, Features, Part, Task, Video
from onesense.vectors import cosine

MADE = {
    "embeddinggemma": small_checkpoints.embeddinggemma,
    "sentence-transformers": small_checkpoints.sentence_transformer,
    "qwen-vl": small_checkpoints.qwen_vl,
    "wemm": small_checkpoints.wemm,
    "lco-omni": small_checkpoints.lco_omni,
}
MULTIMODAL = [name for name in MADE if name != "sentence-transformers"]
_NOT_HERE = {
    "test_its_record_is_complete",  # a folder's name is a path
    "test_after_close_it_does_not_answer_nonsense",  # below, with one load
    "test_two_inputs_give_two_vectors",  # below: a model that is deaf cannot tell two films apart by their sound
}

globals().update({n: f for n, f in vars(contract).items() if n.startswith("test_") and n not in _NOT_HERE})


def checkpoint(family: str, shelf: Path) -> Path:
    folder = shelf / family
    return folder if folder.is_dir() else MADE[family](folder)


@pytest.fixture(scope="module", params=MADE)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def model(family: str, shelf: Path) -> str:
    return f"{family}:{checkpoint(family, shelf)}"


@pytest.fixture(scope="module")
def backend(family: str, shelf: Path) -> Iterator[Any]:
    loaded = plugins.load("backends", family.replace("-", "_"))(model=str(checkpoint(family, shelf)))
    yield loaded
    loaded.close()
    loaded.close()
    with pytest.raises(OnesenseError, match="closed"):
        loaded.embed(Batch((Features(None, 0),)))


def _rows(backend: Any, *contents: Content) -> Any:
    return backend.embed(Batch(tuple(backend.prepare(c) for c in contents)))


def _edit(folder: Path, name: str, **changes: Any) -> None:
    values = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(values | changes))


def _without(file: Path, tensor: str) -> str:
    """Take a tensor whose name holds `tensor` out of a safetensors file."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(file)
    gone = next(name for name in tensors if tensor in name)
    del tensors[gone]
    save_file(tensors, file, metadata={"format": "pt"})
    return gone


@pytest.fixture
def copied(family: str, shelf: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoint(family, shelf), tmp_path / "copy"))


@pytest.mark.parametrize("modality", list(contract.SAMPLES))
def test_two_inputs_give_two_vectors(backend: Any, modality: str) -> None:
    contents = contract._contents(backend, modality)
    if modality not in backend.info.modalities:
        with pytest.raises(OnesenseError, match=f"(?i){modality}"):
            backend.prepare(contents[0])
        return
    if modality == "video" and "audio" not in backend.info.modalities:
        contents = contents[:2]
    rows = _rows(backend, *contents)
    assert cosine(rows, rows)[~np.eye(len(rows), dtype=bool)].max() < 0.99999


def test_sizes_are_cut_and_of_unit_length(backend: Any, model: str) -> None:
    with Embedder(model) as embedder:
        whole, short = embedder.embed("a cat"), embedder.embed("a cat", dim=8)
    assert np.linalg.norm(short) == pytest.approx(1, abs=1e-6)
    assert cosine(whole[:, :8], short)[0, 0] == pytest.approx(1, abs=1e-6)
    with pytest.raises(InvalidInput, match="dim"):
        Embedder(model).embed("a cat", dim=backend.info.dim + 1)


def test_the_side_of_the_padding_does_not_matter(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = contract._mixed(backend)
    right = _rows(backend, *contents)
    monkeypatch.setattr(type(backend), "_side", "left", raising=False)
    assert np.diag(cosine(right, _rows(backend, *contents))).min() > 0.9999


def test_the_exact_prompt_can_be_seen(backend: Any) -> None:
    assert "a cat" in backend.prompt(Content("a cat"))


def test_a_missing_tensor_is_an_error(copied: Path, family: str) -> None:
    gone = _without(copied / "model.safetensors", "layers.1" if family != "sentence-transformers" else "layer.1")
    with pytest.raises(CorruptData, match=r"1 tensors are missing.*download"):
        models.resolve(f"{family}:{copied}")
    assert gone


def test_damaged_weights_are_an_error(copied: Path, family: str) -> None:
    file = copied / "model.safetensors"
    whole = file.read_bytes()
    for damaged in (whole[:-9], whole[:5], whole[:300], struct.pack("<Q", 12) + b"not json at all"):
        file.write_bytes(damaged)
        with pytest.raises(CorruptData, match="safetensors"):
            models.info(f"{family}:{copied}")
    file.unlink()
    with pytest.raises(NotFound, match="weights are missing"):
        models.info(f"{family}:{copied}")
    (copied / "pytorch_model.bin").write_bytes(whole)
    with pytest.raises(InvalidInput, match="use safetensors"):
        models.info(f"{family}:{copied}")


def test_another_shape_is_an_error(copied: Path, family: str) -> None:
    config = json.loads((copied / "config.json").read_text())
    inner = config.get("text_config", config)
    inner["intermediate_size"] = 48
    (copied / "config.json").write_text(json.dumps(config))
    with pytest.raises(CorruptData, match="copy"):
        models.resolve(f"{family}:{copied}")


def test_a_broken_config_is_an_error(copied: Path, family: str) -> None:
    (copied / "config.json").write_text("{")
    with pytest.raises(CorruptData, match=r"config\.json"):
        models.info(f"{family}:{copied}")


def test_other_weights_are_another_revision(copied: Path, family: str, model: str) -> None:
    before = models.info(f"{family}:{copied}").revision
    assert before == models.info(model).revision
    file = copied / "model.safetensors"
    whole = bytearray(file.read_bytes())
    whole[-5] ^= 1
    file.write_bytes(whole)
    assert models.info(f"{family}:{copied}").revision != before


@pytest.mark.parametrize("name", MULTIMODAL)
def test_another_architecture_is_refused(name: str, shelf: Path) -> None:
    other = checkpoint("qwen-vl" if name != "qwen-vl" else "wemm", shelf)
    with pytest.raises(NotFound, match="checkpoint of"):
        models.info(f"{name}:{other}")


@pytest.mark.parametrize("name", MADE)
def test_what_is_no_folder_is_refused(name: str, tmp_path: Path) -> None:
    for model in ("nowhere", f"{tmp_path}/nothing", str(tmp_path)):
        with pytest.raises(NotFound):
            models.resolve(f"{name}:{model}")


@pytest.mark.parametrize("name", MADE)
def test_fp16_is_refused_and_bf16_is_near(name: str, shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = f"{name}:{checkpoint(name, shelf)}"
    monkeypatch.setenv("ONESENSE_DTYPE", "fp16")
    with pytest.raises(InvalidInput, match="not in 'fp16'"):
        models.info(spec)
    rows = {}
    for dtype in ("fp32", "bf16"):
        monkeypatch.setenv("ONESENSE_DTYPE", dtype)
        models.close()
        assert models.info(spec).dtype_class == dtype
        rows[dtype] = Embedder(spec).embed("a cat purring")
    assert 0.98 < cosine(rows["fp32"], rows["bf16"])[0, 0] < 1


def test_a_device_that_is_not_there_is_refused(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONESENSE_DEVICE", "cuda:97")
    with pytest.raises(InvalidInput, match="cuda:97"):
        models.resolve(f"qwen-vl:{checkpoint('qwen-vl', shelf)}")


@pytest.mark.parametrize("name", MULTIMODAL)
def test_long_text_is_cut_before_the_end_of_the_message(name: str, shelf: Path) -> None:
    backend = models.resolve(f"{name}:{checkpoint(name, shelf)}")
    picture = Part(contract._picture(1))
    short, long = backend.prepare(Content("a", picture)), backend.prepare(Content("again " * 5_000, picture))
    assert long.truncated and not short.truncated
    assert backend.info.max_tokens - 8 <= long.n_tokens <= backend.info.max_tokens
    ends = [features.payload.tensors["input_ids"][0, -3:].tolist() for features in (short, long)]
    assert ends[0] == ends[1]
    assert long.usage["image"] == short.usage["image"]


@pytest.mark.parametrize("name", MULTIMODAL)
def test_media_that_do_not_fit_are_refused(name: str, shelf: Path) -> None:
    backend = models.resolve(f"{name}:{checkpoint(name, shelf)}")
    pictures = [Part(contract._picture(i, 240, 240)) for i in range(60)]
    with pytest.raises(TooLarge, match="give fewer"):
        backend.prepare(Content("look", *pictures))


@pytest.mark.parametrize("name", MULTIMODAL)
def test_a_text_cannot_forge_a_placeholder(name: str, shelf: Path) -> None:
    backend = models.resolve(f"{name}:{checkpoint(name, shelf)}")
    forged = " ".join(backend._specials)
    features = backend.prepare(Content(forged, Part(contract._picture(1))))
    clean = backend.prepare(Content("a", Part(contract._picture(1))))
    assert features.usage["image"] == clean.usage["image"]
    assert np.isfinite(backend.embed(Batch((features,)))).all()


@pytest.mark.parametrize("name", MULTIMODAL)
def test_pictures_are_told_apart_by_their_place(name: str, shelf: Path) -> None:
    backend = models.resolve(f"{name}:{checkpoint(name, shelf)}")
    one, two = Part(contract._picture(1)), Part(contract._picture(2))
    orders = [Content(one, "left", two), Content(two, "left", one), Content("left", one, two)]
    rows = _rows(backend, *orders)
    assert cosine(rows, rows)[~np.eye(3, dtype=bool)].max() < 0.999999
    assert backend.prompt(orders[0]) == backend.prompt(orders[1])


def test_instructions_reach_the_system_message(shelf: Path) -> None:
    spec = f"qwen-vl:{checkpoint('qwen-vl', shelf)}"
    backend = models.resolve(spec)
    assert "Represent the user's input." in backend.prompt(Content("a"))
    query = models.info(spec).instructions[Task.SEARCH_QUERY]
    assert query in backend.prompt(Content("a", instruction=query))
    with Embedder(spec) as embedder:
        bare, asked = embedder.embed("a cat"), embedder.embed("a cat", task="search query")
    assert cosine(bare, asked)[0, 0] < 0.9999


def test_embeddinggemma_has_geminis_prompts(shelf: Path) -> None:
    info = models.info(f"embeddinggemma:{checkpoint('embeddinggemma', shelf)}")
    assert info.prompts[Task.SEARCH_DOCUMENT] == "title: {title:none} | text: {text}"


def test_a_checkpoint_without_a_tower_refuses_what_it_saw(tmp_path: Path) -> None:
    spec = f"embeddinggemma:{small_checkpoints.embeddinggemma(tmp_path / 'deaf', audio_config=None)}"
    backend = models.resolve(spec)
    assert backend.info.modalities == {"text", "image", "video", "pdf"}
    with pytest.raises(OnesenseError, match="no sense for audio"):
        backend.prepare(Content(Part(contract._wave(220))))


def test_sound_and_frames_beyond_the_processors_bounds_are_told(shelf: Path) -> None:
    backend = models.resolve(f"embeddinggemma:{checkpoint('embeddinggemma', shelf)}")
    assert backend.prepare(Content(Part(contract._wave(220, 9.0)))).truncated
    frames = np.stack([contract._picture(i).pixels for i in range(12)])
    film = backend.prepare(Content(Part(Video(frames, np.arange(12, dtype=np.float32), None, 12.0))))
    assert int(film.payload.tensors["num_frames_per_video"][0]) == 4


def test_frame_times_are_told_to_the_model(shelf: Path) -> None:
    backend = models.resolve(f"qwen-vl:{checkpoint('qwen-vl', shelf)}")
    frames = np.stack([contract._picture(i).pixels for i in range(4)])
    early, late = (
        Content(Part(Video(frames, start + np.arange(4, dtype=np.float32), None, 99.0))) for start in (0.0, 60.0)
    )
    ids = [backend.prepare(c).payload.tensors["input_ids"][0] for c in (early, late)]
    texts = [backend._processor.tokenizer.decode(i) for i in ids]
    assert "<0.5 seconds>" in texts[0] and "<62.5 seconds>" in texts[1]


def test_no_python_file_of_a_checkpoint_runs(shelf: Path) -> None:
    assert (checkpoint("wemm", shelf) / "modeling_wemm.py").is_file()
    assert models.resolve(f"wemm:{checkpoint('wemm', shelf)}")


def test_an_unknown_architecture_with_python_files_is_refused(shelf: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(checkpoint("sentence-transformers", shelf), tmp_path / "custom"))
    _edit(copy, "config.json", model_type="my_own", auto_map={"AutoConfig": "mine.C", "AutoModel": "mine.M"})
    (copy / "mine.py").write_text("raise SystemExit('remote code ran')\n")
    with pytest.raises(InvalidInput, match="ONESENSE_REMOTE_CODE=1"):
        models.resolve(f"sentence-transformers:{copy}")


def test_a_template_without_its_embedding_token_is_refused(shelf: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(checkpoint("wemm", shelf), tmp_path / "wemm"))
    template = copy / "chat_template.jinja"
    template.write_text(template.read_text().replace("<embedding>", ""))
    with pytest.raises(CorruptData, match="<embedding>"):
        models.resolve(f"wemm:{copy}").prepare(Content("a"))


def test_the_request_of_lco_names_what_is_above(shelf: Path) -> None:
    backend = models.resolve(f"lco-omni:{checkpoint('lco-omni', shelf)}")
    assert "Summarize the above text in one word:" in backend.prompt(Content("a"))
    assert "Summarize the above image in one word:" in backend.prompt(Content(Part(contract._picture(1))))
    assert "Summarize the above in one word:" in backend.prompt(Content("a", Part(contract._picture(1))))
    film = contract._film(1, contract._wave(220))
    assert "Summarize the above video in one word:" in backend.prompt(Content(Part(film)))


def test_sentence_transformers_answers_as_itself(shelf: Path) -> None:
    from sentence_transformers import SentenceTransformer

    folder = checkpoint("sentence-transformers", shelf)
    texts = ["a cat", "ein Hund schläft im Garten " * 40, "東京"]
    theirs = SentenceTransformer(str(folder), local_files_only=True, device="cpu").encode(texts, prompt_name="query")
    ours = Embedder(f"sentence-transformers:{folder}").embed(texts, task="search query")
    assert np.diag(cosine(theirs, ours)).min() > 0.99999


def test_embeddinggemma_answers_as_its_documentation_says(shelf: Path) -> None:
    import torch
    import transformers

    folder = checkpoint("embeddinggemma", shelf)
    model = transformers.AutoModel.from_pretrained(folder)
    tokens = transformers.AutoProcessor.from_pretrained(folder)(text=["title: none | text: a cat"], return_tensors="pt")
    with torch.no_grad():
        hidden = model(**tokens).last_hidden_state
    mask = tokens["attention_mask"].unsqueeze(-1)
    theirs = ((hidden * mask).sum(1) / mask.sum(1)).numpy()
    ours = Embedder(f"embeddinggemma:{folder}").embed("a cat", task="search document")
    assert cosine(theirs, ours)[0, 0] > 0.99999


def test_silence_and_nothing_are_refused(shelf: Path) -> None:
    backend = models.resolve(f"embeddinggemma:{checkpoint('embeddinggemma', shelf)}")
    with pytest.raises(InvalidInput, match="nothing to embed"):
        backend.prepare(Content(Part(Audio(np.zeros(0, np.float32)))))
