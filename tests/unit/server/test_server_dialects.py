"""Whose shape an error has."""

from __future__ import annotations

import json

import pytest

from onesense import errors
from onesense.errors import BadKey, Busy, MalformedRequest, MissingKey, NotFound, OnesenseError, TooLarge
from onesense.server.dialects import HTTP_OF, Dialect, dialect_of, error_body, error_response

GOOGLE, OPENAI, COHERE = Dialect.GOOGLE, Dialect.OPENAI, Dialect.COHERE
BEARER = {"authorization": "Bearer k"}


@pytest.mark.parametrize(
    ("path", "headers", "query", "expected"),
    [
        ("/v1/models/m:embedContent", BEARER, "", GOOGLE),
        ("/v1beta/models", BEARER, "", GOOGLE),
        ("/v1/embeddings", {}, "", OPENAI),
        ("/v1beta/openai/embeddings", {}, "", OPENAI),
        ("/v1beta/openai/models/x", {}, "", OPENAI),
        ("/v2/embed", {}, "", COHERE),
        ("/v1/embed", {}, "", COHERE),
        ("/v1/models", BEARER, "", OPENAI),
        ("/v1/models/tiny", BEARER, "", OPENAI),
        ("/v1/models", {}, "", GOOGLE),
        ("/v1/models", {"x-goog-api-key": "k"}, "", GOOGLE),
        ("/v1/models", BEARER | {"x-goog-api-client": "google-genai-sdk/3.4.0"}, "", GOOGLE),
        ("/v1/models", BEARER, "key=k", GOOGLE),
        ("/healthz", {}, "", GOOGLE),
    ],
)
def test_the_path_chooses_and_headers_where_two_share_it(
    path: str, headers: dict[str, str], query: str, expected: Dialect
) -> None:
    assert dialect_of(path, headers, query) is expected


def all_errors(base: type[OnesenseError] = OnesenseError) -> list[type[OnesenseError]]:
    return [base, *(found for child in base.__subclasses__() for found in all_errors(child))]


@pytest.mark.parametrize("kind", all_errors())
@pytest.mark.parametrize("dialect", Dialect)
def test_every_error_has_a_shape_in_every_dialect(kind: type[OnesenseError], dialect: Dialect) -> None:
    answer = error_response(kind("what happened"), dialect)
    body = json.loads(answer.body)
    assert 400 <= answer.status_code < 600
    if dialect is GOOGLE:
        error = body["error"]
        assert (error["code"], error["status"]) == (answer.status_code, kind.gemini_status)
        assert answer.status_code == HTTP_OF[error["status"]]
        assert error["message"] == "what happened"
    elif dialect is OPENAI:
        assert body["error"].keys() == {"message", "type", "param", "code"}
    elif dialect is Dialect.ONESENSE:
        assert body == {"error": {"code": kind.code, "message": "what happened", "status": kind.http_status}}
    else:
        assert body == {"id": body["id"], "message": "what happened"}


def test_googles_status_follows_from_its_word() -> None:
    assert error_response(TooLarge("x"), GOOGLE).status_code == 400
    assert error_response(TooLarge("x"), OPENAI).status_code == 413
    assert error_response(BadKey("x"), GOOGLE).status_code == 400
    assert error_response(MissingKey("x"), GOOGLE).status_code == 403
    assert [error_response(kind("x"), OPENAI).status_code for kind in (BadKey, MissingKey, NotFound)] == [401, 401, 404]


def test_busy_says_when_to_come_back() -> None:
    error = Busy("full")
    error.retry_after_s = 2.2
    answer = error_response(error, GOOGLE)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")
    assert json.loads(answer.body)["error"]["details"][1]["retryDelay"] == "3s"
    assert error_response(error, COHERE).headers["retry-after"] == "3"


def test_faults_of_fields_are_told_one_by_one() -> None:
    error = MalformedRequest("two faults")
    error.violations = (("", "first"), ("requests[1]", "second"))
    (detail,) = error_body(error, GOOGLE)["error"]["details"]
    assert detail["@type"].endswith("google.rpc.BadRequest")
    assert detail["fieldViolations"] == [{"description": "first"}, {"field": "requests[1]", "description": "second"}]


def test_every_status_word_of_the_house_is_googles() -> None:
    assert {kind.gemini_status for kind in all_errors()} <= HTTP_OF.keys()
    assert errors.OnesenseError in all_errors()
