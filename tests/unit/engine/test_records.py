"""Records of open checkpoints, and what a folder of weights says of itself, without torch."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from onesense import plugins
from onesense.engine import models, records
from onesense.engine.backends._torch import device, folder
from onesense.errors import CorruptData, MissingExtra, NotFound
from onesense.types import Family, Task

NAMES = records.names()


@pytest.mark.parametrize("name", NAMES)
def test_a_record_is_complete(name: str) -> None:
    record = records.read(name)
    assert record.mrl_dims[0] == record.dim
    assert list(record.mrl_dims) == sorted(record.mrl_dims, reverse=True)
    assert set(record.dtypes) <= {"fp32", "bf16"}
    assert record.pooling in ("mean", "last")
    assert {"text", "image", "pdf"} <= record.modalities
    assert record.revision == "" or len(record.revision) == 40
    assert all("{text}" in template for template in record.prompts.values())
    assert isinstance(plugins.load("backends", record.family), Family)


def test_the_models_that_are_promised_have_records() -> None:
    promised = {"embeddinggemma-2", "qwen3-vl-embedding-2b", "qwen3-vl-embedding-8b", "wemm-embedding-2b",
                "wemm-embedding-4b", "wemm-embedding-9b", "lco-omni-7b"}  # fmt: skip
    assert promised <= set(NAMES)


def test_embeddinggemma_never_computes_in_fp16_and_its_licence_is_marked() -> None:
    record = records.read("embeddinggemma-2")
    assert "fp16" not in record.dtypes
    assert "unclear" in record.licence_line
    assert record.prompts[Task.SEARCH_QUERY] == "task: search result | query: {text}"


@pytest.mark.parametrize(
    ("text", "fault"), [('unknown = 1\nfamily = "x"', "nobody reads"), ('family = "x"', "incomplete")]
)
def test_a_wrong_record_is_told(text: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.toml").write_text(text)
    monkeypatch.setattr(records, "FOLDER", tmp_path)
    records.read.cache_clear()
    with pytest.raises(CorruptData, match=fault):
        records.read("mine")
    with pytest.raises(NotFound, match="mine"):
        records.read("nothing")


@pytest.mark.parametrize("name", NAMES)
def test_a_model_that_is_not_here_says_how_to_get(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONESENSE_MODELS", str(tmp_path))
    with pytest.raises(NotFound, match=f"onesense models pull {name}"):
        models.info(name)
    assert isinstance(models.survey()[name], NotFound)


def test_without_the_extra_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"onesense\[torch\]"):
        models.info(f"qwen-vl:{tmp_path}")


def test_the_longest_input_is_the_least_of_what_the_files_say(tmp_path: Path) -> None:
    there = folder.Folder(tmp_path)
    assert there.max_tokens(8_192) == 8_192
    (tmp_path / "config.json").write_text(json.dumps({"text_config": {"max_position_embeddings": 4_096}}))
    assert there.max_tokens(8_192) == 4_096
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 10**30}))
    assert there.max_tokens(8_192) == 4_096
    (tmp_path / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 512}))
    assert there.max_tokens(8_192) == 512


def test_a_family_needs_a_model() -> None:
    with pytest.raises(NotFound, match="write `qwen-vl:`"):
        models.info("qwen-vl")
    with pytest.raises(NotFound, match="it is one model"):
        models.info("tiny:other")
