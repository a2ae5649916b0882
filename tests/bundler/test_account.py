"""As whom NGC was asked goes into the manifest, and nothing secret with it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from bundle.digest import Digest
from bundle.errors import SourceError
from bundler import account
from bundler.lock import Lock
from bundler.sources import ngc_caller
from bundler.sources.ngc_caller import Caller
from bundler.sources.ngc_login import Login
from tests import factory

if TYPE_CHECKING:
    from collections.abc import Callable

    from bundle.account import Account

KEY = "nvapi-never-to-be-shown"


def lock(name: str) -> Lock:
    image = factory.image(factory.Contents(), name, [b"layer"])
    return Lock(factory.STREAM, Digest.of(b"spec"), (image,))


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Account | None, list[str]]]:
    def run(
        caller: Caller | SourceError, *, key: str = KEY, name: str = "nvcr.io/nvidia/cuda:1"
    ) -> tuple[Account | None, list[str]]:
        def answer(*_: object) -> Caller:
            if isinstance(caller, SourceError):
                raise caller
            return caller

        monkeypatch.setattr(ngc_caller, "ask", answer)
        warnings: list[str] = []
        keys = SimpleNamespace(known=lambda: Login(key))
        upstreams: Any = SimpleNamespace(
            keys=keys, http=None, authorization=None, warn=warnings.append
        )
        return account.of(upstreams, lock(name)), warnings

    return run


def test_a_service_key_is_its_orgs(ask: Callable[..., Any]) -> None:
    found, _ = ask(Caller("service", "acme", products=("artifact-catalog",)))
    assert (found.kind, found.org, found.products) == ("service", "acme", ("artifact-catalog",))
    assert KEY not in str(found.to_dict())


def test_without_a_key_it_is_a_guest_and_nobody_is_asked(ask: Callable[..., Any]) -> None:
    found, _ = ask(SourceError("never asked"), key="")
    assert found.kind == "guest"


def test_nothing_is_said_of_what_is_not_of_ngc(ask: Callable[..., Any]) -> None:
    assert ask(SourceError("never asked"), name="up.example/a:1") == (None, [])


def test_an_export_does_not_fail_over_it(ask: Callable[..., Any]) -> None:
    found, warnings = ask(SourceError("the API is down"))
    assert found is None
    assert "does not say whose key it was pulled with: the API is down" in warnings[0]
    assert ask(Caller("service", rejected=403))[0] is None
