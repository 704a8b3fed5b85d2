"""A small hub on this machine: it speaks as much of the Hugging Face hub's HTTP as a download needs."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """One repository, `maker/model`, at one commit."""

    files: Mapping[str, bytes]
    url: str = ""
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    """Method, path, `Range` header."""
    break_after: int = 0
    """Bytes of a large file after which the connection ends, at once where it was resumed; 0 for never."""
    n_breaks: int = 1
    """How often it does."""
    lies: bool = False
    """Whether large files come with another last byte than their checksum is of."""

    def entry(self, path: str) -> dict[str, Any]:
        data = self.files[path]
        found: dict[str, Any] = {"rfilename": path, "path": path, "type": "file", "size": len(data)}
        found["oid"] = found["blobId"] = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        if path.endswith(".safetensors"):
            sha256 = hashlib.sha256(data).hexdigest()
            found["lfs"] = {"sha256": sha256, "oid": sha256, "size": len(data), "pointerSize": 130}
        return found


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer(has_body=False)

    def do_GET(self) -> None:
        self._answer(has_body=True)

    def _answer(self, *, has_body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append((self.command, path, self.headers.get("Range", "")))
        parts = path.strip("/").split("/")
        if parts[:2] == ["api", "models"] and parts[2:4] == ["maker", "model"]:
            revision = parts[5] if len(parts) > 5 else "main"
            if revision not in ("main", COMMIT):
                return self._refuse("RevisionNotFound")
            if parts[4:5] == ["tree"]:
                return self._send(json.dumps([self.hub.entry(f) for f in self.hub.files]).encode(), {}, has_body)
            about = {"id": "maker/model", "sha": COMMIT, "siblings": [self.hub.entry(f) for f in self.hub.files]}
            return self._send(json.dumps(about).encode(), {"Content-Type": "application/json"}, has_body)
        if parts[:2] == ["maker", "model"] and parts[2:3] == ["resolve"] and "/".join(parts[4:]) in self.hub.files:
            return self._send_file("/".join(parts[4:]), has_body)
        return self._refuse("RepoNotFound")

    def _refuse(self, code: str) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, data: bytes, headers: Mapping[str, str], has_body: bool, status: int = 200) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if has_body:
            self.wfile.write(data)

    def _send_file(self, path: str, has_body: bool) -> None:
        data = self.hub.files[path]
        if self.hub.lies and path.endswith(".safetensors"):
            data = data[:-1] + b"?"
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0] or 0)
        entry = self.hub.entry(path)
        etag = entry["lfs"]["sha256"] if "lfs" in entry else entry["oid"]
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        if has_body and self.hub.break_after and self.hub.n_breaks > 0 and len(data) - start > self.hub.break_after:
            self.send_response(206 if start else 200)
            for name, value in {"Content-Length": str(len(data) - start), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data[: self.hub.break_after] if not start else b"")
            self.hub.n_breaks -= 1
            self.close_connection = True
            return
        self._send(data[start:], headers, has_body, 206 if start else 200)


@contextmanager
def running_hub(files: Mapping[str, bytes]) -> Iterator[Hub]:
    """A hub with one repository, until the block ends."""
    hub = Hub(files)
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
