"""The next version of a trust file on the low side: written, signed by several, then in use.

trust.json             the version in use
trust-000003.json      the next one, while it is being signed; later one of those that were
trust-000003.json.alice.sigstore.json, .sig
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from bundle import instant, trust, trustchain, trustplace
from bundle.errors import NotTrusted, UsageError
from bundle.signature import file_names
from bundle.trustchain import Version, file_name
from bundler.finish import put
from bundler.trust import edit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bundle.trust import Trust
    from bundler.signing import Signer

LIFETIME = timedelta(days=365)
"""How long a new version holds when nothing else is said."""


@dataclass(frozen=True, slots=True)
class Draft:
    """The version in use, in ``path``, and the next one beside it."""

    path: Path
    current: Trust

    @classmethod
    def open(cls, path: Path) -> Draft:
        """Read the trust file in use."""
        return cls(path, trust.load(path))

    @property
    def number(self) -> int:
        """The next version."""
        return self.current.version + 1

    @property
    def file(self) -> Path:
        """The next version's file."""
        return self.path.with_name(file_name(self.number))

    def version(self) -> Version | None:
        """Return the next version as it lies there, or nothing."""
        return trustplace.beside(self.path, self.number)

    def change(
        self, what: Callable[[Trust], Trust], lifetime: timedelta | None = None
    ) -> tuple[Trust, list[str]]:
        """Change the next version, begun from the one in use, and write it.

        ``lifetime`` None keeps that of the next version, which at first is :data:`LIFETIME`.
        Returns it, and whose signatures are void by that and were removed.
        """
        there = self.version()
        base = trust.read(there.data, what=str(self.file)) if there else self.current
        expires = base.expires if there else None
        if lifetime or expires is None:
            expires = (instant.now() + (lifetime or LIFETIME)).replace(microsecond=0)
        after = edit.check(what(replace(base, version=self.number, expires=expires)))
        signed = sorted(there.signatures) if there else []
        for name in signed:
            for file in file_names(self.file.name, name):
                self.file.with_name(file).unlink(missing_ok=True)
        put(self.file, after.to_bytes())
        return after, signed

    def sign(self, signer: Signer) -> list[Path]:
        """Sign the next version; return the files written."""
        version = self._there()
        after = trust.read(version.data, what=str(self.file))
        if after.version != self.number:
            raise UsageError(f"{self.file} says that it is version {after.version}")
        _check_may(signer, self.current, after)
        written = []
        for name, data in signer.files(self.file.name, version.data).items():
            put(self.file.with_name(name), data)
            written.append(self.file.with_name(name))
        return written

    def _there(self) -> Version:
        version = self.version()
        if version is None:
            raise UsageError(
                f"there is no {self.file}, the version after {self.current.version}",
                hint="dray trust add, revoke, threshold, epoch and renew write it",
            )
        return version

    def complete(self) -> Trust:
        """Take the next version into use when everybody who must has signed it.

        Raises :class:`NotTrusted`, which says who is missing.
        """
        version = self._there()
        named = {f"{name}.sigstore.json": data for name, data in version.signatures.items()}
        after = trust.accept_next(self.current, version.data, named)
        old = self.path.with_name(file_name(self.current.version))
        if not old.exists():
            put(old, self.path.read_bytes())
        put(self.path, version.data)
        return after


def _check_may(signer: Signer, before: Trust, after: Trust) -> None:
    roots = [one.keys[name] for one in (before, after) for name in one.root.keys]
    if signer.public_key not in roots:
        names = ", ".join(dict.fromkeys((*before.root.keys, *after.root.keys)))
        raise UsageError(
            f"the key of {signer.name!r} is no root key, neither of the version in use nor of the "
            "next: its signature would count for nothing",
            hint=f"root keys: {names}",
        )


def chain(path: Path) -> list[Version]:
    """Return the versions beside the trust file ``path`` that led to it, with their signatures.

    The oldest that are not signed (the first of all is not) or not kept are left out. Raises
    :class:`UsageError` when the files are no chain: nobody could apply them.
    """
    current = trust.load(path)
    found: list[Version] = []
    for number in range(current.version, 1, -1):
        version = trustplace.beside(path, number)
        if version is None or not version.signatures:
            break
        found.insert(0, version)
    if found and (start := path.with_name(file_name(found[0].number - 1))).is_file():
        try:
            trustchain.walk(trust.load(start), found)
        except NotTrusted as error:
            raise UsageError(f"beside {path}: {error.message}", hint=error.hint) from None
    return found
