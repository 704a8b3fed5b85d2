"""The life of a server: start, load, departures, a full queue, TLS, and an end that loses nothing."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

import media_samples
import sandbox_tasks
from onesense import Embedder, Part, media
from onesense.engine.backends.tiny import Backend as Tiny
from onesense.server import engine as engine_module
from onesense.server.app import create_app
from onesense.server.run import Tls, serve
from onesense.server.settings import ServerLimits, Settings
from onesense.types import Array, Batch
from running_server import PLAIN, running, until

EMBED = "/v1/models/gemini-embedding-2:embedContent"
MAIN = "from onesense.cli.main import main; main()"
COMMAND = [
    sys.executable,
    "-c",
    MAIN,
    "serve",
    "--model",
    "tiny",
    "--port",
    "0",
]


def body(text: str) -> dict[str, Any]:
    return {"content": {"parts": [{"text": text}]}, "outputDimensionality": 4}


class Held(Tiny):
    """`tiny`, which waits until it may go on."""

    def __init__(self) -> None:
        super().__init__()
        self.open = threading.Event()
        self.open.set()
        self.embedded = 0

    def embed(self, batch: Batch) -> Array:
        assert self.open.wait(20)
        self.embedded += len(batch)
        return super().embed(batch)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    """The model of every server that this test starts."""
    backend = Held()
    monkeypatch.setattr(engine_module, "Embedder", lambda name, **options: Embedder(backend, **options))
    return backend


# --- under load -----------------------------------------------------------------------------------------------------


def test_a_full_queue_answers_429_with_a_delay_and_the_others_are_served(held: Held, tmp_path: Path) -> None:
    limits = ServerLimits(max_waiting=4)
    with running(tmp_path, limits=limits) as url, ThreadPoolExecutor(8) as pool, httpx.Client(base_url=url) as http:
        until(lambda: http.get("/readyz").status_code == 200)
        held.open.clear()
        waiting = [pool.submit(PLAIN.post, url + EMBED, json=body(f"text {i}"), timeout=30) for i in range(4)]
        until(lambda: "onesense_in_flight 4.0" in http.get("/metrics").text)
        refused = http.post(EMBED, json=body("one more"))
        held.open.set()
        assert [call.result().status_code for call in waiting] == [200] * 4
        assert http.post(EMBED, json=body("one more")).status_code == 200
    error = refused.json()["error"]
    assert (refused.status_code, error["status"]) == (429, "RESOURCE_EXHAUSTED")
    assert error["message"].startswith("The model is overloaded")
    assert error["details"][1]["retryDelay"] == f"{refused.headers['retry-after']}s"


def test_a_client_that_leaves_is_not_worked_for(held: Held, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with running(tmp_path) as url, httpx.Client(base_url=url) as http:
        until(lambda: http.get("/readyz").status_code == 200)
        warm = held.embedded
        held.open.clear()
        for i in range(3):
            with pytest.raises(httpx.ReadTimeout):
                PLAIN.post(url + EMBED, json=body(f"text {i}"), timeout=0.3)
        until(lambda: "onesense_in_flight 0.0" in http.get("/metrics").text)
        held.open.set()
        assert http.post(EMBED, json=body("after")).status_code == 200
        assert held.embedded - warm <= 2  # what had begun, and the last one
        assert re.search(r'onesense_requests_total{code="499".*} 3.0', http.get("/metrics").text)
    assert "Traceback" not in capfd.readouterr().err


def test_small_requests_overtake_a_large_one(held: Held, tmp_path: Path) -> None:
    with running(tmp_path, limits=ServerLimits(batch_tokens=8)) as url, ThreadPoolExecutor(2) as pool:
        until(lambda: PLAIN.get(f"{url}/readyz").status_code == 200)
        held.open.clear()
        requests = [body(f"number {i}") for i in range(100)]
        ended: list[str] = []

        def send(name: str, path: str, value: Any) -> int:
            status = PLAIN.post(url + path, json=value).status_code
            ended.append(name)
            return status

        large = pool.submit(send, "large", "/v1/models/tiny:batchEmbedContents", {"requests": requests})
        until(lambda: not re.search(r"onesense_waiting_items [0-4]?\d\.0", PLAIN.get(f"{url}/metrics").text))
        small = pool.submit(send, "small", EMBED, body("small"))
        until(lambda: "onesense_in_flight 2.0" in PLAIN.get(f"{url}/metrics").text)
        held.open.set()
        assert (small.result(), large.result()) == (200, 200)
        assert ended == ["small", "large"]


def test_many_clients_get_each_their_own_vector(url: str) -> None:
    texts = [f"text number {i}" for i in range(48)]
    with httpx.Client(base_url=url, timeout=30) as http, ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda text: http.post(EMBED, json=body(text)), texts))
    with Embedder("tiny") as embedder:
        expected = embedder.embed(texts, dim=4)
    np.testing.assert_allclose([a.json()["embedding"]["values"] for a in answers], expected, atol=1e-5)


# --- decoders ---------------------------------------------------------------------------------------------------------


def picture_body(data: bytes) -> dict[str, Any]:
    inline = {"mimeType": "image/png", "data": base64.b64encode(data).decode()}
    return {"content": {"parts": [{"inlineData": inline}]}, "outputDimensionality": 4}


PNG = media_samples.picture("png")


@pytest.mark.parametrize(
    ("evil", "limits", "said"),
    [
        (sandbox_tasks.CRASH, ServerLimits(), "crashed its decoder (SIGABRT)"),
        (sandbox_tasks.HANG, ServerLimits(decode_s=3), "takes more than 3 s"),
        (sandbox_tasks.SWELL, ServerLimits(), "2,048 MB of memory"),
    ],
    ids=["crash", "hang", "bomb"],
)
def test_a_file_that_kills_its_decoder_costs_its_own_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, evil: bytes, limits: ServerLimits, said: str
) -> None:
    monkeypatch.setattr(media, "decode", sandbox_tasks.decode_or_die)
    with running(tmp_path, limits=limits, decoders=1) as url, ThreadPoolExecutor(4) as pool:
        expected = PLAIN.post(url + EMBED, json=picture_body(PNG)).json()["embedding"]["values"]
        texts = [pool.submit(PLAIN.post, url + EMBED, json=body(f"text {i}"), timeout=30) for i in range(20)]
        answer = PLAIN.post(url + EMBED, json=picture_body(evil + PNG))
        error = answer.json()["error"]
        assert (answer.status_code, error["status"]) == (400, "INVALID_ARGUMENT")
        assert said in error["message"]
        assert [call.result().status_code for call in texts] == [200] * 20
        again = picture_body(PNG) | {"outputDimensionality": 5}
        assert PLAIN.post(url + EMBED, json=again).status_code == 200
        mixed = {"content": {"parts": [{"text": "a"}, *picture_body(PNG)["content"]["parts"]]}}
        assert PLAIN.post(url + EMBED, json=mixed).status_code == 200
    with Embedder("tiny") as embedder:
        np.testing.assert_allclose(embedder.embed(Part.bytes(PNG), 4)[0], expected, atol=1e-5)


def test_media_are_read_in_the_server_itself_where_that_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)
    with running(tmp_path, decoders=0) as url:
        assert PLAIN.post(url + EMBED, json=picture_body(PNG)).status_code == 200


# --- what it says about itself ----------------------------------------------------------------------------------------


def test_health_timings_and_metrics(http: httpx.Client) -> None:
    until(lambda: http.get("/readyz").status_code == 200)
    assert http.get("/healthz").json() == {"status": "ok"}
    answer = http.post(EMBED, json=body("timed text"))
    stages = re.findall(r"(\w+);dur=([\d.]+)", answer.headers["server-timing"])
    assert [name for name, _ in stages] == ["parse", "prepare", "queue", "model", "serialise", "total"]
    assert sum(float(ms) for name, ms in stages if name != "total") <= float(stages[-1][1])
    text = http.get("/metrics").text
    assert re.search(r'onesense_requests_total{code="200",dialect="google",route="[^"]*:embedContent"} [1-9]', text)
    assert re.search(r'onesense_tokens_total{modality="text"} [1-9]', text)
    assert "onesense_ready 1.0" in text


def test_a_name_that_was_rebound_does_not_get_in(http: httpx.Client) -> None:
    answer = http.post(EMBED, json=body("x"), headers={"host": "evil.example:80"})
    assert (answer.status_code, answer.json()["error"]["status"]) == (403, "PERMISSION_DENIED")


def test_web_pages_may_call_where_they_are_named_only(http: httpx.Client, tmp_path: Path) -> None:
    page = {"origin": "https://my.app"}
    asked = page | {"access-control-request-method": "POST", "access-control-request-headers": "x-goog-api-key"}
    assert "access-control-allow-origin" not in http.post(EMBED, json=body("x"), headers=page).headers
    with running(tmp_path, cors_origins=("https://my.app",)) as url:
        assert PLAIN.options(url + EMBED, headers=asked).headers["access-control-allow-origin"] == "https://my.app"
        assert "access-control-allow-origin" not in PLAIN.get(url, headers={"origin": "https://other.app"}).headers


def test_not_ready_until_the_model_is_loaded_and_requests_wait_for_it(held: Held, tmp_path: Path) -> None:
    held.open.clear()
    with running(tmp_path) as url, ThreadPoolExecutor(1) as pool:
        assert PLAIN.get(f"{url}/healthz").status_code == 200
        assert PLAIN.get(f"{url}/readyz").status_code == 503
        early = pool.submit(PLAIN.post, url + EMBED, json=body("early"), timeout=30)
        time.sleep(0.2)
        assert not early.done()
        held.open.set()
        assert early.result().status_code == 200
        assert PLAIN.get(f"{url}/readyz").status_code == 200


def test_a_fault_that_nobody_foresaw_tells_no_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def burst(*_: object) -> None:
        raise RuntimeError("secret of the house")

    monkeypatch.setattr("onesense.server.models._card", burst)
    with running(tmp_path) as url:
        answer = PLAIN.get(f"{url}/v1/models")
    assert (answer.status_code, answer.json()["error"]["status"]) == (500, "INTERNAL")
    assert "secret" not in answer.text


# --- the command ------------------------------------------------------------------------------------------------------


@contextmanager
def started(*options: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The real command in a process of its own, and its address."""
    process = subprocess.Popen(
        [*COMMAND, "--json", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )
    try:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())["url"]
    finally:
        process.kill()
        process.communicate()


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """Processes that decode for a server."""
    by_thread = Path(f"/proc/{process.pid}/task").glob("*/children")
    return [int(child) for listed in by_thread for child in listed.read_text().split()]


def until_gone(workers: list[int]) -> None:
    until(lambda: not any(Path(f"/proc/{worker}/cmdline").exists() for worker in workers))


def test_sigterm_lets_requests_in_flight_finish_and_leaves_no_process_behind(tmp_path: Path) -> None:
    with started("--data-dir", str(tmp_path)) as (process, url), ThreadPoolExecutor(1) as pool:
        assert PLAIN.post(url + EMBED, json=picture_body(PNG)).status_code == 200
        workers = workers_of(process)
        assert workers or sys.platform != "linux"
        requests = [body("many words " * 100 + str(i)) for i in range(40)]
        call = pool.submit(
            PLAIN.post, f"{url}/v1/models/tiny:batchEmbedContents", json={"requests": requests}, timeout=60
        )
        until(lambda: "onesense_in_flight 1.0" in PLAIN.get(f"{url}/metrics").text)
        process.send_signal(signal.SIGTERM)
        assert len(call.result().json()["embeddings"]) == 40
        assert process.wait(30) in (0, -signal.SIGTERM)
        until_gone(workers)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_process_outlives_a_server_that_is_killed(tmp_path: Path) -> None:
    with started("--data-dir", str(tmp_path)) as (process, url):
        assert PLAIN.post(url + EMBED, json=picture_body(PNG)).status_code == 200
        workers = workers_of(process)
        assert workers
        process.kill()
        process.wait(30)
        until_gone(workers)


def certificate(folder: Path) -> Tls:
    """A certificate for 127.0.0.1 that signs itself."""
    key, pem = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(pem)],
        check=True, capture_output=True,
    )  # fmt: skip
    return Tls(pem, key)


def test_keys_from_the_environment_and_tls_guard_the_command(tmp_path: Path) -> None:
    tls = certificate(tmp_path)
    options = ("--data-dir", str(tmp_path), "--limit", "max_batch_items=2", "--alias", "mine=tiny")
    files = ("--tls-cert", str(tls.certificate), "--tls-key", str(tls.key))
    trusted = ssl.create_default_context(cafile=str(tls.certificate))
    with (
        started(*options, *files, ONESENSE_API_KEYS="alice=alices-secret") as (_, url),
        httpx.Client(base_url=url, verify=trusted, timeout=30) as http,
    ):
        assert url.startswith("https://127.0.0.1:")
        assert http.get("/v1/models").status_code == 403
        http.headers["x-goog-api-key"] = "alices-secret"
        answer = http.post("/v1/models/mine:batchEmbedContents", json={"requests": [body("x")] * 3})
        assert "at most 2 requests" in answer.json()["error"]["message"]
        assert http.post("/v1/models/mine:embedContent", json=body("x")).status_code == 200


def test_what_cannot_be_started_says_why(tmp_path: Path) -> None:
    from onesense.errors import InvalidInput, NotFound

    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(InvalidInput, match="cannot be listened on"):
            serve(Settings(models=("tiny",), port=taken.getsockname()[1], data_dir=tmp_path))
    with pytest.raises(NotFound, match="certificate"):
        serve(Settings(models=("tiny",), data_dir=tmp_path), tls=Tls(tmp_path / "no.pem", tmp_path / "no.key"))
    with pytest.raises(NotFound, match="nothing"):
        create_app(Settings(models=("nothing",), data_dir=tmp_path))
