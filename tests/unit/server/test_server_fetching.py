"""Addresses that are fetched, against a real server on this machine, and those that never are."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from onesense.errors import InvalidInput, TooLarge
from onesense.server import fetching
from onesense.server.fetching import FetchRules, fetch_url, is_public


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        name = self.path.partition("?")[0].strip("/")
        if name == "to-inner":
            return self.redirect("http://10.0.0.1/secret")
        if name == "to-file":
            return self.redirect("file:///etc/passwd")
        if name == "loop":
            return self.redirect("/loop")
        if name == "hop":
            return self.redirect("/cat.png")
        if name == "drip":
            return self.drip()
        if name == "short":
            return self.answer(b"abc", length=10)
        if name == "missing":
            return self.answer(b"no", status=404)
        self.answer(b"x" * 5_000 if name == "big" else b"a picture")

    def redirect(self, where: str) -> None:
        self.send_response(302)
        self.send_header("Location", where)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def answer(self, payload: bytes, status: int = 200, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "image/png; charset=binary")
        self.send_header("Content-Length", str(len(payload) if length is None else length))
        self.end_headers()
        self.wfile.write(payload)
        self.close_connection = True

    def drip(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            for _ in range(200):
                self.wfile.write(b"x")
                time.sleep(0.05)
        except OSError:
            pass

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def rules(port: int) -> FetchRules:
    def is_here(address: fetching.IPAddress) -> bool:
        return address.is_loopback

    return FetchRules(schemes=("http", "https"), ports=(port, 80, 443), is_public=is_here, timeout_s=5, max_bytes=1_000)


def test_a_file_comes_with_its_type(port: int, rules: FetchRules, tmp_path: Path) -> None:
    target = tmp_path / "t"
    found = fetch_url(f"http://127.0.0.1:{port}/cat.png?token=s", target, rules)
    assert target.read_bytes() == b"a picture"
    assert (found.mime_type, found.n_bytes) == ("image/png", 9)


def test_a_redirect_is_followed_and_checked_again(port: int, rules: FetchRules, tmp_path: Path) -> None:
    target = tmp_path / "t"
    assert fetch_url(f"http://127.0.0.1:{port}/hop", target, rules).n_bytes == 9
    for name, said in [("to-inner", "not on the public internet"), ("to-file", "only http"), ("loop", "more than 3")]:
        with pytest.raises(InvalidInput, match=said):
            fetch_url(f"http://127.0.0.1:{port}/{name}", tmp_path / "no", rules)
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(("name", "said"), [("missing", "answers 404"), ("short", "cannot be fetched|broke off")])
def test_what_does_not_come_whole_is_refused(
    name: str, said: str, port: int, rules: FetchRules, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match=said):
        fetch_url(f"http://127.0.0.1:{port}/{name}", tmp_path / "t", rules)
    assert not (tmp_path / "t").exists()


def test_a_file_that_is_too_large_is_not_kept(port: int, rules: FetchRules, tmp_path: Path) -> None:
    with pytest.raises(TooLarge, match="1,000"):
        fetch_url(f"http://127.0.0.1:{port}/big", tmp_path / "t", rules)
    assert not (tmp_path / "t").exists()


def test_a_server_that_drips_is_cut_off(port: int, rules: FetchRules, tmp_path: Path) -> None:
    quick = FetchRules(schemes=("http",), ports=rules.ports, is_public=rules.is_public, timeout_s=0.4)
    started = time.monotonic()
    with pytest.raises(InvalidInput, match="took too long"):
        fetch_url(f"http://127.0.0.1:{port}/drip", tmp_path / "t", quick)
    assert time.monotonic() - started < 3
    assert not (tmp_path / "t").exists()


def test_nobody_listens(rules: FetchRules, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = free.getsockname()[1]
    loose = FetchRules(schemes=("http",), ports=(closed,), is_public=rules.is_public)
    with pytest.raises(InvalidInput, match="ConnectionRefusedError"):
        fetch_url(f"http://127.0.0.1:{closed}/", tmp_path / "t", loose)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/a.png",
        "ftp://example.com/a",
        "file:///etc/passwd",
        "gs://bucket/a",
        "https:///a",
        "https://user:word@example.com/a",
        "https://example.com:8443/a",
        "https://127.0.0.1/a",
        "https://[::1]/a",
        "https://[::ffff:10.0.0.1]/a",
        "https://169.254.169.254/latest/meta-data",
        "https://localhost/a",
        "https://example.com:port/a",
        "https://[bad/a",
        "",
    ],
)
def test_what_is_never_fetched(url: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        fetch_url(url, tmp_path / "t")


def test_a_host_with_one_inner_address_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A name that answers a public and a private address is how a guard that looks at the first is passed."""

    def answers(*_: object, **__: object) -> list[object]:
        return [(2, 1, 6, "", ("93.184.216.34", 443)), (2, 1, 6, "", ("10.0.0.1", 443))]

    monkeypatch.setattr(fetching.socket, "getaddrinfo", answers)
    with pytest.raises(InvalidInput, match="not on the public internet"):
        fetch_url("https://two.example/a", tmp_path / "t")


def test_the_connection_goes_to_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The name is looked up once: an answer that changes afterwards is never asked for."""
    asked: list[object] = []
    connected: list[object] = []

    def answers(host: object, *_: object, **__: object) -> list[object]:
        asked.append(host)
        return [(2, 1, 6, "", ("93.184.216.34" if len(asked) == 1 else "10.0.0.1", 443))]

    def connect(address: object, **_: object) -> object:
        connected.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(fetching.socket, "getaddrinfo", answers)
    monkeypatch.setattr(fetching.socket, "create_connection", connect)
    with pytest.raises(InvalidInput, match="ConnectionRefused"):
        fetch_url("https://rebind.example/a", tmp_path / "t")
    assert connected == [("93.184.216.34", 443)]


def test_only_named_hosts_where_some_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"fetches from good\.example"):
        fetch_url("https://bad.example/a", tmp_path / "t", FetchRules(hosts=frozenset({"good.example"})))


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1", False),
        ("fc00::1", False),
        ("fd00:ec2::254", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:8.8.8.8", True),
        ("2002:7f00:1::", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("64:ff9b::808:808", True),
        ("ff02::1", False),
    ],
)
def test_which_addresses_are_public(address: str, expected: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is expected
