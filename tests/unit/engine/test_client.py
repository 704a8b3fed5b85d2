"""The Gemini-shaped client, against google-genai's own rules and objects."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import PIL.Image
import pytest
from google.genai import _transformers
from google.genai import types as gt

import onesense
from onesense.engine import client as room
from onesense.engine.cache import VectorCache
from onesense.engine.client import Client, gather, merges
from onesense.errors import DimError, EmptyInput, InvalidInput, NotFound, TooLarge
from onesense.types import Content, Image, Part

GEMINI = "gemini-embedding-2"
PICTURE = Part(Image(np.zeros((4, 4, 3), np.uint8)))
NAMES = [
    "gemini-embedding-2",
    "gemini-embedding-2-preview",
    "gemini-embedding-2-exp-11-2025",
    "x-gemini-embedding-2",
    "my-gemini",
    "gemini-3.8-flash",
    "my-gemini-embedding-001",
    "gemini-embedding-001",
    "gemini-embedding-001-x",
    "gemini-embedding-exp-03-07",
    "models/gemini-embedding-001",
    "models/gemini-embedding-2",
    "gemini/my-embed",
    "Gemini-embedding-2",
    "GEMINI",
    "embeddinggemma-300m",
    "onesense-mini",
    "tiny",
]
GOOGLES = [
    "a",
    ["a", "b", "c"],
    [gt.Part(text="a"), gt.Part(text="b")],
    ["txt", gt.Part(text="b")],
    gt.Content(parts=[gt.Part(text="a"), gt.Part(text="b")]),
    [gt.Content(parts=[gt.Part(text="a")]), gt.Content(parts=[gt.Part(text="b")])],
    [["t1"], ["t2", gt.Part(text="x")]],
    [gt.Content(parts=[gt.Part(text="a")]), "b", gt.Part(text="c")],
    ["a", gt.Content(parts=[gt.Part(text="b")]), "c", "d", ["e"], "f"],
    {"parts": [{"text": "a"}, {"text": "b"}]},
    [{"text": "a"}, {"text": "b"}],
    [{"parts": [{"text": "a"}]}, {"parts": [{"text": "b"}]}],
    gt.Part(text="a"),
    {"text": "a"},
    [gt.File(uri="/a.png", mime_type="image/png"), "a"],
]


class _Developer:
    vertexai = False


@pytest.fixture
def client() -> Iterator[Client]:
    with Client(model="tiny") as made:
        yield made


def _google(contents: Any, *, is_merging: bool) -> list[list[str | None]]:
    """Texts of the contents that google-genai itself would send, one list a vector."""
    if is_merging:
        found = _transformers.t_contents(contents)
    else:
        found = _transformers.t_contents_for_embed(_Developer(), contents)  # type: ignore[arg-type,assignment]
    return [[part.text for part in content.parts or []] for content in found]


def _ours(contents: Any, *, is_merging: bool) -> list[list[str | None]]:
    found = gather(contents, is_merging=is_merging)
    return [[p.value if isinstance(p.value, str) else None for p in content.parts] for content in found]


@pytest.mark.parametrize("name", NAMES)
def test_the_same_names_merge_as_in_google_genai(name: str) -> None:
    assert merges(name) is _transformers.t_is_multimodal_embedding_model(name)


@pytest.mark.parametrize("is_merging", [True, False])
@pytest.mark.parametrize("contents", GOOGLES, ids=str)
def test_contents_are_gathered_as_google_genai_gathers_them(contents: Any, is_merging: bool) -> None:
    assert _ours(contents, is_merging=is_merging) == _google(contents, is_merging=is_merging)


def test_a_content_given_as_a_dict_keeps_its_place() -> None:
    contents = ["a", {"parts": [{"text": "b"}]}, "c"]
    assert _ours(contents, is_merging=True) == [["a"], ["b"], ["c"]]


def test_a_list_is_one_vector_under_geminis_name_and_many_under_ours(client: Client) -> None:
    merged = client.models.embed_content(model=GEMINI, contents=["a", "b"])
    apart = client.models.embed_content(model="tiny", contents=["a", "b"])
    fused = client.models.embed_content(model="tiny", contents=[["a", "b"]])
    assert [len(r.embeddings) for r in (merged, apart, fused)] == [1, 2, 1]
    assert merged.embeddings[0].values == fused.embeddings[0].values


def test_the_answer_reads_like_googles(client: Client) -> None:
    config = gt.EmbedContentConfig(output_dimensionality=768)
    response = client.models.embed_content(model="tiny", contents=["a cat", [PICTURE, "b"]], config=config)
    first, second = response.embeddings
    assert type(first.values) is list
    assert {type(v) for v in first.values} == {float}
    assert len(first.values) == 768
    assert np.linalg.norm(first.values) == pytest.approx(1)
    assert (first.statistics.token_count, first.statistics.truncated) == (2, False)
    assert second.statistics.tokens_details[0].modality == "IMAGE"
    assert response.usage_metadata.prompt_token_count == 2 + second.statistics.token_count
    details = {d.modality: d.token_count for d in response.usage_metadata.prompt_tokens_details}
    assert details == {"TEXT": 3, "IMAGE": second.statistics.token_count - 1}


def test_googles_own_class_reads_the_dump(client: Client) -> None:
    response = client.models.embed_content(model="tiny", contents="a cat " * 400)
    read = gt.EmbedContentResponse.model_validate(response.model_dump())
    assert read.embeddings is not None
    assert read.embeddings[0].values == response.embeddings[0].values
    assert read.embeddings[0].statistics is not None
    assert read.embeddings[0].statistics.truncated is True
    assert read.usage_metadata is not None
    assert read.usage_metadata.prompt_token_count == 512
    assert json.loads(response.model_dump_json(exclude_none=True)) == response.model_dump()


@pytest.mark.parametrize(
    "config",
    [
        {"output_dimensionality": 8, "task_type": "RETRIEVAL_QUERY"},
        {"outputDimensionality": 8, "taskType": "search query"},
        gt.EmbedContentConfig(output_dimensionality=8, task_type="RETRIEVAL_QUERY"),
    ],
)
def test_options_come_in_either_spelling(client: Client, config: Any) -> None:
    found = client.models.embed_content(model="tiny", contents="a", config=config)
    assert len(found.embeddings[0].values) == 8


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"output_dimension": 8}, "`output_dimension`"),
        ({"document_ocr": True}, "`document_ocr`"),
        (gt.EmbedContentConfig(mime_type="text/plain"), "`mime_type`"),
        ({"outputDimensionality": 8, "output_dimensionality": 9}, "twice"),
        ({"task_type": "DANCE"}, "unknown task `DANCE`"),
        ({"task_type": 7}, "unknown task `7`"),
        ({"title": 7}, "`title` is text"),
        ({"title": "T", "task_type": "CLUSTERING"}, "`title` belongs to"),
        ({"auto_truncate": "no"}, "`auto_truncate` is True or False"),
        ("768", "config is a dict"),
    ],
)
def test_an_option_that_cannot_be_kept_is_refused_by_name(client: Client, config: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        client.models.embed_content(model="tiny", contents="a", config=config)


@pytest.mark.parametrize("dim", [0, 3073, "768", 1.5])
def test_a_size_that_is_not_possible_is_refused(client: Client, dim: object) -> None:
    with pytest.raises(DimError, match="1 to 3072"):
        client.models.embed_content(model="tiny", contents="a", config={"output_dimensionality": dim})


def test_a_title_makes_a_document(client: Client) -> None:
    titled = client.models.embed_content(model="tiny", contents="they purr", config={"title": "Cats"})
    plain = client.models.embed_content(model="tiny", contents="Cats they purr")
    assert titled.embeddings[0].values == pytest.approx(plain.embeddings[0].values, abs=1e-6)
    own = client.models.embed_content(model="tiny", contents=Content("they purr", title="Cats"), config={"title": "X"})
    assert own.embeddings[0].values == pytest.approx(plain.embeddings[0].values, abs=1e-6)


def test_auto_truncate_false_refuses_what_is_too_long(client: Client) -> None:
    long = "cat " * 600
    assert client.models.embed_content(model="tiny", contents=long).embeddings[0].statistics.truncated
    with pytest.raises(TooLarge, match=r"contents\[1\]: longer than the 512 tokens"):
        client.models.embed_content(model="tiny", contents=["a", long], config={"autoTruncate": False})
    short = client.models.embed_content(model="tiny", contents="a", config={"auto_truncate": False})
    assert len(short.embeddings) == 1


@pytest.mark.parametrize("contents", [[], (), None, iter([])])
def test_no_contents_are_refused(client: Client, contents: object) -> None:
    with pytest.raises(EmptyInput, match="contents are required"):
        client.models.embed_content(model="tiny", contents=contents)


@pytest.mark.parametrize(
    ("contents", "words"), [(["a", ""], r"contents\[1\]: this text"), (["a", 5], r"contents\[1\]: .*not int")]
)
def test_a_bad_entry_is_named(client: Client, contents: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        client.models.embed_content(model="tiny", contents=contents)


@pytest.mark.parametrize("name", sorted(room.GEMINI_NAMES | {"models/gemini-embedding-2"}))
def test_geminis_names_stand_for_the_default_model(client: Client, name: str) -> None:
    found = client.models.embed_content(model=name, contents="a")
    assert found.embeddings[0].values == client.models.embed_content(model="tiny", contents="a").embeddings[0].values
    assert client.models.get(model=name).name == "models/tiny"


@pytest.mark.parametrize("name", ["nothing", "gemini-3.8-flash", "", None, "tunedModels/x"])
def test_an_unknown_model_is_refused(client: Client, name: Any) -> None:
    with pytest.raises(NotFound):
        client.models.embed_content(model=name, contents="a")


def test_vertex_paths_name_the_same_model(client: Client) -> None:
    assert client.models.get(model="publishers/google/models/gemini-embedding-2").name == "models/tiny"


def test_the_default_is_checked_when_the_client_is_made() -> None:
    with pytest.raises(NotFound, match="`tiny`"):
        Client(model="nothing")


def test_models_are_listed(client: Client) -> None:
    cards = {card.name: card for card in client.models.list()}
    card = cards["models/tiny"]
    assert (card.input_token_limit, card.version) == (512, "seed-0")
    assert "embedContent" in card.supported_actions
    with pytest.raises(InvalidInput, match="one page"):
        client.models.list(config={"page_size": 5})


def test_tokens_are_counted(client: Client) -> None:
    counted = client.models.count_tokens(model="tiny", contents=["a cat", PICTURE])
    assert counted.total_tokens == 2 + 16
    assert [(d.modality, d.token_count) for d in counted.prompt_tokens_details] == [("TEXT", 2), ("IMAGE", 16)]
    with pytest.raises(InvalidInput, match="no config"):
        client.models.count_tokens(model="tiny", contents="a", config={"system_instruction": "x"})


def test_the_same_calls_can_be_awaited(client: Client) -> None:
    async def calls() -> tuple[Any, ...]:
        models = client.aio.models
        embedded, counted, card = await asyncio.gather(
            models.embed_content(model="tiny", contents="a"),
            models.count_tokens(model="tiny", contents="a"),
            models.get(model="tiny"),
        )
        names = [model.name async for model in await models.list()]
        await client.aio.aclose()
        return embedded, counted, card, names

    embedded, counted, card, names = asyncio.run(calls())
    assert embedded == client.models.embed_content(model="tiny", contents="a")
    assert (counted.total_tokens, card.name) == (1, "models/tiny")
    assert "models/tiny" in names


def test_pil_pictures_are_parts_of_a_run() -> None:
    assert len(gather(["a", PIL.Image.new("RGB", (2, 2))], is_merging=True)) == 1


def test_the_cache_is_used() -> None:
    cache = VectorCache()
    with Client(model="tiny", cache=cache, api_key="ignored") as made:
        one, two = (made.models.embed_content(model="tiny", contents="a") for _ in range(2))
    assert one == two
    assert cache.hits == 1


def test_google_genai_is_not_imported() -> None:
    script = "import onesense, sys; onesense.Client(model='tiny').models.embed_content(model='tiny', contents='a')"
    script += "; sys.exit('google' in sys.modules or 'PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_the_public_name_is_this_class() -> None:
    assert onesense.Client is Client
