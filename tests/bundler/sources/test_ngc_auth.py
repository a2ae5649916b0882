from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bundle.errors import DrayError, SourceError
from bundler.sources.ngc_auth import Authorization
from bundler.sources.ngc_login import Login

if TYPE_CHECKING:
    from bundle.http import Http
    from fixtures.ngc import EmulatedNgc

KEY = "nvapi-0123456789abcdefghij"


def legacy(ngc: EmulatedNgc, http: Http, now: list[float]) -> Authorization:
    secret = ngc.catalogue.keys["legacy"].secret
    return Authorization(Login(secret, "NGC_API_KEY"), http, clock=lambda: now[0])


def exchanges(ngc: EmulatedNgc) -> int:
    return sum(entry.site == "authn.nvidia.com" for entry in ngc.requests)


def test_a_token_is_kept_until_five_minutes_before_its_end(http: Http, ngc: EmulatedNgc) -> None:
    now = [1000.0]
    authorization = legacy(ngc, http, now)
    first = authorization.value(scoped=True)
    now[0] += 599
    assert authorization.value(scoped=False) == first
    assert exchanges(ngc) == 1
    now[0] += 2
    assert authorization.value(scoped=True) != first
    assert exchanges(ngc) == 2


def test_a_token_without_a_life_is_not_kept(http: Http, ngc: EmulatedNgc) -> None:
    ngc.faults.add("authn", edit=lambda body: {"token": body["token"]}, times=None)
    authorization = legacy(ngc, http, [0.0])
    assert authorization.value(scoped=True) != authorization.value(scoped=True)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"<html>", b'{"token": 5}', b'{"token": "a\\nb"}', b'{"expires_in": 9}']
)
def test_an_exchange_that_gives_no_token_is_an_error(
    http: Http, ngc: EmulatedNgc, body: bytes
) -> None:
    ngc.faults.add("authn", status=200, body=body)
    with pytest.raises(SourceError, match="something else than a token"):
        legacy(ngc, http, [0.0]).value(scoped=True)


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_legacy_key_that_is_not_taken_is_told(http: Http, ngc: EmulatedNgc, status: int) -> None:
    ngc.faults.add("authn", status=status)
    with pytest.raises(DrayError, match=r"legacy key of NGC_API_KEY") as caught:
        legacy(ngc, http, [0.0]).value(scoped=True)
    assert ngc.catalogue.keys["legacy"].secret not in f"{caught.value}{caught.value.hint}"


def test_no_message_of_the_upstream_can_show_the_key(http: Http) -> None:
    authorization = Authorization(Login(KEY, "NGC_API_KEY"), http)
    text = authorization.scrub(f"bad {KEY}\x1b[31m at https://h/p?Signature=s3cret")
    assert KEY not in text
    assert "s3cret" not in text
    assert "\x1b" not in text


def test_a_guest_says_so_and_a_key_names_its_org(http: Http) -> None:
    guest = Authorization(Login(), http)
    assert guest.value(scoped=True) == ""
    assert list(guest.headers) == ["X-NGC-Guest-Token"]
    named = Authorization(Login(KEY, "x", "abc123xyz"), http)
    assert named.headers == {"nv-ngc-org": "abc123xyz"}
    assert named.value(scoped=False) == f"Bearer {KEY}"
    assert not named.renew(f"Bearer {KEY}")
