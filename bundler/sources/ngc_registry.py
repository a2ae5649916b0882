"""Refusals of nvcr.io in NGC's terms: whose key it was, what a guest gets, which tags there are."""

from __future__ import annotations

import difflib
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from bundle import refusals
from bundle.digest import is_digest
from bundle.errors import DrayError
from bundle.registry import Registry
from bundler.sources.keyring import NGC_USER
from bundler.sources.ngc_auth import Authorization
from bundler.sources.ngc_login import Login
from bundler.sources.ngc_reasons import Reason, Refusal, explain

if TYPE_CHECKING:
    from bundle.credentials import Credentials
    from bundle.errors import TransferError
    from bundle.http import Http
    from bundle.refusals import Refused

NVCR: Final = "nvcr.io"
EXPLAINED: Final = frozenset({401, 402, 403, 404, 412, 451})
_SHOWN = 5
_OLDER = "an older bundle that has it is the source now"


def login_of(credentials: Credentials | None) -> Login:
    """Return the login that a registry's credential stands for: its password is the key."""
    if credentials is None or credentials.username != NGC_USER:
        return Login()
    return Login(credentials.password, credentials.origin)


class Explainer:
    """Puts refusals of nvcr.io into words; ``credentials`` are those that nvcr.io was shown.

    ``authorization`` is that of the same key, where the run has it.
    """

    def __init__(
        self,
        http: Http,
        credentials: Credentials | None,
        authorization: Authorization | None = None,
    ) -> None:
        self._http = http
        self._login = login_of(credentials)
        self._foreign = credentials is not None and not self._login.key
        self._authorization = authorization or Authorization(self._login, http)

    def __call__(self, refused: Refused) -> TransferError | None:
        """Return the error for a refusal, or nothing where the protocol says it best."""
        if self._foreign or refused.response.status not in EXPLAINED or not refused.repository:
            return None
        if refused.what.startswith("manifest sha256-"):
            return None  # a signature's tag: most images have none, and nobody needs a reason
        return self.reason(refused).error()

    def reason(self, refused: Refused) -> Reason:
        """Return why a request was refused; asks NGC whose key it is, and what a guest gets."""
        status, repository = refused.response.status, refused.repository
        if status == 404 and not refused.at_token:
            return self._gone(refused)
        alone = 0
        if status in {401, 403} and self._login.key:
            alone = self._as_guest(repository, refused.what)
        org, *middle, name = repository.split("/")
        code, words = refusals.told(refused.response)
        said = " ".join(part for part in (code, words) if part)
        found = explain(
            Refusal(
                what=f"{NVCR}/{repository}",
                org=org,
                team=middle[0] if middle else "",
                page=page(org, middle, name),
                status=status,
                login=self._login,
                caller=self._authorization.caller,
                end=f": {said}" if said else "",
                alone=alone if alone != 200 else 0,
            )
        )
        return _only_with_key(found) if alone == 200 else found

    def _as_guest(self, repository: str, what: str) -> int:
        """Return the status with which nvcr.io answers the same question without a key."""
        met: list[int] = []

        def note(refused: Refused) -> TransferError | None:
            met.append(refused.response.status)
            return None

        reference = what.removeprefix("manifest ") if what.startswith("manifest ") else ""
        registry = Registry(NVCR, self._http, None, note)
        try:
            if reference:
                registry.has_manifest(repository, reference)
            else:
                registry.tags(repository)
        except DrayError:
            return met[-1] if met else 0
        return 200

    def _gone(self, refused: Refused) -> Reason:
        repository, what = refused.repository, refused.what
        code, words = refusals.told(refused.response)
        said = " ".join(part for part in ("404", code, words) if part)
        name = f"{NVCR}/{repository}"
        if what.startswith("blob ") and code != "NAME_UNKNOWN":
            hint = f"{_OLDER}; else lock what is there now: dray lock --update"
            return Reason("gone", f"{name} has no {what} any more ({said})", hint, missing=True)
        if code == "NAME_UNKNOWN" or not what.startswith("manifest "):
            who = f"to {self._login}" if self._login.key else "without a key"
            org, *middle, last = repository.split("/")
            message = f"{name} is not found, or not visible {who} ({said})"
            hint = f"does this page show it? {page(org, middle, last)}"
            return Reason("not-found", message, hint, missing=True)
        reference = what.removeprefix("manifest ")
        kind = "digest" if is_digest(reference) else "tag"
        message = f"{name} has no {kind} {reference} ({said}): it is gone upstream, or never was"
        hint = f"{self._near(repository, reference)}; {_OLDER}"
        return Reason("gone", message, hint, missing=True)

    def _near(self, repository: str, reference: str) -> str:
        tags: list[str] = []
        with suppress(DrayError):
            tags = Registry(NVCR, self._http, self._shown()).tags(repository)
        tags = [tag for tag in tags if not tag.startswith("sha256-")]
        if not tags:
            return "it lists no tags"
        near = difflib.get_close_matches(reference, tags, n=_SHOWN, cutoff=0.5)
        return "the nearest tags: " + ", ".join(near or sorted(tags)[-_SHOWN:])

    def _shown(self) -> Credentials | None:
        from bundle.credentials import Credentials  # noqa: PLC0415  (only for an error)

        key = self._login.key
        return Credentials(NGC_USER, key, origin=self._login.origin) if key else None


def _only_with_key(found: Reason) -> Reason:
    message = f"{found.message}; without a key it is given to everybody"
    return Reason("key-in-the-way", message, f"{found.hint}; or run without the key")


def page(org: str, middle: list[str], name: str) -> str:
    """Return the page of an image for people."""
    team = f"/teams/{quote(middle[0], safe='')}" if middle else ""
    return f"https://catalog.ngc.nvidia.com/orgs/{quote(org)}{team}/containers/{quote(name)}"
