"""The official google-genai, sync and async, against a started server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google import genai
from google.genai import errors, types

import media_samples
from onesense import Embedder
from onesense.engine.backends.tiny import Backend as Tiny
from running_server import PLAIN, running

MODEL = "gemini-embedding-2"
PNG = media_samples.picture("png")
WAV = media_samples.sound("wav", media_samples.tone(2.0))
SPLIT = "gemini-embedding-001"  # a name under which google-genai sends a list as one request an entry


def client_of(url: str, **options: Any) -> genai.Client:
    return genai.Client(api_key="any key", http_options=types.HttpOptions(base_url=url, **options))


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[genai.Client]:
    with client_of(url) as made:
        yield made


def vectors(answer: types.EmbedContentResponse) -> np.ndarray:
    return np.array([e.values for e in answer.embeddings])


def test_one_string_is_one_unit_vector_with_its_tokens(client: genai.Client) -> None:
    answer = client.models.embed_content(model=MODEL, contents="a red bicycle")
    assert vectors(answer).shape == (1, 3072)
    assert np.linalg.norm(vectors(answer)) == pytest.approx(1, abs=1e-5)
    assert answer.usage_metadata.prompt_token_count == 3
    assert answer.usage_metadata.prompt_tokens_details[0].modality == "TEXT"
    assert answer.embeddings[0].statistics.token_count == 3
    assert answer.embeddings[0].statistics.truncated is False


def test_any_size_is_the_cut_of_the_whole_and_of_unit_length(client: genai.Client) -> None:
    whole = vectors(client.models.embed_content(model=MODEL, contents="a red bicycle"))[0]
    for dim in (1, 10, 128, 768, 1536):
        answer = client.models.embed_content(
            model=MODEL, contents="a red bicycle", config={"output_dimensionality": dim}
        )
        expected = whole[:dim] / np.linalg.norm(whole[:dim])
        np.testing.assert_allclose(vectors(answer)[0], expected, atol=1e-6)


def test_a_list_becomes_one_vector_under_a_gemini_name_and_several_under_others(client: genai.Client) -> None:
    texts = ["a red bicycle", "a blue car", "the sea"]
    merged = vectors(client.models.embed_content(model=MODEL, contents=texts))
    assert merged.shape == (1, 3072)
    for name in (SPLIT, "tiny"):
        each = vectors(client.models.embed_content(model=name, contents=texts))
        assert each.shape == (3, 3072)
        alone = [vectors(client.models.embed_content(model=name, contents=text))[0] for text in texts]
        np.testing.assert_allclose(each, alone, atol=1e-5)
        assert not np.allclose(merged[0], each[0], atol=1e-3)


def test_every_form_of_contents_gives_the_number_of_vectors_that_google_gives(client: genai.Client) -> None:
    text, picture = types.Part(text="a cat"), types.Part.from_bytes(data=PNG, mime_type="image/png")
    forms: list[tuple[Any, int]] = [
        ("a", 1),
        (["a", "b"], 1),
        ([text, picture], 1),
        (["a cat", picture], 1),
        (types.Content(parts=[text, picture]), 1),
        ([types.Content(parts=[text]), types.Content(parts=[text, picture])], 2),
        ([["t1"], ["t2", picture]], 2),
        ([types.Content(parts=[text]), "b", text], 2),
    ]
    for contents, expected in forms:
        answer = client.models.embed_content(model=MODEL, contents=contents, config={"output_dimensionality": 16})
        assert vectors(answer).shape == (expected, 16), contents


def test_text_and_picture_fuse_into_a_vector_of_their_own(client: genai.Client) -> None:
    picture = types.Part.from_bytes(data=PNG, mime_type="image/png")
    answers = [
        client.models.embed_content(model=MODEL, contents=contents)
        for contents in ("a cat", picture, ["a cat", picture])
    ]
    text, image, both = (vectors(a)[0] for a in answers)
    assert both @ text < 0.999
    assert both @ image < 0.999
    modalities = {d.modality: d.token_count for d in answers[2].usage_metadata.prompt_tokens_details}
    assert modalities == {"TEXT": 2, "IMAGE": 16}
    assert answers[2].usage_metadata.prompt_token_count == 18


def test_every_modality_comes_in(client: genai.Client) -> None:
    samples = {
        "IMAGE": (PNG, "image/png"),
        "AUDIO": (WAV, "audio/wav"),
        "VIDEO": (media_samples.video("mp4", 2), "video/mp4"),
        "DOCUMENT": (media_samples.pdf(["a page of text"]), "application/pdf"),
    }
    for word, (data, mime_type) in samples.items():
        part = types.Part.from_bytes(data=data, mime_type=mime_type)
        answer = client.models.embed_content(model=MODEL, contents=part)
        assert {d.modality for d in answer.usage_metadata.prompt_tokens_details} == {word}


def test_a_stretch_of_a_video_is_another_vector(client: genai.Client) -> None:
    blob = types.Blob(data=media_samples.video("mp4", 6), mime_type="video/mp4")
    windows = [None, {"start_offset": "1s", "end_offset": "3s"}, {"start_offset": "3s", "end_offset": "5s", "fps": 2.0}]
    answers = [
        client.models.embed_content(
            model=MODEL,
            contents=types.Part(inline_data=blob, video_metadata=types.VideoMetadata(**w) if w else None),
        )
        for w in windows
    ]
    counts = [a.usage_metadata.prompt_token_count for a in answers]
    assert len({tuple(vectors(a)[0][:8]) for a in answers}) == 3
    assert counts[1] < counts[0]


def test_task_type_and_title_do_nothing_under_gemini_embedding_2_as_at_google(client: genai.Client) -> None:
    plain = vectors(client.models.embed_content(model=MODEL, contents="x y z"))
    config = {"task_type": "RETRIEVAL_DOCUMENT", "title": "A title"}
    np.testing.assert_array_equal(
        plain, vectors(client.models.embed_content(model=MODEL, contents="x y z", config=config))
    )


def test_a_title_counts_under_a_name_without_gemini(client: genai.Client) -> None:
    plain = vectors(client.models.embed_content(model="tiny", contents="x y z"))[0]
    config = {"task_type": "RETRIEVAL_DOCUMENT", "title": "A title"}
    titled = vectors(client.models.embed_content(model="tiny", contents="x y z", config=config))[0]
    spoken = vectors(client.models.embed_content(model="tiny", contents="title: A title | text: x y z"))[0]
    assert plain @ titled < 0.999
    np.testing.assert_allclose(titled, spoken, atol=1e-5)


def test_a_long_text_is_cut_and_says_so(client: genai.Client) -> None:
    answer = client.models.embed_content(
        model=MODEL, contents=[types.Content(parts=[types.Part(text="word " * 600)]), "b"]
    )
    assert [e.statistics.truncated for e in answer.embeddings] == [True, False]
    assert answer.embeddings[0].statistics.token_count == 512


@pytest.mark.parametrize(
    ("contents", "config", "said"),
    [
        ("", None, "empty Part"),
        (types.Content(parts=[]), None, "contents is not specified"),
        ("x", {"output_dimensionality": 5000}, "dimension 5000"),
        ("x", {"output_dimensionality": 0}, "dimension 0"),
        (types.Part.from_bytes(data=b"no picture", mime_type="image/png"), None, "image/png"),
        (types.Part.from_bytes(data=b"\x89PNG\r\n\x1a\nbroken", mime_type="image/png"), None, "requests[0]"),
        (
            [types.Content(parts=[types.Part(text="fine")]), types.Content(parts=[types.Part(text=" ")])],
            None,
            r"requests[1]",
        ),
        ("x", {"http_options": {"extra_body": {"foo": 1}}}, 'Unknown name "foo"'),
    ],
)
def test_what_cannot_be_embedded_is_a_client_error_that_says_why(
    client: genai.Client, contents: Any, config: Any, said: str
) -> None:
    with pytest.raises(errors.ClientError) as caught:
        client.models.embed_content(model=MODEL, contents=contents, config=config)
    assert (caught.value.code, caught.value.status) == (400, "INVALID_ARGUMENT")
    assert said in caught.value.message


def test_an_unknown_model_is_404_in_googles_words(client: genai.Client) -> None:
    with pytest.raises(errors.ClientError, match="models/gemini-9 is not found for API version v1") as caught:
        client.models.embed_content(model="gemini-9", contents="x")
    assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")


def test_count_tokens(client: genai.Client) -> None:
    picture = types.Part.from_bytes(data=PNG, mime_type="image/png")
    assert client.models.count_tokens(model=MODEL, contents=["a red bicycle", picture]).total_tokens == 19


def test_models_are_listed_and_told(client: genai.Client) -> None:
    names = [model.name for model in client.models.list(config={"page_size": 2})]
    assert names == [
        f"models/{n}" for n in ("tiny", "gemini-embedding-001", "gemini-embedding-2", "gemini-embedding-2-preview")
    ]
    card = client.models.get(model=MODEL)
    assert (card.name, card.input_token_limit, card.output_token_limit) == (f"models/{MODEL}", 512, 1)
    assert "embedContent" in card.supported_actions
    with pytest.raises(errors.ClientError, match="not found"):
        client.models.get(model="gemini-9")


def test_async_answers_the_same(url: str, client: genai.Client) -> None:
    async def ask() -> list[types.EmbedContentResponse]:
        async with client_of(url).aio as made:
            calls = (made.models.embed_content(model=MODEL, contents=f"text {i}") for i in range(20))
            return await asyncio.gather(*calls)

    answers = asyncio.run(ask())
    for i in (0, 7, 19):
        expected = vectors(client.models.embed_content(model=MODEL, contents=f"text {i}"))
        np.testing.assert_allclose(vectors(answers[i]), expected, atol=1e-5)


@pytest.mark.parametrize("version", ["v1", "v1beta", "v1alpha", "v1beta1", ""])
def test_any_version_word(url: str, version: str) -> None:
    with client_of(url, api_version=version) as made:
        answer = made.models.embed_content(model=MODEL, contents="x", config={"output_dimensionality": 8})
        assert vectors(answer).shape == (1, 8)
        assert made.models.get(model=MODEL).name == f"models/{MODEL}"


def test_keys(base: str) -> None:
    for secret in ("ann-secret", "bob-secret"):
        with genai.Client(api_key=secret, http_options={"base_url": base}) as made:
            assert made.models.embed_content(model=MODEL, contents="x").embeddings
    with client_of(base) as made, pytest.raises(errors.ClientError, match="API key not valid") as caught:
        made.models.embed_content(model=MODEL, contents="x")
    assert (caught.value.code, caught.value.status) == (400, "INVALID_ARGUMENT")
    assert caught.value.details["error"]["details"][0]["reason"] == "API_KEY_INVALID"


def test_a_limited_key_is_told_when_to_come_back_and_the_sdk_retries(tmp_path: Any) -> None:
    from onesense.server.access import ApiKey

    keys = (ApiKey.of("alice", "alice's secret", requests_per_min=60),)
    with running(tmp_path, keys=keys) as address:
        retry = types.HttpRetryOptions(attempts=4, initial_delay=0.6, jitter=0.0)
        options = types.HttpOptions(base_url=address, retry_options=retry)
        with genai.Client(api_key="alice's secret", http_options={"base_url": address}) as made:
            with pytest.raises(errors.ClientError) as caught:
                for _ in range(70):
                    made.models.embed_content(model=MODEL, contents="x", config={"output_dimensionality": 4})
            kinds = [d["@type"].rpartition(".")[2] for d in caught.value.details["error"]["details"]]
            assert (caught.value.code, caught.value.status) == (429, "RESOURCE_EXHAUSTED")
            assert kinds == ["QuotaFailure", "RetryInfo"]
        with genai.Client(api_key="alice's secret", http_options=options) as patient:
            assert patient.models.embed_content(model=MODEL, contents="x").embeddings


# --- text layers ----------------------------------------------------------------------------------------------------


class Reader(Tiny):
    """`tiny` under the name of a model with a text layer."""

    info = replace(Tiny.info, name="onesense-mini+ocr")


def test_a_name_with_a_plus_is_a_name_like_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onesense.server.engine.Embedder", lambda name, **options: Embedder(Reader(), **options))
    name = "onesense-mini+ocr"
    body = {"content": {"parts": [{"text": "x"}]}}
    with running(tmp_path, models=(name,)) as address, client_of(address) as made:
        assert len(made.models.embed_content(model=name, contents=["x", "y"]).embeddings) == 2
        assert made.models.get(model=name).name == f"models/{name}"
        assert f"models/{name}" in [model.name for model in made.models.list()]
        for spelt in (name, name.replace("+", "%2B")):
            path = f"{address}/v1beta/models/{spelt}:embedContent"
            assert PLAIN.post(path, json=body | {"model": f"models/{name}"}).status_code == 200
        assert PLAIN.post(f"{address}/v1/embeddings", json={"model": name, "input": "x"}).status_code == 200
        asked = {"model": name, "texts": ["x"], "input_type": "search_query", "embedding_types": ["float"]}
        assert PLAIN.post(f"{address}/v2/embed", json=asked).status_code == 200


# --- Vertex ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def vertex(url: str) -> Iterator[genai.Client]:
    """Express mode: Vertex's paths and bodies, with a key."""
    with genai.Client(vertexai=True, api_key="any key", http_options={"base_url": url}) as made:
        yield made


def test_vertex_gives_the_same_vectors(vertex: genai.Client, client: genai.Client) -> None:
    config = {"output_dimensionality": 32}
    one = vertex.models.embed_content(model=MODEL, contents="a red bicycle", config=config)
    same = client.models.embed_content(model=MODEL, contents="a red bicycle", config=config)
    np.testing.assert_array_equal(vectors(one), vectors(same))
    assert one.truncated is False
    assert one.usage_metadata.prompt_token_count == 3


def test_vertex_with_several_contents(vertex: genai.Client) -> None:
    contents = [types.Content(parts=[types.Part(text=t)]) for t in ("word " * 600, "b")]
    answer = vertex.models.embed_content(model=MODEL, contents=contents, config={"output_dimensionality": 8})
    assert vectors(answer).shape == (2, 8)
    assert [e.statistics.truncated for e in answer.embeddings] == [True, False]
    assert [e.statistics.token_count for e in answer.embeddings] == [512, 1]
    assert answer.truncated is True


def test_vertex_can_refuse_to_cut(vertex: genai.Client) -> None:
    with pytest.raises(errors.ClientError, match="longer than the 512 tokens"):
        vertex.models.embed_content(model=MODEL, contents="word " * 600, config={"auto_truncate": False})


def test_vertex_predict_for_other_names(vertex: genai.Client) -> None:
    answer = vertex.models.embed_content(model="tiny", contents=["a", "b c"], config={"output_dimensionality": 8})
    assert vectors(answer).shape == (2, 8)
    assert [e.statistics.token_count for e in answer.embeddings] == [1, 2]
    assert answer.metadata.billable_character_count == 4


def test_a_video_without_its_sound(vertex: genai.Client) -> None:
    part = types.Part.from_bytes(data=media_samples.video("mp4", 2), mime_type="video/mp4")
    heard, silent = (
        vertex.models.embed_content(model=MODEL, contents=part, config={"audio_track_extraction": wanted})
        for wanted in (True, False)
    )
    assert silent.usage_metadata.prompt_token_count < heard.usage_metadata.prompt_token_count
