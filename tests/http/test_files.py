"""The Files API over HTTP: raw requests as the clients send them, and google-genai itself."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from google import genai
from google.genai import errors as genai_errors

import media_samples
from onesense import Content, Embedder, Part
from onesense.server.settings import ServerLimits, UrlFetching
from running_server import ANN, BOB, KEYS, PLAIN, error_of, running

LIMITS = ServerLimits(max_file_bytes=20_000_000, max_stored_bytes=60_000_000)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module")
def base(data_dir: Path) -> Iterator[str]:
    with running(data_dir, keys=KEYS, limits=LIMITS) as address:
        yield address


@pytest.fixture(scope="module")
def http(base: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=base, headers=ANN, timeout=30, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def google(base: str) -> Iterator[genai.Client]:
    with genai.Client(api_key="ann-secret", http_options={"base_url": base}) as client:
        yield client


def start(http: httpx.Client, **file: Any) -> str:
    headers = {"X-Goog-Upload-Protocol": "resumable", "X-Goog-Upload-Command": "start"}
    answer = http.post("/upload/v1beta/files", json={"file": file}, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-goog-upload-status"] == "active"
    return answer.headers["x-goog-upload-url"]


def send(url: str, command: str, body: bytes = b"", offset: int | None = None) -> httpx.Response:
    """A request to an upload session, as google-genai sends it: without any key."""
    headers = {"X-Goog-Upload-Command": command, "content-type": "application/json"}
    headers |= {} if offset is None else {"X-Goog-Upload-Offset": str(offset)}
    return PLAIN.post(url, headers=headers, content=body)


def n_files(data_dir: Path) -> int:
    return sum(1 for p in (data_dir / "files").rglob("*") if p.is_file() and "sqlite" not in p.name)


# --- resumable --------------------------------------------------------------------------------------------------------


def test_the_whole_life_of_a_resumable_upload(http: httpx.Client, data_dir: Path) -> None:
    before = n_files(data_dir)
    url = start(http, display_name="my text", mime_type="text/plain", size_bytes=11, name="files/my-text")
    assert url.startswith(str(http.base_url).rstrip("/"))
    first = send(url, "upload", b"hello ", 0)
    assert (first.status_code, first.headers["x-goog-upload-status"]) == (200, "active")
    asked = send(url, "query")
    assert (asked.headers["x-goog-upload-status"], asked.headers["x-goog-upload-size-received"]) == ("active", "6")
    last = send(url, "upload, finalize", b"world", 6)
    assert (last.status_code, last.headers["x-goog-upload-status"]) == (200, "final")
    file = last.json()["file"]
    digest = hashlib.sha256(b"hello world").hexdigest()
    assert base64.b64decode(file["sha256Hash"]).decode() == digest
    assert file["name"] == "files/my-text"
    assert file["sizeBytes"] == "11"
    assert (file["mimeType"], file["displayName"]) == ("text/plain", "my text")
    assert (file["state"], file["source"]) == ("ACTIVE", "UPLOADED")
    assert file["uri"] == f"{http.base_url}/v1beta/files/my-text".replace("//v1beta", "/v1beta")
    assert {"createTime", "updateTime", "expirationTime"} <= file.keys()

    again = send(url, "upload, finalize", b"world", 6)  # the answer was lost
    assert again.json()["file"] == file
    assert http.get("/v1/files/my-text").json() == file
    assert http.get("/v1/files/my-text:download?alt=media").content == b"hello world"
    assert http.delete("/v1/files/my-text").json() == {}
    assert http.get("/v1/files/my-text").status_code == 403
    assert n_files(data_dir) == before


def test_the_address_alone_is_the_credential_and_cannot_be_guessed(http: httpx.Client, base: str) -> None:
    url = start(http, mime_type="text/plain")
    assert len(urlsplit(url).path.rpartition("/")[2]) >= 43
    assert send(url, "upload, finalize", b"x", 0).status_code == 200
    guessed = send(f"{base}/upload-session/{'A' * 43}", "upload, finalize", b"x", 0)
    assert "does not exist" in error_of(guessed, 404, "NOT_FOUND")
    assert guessed.headers["x-goog-upload-status"] == "final"  # google-genai gives up at once


def test_a_piece_at_the_wrong_place_is_refused_and_the_session_goes_on(http: httpx.Client) -> None:
    url = start(http, mime_type="text/plain", size_bytes=4)
    wrong = send(url, "upload", b"cd", 2)
    assert "begins at byte 2" in error_of(wrong, 400, "INVALID_ARGUMENT")
    assert "x-goog-upload-status" not in wrong.headers
    send(url, "upload", b"ab", 0)
    send(url, "upload", b"cd", 2)
    assert send(url, "finalize").json()["file"]["sizeBytes"] == "4"


@pytest.mark.parametrize(
    ("declared", "body", "said"),
    [(10, b"short", "5 bytes came"), (2, b"long", "more than the 2"), (None, b"", "empty")],
)
def test_a_wrong_size_is_refused(http: httpx.Client, declared: int | None, body: bytes, said: str) -> None:
    url = start(http, mime_type="text/plain", **({} if declared is None else {"sizeBytes": str(declared)}))
    answer = send(url, "upload, finalize", body, 0)
    assert said in error_of(answer, 400, "INVALID_ARGUMENT")
    assert answer.headers["x-goog-upload-status"] == "final"


def test_cancelling_leaves_nothing(http: httpx.Client, data_dir: Path) -> None:
    before = n_files(data_dir)
    url = start(http, mime_type="text/plain")
    send(url, "upload", b"abc", 0)
    assert n_files(data_dir) == before + 1
    assert send(url, "cancel").headers["x-goog-upload-status"] == "cancelled"
    assert n_files(data_dir) == before
    error_of(send(url, "upload", b"abc", 0), 404, "NOT_FOUND")


def test_a_client_that_leaves_in_the_middle_can_go_on(http: httpx.Client) -> None:
    url = start(http, mime_type="text/plain", size_bytes=3_000_000)
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 0)) as line:
        head = (
            f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nX-Goog-Upload-Command: upload, finalize\r\n"
            "X-Goog-Upload-Offset: 0\r\nContent-Length: 3000000\r\n\r\n"
        )
        line.sendall(head.encode() + b"a" * 1_500_000)
    deadline_s = time.monotonic() + 10
    while True:
        came = int(send(url, "query").headers["x-goog-upload-size-received"])
        last = send(url, "upload, finalize", b"b" * (3_000_000 - came), came)
        if last.status_code == 200 or time.monotonic() > deadline_s:
            break
    file = last.json()["file"]
    stored = http.get(f"/v1/{file['name']}:download?alt=media").content
    assert stored == b"a" * came + b"b" * (3_000_000 - came)


def test_a_simple_upload_that_breaks_off_leaves_nothing(base: str, data_dir: Path) -> None:
    before = n_files(data_dir)
    parts = urlsplit(base)
    with socket.create_connection((parts.hostname or "", parts.port or 0)) as line:
        head = (
            f"POST /upload/v1/files?uploadType=media HTTP/1.1\r\nHost: {parts.netloc}\r\nx-goog-api-key: ann-secret\r\n"
            "Content-Type: text/plain\r\nContent-Length: 3000000\r\n\r\n"
        )
        line.sendall(head.encode() + b"a" * 1_500_000)
        time.sleep(0.2)
    deadline_s = time.monotonic() + 10
    while n_files(data_dir) != before and time.monotonic() < deadline_s:
        time.sleep(0.02)
    assert n_files(data_dir) == before


def test_vercels_way_of_saying_type_and_size_only_in_the_headers(http: httpx.Client) -> None:
    headers = {
        "X-Goog-Upload-Protocol": "resumable",
        "X-Goog-Upload-Command": "start",
        "X-Goog-Upload-Header-Content-Length": "3",
        "X-Goog-Upload-Header-Content-Type": "image/png",
    }
    url = http.post("/upload/v1beta/files", json={"file": {}}, headers=headers).headers["x-goog-upload-url"]
    file = send(url, "upload, finalize", b"abc", 0).json()["file"]
    assert (file["mimeType"], file["sizeBytes"]) == ("image/png", "3")


# --- in one request ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [{"headers": {"X-Goog-Upload-Protocol": "raw"}}, {"params": {"uploadType": "media"}}])
def test_a_simple_upload(http: httpx.Client, how: dict[str, Any]) -> None:
    headers = {"content-type": "text/csv", "X-Goog-Upload-File-Name": "t.csv"} | how.get("headers", {})
    answer = http.post("/upload/v1/files", content=b"a,b\n", headers=headers, params=how.get("params"))
    assert answer.status_code == 200, answer.text
    file = answer.json()["file"]
    assert (file["mimeType"], file["displayName"], file["sizeBytes"]) == ("text/csv", "t.csv", "4")


def related(metadata: str, body: bytes, kind: str = "text/plain", end: str = "\r\n--B--\r\n") -> bytes:
    head = (
        f"--B\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n{metadata}\r\n--B\r\nContent-Type: {kind}\r\n\r\n"
    )
    return head.encode() + body + end.encode()


def test_a_multipart_upload_is_read_as_it_comes(http: httpx.Client) -> None:
    body = b"\r\n--not the boundary\r\n" * 200_000
    answer = http.post(
        "/upload/v1/files?uploadType=multipart",
        content=related('{"file":{"displayName":"multi"}}', body),
        headers={"content-type": "multipart/related; boundary=B"},
    )
    file = answer.json()["file"]
    assert (file["displayName"], file["mimeType"], file["sizeBytes"]) == ("multi", "text/plain", str(len(body)))
    assert http.get(f"/v1/{file['name']}?alt=media").content == body


def test_a_form_of_curl_works_too(http: httpx.Client) -> None:
    form = {"metadata": (None, '{"file":{"displayName":"form"}}', "application/json"), "file": ("a.txt", b"abc")}
    file = http.post("/upload/v1/files", files=form).json()["file"]
    assert (file["displayName"], file["sizeBytes"]) == ("form", "3")


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        (related("{", b"x"), "multipart/related; boundary=B", "Invalid JSON payload"),
        (related("[]", b"x"), "multipart/related; boundary=B", "CreateFileRequest"),
        (related("{}", b"x", end=""), "multipart/related; boundary=B", "ends before"),
        (related("{}", b"x"), "multipart/related", "boundary"),
        (related("{}", b"x"), "multipart/related; boundary=C", "cannot be read"),
        (b"", "multipart/related; boundary=B", "holds no file"),
        (b"--B\r\nContent-Type: application/json\r\n\r\n{}\r\n--B--", "multipart/related; boundary=B", "holds no file"),
        (related('{"file":{"name":"files/../x"}}', b"x"), "multipart/related; boundary=B", "not possible"),
        (related('{"file":{"name":7}}', b"x"), "multipart/related; boundary=B", "Invalid value at 'file.name'"),
        (related('{"file":[1]}', b"x"), "multipart/related; boundary=B", "cannot start list"),
        (related('{"file":{"sizeBytes":"many"}}', b"x"), "multipart/related; boundary=B", "whole number"),
    ],
)
def test_a_broken_multipart_is_refused_and_leaves_nothing(
    http: httpx.Client, data_dir: Path, content: bytes, kind: str, said: str
) -> None:
    before = n_files(data_dir)
    answer = http.post("/upload/v1/files?uploadType=multipart", content=content, headers={"content-type": kind})
    assert said in error_of(answer, 400, "INVALID_ARGUMENT")
    assert n_files(data_dir) == before


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({}, "no upload protocol"),
        ({"X-Goog-Upload-Protocol": "smoke"}, "no upload protocol"),
        ({"X-Goog-Upload-Protocol": "resumable"}, "start"),
        ({"X-Goog-Upload-Protocol": "resumable", "X-Goog-Upload-Command": "upload"}, "start"),
    ],
)
def test_a_start_that_is_none_is_refused(http: httpx.Client, headers: dict[str, str], said: str) -> None:
    assert said in error_of(http.post("/upload/v1/files", json={}, headers=headers), 400, "INVALID_ARGUMENT")


@pytest.mark.parametrize("command", ["", "dance", "upload, dance", "start"])
def test_an_unknown_command_is_refused(http: httpx.Client, command: str) -> None:
    assert "X-Goog-Upload-Command" in error_of(send(start(http), command, b"x"), 400, "INVALID_ARGUMENT")


@pytest.mark.parametrize("offset", ["-1", "x", "1.5", "٣"])
def test_a_malformed_offset_is_refused(http: httpx.Client, offset: str) -> None:
    headers = {"X-Goog-Upload-Command": "upload", "X-Goog-Upload-Offset": offset.encode()}
    answer = PLAIN.post(start(http), headers=headers, content=b"x")
    assert "number of bytes" in error_of(answer, 400, "INVALID_ARGUMENT")


def test_too_large_a_file_is_refused_before_and_while_it_comes(http: httpx.Client, data_dir: Path) -> None:
    before = n_files(data_dir)
    headers = {"X-Goog-Upload-Protocol": "resumable", "X-Goog-Upload-Command": "start"}
    said = http.post("/upload/v1/files", json={"file": {"size_bytes": 20_000_001}}, headers=headers)
    assert "20,000,000" in error_of(said, 400, "INVALID_ARGUMENT")
    url = start(http)
    answers = [send(url, "upload", b"x" * 8_000_000, 8_000_000 * i) for i in range(3)]
    assert [a.status_code for a in answers] == [200, 200, 400]
    assert answers[2].headers["x-goog-upload-status"] == "final"
    assert n_files(data_dir) == before


def test_a_full_store_is_said_so(http: httpx.Client) -> None:
    urls = [start(http, size_bytes=15_000_000) for _ in range(3)]
    headers = {"X-Goog-Upload-Protocol": "resumable", "X-Goog-Upload-Command": "start"}
    answer = http.post("/upload/v1/files", json={"file": {"size_bytes": 15_000_001}}, headers=headers)
    assert "room for" in error_of(answer, 429, "RESOURCE_EXHAUSTED")
    for url in urls:
        send(url, "cancel")


# --- get, list, delete ------------------------------------------------------------------------------------------------


def test_keys_are_asked_for_and_see_only_their_own_files(http: httpx.Client, base: str) -> None:
    name = http.post("/upload/v1/files?uploadType=media", content=b"secret").json()["file"]["name"]
    with httpx.Client(base_url=base, trust_env=False) as nobody:
        assert nobody.get(f"/v1/{name}").status_code in (401, 403)
        assert nobody.post("/upload/v1/files?uploadType=media", content=b"x").status_code in (401, 403)
    with httpx.Client(base_url=base, headers=BOB, trust_env=False) as bob:
        for answer in (bob.get(f"/v1/{name}"), bob.delete(f"/v1/{name}"), bob.get(f"/v1/{name}:download?alt=media")):
            assert "permission" in error_of(answer, 403, "PERMISSION_DENIED")
        assert name not in bob.get("/v1/files").text
    assert name in http.get("/v1/files?pageSize=100").text


def test_pages(http: httpx.Client) -> None:
    names = [http.post("/upload/v1/files?uploadType=media", content=b"p").json()["file"]["name"] for _ in range(5)]
    seen: list[str] = []
    token = ""
    while True:
        page = http.get("/v1/files", params={"pageSize": 2} | ({"pageToken": token} if token else {})).json()
        assert len(page["files"]) <= 2
        seen += [f["name"] for f in page["files"]]
        if not (token := page.get("nextPageToken", "")):
            break
    assert seen[:5] == names[::-1]
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize("query", ["pageSize=x", "pageSize=-1", "pageToken=%%%", "pageToken=LTE=", "pageToken=YWJj"])
def test_a_malformed_page_is_refused(http: httpx.Client, query: str) -> None:
    error_of(http.get(f"/v1/files?{query}"), 400, "INVALID_ARGUMENT")


@pytest.mark.parametrize("name", ["nope", "..%2F..%2Fetc%2Fpasswd", "a:dance", "%00", "x" * 5_000])
def test_a_name_that_is_no_file_is_refused(http: httpx.Client, name: str) -> None:
    assert http.get(f"/v1/files/{name}").status_code in (403, 404)
    assert http.delete(f"/v1/files/{name}").status_code in (403, 404)


def test_what_is_downloaded_cannot_run_in_a_browser(http: httpx.Client) -> None:
    page = http.post(
        "/upload/v1/files?uploadType=media", content=b"<script>1</script>", headers={"content-type": "text/html"}
    ).json()["file"]
    answer = http.get(f"/v1/{page['name']}:download?alt=media")
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]


def test_other_versions_words_are_no_version(http: httpx.Client) -> None:
    answer = http.get("/api/files")  # `api` is Onesense's own: its faults come in its own shape
    assert answer.status_code == 404 and answer.json()["error"]["code"] == "not_found"


# --- google-genai -----------------------------------------------------------------------------------------------------


def test_a_video_tells_how_long_it_is(google: genai.Client, tmp_path: Path) -> None:
    source = tmp_path / "film.mp4"
    source.write_bytes(media_samples.video("mp4", 3))
    file = google.files.upload(file=source)
    assert file.mime_type == "video/mp4"
    said = google.files.get(name=file.name or "").video_metadata
    assert said and float(said["videoDuration"].removesuffix("s")) == pytest.approx(3, abs=0.1)
    (tmp_path / "no film.mp4").write_bytes(b"not a film at all")
    assert google.files.upload(file=tmp_path / "no film.mp4").video_metadata is None


def test_google_genai_uploads_gets_lists_and_deletes(google: genai.Client, tmp_path: Path) -> None:
    source = tmp_path / "bild.png"  # google-genai cannot send a name beyond ASCII
    source.write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 100)
    file = google.files.upload(file=source, config={"display_name": "ein Bild – ü"})
    assert (file.display_name, file.mime_type, file.size_bytes) == ("ein Bild – ü", "image/png", 108)
    assert base64.b64decode(file.sha256_hash or "").decode() == hashlib.sha256(source.read_bytes()).hexdigest()
    assert file.expiration_time and file.create_time
    assert (file.expiration_time - file.create_time).total_seconds() == pytest.approx(48 * 3_600)
    assert google.files.get(name=file.name or "") == file
    assert google.files.get(name=file.uri or "").name == file.name  # behind http://, the whole URI is asked for
    assert file.name in [f.name for f in google.files.list(config={"page_size": 1})]
    assert file.video_metadata is None
    google.files.delete(name=file.name or "")
    with pytest.raises(genai_errors.ClientError) as caught:
        google.files.get(name=file.name or "")
    assert (caught.value.code, caught.value.status) == (403, "PERMISSION_DENIED")


@pytest.mark.parametrize("n_bytes", [8 * 1024**2, 8 * 1024**2 + 1, 17_000_000])
def test_google_genai_sends_pieces_of_eight_mebibytes(google: genai.Client, tmp_path: Path, n_bytes: int) -> None:
    source = tmp_path / "large.txt"
    source.write_bytes(bytes(range(256)) * (n_bytes // 256) + b"x" * (n_bytes % 256))
    file = google.files.upload(file=source)
    assert file.size_bytes == n_bytes
    assert google.files.download(file=file.name or "") == source.read_bytes()
    google.files.delete(name=file.name or "")


def test_google_genai_is_told_at_once_that_a_file_is_too_large(google: genai.Client, tmp_path: Path) -> None:
    source = tmp_path / "huge.txt"
    source.write_bytes(b"x" * 20_000_001)
    started_s = time.monotonic()
    with pytest.raises(genai_errors.ClientError, match="20,000,000"):
        google.files.upload(file=source)
    assert time.monotonic() - started_s < 3


def test_google_genai_async(base: str, tmp_path: Path) -> None:
    source = tmp_path / "a.txt"
    source.write_text("hello")

    async def upload() -> int | None:
        client = genai.Client(api_key="ann-secret", http_options={"base_url": base}).aio
        try:
            file = await client.files.upload(file=source)
            await client.files.delete(name=file.name or "")
            return file.size_bytes
        finally:
            await client.aclose()

    assert asyncio.run(upload()) == 5


# --- embedded ---------------------------------------------------------------------------------------------------------


def test_an_uploaded_file_gives_the_vector_of_its_bytes(google: genai.Client, tmp_path: Path) -> None:
    source = tmp_path / "red.png"
    source.write_bytes(media_samples.picture("PNG"))
    file = google.files.upload(file=source)
    found = google.models.embed_content(model="gemini-embedding-2", contents=["a bike", file])
    expected = Embedder("tiny").embed(Content("a bike", Part.bytes(source.read_bytes())))
    assert found.embeddings and found.embeddings[0].values
    np.testing.assert_allclose(found.embeddings[0].values, expected[0], atol=1e-6)


@pytest.mark.parametrize(
    ("uri", "status"),
    [
        ("files/nope", 403),
        ("https://example.com/a.png", 400),
        ("gs://bucket/a.png", 400),
        ("file:///etc/passwd", 400),
        ("/etc/passwd", 400),
        ("http://169.254.169.254/latest/meta-data", 400),
    ],
)
def test_a_file_that_is_not_ours_is_never_opened(http: httpx.Client, uri: str, status: int) -> None:
    body = {"content": {"parts": [{"fileData": {"fileUri": uri}}]}}
    answer = http.post("/v1/models/tiny:embedContent", json=body)
    assert answer.status_code == status, answer.text
    assert "root:" not in answer.text


def test_another_key_cannot_embed_my_file(http: httpx.Client) -> None:
    file = http.post("/upload/v1/files?uploadType=media", content=b"secret").json()["file"]
    for uri in (file["uri"], file["name"]):
        body = {"content": {"parts": [{"fileData": {"fileUri": uri}}]}}
        assert http.post("/v1/models/tiny:embedContent", json=body).status_code == 200
        refused = http.post("/v1/models/tiny:embedContent", json=body, headers=BOB)
        assert refused.status_code in (400, 403), refused.text


@pytest.mark.parametrize(
    ("content", "kind"), [(b"\x89PNG\r\n\x1a\nbroken", "image/png"), (b"PK\x03\x04", ""), (b"x", "image/png")]
)
def test_an_error_does_not_tell_where_files_lie(http: httpx.Client, data_dir: Path, content: bytes, kind: str) -> None:
    headers = {"content-type": kind} if kind else {}
    uri = http.post("/upload/v1/files?uploadType=media", content=content, headers=headers).json()["file"]["uri"]
    body = {"content": {"parts": [{"fileData": {"fileUri": uri}}]}}
    answer = http.post("/v1/models/tiny:embedContent", json=body)
    message = error_of(answer, 400, "INVALID_ARGUMENT")
    assert str(data_dir) not in answer.text
    assert "/blobs" not in answer.text
    assert "the uploaded file" in message


def test_inner_addresses_are_never_fetched_where_fetching_is_on(tmp_path: Path) -> None:
    inner = ["https://127.0.0.1/a.png", "https://169.254.169.254/latest", "https://[::1]/a", "http://example.com/a.png"]
    with running(tmp_path, urls=UrlFetching(is_on=True)) as base:
        for uri in inner:
            body = {"content": {"parts": [{"fileData": {"fileUri": uri}}]}}
            answer = httpx.post(f"{base}/v1/models/tiny:embedContent", json=body, trust_env=False)
            assert "is not fetched" in error_of(answer, 400, "INVALID_ARGUMENT")
    assert list((tmp_path / "files" / "partial").iterdir()) == []
