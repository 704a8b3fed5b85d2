"""OpenAI's embeddings: the openai client itself, and what it cannot send."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest

import media_samples
from onesense import Content, Embedder, Part
from onesense.server.openai_tokens import TokenTable
from running_server import PLAIN, running

TEXTS = ["a cat purring", "the price of steel"]
PNG = media_samples.picture("PNG")
URI = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
WAV = media_samples.sound("wav", media_samples.tone(0.5))


@pytest.fixture(scope="module", params=["/v1", "/v1beta/openai"])
def client(base: str, request: pytest.FixtureRequest) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=base + request.param, api_key="ann-secret", max_retries=0) as opened:
        yield opened


@pytest.fixture
def http(ann: httpx.Client) -> httpx.Client:
    return ann


def vectors(answer: Any) -> np.ndarray:
    assert [d.index for d in answer.data] == list(range(len(answer.data)))
    return np.array([d.embedding for d in answer.data])


def post(http: httpx.Client, **body: Any) -> httpx.Response:
    return http.post("/v1/embeddings", json={"model": "tiny"} | body)


def embedded(http: httpx.Client, **body: Any) -> np.ndarray:
    answer = post(http, **body)
    assert answer.status_code == 200, answer.text
    return np.array([d["embedding"] for d in answer.json()["data"]])


def refused(answer: httpx.Response, status: int = 400) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert "Traceback" not in answer.text
    return error


@pytest.mark.parametrize("model", ["gemini-embedding-2", "tiny"])
@pytest.mark.parametrize("encoding", ["float", "base64", openai.NOT_GIVEN])
def test_a_list_of_texts_gives_a_vector_each(
    client: openai.OpenAI, embedder: Embedder, model: str, encoding: Any
) -> None:
    answer = client.embeddings.create(model=model, input=TEXTS, encoding_format=encoding, user="me")
    expected = embedder.embed_detailed(TEXTS)
    found = vectors(answer) if encoding != "base64" else np.array([d.embedding for d in answer.data])
    if isinstance(answer.data[0].embedding, str):
        found = np.array([np.frombuffer(base64.b64decode(d.embedding), "<f4") for d in answer.data])  # type: ignore[arg-type]
    np.testing.assert_allclose(found, [e.values for e in expected], atol=1e-6)
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == sum(e.n_tokens for e in expected)
    assert answer.model == model


def test_one_text_and_a_smaller_size(client: openai.OpenAI, embedder: Embedder) -> None:
    answer = client.embeddings.create(model="tiny", input=TEXTS[0], dimensions=64)
    np.testing.assert_allclose(vectors(answer), embedder.embed(TEXTS[0], 64), atol=1e-6)


def test_the_async_client(base: str, embedder: Embedder) -> None:
    async def ask() -> Any:
        async with openai.AsyncOpenAI(base_url=f"{base}/v1", api_key="ann-secret") as client:
            return await client.embeddings.create(model="tiny", input=TEXTS)

    np.testing.assert_allclose(vectors(asyncio.run(ask())), embedder.embed(TEXTS), atol=1e-6)


def test_arrays_of_tokens_are_read_where_the_server_knows_their_vocabulary(embedder: Embedder, tmp_path: Path) -> None:
    table = TokenTable({7: b"a cat", 8: b" purring"})
    with running(tmp_path, openai_tokens=table) as url, openai.OpenAI(base_url=f"{url}/v1", api_key="any") as client:
        for tokens in ([7, 8], [[7, 8]]):
            answer = client.embeddings.create(model="tiny", input=tokens)
            np.testing.assert_allclose(vectors(answer), embedder.embed(["a cat purring"]), atol=1e-6)
        answer = client.embeddings.create(model="tiny", input=[[7], [8, 7]])
        np.testing.assert_allclose(vectors(answer), embedder.embed(["a cat", " purringa cat"]), atol=1e-6)
        with pytest.raises(openai.BadRequestError, match="token 9 is none of the 2"):
            client.embeddings.create(model="tiny", input=[[7, 9]])


def test_models_are_listed_and_found(client: openai.OpenAI) -> None:
    assert "tiny" in [m.id for m in client.models.list()]
    assert client.models.retrieve("gemini-embedding-2").id == "gemini-embedding-2"


def test_the_client_raises_its_own_errors(client: openai.OpenAI, base: str) -> None:
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        client.embeddings.create(model="text-embedding-3-small", input="x")
    with pytest.raises(openai.BadRequestError, match=r"input\[1\]"):
        client.embeddings.create(model="tiny", input=["x", ""])
    with pytest.raises(openai.BadRequestError, match="99999"):
        client.embeddings.create(model="tiny", input="x", dimensions=99_999)
    with pytest.raises(openai.BadRequestError, match="check_embedding_ctx_length"):
        client.embeddings.create(model="tiny", input=[[1, 2, 3]])
    with (
        openai.OpenAI(base_url=f"{base}/v1", api_key="wrong-secret") as stranger,
        pytest.raises(openai.AuthenticationError) as caught,
    ):
        stranger.embeddings.create(model="tiny", input="x")
    assert caught.value.code == "invalid_api_key"


def test_media_parts_and_their_fusion(http: httpx.Client, embedder: Embedder) -> None:
    picture = {"type": "input_image", "image_url": URI}
    sound = {"type": "input_audio", "input_audio": {"data": base64.b64encode(WAV).decode(), "format": "wav"}}
    gemini = {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(PNG).decode()}}
    both = [{"type": "input_text", "text": "my bike"}, picture]
    entries = [
        picture,
        sound,
        gemini,
        both,
        {"role": "user", "content": both},
        {"parts": [{"text": "my bike"}, gemini]},
    ]
    image, fused = Content(Part.bytes(PNG)), Content("my bike", Part.bytes(PNG))
    expected = embedder.embed([image, Content(Part.bytes(WAV)), image, fused, fused, fused])
    np.testing.assert_allclose(embedded(http, input=entries), expected, atol=1e-6)
    np.testing.assert_allclose(embedded(http, input=picture), expected[:1], atol=1e-6)


def test_a_conversation_is_one_vector_as_in_vllm(http: httpx.Client, embedder: Embedder) -> None:
    picture = {"type": "image_url", "image_url": {"url": URI}}
    messages = [
        {"role": "system", "content": "look"},
        {"role": "user", "content": [{"type": "text", "text": "my bike"}, picture]},
    ]
    expected = embedder.embed(Content("look", "my bike", Part.bytes(PNG)))
    np.testing.assert_allclose(embedded(http, messages=messages), expected, atol=1e-6)


@pytest.mark.parametrize("messages", [[], {}, "a", [1], [{"role": "user"}], [{"content": []}], [{"content": [7]}]])
def test_conversations_that_are_none(http: httpx.Client, messages: Any) -> None:
    refused(post(http, messages=messages))
    assert "exclude each other" in refused(post(http, input="a", messages=[{"content": "b"}]))["message"]


def test_an_uploaded_file_can_be_named(http: httpx.Client, embedder: Embedder) -> None:
    file = http.post("/upload/v1/files?uploadType=media", content=PNG).json()["file"]
    entries = [{"type": "input_image", "image_url": file["uri"]}, {"type": "input_file", "file_id": file["name"]}]
    expected = embedder.embed(Content(Part.bytes(PNG)))[0]
    np.testing.assert_allclose(embedded(http, input=entries), [expected, expected], atol=1e-6)


def test_a_task_of_ours(http: httpx.Client) -> None:
    assert embedded(http, input="x y", task="search query").shape == (1, 3072)
    assert "unknown task" in refused(post(http, input="x", task="dancing"))["message"]


def test_what_was_cut_says_so(http: httpx.Client) -> None:
    data = post(http, input=["word " * 3_000, "short"]).json()["data"]
    assert data[0]["truncated"] is True
    assert "truncated" not in data[1]


@pytest.mark.parametrize(
    "body",
    [
        {}, {"input": None}, {"input": []}, {"input": ""}, {"input": [""]}, {"input": " "}, {"input": 7},
        {"input": True}, {"input": [True]}, {"input": [1, 2]}, {"input": [[1], [2]]}, {"input": ["a", [1]]},
        {"input": ["a", None]}, {"input": [[]]}, {"input": {}}, {"input": [{"type": "dance"}]},
        {"input": "x", "model": ""},
        {"input": "x", "model": 7}, {"input": "x", "dimensions": 0}, {"input": "x", "dimensions": -1},
        {"input": "x", "dimensions": 1.5}, {"input": "x", "dimensions": "many"},
        {"input": "x", "encoding_format": "hex"},
        {"input": "x", "unknown": 1}, {"input": ["x"] * 2_049},
        {"input": [{"type": "image_url", "image_url": "data:image/png;base64,aGVsbG8="}]},
        {"input": [{"type": "image_url", "image_url": "https://example.com/a.png"}]},
        {"input": [{"type": "image_url", "image_url": "file:///etc/passwd"}]},
    ],
)  # fmt: skip
def test_bad_bodies_are_refused_in_openais_shape(http: httpx.Client, body: dict[str, Any]) -> None:
    answer = post(http, **body)
    assert answer.status_code in (400, 413, 415), answer.text
    assert refused(answer, answer.status_code)["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"7", b'"x"', b"\xff", b"null", b'{"model":"tiny","input":"\\ud800"}']
)
def test_bodies_that_are_no_json_object(http: httpx.Client, content: bytes) -> None:
    refused(http.post("/v1beta/openai/embeddings", content=content))


def test_no_key(base: str) -> None:
    answer = PLAIN.post(f"{base}/v1/embeddings", json={"model": "tiny", "input": "x"})
    assert refused(answer, 401)["type"] == "authentication_error"
