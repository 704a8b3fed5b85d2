"""docs/conformance.md, sent to a started server row by row."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import media_samples
from onesense.server import gemini_wire as wire
from onesense.server.access import ApiKey
from onesense.server.app import create_app
from onesense.server.protojson import Message, camel
from onesense.server.settings import ServerLimits, Settings
from running_server import running

PAGE = (Path(__file__).parents[2] / "docs" / "conformance.md").read_text(encoding="utf-8")
PNG = base64.b64encode(media_samples.picture("png")).decode()
VIDEO = base64.urlsafe_b64encode(media_samples.video("mp4", 4)).decode()
TEXT = {"text": "a red bicycle"}
FIELDS = re.findall(r"^\| `(\w+)\.(\w+)` \| (\w+) \| `(.+?)` \|", PAGE, re.M)
MESSAGES = {
    m.name: m for m in (wire.EMBED_REQUEST, wire.EMBED_CONFIG, wire.BATCH_REQUEST, wire.CONTENT, wire.PART, wire.BLOB)
} | {
    m.name: m
    for m in (wire.FILE_DATA, wire.VIDEO_METADATA, wire.COUNT_REQUEST, wire.GENERATE_REQUEST, wire.PREDICT_REQUEST)
}
QUIET = {"EmbedContentRequest.model", "Blob.mimeType", "FileData.mimeType", "EmbedContentRequest.taskType",
         "EmbedContentConfig.taskType", "TextInstance.taskType", "EmbedContentConfig.autoTruncate",
         "TextParameters.autoTruncate"}  # fmt: skip
"""Supported fields whose example changes nothing here: tests/unit/server shows what they do."""


# --- the page is complete -------------------------------------------------------------------------------------------


def test_every_route_is_on_the_page_and_none_that_is_gone() -> None:
    api = create_app(Settings(models=("tiny",))).openapi()
    routes = {f"{method.upper()} {path}" for path, methods in api["paths"].items() for method in methods}
    assert set(re.findall(r"^\| `((?:GET|POST|PUT|PATCH|DELETE) [^`]+)` \|", PAGE, re.M)) == routes


def all_messages() -> dict[str, Message]:
    found = dict(MESSAGES)
    for message in MESSAGES.values():
        found |= {f.message.name: f.message for f in message.fields.values() if f.message is not None}
    return found


def test_every_field_is_on_the_page_as_it_is_in_the_code() -> None:
    code = {(m.name, camel(n), f.support.value) for m in all_messages().values() for n, f in m.fields.items()}
    assert {row[:3] for row in FIELDS} == code


# --- each field is sent -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def file_uri(url: str) -> str:
    """An uploaded picture."""
    answer = httpx.post(f"{url}/upload/v1/files", content=media_samples.picture("png"), headers={
        "content-type": "image/png", "x-goog-upload-protocol": "raw"})  # fmt: skip
    assert answer.status_code == 200, answer.text
    return str(answer.json()["file"]["uri"])


def one(**fields: Any) -> tuple[str, dict[str, Any]]:
    return "/v1/models/tiny:embedContent", {"content": {"parts": [TEXT]}} | fields


def part(**fields: Any) -> tuple[str, dict[str, Any]]:
    return one(content={"parts": [fields]})


def count(**fields: Any) -> tuple[str, dict[str, Any]]:
    return "/v1/models/tiny:countTokens", fields


def predict(instance: dict[str, Any], **parameters: Any) -> tuple[str, dict[str, Any]]:
    body = {"instances": [{"content": "a red bicycle"} | instance], "parameters": parameters}
    return "/v1/publishers/google/models/tiny:predict", body


def request_with(message: str, field: str, given: dict[str, Any], file_uri: str) -> tuple[str, dict[str, Any]]:
    """A request that holds these fields of this message, and around them what makes it whole."""
    film = {"inlineData": {"data": VIDEO, "mimeType": "video/mp4"}}
    around: dict[str, Callable[[], tuple[str, dict[str, Any]]]] = {
        "EmbedContentRequest": lambda: one(**given),
        "EmbedContentConfig": lambda: one(embedContentConfig=given),
        "BatchEmbedContentsRequest": lambda: ("/v1/models/tiny:batchEmbedContents", given),
        "Content": lambda: one(content={"parts": [TEXT]} | given),
        "Part": lambda: part(**(given if field in ("text", "inlineData", "fileData") else TEXT | given)),
        "Blob": lambda: part(inlineData={"data": PNG} | given),
        "FileData": lambda: part(fileData=given if field == "fileUri" else {"fileUri": file_uri} | given),
        "VideoMetadata": lambda: part(**film, videoMetadata=given),
        "CountTokensRequest": lambda: count(
            **given if "generateContentRequest" in given else {"contents": [{"parts": [TEXT]}]} | given
        ),
        "GenerateContentRequest": lambda: count(generateContentRequest={"contents": [{"parts": [TEXT]}]} | given),
        "PredictRequest": lambda: (predict({})[0], predict({})[1] | given),
        "TextInstance": lambda: predict(given),
        "TextParameters": lambda: predict({}, **given),
    }
    if (message, field) == ("Part", "videoMetadata"):
        return part(**film, **given)
    if (message, field) == ("EmbedContentConfig", "audioTrackExtraction"):
        return one(content={"parts": [film]}, embedContentConfig=given)
    return around[message]()


@pytest.mark.parametrize(("message", "field", "support", "example"), FIELDS)
def test_a_field_does_what_the_page_says(
    http: httpx.Client, file_uri: str, message: str, field: str, support: str, example: str
) -> None:
    value = json.loads(
        example.replace('"PNG"', f'"{PNG}"').replace('"VIDEO"', f'"{VIDEO}"').replace('"FILE"', f'"{file_uri}"')
    )
    answers = []
    for given in ({field: value}, {}):
        path, body = request_with(message, field, given, file_uri)
        answers.append(http.post(path, json=body))
    with_it, without = answers
    if support == "refused":
        assert with_it.status_code == 400
        return
    assert with_it.status_code == 200, with_it.text
    is_same = without.status_code == 200 and with_it.json() == without.json()
    assert is_same == (support == "ignored" or f"{message}.{field}" in QUIET)


# --- each error is provoked -------------------------------------------------------------------------------------------

EMBED = "/v1beta/models/tiny:embedContent"
BATCH = "/v1/models/tiny:batchEmbedContents"
HI = {"content": {"parts": [{"text": "hi"}]}}


def blob(data: bytes, mime_type: str) -> dict[str, Any]:
    return {"content": {"parts": [{"inlineData": {"data": base64.b64encode(data).decode(), "mimeType": mime_type}}]}}


CASES: dict[str, tuple[str, str, Any]] = {
    "the body is not JSON": ("POST", EMBED, b"{nope"),
    "a field is unknown": ("POST", EMBED, HI | {"foo": 1}),
    "a field is of the wrong type": ("POST", EMBED, HI | {"outputDimensionality": "many"}),
    "no content": ("POST", EMBED, {}),
    "an empty part": ("POST", EMBED, {"content": {"parts": [{"text": ""}]}}),
    "only white space": ("POST", EMBED, {"content": {"parts": [{"text": " \n"}]}}),
    "lists inside parts": ("POST", EMBED, {"content": {"parts": [["a"]]}}),
    "two kinds in one part": ("POST", EMBED, {"content": {"parts": [{"text": "a", "inlineData": {"data": "aGk="}}]}}),
    "bad base64": ("POST", EMBED, {"content": {"parts": [{"inlineData": {"data": "%%%%"}}]}}),
    "a mislabelled file": ("POST", EMBED, blob(b"only text", "image/png")),
    "a broken file": ("POST", EMBED, blob(media_samples.picture("png")[:40], "image/png")),
    "an unknown type of file": ("POST", EMBED, blob(b"hello", "application/x-thing")),
    "a dimension above the model's": ("POST", EMBED, HI | {"outputDimensionality": 5000}),
    "a dimension below 1": ("POST", EMBED, HI | {"outputDimensionality": 0}),
    "another model in the body": ("POST", EMBED, HI | {"model": "models/gemini-embedding-2"}),
    "too long, and not to be cut": (
        "POST",
        EMBED,
        {"content": {"parts": [{"text": "word " * 600}]}, "embedContentConfig": {"autoTruncate": False}},
    ),
    "more than 100 in a batch": ("POST", BATCH, {"requests": [HI] * 101}),
    "the second of a batch is wrong": ("POST", BATCH, {"requests": [HI, {"content": {"parts": [{"text": " "}]}}]}),
    "an unknown model": ("POST", "/v1beta/models/nix:embedContent", HI),
    "another method of Google's": ("POST", "/v1beta/models/tiny:generateContent", HI),
    "an unknown route": ("GET", "/v1/nowhere", None),
    "the wrong HTTP method": ("PUT", "/v1/models", {}),
    "a file that is not there": ("POST", EMBED, {"content": {"parts": [{"fileData": {"fileUri": "files/nix"}}]}}),
}
GUARDED = {"a body that is too large", "no key where one is needed", "a wrong key", "too many requests in a minute"}
ELSEWHERE = {"the queue is full"}  # tests/http/test_server_life.py
ERRORS = re.findall(r"^\| ([^|`]+?) \| (\d{3}) \| (\w+) \| (`+) ?(.+?) ?\4 \|$", PAGE, re.M)


def test_every_case_of_the_page_is_provoked() -> None:
    assert {row[0] for row in ERRORS} == CASES.keys() | GUARDED | ELSEWHERE


def check(answer: httpx.Response, code: str, status: str, said: str) -> None:
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["status"]) == (int(code), int(code), status), answer.text
    assert said in error["message"]
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(("case", "code", "status", "tick", "said"), [row for row in ERRORS if row[0] in CASES])
def test_an_error_is_told_as_the_page_says(
    http: httpx.Client, case: str, code: str, status: str, tick: str, said: str
) -> None:
    method, path, body = CASES[case]
    content = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
    check(http.request(method, path, content=content), code, status, said)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A server with one key, which may send twice a minute, and 1000 bytes at once."""
    keys = (ApiKey.of("alice", "alice's secret", requests_per_min=2),)
    limits = ServerLimits(max_body_bytes=1_000)
    with running(tmp_path_factory.mktemp("guarded"), keys=keys, limits=limits) as address:
        with httpx.Client(base_url=address) as client:
            yield client


def test_errors_of_a_guarded_server(guarded: httpx.Client) -> None:
    key = {"x-goog-api-key": "alice's secret"}
    rows = {row[0]: row for row in ERRORS}
    large = {"content": {"parts": [{"text": "x" * 2_000}]}}
    sent: dict[str, Callable[[], httpx.Response]] = {
        "no key where one is needed": lambda: guarded.post(EMBED, json=HI),
        "a wrong key": lambda: guarded.post(EMBED, json=HI, params={"key": "another secret"}),
        "a body that is too large": lambda: guarded.post(EMBED, json=large, headers=key),
        "too many requests in a minute": lambda: [guarded.post(EMBED, json=HI, headers=key) for _ in range(2)][1],
    }
    assert sent.keys() == GUARDED
    for case, send in sent.items():
        _, code, status, _, said = rows[case]
        check(send(), code, status, said)
