"""Models and resources of NGC: each version as its files, every one with a digest."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import cache, cached_property
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from bundle.digest import Digest
from bundle.errors import NotFound, SourceError
from bundle.transfer import resume
from bundler.ngcnames import LATEST
from bundler.sources import fileset, ngc_products, ngc_signature
from bundler.sources.fileset import File, Identity
from bundler.sources.keyring import Keyring
from bundler.sources.ngc_api import Item, NgcApi, StatusError
from bundler.sources.ngc_auth import Authorization
from bundler.sources.ngc_listing import Facts, Listed, latest, listing, status_fault, version_facts
from bundler.sources.ngc_login import Login
from bundler.sources.ngc_urls import opener

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bundle.http import Http
    from bundler.entries import NgcEntry
    from bundler.lock import LockedArtifact, LockedContent
    from bundler.sources.base import OpenAt

    T = TypeVar("T")


class NgcSource:
    """Models and resources of NGC (:class:`bundler.sources.base.Source`).

    ``keys`` has the run's NGC key, which is looked for when the first item is asked for. ``warn``
    takes sentences for people.
    """

    def __init__(
        self,
        http: Http,
        *,
        warn: Callable[[str], object] = lambda _text: None,
        keys: Keyring | None = None,
        authorization: Callable[[], Authorization] | None = None,
    ) -> None:
        self._http = http
        self._warn = warn
        self._keys = keys or Keyring(warn=warn)
        self._authorization = authorization
        self._mutex = Lock()
        self._api: NgcApi | None = None
        self._as_guest: set[str] = set()

    def resolve(self, entry: NgcEntry, only: frozenset[str] | None = None) -> LockedArtifact:
        """Return the version as an artifact; files without a digest are read once to have one.

        ``only`` are the paths of the files to take, by default all. Raises :class:`NotFound` for
        what NGC does not show to this key, and :class:`SourceError` for a refusal, and for a
        listing that contradicts itself.
        """
        item = Item.named(entry)
        label, item = item.version, self.exact(item)
        api, facts, found = self._listed(item)
        taken = found if only is None else _some(found, only, item)
        files = [self._file(api, item, listed) for listed in taken]
        address = f"ngc/{item.address}"
        identity = Identity(
            kind=entry.kind,
            name=f"{address}:{item.version}",
            repository=fileset.repository(address),
            version=item.version,
        )
        notes = {**_notes(files), **ngc_products.note(facts.products)}
        if label != item.version:
            notes["label"] = f"{label!r} was {item.version} when this was locked"
        if len(taken) < len(found):
            notes["partial"] = f"{len(taken)} of the version's {len(found)} files"
        built = fileset.build(identity, files, origin=item.origin, notes=notes)
        return fileset.signed(built, self.signature(item)) if facts.signed else built

    def files(self, item: Item) -> list[Listed]:
        """Return what NGC lists of a version; raises as :meth:`resolve` does."""
        return self._listed(item)[2]

    def exact(self, item: Item) -> Item:
        """Return the version that the label ``latest`` stands for today; others as they are."""
        if item.version != LATEST:
            return item
        return replace(item, version=self._told(item, lambda api: latest(api, item)))

    def is_signed(self, item: Item) -> bool:
        """Return whether NGC says that the version is signed; raises as :meth:`resolve` does."""
        return self._told(item, lambda api: version_facts(api, item)).signed

    def signature(self, item: Item) -> bytes:
        """Return the publisher's OMS signature of a version: a Sigstore bundle, not verified.

        Raises :class:`NotFound` when NGC has none, and else as :meth:`resolve` does.
        """
        return self._told(item, lambda api: ngc_signature.fetch(api, item))

    def opener(self, artifact: LockedArtifact, content: LockedContent) -> OpenAt:
        """Return what opens a file at an offset, with a signed URL of its own each time.

        Ranges share one, until it is refused.
        """
        where, item = content.content, Item.of(artifact.origin)

        @cache
        def opened(api: NgcApi) -> OpenAt:
            if where.path:
                return opener(api, item, where.path, where.size, where.digest)
            # The only content besides files that is not in the lock itself.
            return ngc_signature.opener(api, item, where.digest)

        @contextmanager
        def open_at(offset: int, end: int | None = None) -> Iterator[Iterator[bytes]]:
            with ExitStack() as stack:

                def ask(api: NgcApi) -> Iterator[bytes]:
                    return stack.enter_context(opened(api)(offset, end))

                try:
                    blocks = self.either(item, ask)
                except StatusError as refused:
                    raise refused.error from None
                yield blocks

        return open_at

    def close(self) -> None:
        """Do nothing: the connections belong to the run."""

    @property
    def api(self) -> NgcApi:
        """The API as the run's key sees it; raises where the key can't be read."""
        if self._api is None:
            access = self._access()  # before our lock is taken: it takes the run's
            with self._mutex:
                self._api = NgcApi(self._http, access, warn=self._warn)
        return self._api

    def _access(self) -> Authorization:
        if self._authorization:
            return self._authorization()
        return Authorization(self._keys.login(), self._http)

    @cached_property
    def guest(self) -> NgcApi:
        """The API as everybody sees it."""
        return NgcApi(self._http, Authorization(Login(), self._http), warn=self._warn)

    def _listed(self, item: Item) -> tuple[NgcApi, Facts, list[Listed]]:
        def ask(api: NgcApi) -> tuple[NgcApi, Facts, list[Listed]]:
            facts = version_facts(api, item)
            return api, facts, listing(api, item, facts)

        return self._told(item, ask)

    def _told(self, item: Item, ask: Callable[[NgcApi], T]) -> T:
        try:
            return self.either(item, ask)
        except StatusError as refused:
            raise self._explained(self.api, item, refused) from None

    def either(self, item: Item, ask: Callable[[NgcApi], T]) -> T:
        """Ask with the key, and as a guest where the key is refused: it may see less than nobody.

        Raises :class:`StatusError`: the refusal of the key, with what a guest was told.
        """
        if str(item) in self._as_guest:
            return ask(self.guest)
        try:
            return ask(self.api)
        except StatusError as refused:
            if self.api.guest or self._keys.required or refused.status not in {401, 403}:
                raise
            try:
                found = ask(self.guest)
            except StatusError as again:
                raise StatusError(replace(refused.refusal, alone=again.status)) from None
            self._as_guest.add(str(item))
            self._warn(
                f"{item} is read as a guest: NGC answers {refused.status} to "
                f"{refused.refusal.login}, and gives it to everybody without one"
            )
            return found

    def _explained(self, api: NgcApi, item: Item, refused: StatusError) -> SourceError:
        """Return the refusal; for a version that is not there, with those that are."""
        if refused.status == 404:
            with suppress(StatusError, SourceError):
                near = status_fault(api, item)
                return NotFound(f"{item} has no such version", hint=near)
        return refused.error

    def _file(self, api: NgcApi, item: Item, listed: Listed) -> File:
        if listed.digest:
            return File(listed.path, listed.size, listed.digest)
        digest = self._hashed(api, item, listed)
        return File(listed.path, listed.size, digest, unvouched=True)

    def _hashed(self, api: NgcApi, item: Item, listed: Listed) -> Digest:
        sha = hashlib.sha256()
        open_at = opener(api, item, listed.path, listed.size, None)
        what, sleep = f"{listed.path} of {item}", self._http.sleep
        try:
            for block in resume(open_at, size=listed.size, what=what, sleep=sleep):
                sha.update(block)
        except StatusError as refused:
            raise refused.error from None
        return Digest(f"sha256:{sha.hexdigest()}")


def _some(found: list[Listed], only: frozenset[str], item: Item) -> list[Listed]:
    """Return the files that are wanted, every one of them."""
    if missing := sorted(only - {listed.path for listed in found}):
        names = ", ".join(missing[:5])
        raise NotFound(
            f"{item} has no file {names}, though something needs it",
            hint="what names it may be made for another version of the model",
        )
    return [listed for listed in found if listed.path in only]


def _notes(files: list[File]) -> dict[str, str]:
    count = sum(file.unvouched for file in files)
    if not count:
        return {}
    return {"unvouched": f"{count} of {len(files)} files have no digest upstream: hashed here"}
