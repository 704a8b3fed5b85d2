"""A started server with the demo library and the bundled model, and a real browser in front of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: uv pip install playwright")

from studio_page import EVIL, SCREENSHOTS  # noqa: E402

from running_server import running  # noqa: E402

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
NAME = "Demo"
_CACHE = Path(__file__).parents[2] / ".studio"
_AXE = "axe-core@4.10.3"
_WAIT_MS = 60_000  # for a machine that trains beside us


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo library, one file whose name is a trap, and one that is broken; no traps on pictures for people."""
    from onesense.cli import demo_library

    folder = tmp_path_factory.mktemp("demo")
    demo_library.build(folder)
    if SCREENSHOTS:
        return folder
    notes = folder / "library" / "notes"
    (notes / EVIL).write_text("A note about a zeppelin over the lake, with a name that is a trap.", encoding="utf-8")
    (folder / "library" / "photos" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 this is no photograph")
    return folder


@pytest.fixture(scope="session")
def url(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the server; the library is indexed in the collection `Demo`."""
    with running(tmp_path_factory.mktemp("server"), models=("onesense-mini",)) as address:
        with httpx.Client(base_url=address, timeout=120) as client:
            assert client.post("/api/collections", json={"name": NAME}).status_code == 201
            job = client.post(f"/api/collections/{NAME}/jobs", json={"paths": [str(library / "library")]}).json()
            while job["state"] in ("waiting", "running"):
                time.sleep(0.3)
                job = client.get(f"/api/jobs/{job['id']}").json()
            assert job["state"] == "done", job
        yield address


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium without a window, with a microphone and a camera that are made up."""
    if CHROMIUM is None:
        pytest.skip("needs chromium (apt install chromium), or CHROMIUM with its path")
    flags = ["--no-sandbox", "--disable-gpu", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield found
        found.close()


@pytest.fixture
def opened(browser: Any, url: str) -> Iterator[Callable[..., Any]]:
    """Open a page of the Studio; at the end of the test it must have said nothing on the console."""
    said: list[str] = []
    contexts = []

    def open_page(
        place: str = "#/search", *, at: str = url, width: int = 1360, height: int = 860, **options: Any
    ) -> Any:
        context = browser.new_context(viewport={"width": width, "height": height}, **({"locale": "en-US"} | options))
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(_WAIT_MS)
        page.on("console", lambda m: said.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda e: said.append(str(e)))
        page.on("request", lambda r: said.append(f"foreign: {r.url}") if not is_ours(r.url, at) else None)
        page.goto(f"{at}/{place}")
        return page

    open_page.said = said  # type: ignore[attr-defined]  # for tests of what the server refuses: Chromium reports it
    yield open_page
    for context in contexts:
        context.close()
    assert said == []


def is_ours(address: str, url: str) -> bool:
    return address.startswith((url, "blob:", "data:"))


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core, from npm's registry, kept for the next run."""
    kept = _CACHE / f"{_AXE}.js"
    if not kept.is_file():
        _CACHE.mkdir(exist_ok=True)
        packed = subprocess.run(
            ["npm", "pack", "--silent", _AXE], cwd=_CACHE, check=True, capture_output=True, text=True, timeout=120
        )
        archive = _CACHE / packed.stdout.strip().splitlines()[-1]
        with tarfile.open(archive) as files:
            inside = files.extractfile("package/axe.min.js")
            assert inside is not None
            kept.write_bytes(inside.read())
        archive.unlink()
    return kept.read_text(encoding="utf-8")
