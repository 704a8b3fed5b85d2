"""The bodies that the SDKs were recorded to send, and what plain HTTP clients send, byte for byte."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import numpy as np
import pytest

import media_samples

MODEL = "models/gemini-embedding-2"
PNG = media_samples.picture("png")
PLACE = "/v1beta1/projects/p/locations/us-central1/publishers/google"
TEXT = {"parts": [{"text": "a red bicycle"}]}


def post(http: httpx.Client, path: str, body: Any, **options: Any) -> dict[str, Any]:
    answer = http.post(path, json=body, **options)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def vector(http: httpx.Client, *parts: dict[str, Any], **fields: Any) -> np.ndarray:
    answer = post(http, f"/v1beta/{MODEL}:embedContent", {"content": {"parts": list(parts)}} | fields)
    return np.array(answer["embedding"]["values"])


def test_google_genai_mixes_both_spellings_in_one_body(http: httpx.Client) -> None:
    picture = {"inline_data": {"data": base64.urlsafe_b64encode(PNG).decode(), "mime_type": "image/png"}}
    content = {"parts": [{"text": "a cat"}, picture], "role": "user"}
    answer = post(
        http,
        f"/v1/{MODEL}:batchEmbedContents",
        {"requests": [{"content": content, "outputDimensionality": 16, "model": MODEL}]},
    )
    (one,) = answer["embeddings"]
    assert len(one["values"]) == 16
    assert one["statistics"] == {
        "truncated": False,
        "tokenCount": 18,
        "tokensDetails": [{"modality": "TEXT", "tokenCount": 2}, {"modality": "IMAGE", "tokenCount": 16}],
    }
    assert answer["usageMetadata"]["promptTokensDetails"] == one["statistics"]["tokensDetails"]


def test_an_answer_is_in_one_spelling(http: httpx.Client) -> None:
    answer = http.post(f"/v1/{MODEL}:batchEmbedContents", json={"requests": [{"content": TEXT}]})
    assert "_" not in answer.text
    assert answer.headers["content-type"] == "application/json"


def test_either_base64_alphabet_and_either_padding(http: httpx.Client) -> None:
    odd = media_samples.picture("png", np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8))
    plain, urlsafe = base64.b64encode(odd).decode(), base64.urlsafe_b64encode(odd).decode()
    assert plain != urlsafe
    texts = [plain, urlsafe, plain.rstrip("="), urlsafe.rstrip("=")]
    vectors = [vector(http, {"inlineData": {"data": t, "mimeType": "image/png"}}) for t in texts]
    for other in vectors[1:]:
        np.testing.assert_array_equal(vectors[0], other)


@pytest.mark.parametrize("name", ["outputDimensionality", "output_dimensionality"])
@pytest.mark.parametrize("value", [24, "24", 24.0])
def test_a_number_in_every_form_of_proto3_json(http: httpx.Client, name: str, value: Any) -> None:
    assert len(vector(http, {"text": "x"}, **{name: value})) == 24


def test_the_config_object_in_either_spelling(http: httpx.Client) -> None:
    for name, inner in (
        ("embedContentConfig", "outputDimensionality"),
        ("embed_content_config", "output_dimensionality"),
    ):
        assert len(vector(http, {"text": "x"}, **{name: {inner: 24}})) == 24


def test_order_and_number_are_kept(http: httpx.Client) -> None:
    texts = [f"text {i}" for i in range(100)]
    requests = [{"content": {"parts": [{"text": t}]}, "outputDimensionality": 8} for t in texts]
    found = post(http, "/v1beta/models/tiny:batchEmbedContents", {"requests": requests})["embeddings"]
    assert len(found) == 100
    for place in (0, 37, 99):
        alone = vector(http, {"text": texts[place]}, outputDimensionality=8)
        np.testing.assert_allclose(found[place]["values"], alone, atol=1e-5)


def test_langchain_and_llama_index_send_a_task_type_on_every_call(http: httpx.Client) -> None:
    plain = vector(http, {"text": "x"})
    np.testing.assert_array_equal(plain, vector(http, {"text": "x"}, taskType="RETRIEVAL_QUERY"))
    np.testing.assert_array_equal(plain, vector(http, {"text": "x"}, taskType="RETRIEVAL_DOCUMENT", title="T"))


def test_a_prefix_in_the_text_is_a_task_under_every_name(http: httpx.Client) -> None:
    titled = vector(http, {"text": "title: A title | text: x y"})
    assert vector(http, {"text": "x y"}) @ titled < 0.999


def test_vertex_bodies_with_project_and_location(http: httpx.Client) -> None:
    config = {
        "taskType": "RETRIEVAL_DOCUMENT",
        "title": "T",
        "outputDimensionality": 16,
        "autoTruncate": True,
        "documentOcr": True,
        "audioTrackExtraction": True,
    }
    picture = {"inlineData": {"data": base64.urlsafe_b64encode(PNG).decode(), "mime_type": "image/png"}}
    body = {"content": {"parts": [{"text": "a"}, picture]}, "embedContentConfig": config}
    answer = post(http, f"{PLACE}/{MODEL}:embedContent", body)
    assert (len(answer["embedding"]["values"]), answer["truncated"]) == (16, False)
    answer = post(http, f"{PLACE}/{MODEL}:batchEmbedContents", {"requests": [body, body]})
    assert len(answer["embeddings"]) == 2
    assert answer["embeddings"][0]["statistics"].keys() == {"truncated", "token_count", "tokensDetails"}
    assert post(http, f"{PLACE}/{MODEL}:countTokens", {"contents": [TEXT]})["totalTokens"] == 3


def test_older_clients_call_predict_on_vertex(http: httpx.Client) -> None:
    body = {
        "instances": [{"content": "a"}, {"content": "b c", "task_type": "RETRIEVAL_QUERY"}],
        "parameters": {"outputDimensionality": 4},
    }
    found = post(http, f"{PLACE}/models/gemini-embedding-001:predict", body)["predictions"]
    assert [len(p["embeddings"]["values"]) for p in found] == [4, 4]


def test_a_list_of_models_in_the_dialect_of_the_caller(http: httpx.Client) -> None:
    google = http.get("/v1/models", headers={"x-goog-api-key": "k"}).json()
    openai = http.get("/v1/models", headers={"authorization": "Bearer k"}).json()
    vertex = http.get("/v1beta1/publishers/google/models").json()
    assert google["models"][0]["supportedGenerationMethods"][0] == "embedContent"
    assert (openai["object"], openai["data"][0]["object"]) == ("list", "model")
    assert vertex["publisherModels"][0]["name"].startswith("publishers/google/models/")
    assert http.get("/v1/models/tiny", headers={"authorization": "Bearer k"}).json()["id"] == "tiny"
    missing = http.get("/v1/models/nix", headers={"authorization": "Bearer k"})
    assert (missing.status_code, missing.json()["error"]["type"]) == (404, "not_found_error")


def test_models_come_in_pages(http: httpx.Client) -> None:
    names, token = [], ""
    while True:
        page = http.get(
            "/v1beta/models", params={"pageSize": 3, "pageToken": token} if token else {"pageSize": 3}
        ).json()
        names += [m["name"] for m in page["models"]]
        if not (token := page.get("nextPageToken", "")):
            break
    assert len(names) == len(set(names)) == 4
    assert http.get("/v1beta/models", params={"pageSize": "many"}).status_code == 400
    assert http.get("/v1beta/models", params={"pageToken": "-1"}).status_code == 400


def test_unknown_headers_and_parameters_change_nothing(http: httpx.Client) -> None:
    headers = {"x-goog-api-client": "google-genai-sdk/3.4.0", "x-server-timeout": "30", "content-type": "text/plain"}
    answer = http.post(f"/v1beta/{MODEL}:embedContent?key=any&alt=json", json={"content": TEXT}, headers=headers)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b'"text"', b"5", b"{", b"\xff", b'{"content": 1e999}', b"{}" * 2]
)
@pytest.mark.parametrize("method", ["embedContent", "batchEmbedContents", "countTokens"])
def test_a_body_that_is_none_is_400(http: httpx.Client, method: str, body: bytes) -> None:
    answer = http.post(f"/v1/{MODEL}:{method}", content=body)
    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")


def test_every_vector_is_finite_and_of_unit_length(http: httpx.Client) -> None:
    odd = ["\x00", "a\x00b", "😀" * 50, "\u202e", "ﷺ", "a" * 20_000, "\n", "0", "​"]
    for text in odd:
        answer = http.post(f"/v1/{MODEL}:embedContent", json={"content": {"parts": [{"text": text}]}})
        if answer.status_code == 200:
            values = np.array(answer.json()["embedding"]["values"])
            assert np.linalg.norm(values) == pytest.approx(1, abs=1e-5)
        else:
            assert answer.status_code == 400, (text, answer.text)
