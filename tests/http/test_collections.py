"""`/api/collections` of a started server: made, filled, searched, looked into, and what is refused."""

from __future__ import annotations

import io
import json
import math
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from media_samples import pdf, video
from onesense.server.access import ApiKey
from running_server import running

EVIL = "<img src=x onerror=alert(1)>.txt"
API = "/api/collections/media"


def sound(path: Path, seconds: float = 2.0) -> None:
    samples = (8_000 * np.sin(np.arange(int(16_000 * seconds)) * 2 * math.pi * 440 / 16_000)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(samples.tobytes())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of all five modalities, one broken one, and one with a name that is a trap."""
    root = tmp_path_factory.mktemp("media")
    (root / "notes").mkdir()
    (root / "notes" / "cat.txt").write_text("the cat sleeps on the warm stone", encoding="utf-8")
    (root / "notes" / EVIL).write_text("a harmless text with a name that is not", encoding="utf-8")
    (root / "page.html").write_text("<html><body><script>alert(1)</script>hello page</body></html>", encoding="utf-8")
    Image.fromarray(np.full((80, 120, 3), (200, 60, 20), np.uint8)).save(root / "red.png")
    sound(root / "tone.wav")
    (root / "film.mp4").write_bytes(video("mp4", 2.0))
    (root / "paper.pdf").write_bytes(pdf(["the first page", "the second page"]))
    (root / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"not a picture")
    return root


@pytest.fixture(scope="module")
def api(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a server that has the collection `media` with these files."""
    with (
        running(tmp_path_factory.mktemp("server")) as url,
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        assert client.post("/api/collections", json={"name": "media"}).status_code == 201
        client.index = index(client, {"paths": [str(folder)]})  # type: ignore[attr-defined]
        yield client


def index(client: httpx.Client, wanted: dict[str, Any], collection: str = API) -> dict[str, Any]:
    """Start a job and wait for its end."""
    answer = client.post(f"{collection}/jobs", json=wanted)
    assert answer.status_code == 202, answer.text
    return ended(client, answer.json()["id"])


def ended(client: httpx.Client, job: str) -> dict[str, Any]:
    deadline_s = time.monotonic() + 120
    while time.monotonic() < deadline_s:
        found: dict[str, Any] = client.get(f"/api/jobs/{job}").json()
        if found["state"] not in ("waiting", "running"):
            return found
        time.sleep(0.05)
    raise AssertionError("the job did not end")


def upload(client: httpx.Client, name: str, body: bytes) -> str:
    headers = {"X-Goog-Upload-Protocol": "resumable", "X-Goog-Upload-Command": "start"}
    begun = client.post("/upload/v1beta/files", headers=headers, json={"file": {"displayName": name}})
    there = begun.headers["X-Goog-Upload-URL"]
    sent = {"X-Goog-Upload-Command": "upload, finalize", "X-Goog-Upload-Offset": "0"}
    found: str = client.post(there, headers=sent, content=body).json()["file"]["name"]
    return found


def refused(answer: httpx.Response, status: int, code: str) -> str:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["status"]) == (code, status)
    message: str = error["message"]
    return message


# --- making and filling -----------------------------------------------------------------------------------------------


def test_a_folder_is_indexed_and_its_faults_are_told(api: httpx.Client, folder: Path) -> None:
    job = api.index  # type: ignore[attr-defined]
    assert job["state"] == "done"
    assert len(job["result"]["added"]) == 7
    assert [Path(f["path"]).name for f in job["result"]["failed"]] == ["broken.png"]
    about = api.get(API).json()
    assert about["by_modality"] == {"audio": 1, "image": 1, "pdf": 1, "text": 3, "video": 1}
    assert about["own"] and about["files"] == 7


def test_progress_comes_as_events_until_the_job_is_over(api: httpx.Client, folder: Path) -> None:
    job = api.post(f"{API}/jobs", json={"paths": [str(folder)]}).json()["id"]
    with api.stream("GET", f"/api/jobs/{job}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: ")]
    assert events[-1]["state"] == "done"
    assert events[-1]["progress"]["done"] == events[-1]["progress"]["total"] == 8
    listed = api.get(f"{API}/jobs").json()
    assert events[0]["ended_s"] is None or len(events) == 1
    assert listed["jobs"][0]["id"] == job and 0 <= listed["now_s"] - listed["jobs"][0]["ended_s"] < 60
    assert len(events[-1]["result"]["unchanged"]) == 7


def test_a_dry_run_counts_and_writes_nothing(api: httpx.Client, folder: Path) -> None:
    api.post("/api/collections", json={"name": "dry"})
    found = index(api, {"kind": "plan", "paths": [str(folder)]}, "/api/collections/dry")["result"]
    assert found["n_new"] == 8
    assert found["by_modality"]["text"]["n_files"] == 3
    assert api.get("/api/collections/dry").json()["segments"] == 0


def test_what_failed_is_kept_and_tried_again(api: httpx.Client, folder: Path) -> None:
    (folder / "late.png").write_bytes((folder / "broken.png").read_bytes())
    index(api, {"paths": [str(folder)]})
    failed = api.get(f"{API}/failures").json()["failures"]
    assert {Path(f["path"]).name for f in failed} == {"broken.png", "late.png"}
    assert all(f["code"] and f["reason"] for f in failed)
    (folder / "late.png").write_bytes((folder / "red.png").read_bytes())
    again = index(api, {"kind": "retry"})["result"]
    assert [Path(path).name for path in again["added"]] == ["late.png"]
    (folder / "late.png").unlink()
    index(api, {"paths": [str(folder)], "prune": True})
    assert [Path(f["path"]).name for f in api.get(f"{API}/failures").json()["failures"]] == ["broken.png"]


def test_a_job_is_stopped_and_what_was_done_stays(api: httpx.Client, tmp_path: Path) -> None:
    for n in range(300):
        (tmp_path / f"{n}.txt").write_text(f"text number {n}", encoding="utf-8")
    api.post("/api/collections", json={"name": "stopped"})
    job = api.post("/api/collections/stopped/jobs", json={"paths": [str(tmp_path)]}).json()["id"]
    waiting = api.post("/api/collections/stopped/jobs", json={"paths": [str(tmp_path)]}).json()["id"]
    refused(api.delete("/api/collections/stopped"), 429, "busy")
    assert api.post(f"/api/jobs/{waiting}/cancel").json()["state"] == "cancelled"
    api.post(f"/api/jobs/{job}/cancel")
    assert ended(api, job)["state"] in ("cancelled", "done")
    assert index(api, {"paths": [str(tmp_path)]}, "/api/collections/stopped")["state"] == "done"
    assert api.get("/api/collections/stopped").json()["files"] == 300
    refused(api.get("/api/jobs/nothing"), 404, "not_found")


def test_uploads_are_kept_with_the_collection_and_go_with_it(api: httpx.Client) -> None:
    assert api.post("/api/collections", json={"name": "hochgeladen ü"}).status_code == 201
    there = "/api/collections/hochgeladen%20%C3%BC"
    uri = upload(api, "../../trip/sea.txt", b"waves at the sea")
    job = index(api, {"uploads": [uri]}, there)
    (path,) = job["result"]["added"]
    assert path.endswith("hochgeladen ü.files/trip/sea.txt")
    assert api.get(f"{there}/text", params={"path": path}).json()["text"] == "waves at the sea"
    refused(api.post(f"{there}/jobs", json={"uploads": [uri]}), 403, "permission_denied")  # it was moved
    assert api.delete(there).status_code == 200
    assert not Path(path).exists()
    refused(api.get(there), 404, "not_found")


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "a\\b", ".hidden", " x", "x\n", "x" * 65, "a%2fb", "é" * 150]
)
def test_a_name_never_leaves_the_folder(api: httpx.Client, name: str) -> None:
    refused(api.post("/api/collections", json={"name": name}), 400, "invalid_input")


def test_a_name_is_taken_once(api: httpx.Client) -> None:
    assert "already" in refused(api.post("/api/collections", json={"name": "Media"}), 409, "already_exists")


@pytest.mark.parametrize("name", ["nothing", "..", "%2e%2e", "a%2F..%2Fb"])
def test_a_collection_that_is_not_there(api: httpx.Client, name: str) -> None:
    assert api.get(f"/api/collections/{name}/sample").status_code == 404


def test_a_file_is_taken_out_and_stays_on_the_disk(api: httpx.Client, folder: Path) -> None:
    path = folder / "red.png"
    assert api.post(f"{API}/files/remove", json={"paths": [str(path)]}).json() == {"removed": 1}
    assert api.get(f"{API}/files", params={"contains": "RED"}).json()["total"] == 0
    assert path.exists()
    index(api, {"paths": [str(path)]})
    assert api.get(f"{API}/files", params={"contains": "RED"}).json()["total"] == 1


# --- searching --------------------------------------------------------------------------------------------------------


def search(api: httpx.Client, **wanted: Any) -> dict[str, Any]:
    answer = api.post(f"{API}/search", json=wanted)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_words_find_their_text(api: httpx.Client) -> None:
    found = search(api, parts=[{"text": "the cat sleeps on the warm stone"}], k=3)
    assert Path(found["hits"][0]["path"]).name == "cat.txt"
    assert {"score", "confidence", "locator", "preview", "modality"} <= set(found["hits"][0])
    assert {"is_confident", "next_offset"} <= set(found)


def test_an_uploaded_picture_finds_itself(api: httpx.Client, folder: Path) -> None:
    uri = upload(api, "q.png", (folder / "red.png").read_bytes())
    found = search(api, parts=[{"file": uri}], modality=["image"])
    assert Path(found["hits"][0]["path"]).name == "red.png"
    assert found["hits"][0]["score"] == pytest.approx(1.0, abs=1e-3)


def test_a_hit_by_its_id(api: httpx.Client) -> None:
    hit = search(api, parts=[{"text": "the cat"}], modality=["text"])["hits"][0]
    found = api.get(f"{API}/hit", params={"id": hit["id"]}).json()
    assert [found[key] for key in ("id", "path", "locator", "modality")] == [
        hit[key] for key in ("id", "path", "locator", "modality")
    ]
    assert "/nowhere#0" in refused(api.get(f"{API}/hit", params={"id": "/nowhere#0"}), 404, "not_found")


def test_pages_join_without_a_gap(api: httpx.Client) -> None:
    parts = [{"text": "something"}]
    whole = [hit["id"] for hit in search(api, parts=parts, k=100)["hits"]]
    paged: list[str] = []
    offset: int | None = 0
    while offset is not None:
        page = search(api, parts=parts, k=2, offset=offset)
        paged += [hit["id"] for hit in page["hits"]]
        offset = page["next_offset"]
    assert paged == whole


def test_filters_like_and_minus(api: httpx.Client, folder: Path) -> None:
    only = search(api, parts=[{"text": "x"}], where={"path": {"prefix": str(folder / "notes")}})
    assert {Path(hit["path"]).parent.name for hit in only["hits"]} == {"notes"}
    cat = next(hit for hit in only["hits"] if hit["path"].endswith("cat.txt"))
    near = search(api, like=[cat["id"]])
    towards = [{"text": "the cat"}]
    away = search(api, parts=towards, unlike=[cat["id"]])
    assert near["hits"] and away["hits"]
    both = [
        {hit["id"]: hit["score"] for hit in found["hits"]} for found in (search(api, parts=[{"text": "the cat"}]), away)
    ]
    assert both[1][cat["id"]] < both[0][cat["id"]]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({}, "nothing to look for"),
        ({"parts": [{}]}, "holds one of"),
        ({"parts": [{"text": "a", "data": "YQ=="}]}, "holds one of"),
        ({"parts": [{"text": "  "}]}, "empty"),
        ({"parts": [{"data": "?"}]}, "not base64"),
        ({"parts": [{"text": "a"}], "k": 0}, "k"),
        ({"parts": [{"text": "a"}], "modality": ["smell"]}, "smell"),
        ({"parts": [{"text": "a"}], "where": {"path": {"like": "x"}}}, "no condition"),
        ({"parts": [{"text": "a"}], "colour": 1}, "colour"),
    ],
)
def test_a_query_that_cannot_be_asked(api: httpx.Client, wanted: dict[str, Any], said: str) -> None:
    answer = api.post(f"{API}/search", json=wanted)
    assert answer.status_code == 400
    assert said in answer.json()["error"]["message"]


def test_what_matched_is_marked(api: httpx.Client) -> None:
    hit = search(api, parts=[{"text": "the second page"}], modality=["pdf"])["hits"][0]
    found = api.post(f"{API}/mark", json={"id": hit["id"], "parts": [{"text": "second"}]}).json()
    assert set(found) == {"boxes", "start_char", "end_char", "text", "heat"}
    assert refused(api.post(f"{API}/mark", json={"id": "/nowhere#1", "parts": [{"text": "a"}]}), 404, "not_found")


# --- looking ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "modality", "more"),
    [("red.png", "image", {}), ("film.mp4", "video", {"at_s": 0.5}), ("paper.pdf", "pdf", {"page": 2})],
)
def test_thumbnails(api: httpx.Client, folder: Path, name: str, modality: str, more: dict[str, Any]) -> None:
    params = {"path": str(folder / name), "modality": modality, "side": 160, **more}
    first = api.get(f"{API}/thumbnail", params=params)
    assert first.headers["content-type"] == "image/webp"
    assert max(Image.open(io.BytesIO(first.content)).size) <= 160
    assert api.get(f"{API}/thumbnail", params=params).content == first.content


def test_the_outline_of_a_sound(api: httpx.Client, folder: Path) -> None:
    found = api.get(f"{API}/waveform", params={"path": str(folder / "tone.wav"), "n": 50}).json()
    assert found["duration_s"] == pytest.approx(2.0, abs=0.05)
    assert len(found["peaks"]) == 50
    assert 0.2 < min(found["peaks"][1:-1]) <= max(found["peaks"]) < 0.3


def test_a_clip_is_cut(api: httpx.Client, folder: Path) -> None:
    answer = api.get(f"{API}/clip", params={"path": str(folder / "tone.wav"), "start_s": 0.5, "end_s": 1.0})
    assert answer.headers["content-type"] == "audio/wav"
    with wave.open(io.BytesIO(answer.content)) as clip:
        assert clip.getnframes() / clip.getframerate() == pytest.approx(0.5, abs=0.1)


def test_a_sound_is_sent_by_ranges(api: httpx.Client, folder: Path) -> None:
    answer = api.get(f"{API}/original", params={"path": str(folder / "tone.wav")}, headers={"range": "bytes=4-11"})
    assert (answer.status_code, answer.headers["content-type"]) == (206, "audio/wav")
    assert answer.content == (folder / "tone.wav").read_bytes()[4:12]


@pytest.mark.parametrize("name", ["page.html", f"notes/{EVIL}", "paper.pdf"])
def test_nothing_comes_as_what_a_browser_runs(api: httpx.Client, folder: Path, name: str) -> None:
    answer = api.get(f"{API}/original", params={"path": str(folder / name)})
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment; filename*=UTF-8''")
    assert "<" not in answer.headers["content-disposition"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("kind", ["thumbnail", "waveform", "text", "original"])
@pytest.mark.parametrize("path", ["/etc/passwd", "../../etc/passwd", "broken.png"])
def test_only_what_was_indexed_can_be_looked_at(api: httpx.Client, folder: Path, kind: str, path: str) -> None:
    there = str(folder / path) if path == "broken.png" else path
    refused(api.get(f"{API}/{kind}", params={"path": there}), 404, "not_found")


def test_the_map_is_drawn_once_and_anew_after_a_change(api: httpx.Client, folder: Path) -> None:
    first = api.get(f"{API}/space").json()
    assert first["total"] == len(first["points"]) == api.get(API).json()["segments"]
    assert all(-1 <= p["x"] <= 1 and -1 <= p["y"] <= 1 for p in first["points"])
    assert api.get(f"{API}/space").json() == first
    (folder / "notes" / "new.txt").write_text("one more", encoding="utf-8")
    index(api, {"paths": [str(folder / "notes")]})
    assert api.get(f"{API}/space").json()["total"] == first["total"] + 1


def test_similarity_at_several_sizes(api: httpx.Client) -> None:
    contents = [{"parts": [{"text": t}]} for t in ("a cat", "a cat", "the sea")]
    found = api.post("/api/similarity", json={"contents": contents, "dims": [16, 64]}).json()
    assert [one["dim"] for one in found["sizes"]] == [16, 64]
    for one in found["sizes"]:
        cosine = np.array(one["cosine"])
        assert np.allclose(np.diag(cosine), 1, atol=1e-4)
        assert cosine[0, 1] > 0.999 > cosine[0, 2]
    refused(api.post("/api/similarity", json={"contents": contents, "dims": [10**6]}), 400, "bad_dimension")
    refused(api.post("/api/similarity", json={"contents": [{"parts": []}]}), 400, "empty_input")


# --- who may ----------------------------------------------------------------------------------------------------------


def test_another_sites_page_changes_nothing(api: httpx.Client) -> None:
    for headers in ({"origin": "https://evil.example"}, {"origin": "null"}):
        message = refused(api.post("/api/collections", json={"name": "x"}, headers=headers), 403, "permission_denied")
        assert "--cors-origin" in message
    ours = {"origin": str(api.base_url).rstrip("/")}
    assert api.post(f"{API}/search", json={"parts": [{"text": "a"}]}, headers=ours).status_code == 200


def test_keys_guard_the_api_but_not_the_page(tmp_path: Path) -> None:
    with running(tmp_path, keys=(ApiKey.of("ann", "a long secret"),)) as url, httpx.Client(base_url=url) as client:
        assert client.get("/").status_code == 200
        assert client.get("/studio/app.js").status_code == 200
        refused(client.get("/api/collections"), 401, "missing_key")
        refused(client.get("/api/collections", params={"key": "another one"}), 401, "bad_key")
        assert client.get("/api/collections", params={"key": "a long secret"}).json() == {"collections": []}


def test_paths_of_the_server_only_below_its_roots(tmp_path: Path, folder: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("nobody's business", encoding="utf-8")
    (folder / "notes" / "link").symlink_to(tmp_path)
    with (
        running(tmp_path / "data", media_roots=(folder,)) as url,
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        client.post("/api/collections", json={"name": "media"})
        for path in (secret, folder / ".." / secret.name, folder / "notes" / "link" / "secret.txt", Path("/")):
            refused(client.post(f"{API}/jobs", json={"paths": [str(path)]}), 403, "permission_denied")
        assert index(client, {"paths": [str(folder / "page.html")]})["state"] == "done"
    (folder / "notes" / "link").unlink()


def test_a_given_collection_is_not_deleted(tmp_path: Path) -> None:
    from onesense import Collection

    with Collection.open(tmp_path / "mine.onesense", "tiny") as made:
        made.add({"id": "one", "content": "a text"})
    with (
        running(tmp_path / "data", collections=(tmp_path / "mine.onesense",)) as url,
        httpx.Client(base_url=url) as client,
    ):
        assert client.get("/api/collections").json() == {"collections": [{"name": "mine", "own": False}]}
        refused(client.delete("/api/collections/mine"), 403, "permission_denied")
        found = client.post("/api/collections/mine/search", json={"parts": [{"text": "a text"}]}).json()
        assert found["hits"][0]["id"].startswith("one")
        assert client.get("/api/collections/mine/original", params={"path": "one"}).status_code == 404


def test_the_page_runs_nothing_but_its_own_modules(api: httpx.Client) -> None:
    answer = api.get("/")
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self'" in policy and "unsafe" not in policy and "default-src 'none'" in policy
    assert "<script>" not in answer.text and "style=" not in answer.text and " on" not in answer.text.split("<body>")[1]
    tag = {"if-none-match": answer.headers["etag"]}
    assert api.get("/", headers=tag).status_code == 304
    assert api.get("/studio/../../app.py").status_code == 404
    assert api.get("/studio/__init__.py").status_code == 404
