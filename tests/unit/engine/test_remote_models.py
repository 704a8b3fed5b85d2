"""Models behind a network, against a server that answers well, badly, late or not at all."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterator
from email.utils import formatdate
from typing import Any

import numpy as np
import pytest

from answering_server import Answering, Reply, answering
from onesense import Content, Embedder, Part, errors
from onesense.engine import models
from onesense.engine.backends import gemini, http, https
from onesense.engine.backends._remote import answers, calls, pieces
from onesense.engine.cache import VectorCache
from onesense.errors import OnesenseError
from onesense.types import SAMPLE_RATE_HZ, Audio, Document, Image, Page, Video

SIZE = 8
GEMINI = "gemini:gemini-embedding-2"


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, _clean_environment: object) -> Iterator[None]:
    monkeypatch.setenv("GEMINI_API_KEY", "secret-key")
    yield
    models.close()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that were waited between attempts; nobody really waits."""
    found: list[float] = []
    monkeypatch.setattr(calls, "_sleep", found.append)
    return found


def vector(text: str, size: int = SIZE) -> list[float]:
    return [float(x) for x in np.random.RandomState(zlib.crc32(text.encode())).standard_normal(size)]


def openai_answer(asked: dict[str, Any]) -> dict[str, Any]:
    texts = asked["input"]
    data = [{"index": place, "embedding": vector(text)} for place, text in enumerate(texts)]
    return {"data": data[::-1], "usage": {"prompt_tokens": 10 * len(texts)}}  # a server may answer in any order


def gemini_answer(asked: dict[str, Any]) -> dict[str, Any]:
    texts = ["".join(p.get("text", "#") for p in request["content"]["parts"]) for request in asked["requests"]]
    usage = {"promptTokenCount": 10 * len(texts)}
    return {"embeddings": [{"values": vector(text, 3072)} for text in texts], "usageMetadata": usage}


def failing(status: int, message: str = "no", headers: dict[str, str] | None = None, **extra: Any) -> Reply:
    return Reply({"error": {"code": status, "message": message, "status": "X"} | extra}, status, headers or {})


class Kind:
    """One of the two backends, so that both take the same tests."""

    def __init__(self, name: str, patch: pytest.MonkeyPatch) -> None:
        self.name, self._patch = name, patch
        self.good: Callable[[dict[str, Any]], dict[str, Any]] = openai_answer if name == "http" else gemini_answer
        self.size = SIZE if name == "http" else 3072

    def embedder(self, server: Answering) -> Embedder:
        self._patch.setenv("GOOGLE_GEMINI_BASE_URL", server.url)
        return Embedder(f"{server.url}/v1#m,width={SIZE}" if self.name == "http" else GEMINI)

    def answer(self, vectors: list[Any]) -> dict[str, Any]:
        if self.name == "http":
            return {"data": [{"index": i, "embedding": v} for i, v in enumerate(vectors)]}
        return {"embeddings": [{"values": v} for v in vectors]}


@pytest.fixture(params=["http", "gemini"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Kind:
    return Kind(request.param, monkeypatch)


def refused(kind: Kind, *replies: Reply, contents: Any = "a") -> OnesenseError:
    with answering(*replies) as server, kind.embedder(server) as embedder:
        with pytest.raises(OnesenseError) as caught:
            embedder.embed(contents)
        assert "secret-key" not in str(caught.value)
        return caught.value


# --- what works ----------------------------------------------------------------------------------------------------


def test_each_content_is_one_vector_in_order_and_tokens_are_those_of_the_answer(kind: Kind) -> None:
    texts = [f"text number {i}" for i in range(150)]
    with answering(kind.good) as server, kind.embedder(server) as embedder:
        found = embedder.embed_detailed(texts)
        n_calls = len(server.asked)
    expected = np.array([vector(text, kind.size) for text in texts])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(np.stack([e.values for e in found]), expected, atol=1e-6)
    assert sum(e.n_tokens for e in found) == 1_500
    assert 2 <= n_calls <= 8


def test_a_smaller_size_is_the_cut_at_unit_length(kind: Kind) -> None:
    with answering(kind.good) as server, kind.embedder(server) as embedder:
        row = embedder.embed("a", dim=4)[0]
    cut = np.array(vector("a", kind.size)[:4])
    np.testing.assert_allclose(row, cut / np.linalg.norm(cut), atol=1e-6)


def test_the_cache_stands_in_front(kind: Kind) -> None:
    with answering(kind.good) as server:
        with VectorCache() as cache, kind.embedder(server) as embedder:
            embedder._cache = cache
            first, second = embedder.embed("a"), embedder.embed("a", dim=kind.size)
        assert len(server.asked) == 1
    np.testing.assert_array_equal(first, second)


# --- what is tried again --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 408, 502, 503, 504, 500])
def test_what_may_pass_is_tried_again(kind: Kind, pauses: list[float], status: int) -> None:
    with answering(failing(status), Reply(kind.good)) as server, kind.embedder(server) as embedder:
        assert embedder.embed("a").shape == (1, kind.size)
        assert len(server.asked) == 2
    assert 0.5 <= pauses[0] <= 1.0


def test_the_delay_that_is_asked_for_is_kept(kind: Kind, pauses: list[float]) -> None:
    replies = [failing(429, headers={"Retry-After": "7"}), failing(429, headers={"retry-after": "9"}), Reply(kind.good)]
    with answering(*replies) as server, kind.embedder(server) as embedder:
        embedder.embed("a")
    assert pauses == [7.0, 9.0]


def test_googles_retry_delay_is_kept(monkeypatch: pytest.MonkeyPatch, pauses: list[float]) -> None:
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "29.5s"}
    with answering(failing(429, details=[info]), Reply(gemini_answer)) as server:
        with Kind("gemini", monkeypatch).embedder(server) as embedder:
            embedder.embed("a")
    assert pauses == [29.5]


@pytest.mark.parametrize(
    ("said", "expected"), [("", None), ("7", 7.0), ("-1", 0.0), ("soon", None), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0)]
)
def test_retry_after_is_a_number_or_a_date(said: str, expected: float | None) -> None:
    assert calls.retry_after_s({"retry-after": said}) == expected


def test_retry_after_may_be_a_date_to_come() -> None:
    assert 0 < (calls.retry_after_s({"retry-after": formatdate(time.time() + 30, usegmt=True)}) or 0) <= 30


@pytest.mark.parametrize("details", [None, [], {}, {"error": None}, {"error": {"details": [{"retryDelay": "soon"}]}}])
def test_a_delay_that_google_does_not_tell(details: Any) -> None:
    assert calls.google_delay_s(details) is None


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "the reason"}},  # OpenAI, vLLM
        {"error": "the reason"},  # Ollama
        {"message": "the reason", "type": "Validation"},
        {"error": "the reason", "error_type": "validation"},  # TEI
        {"detail": "the reason"},
        "the reason",
    ],
)
def test_the_reason_is_read_wherever_a_server_puts_it(body: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    error = refused(Kind("http", monkeypatch), Reply(body, 422))
    assert isinstance(error, errors.InvalidInput) and str(error).endswith("says: the reason")


def test_pauses_grow_and_end(kind: Kind, pauses: list[float]) -> None:
    error = refused(kind, failing(503, "come back later"), contents=["a", "b", "c"])
    assert isinstance(error, errors.Unavailable) and "come back later" in str(error)
    assert len(pauses) == calls.ATTEMPTS - 1  # for the whole batch, not for each of its items
    assert all(0.5 * 2**n <= pause <= 2**n for n, pause in enumerate(pauses))


def test_no_quota_for_hours_is_told_at_once(kind: Kind, pauses: list[float]) -> None:
    error = refused(kind, failing(429, "quota", {"Retry-After": "3600"}))
    assert isinstance(error, errors.Busy) and error.retry_after_s == 3_600
    assert pauses == []


@pytest.mark.parametrize(
    ("status", "expected"),
    [(400, errors.InvalidInput), (403, errors.PermissionDenied), (404, errors.NotFound), (413, errors.TooLarge)],
)
def test_what_is_wrong_is_not_tried_again(
    kind: Kind, pauses: list[float], status: int, expected: type[OnesenseError]
) -> None:
    error = refused(kind, failing(status, "the reason"))
    assert type(error) is expected and "the reason" in str(error)
    assert pauses == []


def test_one_bad_input_of_many_fails_alone(kind: Kind, pauses: list[float]) -> None:
    def picky(asked: dict[str, Any]) -> dict[str, Any]:
        if "bad" in str(asked):
            return kind.answer([[float("nan")] * kind.size])
        return kind.good(asked)

    with answering(picky) as server, kind.embedder(server) as embedder:
        found = embedder.try_embed(["a", "bad", "c"])
    assert [isinstance(outcome, OnesenseError) for outcome in found] == [False, True, False]


# --- keys, and nobody there -----------------------------------------------------------------------------------------


def test_a_wrong_key(kind: Kind, pauses: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(http.KEY, "secret-key")
    error = refused(kind, failing(401, "who are you"), contents=["a", "b"])
    assert isinstance(error, errors.BadKey) and "_KEY`" in str(error)
    assert pauses == []


def test_googles_answer_to_a_wrong_key_has_status_400(monkeypatch: pytest.MonkeyPatch) -> None:
    reason = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]
    reply = failing(400, "API key not valid. Please pass a valid API key.", details=reason)
    error = refused(Kind("gemini", monkeypatch), reply)
    assert isinstance(error, errors.BadKey) and "GEMINI_API_KEY" in str(error)


def test_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    error = refused(Kind("http", monkeypatch), failing(401))
    assert isinstance(error, errors.MissingKey) and "ONESENSE_HTTP_KEY" in str(error)
    monkeypatch.delenv("GEMINI_API_KEY")
    with Embedder(GEMINI) as embedder, pytest.raises(errors.MissingKey, match="GEMINI_API_KEY"):
        embedder.embed("a")
    assert isinstance(models.survey()[GEMINI], errors.MissingKey)


def test_the_key_is_sent_where_keys_are_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(http.KEY, "another-key")
    for name, header, value in (
        ("http", "authorization", "Bearer another-key"),
        ("gemini", "x-goog-api-key", "secret-key"),
    ):
        kind = Kind(name, monkeypatch)
        with answering(kind.good) as server, kind.embedder(server) as embedder:
            embedder.embed("a")
            assert server.asked[0]["headers"][header] == value


def test_nobody_there(kind: Kind, pauses: list[float]) -> None:
    with answering(kind.good) as server:
        embedder = kind.embedder(server)
    with embedder, pytest.raises(errors.Unavailable, match="cannot be reached"):
        embedder.embed("a")
    assert len(pauses) == calls.ATTEMPTS - 1


def test_an_answer_that_does_not_come(kind: Kind, pauses: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(calls.TIMEOUT, "0.1")
    monkeypatch.setattr(calls, "ATTEMPTS", 2)
    start_s = time.monotonic()
    error = refused(kind, Reply(kind.good, delay_s=0.6))
    assert isinstance(error, errors.Unavailable) and calls.TIMEOUT in str(error)
    assert time.monotonic() - start_s < 10


@pytest.mark.parametrize("said", ["soon", "0", "-1", "inf", "nan"])
def test_a_timeout_that_is_none(said: str, kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(calls.TIMEOUT, said)
    error = refused(kind, Reply(kind.good))
    assert isinstance(error, errors.InvalidInput) and calls.TIMEOUT in str(error)


# --- nonsense -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", ["<html>Welcome to nginx</html>", "", "[", "[1]", '"text"', "null"])
def test_an_answer_that_is_none(kind: Kind, body: str) -> None:
    error = refused(kind, Reply(body))
    assert isinstance(error, (errors.Unavailable, errors.BackendError)), error


@pytest.mark.parametrize(
    "vectors",
    [
        [], None, [[]], [None], ["x"], [["1"] * SIZE], [[True] * SIZE], [[[1.0] * SIZE]], [[float("nan")] * SIZE],
        [[float("inf")] * SIZE], [[1e300] * SIZE], [[0.0] * SIZE], [[1.0] * SIZE, [2.0] * SIZE],
        [[None] * SIZE], [{"0": 1.0}],
    ],
)  # fmt: skip
def test_vectors_that_are_none(vectors: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = Kind("http", monkeypatch)
    body = {"data": None} if vectors is None else kind.answer(vectors)
    error = refused(kind, Reply(body))
    assert isinstance(error, (errors.Unavailable, errors.BackendError)), error


@pytest.mark.parametrize("count", [0, 1, 3])
def test_another_number_of_vectors_is_never_taken(kind: Kind, count: int) -> None:
    wrong = [vector(str(n), kind.size) for n in range(count)]
    with answering(Reply(kind.answer(wrong))) as server, kind.embedder(server) as embedder:
        found = embedder.try_embed(["a", "b"])  # tried singly then: one vector for one input is right
    assert all(isinstance(f, errors.BackendError) for f in found) == (count != 1)


@pytest.mark.parametrize("size", [1, SIZE - 1, SIZE + 1])
def test_a_vector_of_another_size_is_another_model(kind: Kind, size: int) -> None:
    error = refused(kind, Reply(kind.answer([vector("a", size)])))
    assert isinstance(error, errors.FingerprintMismatch) and f"{size} numbers" in str(error)


@pytest.mark.parametrize("places", [[0, 0], [1, 2], [0, "x"], [None, 1]])
def test_vectors_with_wrong_places(places: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(asked: dict[str, Any]) -> dict[str, Any]:
        return {"data": [{"index": p, "embedding": vector("a")} for p in places]}

    error = refused(Kind("http", monkeypatch), Reply(answer), contents=["a", "b"])
    assert isinstance(error, errors.BackendError)


# --- names ----------------------------------------------------------------------------------------------------------


def test_the_size_is_asked_once_and_stands_in_the_name() -> None:
    with answering(openai_answer) as server:
        for _ in range(2):
            info = models.info(f"{server.url}#Some/model_name")
            assert info.name == f"{server.url}#Some/model_name,width={SIZE}" and info.dim == SIZE
        assert [asked["path"] for asked in server.asked] == ["/v1/embeddings"]
    assert models.info(info.name) == info  # nobody is asked


def test_what_a_server_cut_is_truncated() -> None:
    def answer(asked: dict[str, Any]) -> dict[str, Any]:
        found = openai_answer(asked)
        return found | {"data": [entry | {"truncated": entry["index"] == 1} for entry in found["data"]]}

    with answering(answer) as server, Embedder(f"{server.url}#m,width={SIZE}") as embedder:
        assert [e.truncated for e in embedder.embed_detailed(["a", "b", "c"])] == [False, True, False]


def test_a_size_that_is_asked_for_is_sent() -> None:
    with answering(openai_answer) as server, Embedder(f"{server.url}/v1/#m,dim={SIZE}") as embedder:
        embedder.embed("a")
        assert server.asked[-1]["body"]["dimensions"] == SIZE


@pytest.mark.parametrize(
    "name",
    [
        "http:", "http:foo", "http://", "http://host", "http://host/v1#", "http://host/v1#m,size=3",
        "http://host/v1#m,dim=0", "http://host/v1#m,dim=x", "http://host/v1#m,media=smell", "http://ann:pw@host/v1#m",
        "https:", "https://host", "gemini:", "gemini", "http", "gemini:gemini-embedding-001", "http://#m",
        "http://[/v1#m", "http://host:port/v1#m",
    ],
)  # fmt: skip
def test_names_that_are_none(name: str) -> None:
    with pytest.raises((errors.InvalidInput, errors.NotFound)):
        models.info(name)


def test_https_is_http_with_a_certificate() -> None:
    info = https.Backend.describe("//example.com/v1#m,width=4")
    assert info.name == "https://example.com/v1#m,width=4"


def test_another_server_under_googles_address_is_another_model(monkeypatch: pytest.MonkeyPatch) -> None:
    googles = models.info(GEMINI)
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://localhost:1234")
    other = models.info(GEMINI)
    assert googles.fingerprint(768, None) != other.fingerprint(768, None)
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "https://generativelanguage.googleapis.com/")
    assert models.info(GEMINI) == googles


def test_a_model_that_google_does_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(failing(404, "models/gemini-embeding-2 is not found")) as server:
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", server.url)
        with pytest.raises(errors.NotFound, match="is not found"):
            models.info("gemini:gemini-embeding-2")


# --- media and limits -----------------------------------------------------------------------------------------------

RNG = np.random.RandomState(0)
PICTURE = Image(RNG.randint(0, 255, (40, 60, 3)).astype(np.uint8))
PHOTO = Image(RNG.randint(0, 255, (400, 600, 3)).astype(np.uint8))


def sound(seconds: float) -> Audio:
    return Audio(np.full(round(seconds * SAMPLE_RATE_HZ), 0.1, np.float32))


def film(seconds: int) -> Video:
    return Video(np.stack([PICTURE.pixels] * seconds), np.arange(seconds, dtype=np.float32), None, float(seconds))


def test_what_is_not_named_is_not_sent() -> None:
    with answering(openai_answer) as server, Embedder(f"{server.url}/v1#m,width={SIZE}") as embedder:
        with pytest.raises(errors.UnsupportedModality, match="no sense for image"):
            embedder.embed(Content("a", Part(PICTURE)))
        assert server.asked == []


def test_media_go_as_chat_messages() -> None:
    def answer(asked: dict[str, Any]) -> dict[str, Any]:
        return {"data": [{"index": 0, "embedding": vector(str(asked))}]}

    name = f"#m,width={SIZE},media=image+audio+video+pdf"
    page = Page(PICTURE, "the text of a page", 1)
    content = Content("before", Part(PICTURE), Part(PHOTO), Part(sound(1)), Part(film(2)), Part(page))
    with answering(answer) as server, Embedder(server.url + name) as embedder:
        embedder.embed([content, "only text"])
        first, second = (asked["body"] for asked in sorted(server.asked, key=lambda a: -len(str(a))))
    (message,) = first["messages"]
    kinds = [part["type"] for part in message["content"]]
    assert kinds == ["text", "image_url", "image_url", "input_audio", "video_url", "image_url", "text"]
    assert message["content"][1]["image_url"]["url"].startswith("data:image/png;base64,")
    assert message["content"][2]["image_url"]["url"].startswith("data:image/jpeg;base64,")
    assert second["messages"] == [{"role": "user", "content": [{"type": "text", "text": "only text"}]}]


@pytest.mark.parametrize(
    ("parts", "word"),
    [
        ([Part(PICTURE)] * 7, "7 pictures"),
        ([Part(Document((Page(PICTURE, "", 1),) * 7))], "7 pictures and pages"),
        ([Part(sound(100)), Part(sound(81))], "181 seconds of sound"),
        ([Part(film(121))], "121 seconds of video"),
    ],
)
def test_googles_limits_are_kept_before_anything_is_sent(
    parts: list[Part], word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with answering(gemini_answer) as server, Kind("gemini", monkeypatch).embedder(server) as embedder:
        with pytest.raises(errors.TooLarge, match=word):
            embedder.embed(Content(*parts))
        assert server.asked == []


def test_a_call_holds_at_most_a_hundred_contents_and_so_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gemini, "MAX_BYTES", 40_000)
    with answering(gemini_answer) as server, Kind("gemini", monkeypatch).embedder(server) as embedder:
        embedder.embed([Content(Part(PICTURE), f"number {n}") for n in range(12)])
        sizes = [len(asked["body"]["requests"]) for asked in server.asked]
    assert sum(sizes) == 12 and max(sizes) < 12


def test_a_long_text_is_counted_by_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = Kind("gemini", monkeypatch)

    def answer(asked: dict[str, Any]) -> dict[str, Any]:
        return {"totalTokens": 9_000} if "requests" not in asked else gemini_answer(asked) | {"usageMetadata": None}

    with answering(answer) as server, kind.embedder(server) as embedder:
        long, short = embedder.embed_detailed(["word " * 5_000, "word " * 10])
        assert sorted(asked["path"].rpartition(":")[2] for asked in server.asked) == [
            "batchEmbedContents",
            "countTokens",
        ]
    assert (long.truncated, long.n_tokens) == (True, 8_192)
    assert not short.truncated


def test_a_long_text_is_cut_for_others_and_says_so() -> None:
    with answering(openai_answer) as server:
        with Embedder(f"{server.url}#m,width={SIZE},max_tokens=16") as embedder:
            found = embedder.embed_detailed(["ü" * 1_000, "short"])
        assert server.asked[0]["body"]["input"] == ["ü" * 32, "short"]
    assert [f.truncated for f in found] == [True, False]


def test_a_file_goes_as_it_is_where_its_type_is_read() -> None:
    data, mime_type = pieces._picture(PHOTO)
    info = models.info(GEMINI)
    whole = pieces.encode(Content(Part.bytes(data)), info, gemini.MIMES)
    anew = pieces.encode(Content(Part.bytes(data)), info, frozenset())
    assert (whole[0].data, whole[0].mime_type) == (data, mime_type)
    assert anew[0].data != data and anew[0].mime_type == "image/jpeg"


# --- tokens ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("total", "weights"), [(10, [1, 1, 1]), (3, [5, 0, 1]), (0, [1]), (7, [1, 100, 3])])
def test_shares_add_up(total: int, weights: list[int]) -> None:
    found = answers.shares(total, weights)
    assert sum(found) == total and min(found) >= 0 and len(found) == len(weights)
