"""Tests see an empty home, nothing of the person's environment, and no network but loopback."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests.servers import isolation

DOCUMENTATION = "192.0.2.1"  # RFC 5737: never anybody's address


def test_home_is_empty_and_new(isolated: Path) -> None:
    assert Path.home() == isolated
    assert list(isolated.iterdir()) == []
    assert Path(os.environ["DOCKER_CONFIG"]).parent == isolated


def test_variables_that_steer_programs_are_found() -> None:
    names = ["NGC_API_KEY", "AWS_PROFILE", "https_proxy", "SSL_CERT_FILE", "PATH", "CI", "DRAY_X"]
    assert isolation.foreign(iter(names)) == [n for n in names if n not in {"PATH", "CI"}]
    assert set(isolation.foreign(iter(os.environ))) == set(isolation.own(Path())) - {
        name for name in isolation.own(Path()) if name == "HOME" or name.startswith("XDG_")
    }


def test_a_connection_beyond_loopback_fails_and_is_remembered() -> None:
    with socket.socket() as client, pytest.raises(isolation.OutsideError, match=DOCUMENTATION):
        client.connect((DOCUMENTATION, 443))
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
        pytest.raises(isolation.OutsideError),
    ):
        client.sendto(b"x", (DOCUMENTATION, 53))
    assert len(isolation.attempts) == 2
    isolation.attempts.clear()


def test_a_foreign_name_is_unknown() -> None:
    with pytest.raises(socket.gaierror):
        socket.create_connection(("registry.example", 443), timeout=1)
    assert socket.getaddrinfo("localhost", 80)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_may_be_reached(host: str) -> None:
    assert isolation.is_loopback(host)


@pytest.mark.parametrize("host", ["10.0.0.1", "169.254.169.254", "0.0.0.1", "fe80::1%lo", "a.b"])
def test_nothing_else_may_be_reached(host: str) -> None:
    assert not isolation.is_loopback(host)


def test_the_harbor_that_a_person_names_may_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isolation.named("localhost") >= {"localhost", "127.0.0.1"}
    assert isolation.named("harbor.example") == {"harbor.example"}
    monkeypatch.setattr(isolation, "allowed", {"harbor.example", DOCUMENTATION})
    assert isolation.is_open(DOCUMENTATION)
    assert isolation.is_open("harbor.example")
    assert not isolation.is_open("registry.example")
