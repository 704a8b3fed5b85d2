"""Files behind `https://` addresses, fetched only where the settings allow it, and never from inside the network.

The guard works on the address that is really connected to: a host is looked up once, every answer must be a public
address, and the connection goes to that very address. A name that changes its answer afterwards (DNS rebinding) or a
redirect to an inner address therefore gains nothing. Proxies from the environment are not used.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from ..errors import InvalidInput, OnesenseError, TooLarge

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_PIECE = 1 << 16
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: the last four bytes are an IPv4 address
_REDIRECTS = (301, 302, 303, 307, 308)
_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class FetchRules:
    """What may be fetched."""

    max_bytes: int = 100 * 1024**2
    timeout_s: float = 30.0
    """For the whole fetch, redirects included."""
    max_redirects: int = 3
    schemes: tuple[str, ...] = ("https",)
    ports: tuple[int, ...] = (443,)
    hosts: frozenset[str] = frozenset()
    """Only these; every public one when empty."""
    is_public: Callable[[IPAddress], bool] = lambda address: is_public(address)
    """Which addresses may be connected to; tests open their own."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came."""

    mime_type: str | None
    """As the other server declared it, None where it said nothing useful."""
    n_bytes: int


def is_public(address: IPAddress) -> bool:
    """Whether an address belongs to the open internet.

    Loopback, private, link-local (the cloud's metadata among them), shared, multicast and reserved ranges do not, nor
    does an IPv6 address that carries such an IPv4 address inside.
    """
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if address in _NAT64:
            inner = ipaddress.IPv4Address(address.packed[-4:])
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast


def fetch_url(url: str, target: Path, rules: FetchRules = FetchRules()) -> Fetched:
    """Write what an address answers into a file.

    Args:
        url: `https://host/path`.
        target: where the bytes go; removed again when anything fails.
        rules: limits.

    Raises:
        InvalidInput: the address is not allowed, does not answer, answers an error, or takes too long.
        TooLarge: more than `rules.max_bytes`.
    """
    deadline_s = time.monotonic() + rules.timeout_s
    try:
        for _ in range(rules.max_redirects + 1):
            parts = _checked(url, rules)
            with closing(_connect(parts, rules, deadline_s)) as connection, _cut_off(connection, deadline_s):
                response = _ask(connection, parts)
                if response.status not in _REDIRECTS:
                    return _save(response, target, url, rules, deadline_s)
                url = urljoin(url, response.headers.get("Location", ""))
    except (OSError, HTTPException, ValueError) as cause:
        target.unlink(missing_ok=True)
        said = "took too long" if isinstance(cause, TimeoutError) else f"cannot be fetched ({type(cause).__name__})"
        raise InvalidInput(f"`{_shown(url)}` {said}: upload the file, or send its bytes") from cause
    except OnesenseError:
        target.unlink(missing_ok=True)
        raise
    raise InvalidInput(f"`{_shown(url)}` redirects more than {rules.max_redirects} times: give the final address")


def _checked(url: str, rules: FetchRules) -> SplitResult:
    parts = urlsplit(url)
    if parts.scheme not in rules.schemes or not parts.hostname:
        raise InvalidInput(f"`{_shown(url)}` is not fetched: only {' and '.join(rules.schemes)} addresses are")
    if parts.username is not None or parts.password is not None:
        raise InvalidInput("an address with a user name or a password in it is not fetched")
    if (parts.port or _PORTS[parts.scheme]) not in rules.ports:
        raise InvalidInput(f"`{_shown(url)}` is not fetched: port {parts.port} is not one of {list(rules.ports)}")
    if rules.hosts and parts.hostname not in rules.hosts:
        raise InvalidInput(f"`{_shown(url)}` is not fetched: this server fetches from {', '.join(sorted(rules.hosts))}")
    return parts


def _connect(parts: SplitResult, rules: FetchRules, deadline_s: float) -> HTTPConnection:
    """A connection to the first address of a host, all of which must be public."""
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    addresses = _addresses(host, port)
    if not addresses or not all(rules.is_public(ipaddress.ip_address(a)) for a in addresses):
        raise InvalidInput(f"`{_shown(parts.geturl())}` is not fetched: `{host}` is not on the public internet")
    left_s = _left(deadline_s)
    plain = socket.create_connection((addresses[0], port), timeout=left_s)
    connection: HTTPConnection
    if parts.scheme == "https":
        connection = HTTPSConnection(host, port, timeout=left_s)
        try:
            connection.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=host)
        except OSError:
            plain.close()
            raise
    else:
        connection = HTTPConnection(host, port, timeout=left_s)
        connection.sock = plain
    return connection


def _addresses(host: str, port: int) -> list[str]:
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        found = socket.getaddrinfo(host.encode("idna").decode(), port, type=socket.SOCK_STREAM)
        return [str(entry[4][0]).partition("%")[0] for entry in found]


@contextmanager
def _cut_off(connection: HTTPConnection, deadline_s: float) -> Iterator[None]:
    """End a connection at the deadline, whatever it does: a server that drips one byte a second is never idle."""
    line: socket.socket = connection.sock

    def hang_up() -> None:
        with suppress(OSError):  # closed already
            line.shutdown(socket.SHUT_RDWR)

    watchdog = threading.Timer(_left(deadline_s), hang_up)
    watchdog.daemon = True
    watchdog.start()
    try:
        yield
    finally:
        watchdog.cancel()


def _ask(connection: HTTPConnection, parts: SplitResult) -> HTTPResponse:
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._") + (f"?{parts.query}" if parts.query else "")
    connection.request("GET", path, headers={"User-Agent": "onesense", "Accept": "*/*", "Accept-Encoding": "identity"})
    return connection.getresponse()


def _save(response: HTTPResponse, target: Path, url: str, rules: FetchRules, deadline_s: float) -> Fetched:
    if response.status != 200:
        raise InvalidInput(f"`{_shown(url)}` answers {response.status}: upload the file, or send its bytes")
    n_bytes = int(response.headers.get("Content-Length") or 0)
    with target.open("wb") as file:
        came = 0
        while piece := response.read1(_PIECE):
            _left(deadline_s)
            came += len(piece)
            if max(came, n_bytes) > rules.max_bytes:
                raise TooLarge(f"`{_shown(url)}` has more than {rules.max_bytes:,} bytes, the most that is fetched")
            file.write(piece)
    _left(deadline_s)  # a connection that was cut off looks like one that ended
    if came < n_bytes:
        raise InvalidInput(f"`{_shown(url)}` broke off after {came:,} of {n_bytes:,} bytes: try again")
    declared = response.headers.get_content_type() if "Content-Type" in response.headers else None
    return Fetched(declared, came)


def _left(deadline_s: float) -> float:
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s


def _shown(url: str) -> str:
    """An address for a message: without its query, which may hold a secret, and not endless."""
    plain = url.partition("?")[0]
    return plain if len(plain) <= 200 else f"{plain[:200]}…"
