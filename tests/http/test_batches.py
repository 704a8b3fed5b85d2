"""Batches over HTTP with google-genai: inline and by file, one bad line alone, cancelled, and after `kill -9`."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from google import genai
from google.genai import errors as genai_errors
from google.genai import types

import media_samples
from onesense import Content, Embedder, Part
from onesense.server.batchstore import BatchRow, BatchStore, NewBatch
from running_server import BOB, error_of, running

pytestmark = pytest.mark.filterwarnings("ignore:batches.create_embeddings")  # the SDK calls its own method experimental

DONE = {"JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED", "JOB_STATE_EXPIRED"}
WAIT_S = 60.0


@pytest.fixture
def http(ann: httpx.Client) -> httpx.Client:
    return ann


def wait(google: genai.Client, name: str) -> types.BatchJob:
    deadline_s = time.monotonic() + WAIT_S
    while True:
        job = google.batches.get(name=name)
        if job.state and job.state.value in DONE:
            return job
        assert time.monotonic() < deadline_s, f"{name} is still {job.state}"
        time.sleep(0.05)


def wait_http(http: httpx.Client, name: str) -> dict[str, Any]:
    deadline_s = time.monotonic() + WAIT_S
    while not (found := http.get(f"/v1/{name}").json()).get("done"):
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    return found


def create(http: httpx.Client, requests: list[Any], **fields: Any) -> dict[str, Any]:
    batch = {"inputConfig": {"requests": {"requests": requests}}} | fields
    answer = http.post("/v1beta/models/tiny:asyncBatchEmbedContent", json={"batch": batch})
    assert answer.status_code == 200, answer.text
    return answer.json()


def text(content: str, **fields: Any) -> dict[str, Any]:
    return {"request": {"content": {"parts": [{"text": content}]}} | fields}


def upload(http: httpx.Client, lines: list[str]) -> str:
    body = "\n".join(lines).encode()
    return http.post("/upload/v1/files?uploadType=media", content=body).json()["file"]["name"]


# --- google-genai -----------------------------------------------------------------------------------------------------


def test_inline_requests_give_a_vector_each(google: genai.Client, embedder: Embedder) -> None:
    texts = [f"text number {n}" for n in range(70)]  # more than one group
    job = google.batches.create_embeddings(
        model="gemini-embedding-2",
        src=types.EmbeddingsBatchJobSource(
            inlined_requests=types.EmbedContentBatch(contents=texts, config={"output_dimensionality": 16})
        ),
        config={"display_name": "seventy"},
    )
    assert job.name and job.name.startswith("batches/")
    assert job.state and job.state.value in ("JOB_STATE_PENDING", "JOB_STATE_RUNNING", "JOB_STATE_SUCCEEDED")
    assert (job.display_name, job.model) == ("seventy", "models/gemini-embedding-2")
    job = wait(google, job.name)
    assert job.state and job.state.value == "JOB_STATE_SUCCEEDED"
    assert job.create_time and job.end_time and job.end_time >= job.create_time
    assert job.dest and job.dest.inlined_embed_content_responses
    found = [r.response.embedding.values for r in job.dest.inlined_embed_content_responses]  # type: ignore[union-attr]
    np.testing.assert_allclose(np.array(found), embedder.embed(texts, dim=16), atol=1e-6)
    tokens = job.dest.inlined_embed_content_responses[0].response.token_count  # type: ignore[union-attr]
    assert tokens == embedder.embed_detailed(texts[0])[0].n_tokens
    assert job.name in [j.name for j in google.batches.list(config={"page_size": 1})]
    google.batches.delete(name=job.name)
    with pytest.raises(genai_errors.ClientError) as caught:
        google.batches.get(name=job.name)
    assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")


def test_a_file_of_requests_gives_a_file_of_results(google: genai.Client, embedder: Embedder, tmp_path: Path) -> None:
    picture = google.files.upload(file=_written(tmp_path / "p.png", media_samples.picture("PNG")))
    requests = [
        {"key": "a", "request": {"content": {"parts": [{"text": "one"}]}, "output_dimensionality": 8}},
        {"key": "b", "request": {"content": {"parts": [{"text": ""}]}}},
        {"key": "c", "request": {"content": {"parts": [{"text": "a"}, {"fileData": {"fileUri": picture.uri}}]}}},
        {"key": "d", "request": {"content": {"parts": [{"text": "x"}]}, "outputDimensionality": 99_999}},
        {"key": "e", "request": {"contents": "nonsense"}},
        {"key": "f", "request": {"content": {"parts": [{"fileData": {"fileUri": "files/nope"}}]}}},
        {"key": "g"},
        {"key": "h", "request": {"model": "models/other", "content": {"parts": [{"text": "x"}]}}},
    ]
    lines = [json.dumps(r) for r in requests] + ["not json", "", "[]", json.dumps({"key": "last", **text("end")})]
    source = _written(tmp_path / "requests.jsonl", "\n".join(lines).encode())
    file = google.files.upload(file=source, config={"mime_type": "jsonl"})
    job = google.batches.create_embeddings(model="gemini-embedding-2", src={"file_name": file.name})
    google.files.delete(name=file.name or "")  # the batch has what it needs
    job = wait(google, job.name or "")
    assert job.state and job.state.value == "JOB_STATE_SUCCEEDED"
    assert job.dest and job.dest.file_name
    results = [json.loads(line) for line in google.files.download(file=job.dest.file_name).splitlines()]
    assert [r.get("key") for r in results] == [*"abcdefgh", None, None, "last"]
    errors = [r["error"] if "error" in r else None for r in results]
    said = {1: "empty Part", 3: "99999", 4: "contents", 5: "may not exist", 6: "`request`", 7: "other", 8: "not JSON"}
    for place, words in said.items():
        assert words in errors[place]["message"], errors[place]
        assert errors[place].keys() == {"code", "message"}
    assert errors[5]["code"] == 7  # PERMISSION_DENIED
    assert [e is None for e in errors] == [n in (0, 2, 10) for n in range(11)]
    content = Content("a", Part.bytes(media_samples.picture("PNG")))
    np.testing.assert_allclose(results[0]["response"]["embedding"]["values"], embedder.embed("one", 8)[0], atol=1e-6)
    np.testing.assert_allclose(results[2]["response"]["embedding"]["values"], embedder.embed(content)[0], atol=1e-6)
    result_file = google.files.get(name=job.dest.file_name)
    assert result_file.source and result_file.source.value == "GENERATED"
    assert result_file.download_uri
    assert google.files.download(file=result_file)


def _written(path: Path, payload: bytes) -> Path:
    path.write_bytes(payload)
    return path


def test_cancelling(google: genai.Client, http: httpx.Client) -> None:
    name = create(http, [text(f"long {n} " * 50) for n in range(2_000)])["name"]
    google.batches.cancel(name=name)
    job = wait(google, name)
    assert job.state and job.state.value == "JOB_STATE_CANCELLED"
    google.batches.cancel(name=name)  # again: nothing happens
    google.batches.delete(name=name)


def test_google_genai_is_told_what_is_wrong(google: genai.Client) -> None:
    with pytest.raises(genai_errors.ClientError) as caught:
        google.batches.create_embeddings(model="gemini-embedding-2", src={"file_name": "files/nope"})
    assert caught.value.code == 403
    with pytest.raises(genai_errors.ClientError) as caught:
        google.batches.create_embeddings(model="gpt", src={"inlined_requests": {"contents": ["a"]}})
    assert caught.value.code == 404


# --- the shapes -------------------------------------------------------------------------------------------------------


def test_the_operation_of_an_inline_batch(http: httpx.Client) -> None:
    requests = [text("a") | {"metadata": {"row": "7"}}, text(""), {"metadata": {"row": "9"}, "request": {"x": 1}}]
    first = create(http, requests, displayName="d", priority="3")
    assert first["name"] == first["metadata"]["name"]
    assert first["metadata"]["@type"].endswith("EmbedContentBatch")
    assert first["metadata"]["priority"] == "3"
    found = wait_http(http, first["name"])
    stats = {"requestCount": "3", "successfulRequestCount": "1", "failedRequestCount": "2", "pendingRequestCount": "0"}
    assert found["metadata"]["batchStats"] == stats
    assert found["metadata"]["state"] == "BATCH_STATE_SUCCEEDED"
    items = found["metadata"]["output"]["inlinedResponses"]["inlinedResponses"]
    assert found["response"]["inlinedResponses"]["inlinedResponses"] == items
    assert items[0]["metadata"] == {"row": "7"}
    assert len(items[0]["response"]["embedding"]["values"]) == 3072
    assert items[0]["response"]["tokenCount"] == "1"
    assert items[1]["error"]["code"] == 3
    assert items[1]["error"]["message"].startswith("requests[1]: ")
    assert items[2]["metadata"] == {"row": "9"}
    assert "Cannot find field" in items[2]["error"]["message"]
    listed = http.get("/v1/batches?pageSize=1").json()
    assert listed["operations"][0]["name"] == first["name"]
    assert "output" not in listed["operations"][0]["metadata"]


def test_pages(http: httpx.Client) -> None:
    names = [create(http, [text("a")])["name"] for _ in range(3)]
    first = http.get("/v1/batches?pageSize=2").json()
    second = http.get("/v1/batches", params={"page_size": 2, "page_token": first["nextPageToken"]}).json()
    assert [op["name"] for op in first["operations"] + second["operations"]][:3] == names[::-1]


def test_a_batch_whose_lines_all_fail_still_ends(google: genai.Client, http: httpx.Client) -> None:
    name = create(http, [text(""), text(" ")])["name"]
    job = wait(google, name)
    assert job.state and job.state.value == "JOB_STATE_SUCCEEDED"
    assert job.dest and job.dest.inlined_responses
    assert all(r.error and r.error.code == 3 for r in job.dest.inlined_responses)


def test_renaming(http: httpx.Client) -> None:
    name = create(http, [text("a")])["name"]
    changed = http.patch(f"/v1/{name}:updateEmbedContentBatch?updateMask=displayName", json={"displayName": "new"})
    assert changed.json()["displayName"] == "new"
    assert http.get(f"/v1/{name}").json()["metadata"]["displayName"] == "new"


def test_another_key_sees_no_batch_of_mine(http: httpx.Client) -> None:
    name = create(http, [text("a")])["name"]
    error_of(http.get(f"/v1/{name}", headers=BOB), 404, "NOT_FOUND")
    error_of(http.post(f"/v1/{name}:cancel", headers=BOB), 404, "NOT_FOUND")
    error_of(http.delete(f"/v1/{name}", headers=BOB), 404, "NOT_FOUND")
    assert name not in http.get("/v1/batches?pageSize=100", headers=BOB).text
    source = upload(http, [json.dumps(text("a"))])
    body = {"batch": {"inputConfig": {"fileName": source}}}
    answer = http.post("/v1/models/tiny:asyncBatchEmbedContent", json=body, headers=BOB)
    error_of(answer, 403, "PERMISSION_DENIED")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "not specified"),
        ({"batch": {}}, "not specified"),
        ({"batch": {"inputConfig": {}}}, "not specified"),
        ({"batch": {"inputConfig": {"requests": {"requests": []}}}}, "not specified"),
        ({"batch": {"inputConfig": {"fileName": "f", "requests": {"requests": [text("a")]}}}}, "oneof"),
        ({"batch": {"inputConfig": {"requests": {"requests": [7]}}}}, "Invalid value"),
        ({"batch": {"inputConfig": {"requests": {"requests": [{"key": "a"}]}}}}, "Cannot find field"),
        ({"batch": {"inputConfig": {"requests": {"requests": [text("a")]}}, "priority": "high"}}, "priority"),
        ({"batch": {"inputConfig": {"requests": {"requests": [text("a")]}}, "model": "models/gpt"}}, "models/gpt"),
    ],
)
def test_a_batch_that_is_none_is_refused(http: httpx.Client, body: Any, said: str) -> None:
    answer = http.post("/v1/models/tiny:asyncBatchEmbedContent", json=body)
    assert said in error_of(answer, 400, "INVALID_ARGUMENT")


def test_an_empty_file_of_requests_is_refused(http: httpx.Client) -> None:
    body = {"batch": {"inputConfig": {"fileName": upload(http, ["", " "])}}}
    answer = http.post("/v1/models/tiny:asyncBatchEmbedContent", json=body)
    assert "holds no request" in error_of(answer, 400, "INVALID_ARGUMENT")


@pytest.mark.parametrize("name", ["nope", "..%2Fx", "x" * 3_000, "%00"])
def test_a_name_that_is_no_batch(http: httpx.Client, name: str) -> None:
    for answer in (http.get(f"/v1/batches/{name}"), http.delete(f"/v1/batches/{name}")):
        assert answer.status_code == 404, answer.text
        assert answer.json()["error"]["status"] == "NOT_FOUND"


def test_interactive_requests_do_not_wait_for_a_batch(http: httpx.Client) -> None:
    name = create(http, [text(f"filler {n} " * 40) for n in range(1_500)])["name"]
    times = []
    for n in range(20):
        started_s = time.perf_counter()
        body = {"content": {"parts": [{"text": f"a short question {n}"}]}}
        assert http.post("/v1/models/tiny:embedContent", json=body).status_code == 200
        times.append(time.perf_counter() - started_s)
    is_open = not http.get(f"/v1/{name}").json().get("done")
    http.delete(f"/v1/{name}")
    assert is_open, "the batch was done before it could be in the way"
    assert sorted(times)[10] < 1.0


# --- kill -9 ----------------------------------------------------------------------------------------------------------


def _serve(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """A server in a process of its own."""
    code = (
        "import sys, uvicorn; from pathlib import Path; from onesense.server.app import create_app;"
        "from onesense.server.settings import Settings;"
        "app = create_app(Settings(models=('tiny',), data_dir=Path(sys.argv[1])));"
        "uvicorn.run(app, host='127.0.0.1', port=int(sys.argv[2]), log_level='warning')"
    )
    return subprocess.Popen([sys.executable, "-c", code, str(folder), str(port)])


def _answer(client: httpx.Client, path: str) -> dict[str, Any]:
    deadline_s = time.monotonic() + WAIT_S
    while True:
        try:
            return client.get(path).json()
        except httpx.TransportError:
            assert time.monotonic() < deadline_s
            time.sleep(0.05)


def test_a_killed_server_goes_on_where_it_was(tmp_path: Path, embedder: Embedder) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    texts = [f"line {n} " * 20 for n in range(400)]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as client:
        server = _serve(tmp_path, port)
        try:
            _answer(client, "/healthz")
            source = upload(
                client, [json.dumps({"key": str(n), **text(t, outputDimensionality=8)}) for n, t in enumerate(texts)]
            )
            body = {"batch": {"inputConfig": {"fileName": source}}}
            name = client.post("/v1/models/tiny:asyncBatchEmbedContent", json=body).json()["name"]
            while (n_done := _done(client, name)) < 64:
                time.sleep(0.01)
            os.kill(server.pid, signal.SIGKILL)
            server.wait()
            server = _serve(tmp_path, port)
            assert _done(client, name) >= n_done  # nothing that was settled is lost
            deadline_s = time.monotonic() + WAIT_S
            while not (found := _answer(client, f"/v1/{name}")).get("done"):
                assert time.monotonic() < deadline_s
                time.sleep(0.05)
            result = client.get(f"/v1/{found['response']['responsesFile']}:download?alt=media").content
        finally:
            server.kill()
            server.wait()
    assert n_done < 400, "the batch was done before the kill"
    lines = [json.loads(line) for line in result.splitlines()]
    assert [line["key"] for line in lines] == [str(n) for n in range(400)]
    vectors = np.array([line["response"]["embedding"]["values"] for line in lines])
    np.testing.assert_allclose(vectors, embedder.embed(texts, dim=8), atol=1e-6)


def _done(client: httpx.Client, name: str) -> int:
    stats = _answer(client, f"/v1/{name}")["metadata"]["batchStats"]
    return int(stats["requestCount"]) - int(stats["pendingRequestCount"])


# --- what a batch survives --------------------------------------------------------------------------------------------


def _left_behind(folder: Path, model: str = "models/tiny") -> tuple[BatchStore, BatchRow]:
    """A batch that a server left behind."""
    store = BatchStore(folder / "batches", 3_600.0)
    lines = [json.dumps(text(f"left {n}")).encode() for n in range(3)]
    return store, store.create(NewBatch("anonymous", model, "http://h/v1/"), lines)


def test_a_request_that_kills_the_server_is_left_out_in_the_end(tmp_path: Path) -> None:
    store, batch = _left_behind(tmp_path)
    for _ in range(4):  # begun four times, settled never: twice as a group, twice alone
        batch = store.attempt(batch)
    store.close()
    with running(tmp_path) as base, httpx.Client(base_url=base, trust_env=False) as client:
        found = wait_http(client, f"batches/{batch.id}")
    items = found["response"]["inlinedResponses"]["inlinedResponses"]
    assert "died twice" in items[0]["error"]["message"]
    assert ["response" in item for item in items] == [False, True, True]


def test_a_batch_whose_model_is_gone_fails(tmp_path: Path) -> None:
    store, batch = _left_behind(tmp_path, "models/yesterday")
    store.close()
    with running(tmp_path) as base, httpx.Client(base_url=base, trust_env=False) as client:
        found = wait_http(client, f"batches/{batch.id}")
        assert found["metadata"]["state"] == "BATCH_STATE_FAILED"
        assert "yesterday" in found["error"]["message"]
        name = create(client, [text("the next one")])["name"]
        assert wait_http(client, name)["metadata"]["state"] == "BATCH_STATE_SUCCEEDED"


def test_an_orderly_stop_loses_nothing(tmp_path: Path, embedder: Embedder) -> None:
    texts = [f"line {n} " * 20 for n in range(300)]
    with running(tmp_path) as base, httpx.Client(base_url=base, trust_env=False) as client:
        name = create(client, [text(t, outputDimensionality=4) for t in texts])["name"]
        while _done(client, name) == 0:
            time.sleep(0.01)
    with running(tmp_path) as base, httpx.Client(base_url=base, trust_env=False) as client:
        items = wait_http(client, name)["response"]["inlinedResponses"]["inlinedResponses"]
    vectors = np.array([item["response"]["embedding"]["values"] for item in items])
    np.testing.assert_allclose(vectors, embedder.embed(texts, 4), atol=1e-6)
