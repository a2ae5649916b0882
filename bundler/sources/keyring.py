"""What a run logs in with: docker's credentials for each host, and the NGC key for NGC's."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Final

from bundle import credentials
from bundle.credentials import Credentials
from bundle.errors import UsageError
from bundler.sources.ngc_login import Login, find_login

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HELM_HOST: Final = "helm.ngc.nvidia.com"
NGC_HOSTS: Final = frozenset({"nvcr.io", HELM_HOST})
NGC_USER: Final = "$oauthtoken"
GUEST: Final = "no NGC key: asking as a guest, who sees public items only"


class Keyring:
    """The credentials of one run, for all its sources and threads.

    The NGC key is looked for when the first of NGC's hosts is used, so that a spec without any
    needs none. That there is none is told to ``warn``, once. ``file`` holds a key and comes before
    all others. ``required`` makes it an error that there is no key.
    """

    def __init__(
        self,
        *,
        warn: Callable[[str], object] = lambda _text: None,
        file: Path | None = None,
        required: bool = False,
    ) -> None:
        self._warn = warn
        self._file = file
        self.required = required
        self._mutex = Lock()
        self._login: Login | None = None
        self._announced = False

    def login(self) -> Login:
        """Return as whom NGC's API is asked; raises as :func:`ngc_login.find_login` does."""
        found = self.known()
        if not found.key:
            self._announce()
        return found

    def find(self, host: str) -> Credentials | None:
        """Return the credential for ``host[:port]``, or nothing where none is configured.

        NGC's hosts: the key that was named for this run, then docker's credential for the host,
        then the key of NGC's own configuration. Other hosts: docker's. Raises
        :class:`bundle.errors.UsageError` for what is configured and can't be read.
        """
        if host not in NGC_HOSTS:
            return credentials.find(host)
        login = self.known()
        key = Credentials(NGC_USER, login.key, origin=login.origin) if login.key else None
        found = key if login.named else credentials.find(host) or key
        if not found:
            self._announce()
        return found

    def known(self) -> Login:
        """Return the same, and say nothing where there is no key."""
        with self._mutex:
            if self._login is None:
                self._login = find_login(self._file, warn=self._warn)
            return self._login

    def _announce(self) -> None:
        if self.required:
            raise UsageError(
                "there is no NGC key, and --require-auth asks for one",
                hint="name a file with --ngc-key-file, set NGC_API_KEY, or run: ngc config set",
            )
        with self._mutex:
            first, self._announced = not self._announced, True
        if first:
            self._warn(GUEST)
