"""Keys, rates, and names of the host."""

from __future__ import annotations

from pathlib import Path

import pytest

from onesense.errors import BadKey, Busy, InvalidInput, MissingKey, NotFound, PermissionDenied
from onesense.server.access import ApiKey, Keyring, RateLimits, check_host, is_open, presented_key
from onesense.server.keyfile import parse_keys, read_keys
from onesense.server.settings import Settings, is_loopback

ALICE, BOB = ApiKey.of("alice", "alice's secret"), ApiKey.of("bob", "bob's own secret", requests_per_min=5)


def test_each_key_opens_and_is_named() -> None:
    ring = Keyring([ALICE, BOB])
    assert ring.check("alice's secret") is ALICE
    assert ring.check("bob's own secret") is BOB


@pytest.mark.parametrize("secret", ["alice's secre", "alice's secret ", "x", "\udcff"])
def test_any_other_key_does_not(secret: str) -> None:
    with pytest.raises(BadKey, match="API key not valid"):
        Keyring([ALICE, BOB]).check(secret)


@pytest.mark.parametrize("secret", [None, ""])
def test_a_missing_key_is_told_apart(secret: str | None) -> None:
    with pytest.raises(MissingKey, match="unregistered callers"):
        Keyring([ALICE]).check(secret)


def test_without_keys_everybody_may_come_in() -> None:
    assert Keyring([]).check(None) is None
    assert Keyring([]).check("anything") is None


def test_the_secret_is_not_kept() -> None:
    assert "secret" not in repr(ALICE)
    assert b"secret" not in ALICE.digest


@pytest.mark.parametrize(("name", "secret"), [("", "long enough"), ("a b", "long enough"), ("a", "short")])
def test_a_key_needs_a_name_and_length(name: str, secret: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        ApiKey.of(name, secret)
    assert "long enough" not in str(caught.value)


def test_two_keys_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidInput, match="same name"):
        Keyring([ALICE, ApiKey.of("alice", "another secret")])


@pytest.mark.parametrize(
    ("headers", "query", "expected"),
    [
        ({"x-goog-api-key": "k"}, "", "k"),
        ({"authorization": "Bearer k"}, "", "k"),
        ({"authorization": "bearer  k "}, "", "k"),
        ({"authorization": "Basic k"}, "", None),
        ({"authorization": "Bearer "}, "key=q", "q"),
        ({}, "alt=json&key=q%20r", "q r"),
        ({}, "monkey=q", None),
        ({"x-goog-api-key": "k", "authorization": "Bearer other"}, "key=q", "k"),
        ({}, "", None),
    ],
)
def test_where_a_key_may_stand(headers: dict[str, str], query: str, expected: str | None) -> None:
    assert presented_key(headers, query) == expected


def test_health_needs_no_key() -> None:
    assert is_open("/healthz")
    assert not is_open("/metrics")
    assert not is_open("/healthz/x")


def test_a_minute_has_so_many_requests_and_they_come_back_with_time() -> None:
    now = [100.0]
    rates = RateLimits(clock=lambda: now[0])
    for _ in range(3):
        rates.take("a", 3)
    with pytest.raises(Busy, match=r"Please retry in 20s") as caught:
        rates.take("a", 3)
    assert caught.value.retry_after_s == 20
    rates.take("b", 3)
    now[0] += 20
    rates.take("a", 3)
    with pytest.raises(Busy):
        rates.take("a", 3)
    now[0] += 3_600
    for _ in range(3):
        rates.take("a", 3)
    rates.take("a", None)


@pytest.mark.parametrize(
    ("header", "is_fine"),
    [
        ("localhost", True),
        ("127.0.0.1:8080", True),
        ("[::1]:80", True),
        ("LOCALHOST:1", True),
        ("evil.com", False),
        ("localhost.evil.com", False),
        ("", False),
        ("127.0.0.1.evil.com:80", False),
    ],
)
def test_a_rebound_name_does_not_get_in(header: str, is_fine: bool) -> None:
    allowed = Settings().answers_to
    assert allowed is not None
    if is_fine:
        check_host(header, allowed)
    else:
        with pytest.raises(PermissionDenied):
            check_host(header, allowed)
    check_host(header, None)


def test_the_network_needs_a_key_or_a_word() -> None:
    for host in ("0.0.0.0", "::", "192.168.1.5", "my.host"):
        with pytest.raises(InvalidInput, match="there is no key"):
            Settings(host=host)
        assert Settings(host=host, keys=(ALICE,)).answers_to is None
        assert Settings(host=host, allow_anonymous=True).answers_to is None
    for host in ("127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost"):
        assert is_loopback(host)
        assert Settings(host=host).keys == ()


def test_an_alias_leads_to_a_served_model() -> None:
    settings = Settings(models=("tiny",), aliases={"mine": "tiny"})
    assert settings.names["mine"] == settings.names["gemini-embedding-2"] == "tiny"
    with pytest.raises(InvalidInput, match="`mine` -> `other`"):
        Settings(models=("tiny",), aliases={"mine": "other"})
    with pytest.raises(InvalidInput, match="at least one model"):
        Settings(models=())


def test_keys_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(
        f'[alice]\nkey = "alice\'s secret"\nrequests_per_min = 7\n[bob]\nsha256 = "{BOB.digest.hex()}"\n',
        encoding="utf-8",
    )
    alice, bob = read_keys(path)
    assert (alice.name, alice.digest, alice.requests_per_min) == ("alice", ALICE.digest, 7)
    assert (bob.name, bob.digest, bob.max_body_bytes) == ("bob", BOB.digest, None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[a",
        'a = "text"',
        "[a]",
        '[a]\nkey = "x"',
        '[a]\nkey = "long enough"\nfoo = 1',
        "[a]\nkey = 5",
        '[a]\nsha256 = "abc"',
        '[a]\nkey = "long enough"\nrequests_per_min = 0',
        '[a]\nkey="long enough"\nmax_body_bytes=true',
    ],
)
def test_a_wrong_file_of_keys_is_refused_without_repeating_a_secret(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInput) as caught:
        read_keys(path)
    assert "long enough" not in str(caught.value)


def test_a_missing_file_of_keys() -> None:
    with pytest.raises(NotFound, match="nowhere"):
        read_keys(Path("nowhere.toml"))


def test_keys_from_options() -> None:
    assert parse_keys(["alice=alice's secret"]) == (ALICE,)
    with pytest.raises(InvalidInput, match="key 2") as caught:
        parse_keys(["a=long enough", "a-whole-secret"])
    assert "whole" not in str(caught.value)
