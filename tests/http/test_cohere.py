"""Cohere's embed: the cohere client itself, and what it cannot send."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import cohere
import httpx
import numpy as np
import pytest

import media_samples
from onesense import Content, Embedder, Part
from onesense.server import compact
from running_server import PLAIN

TEXTS = ["a cat purring", "the price of steel"]
PNG = media_samples.picture("PNG")
URI = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
TYPES = ["float", "int8", "uint8", "binary", "ubinary", "base64"]


@pytest.fixture(scope="module")
def wire() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=30, trust_env=False) as opened:
        yield opened


@pytest.fixture(scope="module")
def client(base: str, wire: httpx.Client) -> cohere.ClientV2:
    return cohere.ClientV2(api_key="ann-secret", base_url=base, httpx_client=wire)


@pytest.fixture
def http(ann: httpx.Client) -> httpx.Client:
    return ann


def post(http: httpx.Client, **body: Any) -> httpx.Response:
    return http.post("/v2/embed", json={"model": "tiny", "input_type": "image"} | body)


def embedded(http: httpx.Client, **body: Any) -> dict[str, Any]:
    answer = post(http, **body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(answer: httpx.Response, status: int = 400) -> str:
    assert answer.status_code == status, answer.text
    assert answer.json().keys() == {"id", "message"}
    assert "Traceback" not in answer.text
    return answer.json()["message"]


@pytest.mark.parametrize(
    ("input_type", "task"),
    [("search_document", "search document"), ("search_query", "search query"), ("classification", "classification"),
     ("clustering", "clustering"), ("image", None)],
)  # fmt: skip
def test_texts_for_each_input_type(
    client: cohere.ClientV2, embedder: Embedder, input_type: str, task: str | None
) -> None:
    answer = client.embed(model="gemini-embedding-2", texts=TEXTS, input_type=input_type, embedding_types=["float"])
    expected = embedder.embed_detailed(TEXTS, task=task)
    np.testing.assert_allclose(answer.embeddings.float_, [e.values for e in expected], atol=1e-6)
    assert answer.texts == TEXTS
    assert answer.meta and answer.meta.billed_units
    assert answer.meta.billed_units.input_tokens == sum(e.n_tokens for e in expected)
    assert answer.response_type == "embeddings_by_type"


def test_every_embedding_type(client: cohere.ClientV2, embedder: Embedder) -> None:
    answer = client.embed(
        model="tiny",
        texts=TEXTS,
        input_type="image",
        output_dimension=64,
        embedding_types=TYPES,  # type: ignore[arg-type]
    )
    expected = embedder.embed(TEXTS, 64)
    found = answer.embeddings
    np.testing.assert_allclose(found.float_, expected, atol=1e-6)
    for name in ("int8", "uint8", "binary", "ubinary"):
        assert getattr(found, name) == [getattr(compact, name)(v).tolist() for v in expected], name
    assert found.base64
    np.testing.assert_allclose([np.frombuffer(base64.b64decode(b), "<f4") for b in found.base64], expected, atol=1e-6)


def test_float_is_the_default_and_only_what_is_asked_for_comes(http: httpx.Client) -> None:
    assert embedded(http, texts=["a"])["embeddings"].keys() == {"float"}
    assert embedded(http, texts=["a"], embedding_types=["int8"])["embeddings"].keys() == {"int8"}


def test_images_and_mixed_inputs(client: cohere.ClientV2, embedder: Embedder) -> None:
    answer = client.embed(model="tiny", images=[URI, URI], input_type="image", embedding_types=["float"])
    picture = embedder.embed(Content(Part.bytes(PNG)))[0]
    np.testing.assert_allclose(answer.embeddings.float_, [picture, picture], atol=1e-6)
    assert answer.meta and answer.meta.billed_units and answer.meta.billed_units.image_tokens == 32
    both = [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": URI}}]
    inputs: Any = [{"content": both}, {"content": both[:1]}]
    answer = client.embed(model="tiny", inputs=inputs, input_type="image", embedding_types=["float"])
    expected = embedder.embed([Content("hi", Part.bytes(PNG)), "hi"])
    np.testing.assert_allclose(answer.embeddings.float_, expected, atol=1e-6)


@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20")  # the client's own
@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince211")
def test_the_older_client(base: str, wire: httpx.Client, embedder: Embedder) -> None:
    client = cohere.Client(api_key="ann-secret", base_url=base, httpx_client=wire)
    texts = [f"text {n}" for n in range(100)]  # it splits at 96
    plain = client.embed(texts=texts, model="tiny", input_type="image")
    np.testing.assert_allclose(plain.embeddings, embedder.embed(texts), atol=1e-6)
    typed = client.embed(texts=TEXTS, model="tiny", input_type="image", embedding_types=["float", "int8"])
    np.testing.assert_allclose(typed.embeddings.float_, embedder.embed(TEXTS), atol=1e-6)


def test_the_client_raises_its_own_errors(client: cohere.ClientV2, base: str, wire: httpx.Client) -> None:
    with pytest.raises(cohere.NotFoundError) as missing:
        client.embed(model="embed-v4.0", texts=["x"], input_type="image")
    assert "not found" in missing.value.body["message"]
    with pytest.raises(cohere.BadRequestError) as bad:
        client.embed(model="tiny", texts=["x", ""], input_type="image")
    assert "texts[1]" in bad.value.body["message"]
    stranger = cohere.ClientV2(api_key="wrong-secret", base_url=base, httpx_client=wire)
    with pytest.raises(cohere.UnauthorizedError):
        stranger.embed(model="tiny", texts=["x"], input_type="image")


# --- what is cut ------------------------------------------------------------------------------------------------------

LONG = " ".join(f"w{n}" for n in range(700))  # tiny reads 512 tokens, a word each


def test_too_long_texts_are_cut_at_the_end_or_the_start_or_refused(http: httpx.Client, embedder: Embedder) -> None:
    end = embedded(http, texts=[LONG])
    np.testing.assert_allclose(end["embeddings"]["float"], embedder.embed(LONG), atol=1e-6)
    assert "were cut" in end["meta"]["warnings"][0]
    start = embedded(http, texts=["short", LONG], truncate="START")
    last = " ".join(f"w{n}" for n in range(700 - 512, 700))
    np.testing.assert_allclose(start["embeddings"]["float"], embedder.embed(["short", last]), atol=1e-5)
    assert start["meta"]["warnings"][0].startswith("1 of 2")
    assert start["texts"] == ["short", LONG]
    assert "texts[0]" in refused(post(http, texts=[LONG], truncate="NONE"), 413)
    assert "warnings" not in embedded(http, texts=["short"], truncate="NONE")["meta"]


def test_max_tokens(http: httpx.Client, embedder: Embedder) -> None:
    first = embedded(http, texts=["a b c d"], max_tokens=2)
    np.testing.assert_allclose(first["embeddings"]["float"], embedder.embed("a b"), atol=1e-6)
    last = embedded(http, texts=["a b c d"], max_tokens=2, truncate="START")
    np.testing.assert_allclose(last["embeddings"]["float"], embedder.embed("c d"), atol=1e-6)
    assert first["meta"]["tokens"]["input_tokens"] == 2
    refused(post(http, texts=["a b c d"], max_tokens=2, truncate="NONE"), 413)


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {}, {"texts": []}, {"texts": "abc"}, {"texts": [""]}, {"texts": [" "]}, {"texts": [7]}, {"texts": [None]},
        {"texts": ["x"] * 97}, {"texts": ["x"], "images": [URI]}, {"images": [URI], "inputs": []}, {"images": URI},
        {"images": [""]}, {"images": ["abc"]}, {"images": [7]}, {"images": ["data:image/png;base64,aGVsbG8="]},
        {"images": ["https://example.com/a.png"]}, {"images": ["/etc/passwd"]}, {"inputs": [{}]}, {"inputs": [7]},
        {"inputs": [{"content": []}]}, {"inputs": [{"content": "x"}]}, {"inputs": [{"content": [{"type": "text"}]}]},
        {"texts": ["x"], "input_type": "dance"}, {"texts": ["x"], "embedding_types": []},
        {"texts": ["x"], "embedding_types": "float"}, {"texts": ["x"], "embedding_types": ["int4"]},
        {"texts": ["x"], "embedding_types": [["float"]]}, {"texts": ["x"], "output_dimension": 0},
        {"texts": ["x"], "output_dimension": 99_999},
        {"texts": ["x"], "output_dimension": 12, "embedding_types": ["binary"]},
        {"texts": ["x"], "truncate": "MIDDLE"}, {"texts": ["x"], "max_tokens": 0},
        {"images": [URI], "truncate": "START"},
        {"images": [URI], "max_tokens": 5}, {"texts": ["x"], "model": ""}, {"texts": ["x"], "model": 7},
        {"texts": ["x"], "unknown": 1},
    ],
)  # fmt: skip
def test_bad_bodies_are_refused_in_coheres_shape(http: httpx.Client, body: dict[str, Any]) -> None:
    answer = post(http, **body)
    assert answer.status_code in (400, 413, 415), answer.text
    refused(answer, answer.status_code)


def test_input_type_is_required_under_v2_only(http: httpx.Client) -> None:
    body = {"model": "tiny", "texts": ["x"]}
    assert "input_type" in refused(http.post("/v2/embed", json=body))
    assert http.post("/v1/embed", json=body).json()["response_type"] == "embeddings_floats"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"7", b"\xff", b"null"])
def test_bodies_that_are_no_json_object(http: httpx.Client, content: bytes) -> None:
    refused(http.post("/v2/embed", content=content))


def test_no_key(base: str) -> None:
    refused(PLAIN.post(f"{base}/v2/embed", json={}), 401)
