"""The trust file in use on this host: newer versions of it taken into use, and put on record.

The versions that were in use before stay beside it, as ``trust-000001.json``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bundle import instant, trust, trustchain
from bundle.durable import replace_file
from bundle.errors import NotTrusted, UsageError
from bundle.signature import file_names
from bundle.trustchain import FILE, Accepted, Version, file_name
from bundle.trustdiff import grouped
from importer.ledger import entry as kinds
from importer.ledger.book import Ledger

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from bundle.trust import Trust

LEAST = 20
"""Hex digits of a fingerprint that somebody has to give: 80 bits."""


@dataclass
class Store:
    """The file in use, and this host's ledger."""

    path: Path
    current: Trust
    ledger: Ledger

    @classmethod
    def open(cls, path: Path) -> Store:
        """Read the trust file in use, and the ledger."""
        return cls(path.resolve(), trust.load(path), Ledger.open())

    def apply(self, versions: Sequence[Version], now: datetime) -> list[Accepted]:
        """Take the versions that follow into use, and return them; nothing newer is no fault.

        Only the last one must not have expired. Raises :class:`NotTrusted` when the chain is not
        as it must be; the file is as it was then.
        """
        accepted = trustchain.walk(self.current, versions)
        if not accepted:
            return []
        accepted[-1].trust.check_current(now)
        old = self.current
        self._keep(Version(old.version, self.path.read_bytes(), {}))
        for one in accepted:
            self._keep(one.version)
        self._use(accepted[-1].version.data, accepted[-1].trust)
        signers = sorted({name for one in accepted for name in one.signers})
        self._record("applied", old, signers=signers)
        return accepted

    def replace(self, new: Path, expected: str, reason: str, now: datetime) -> Trust:
        """Take a trust file into use that nobody signed, by its fingerprint and for a reason."""
        if not reason.strip():
            raise UsageError("--reason is empty", hint="say why: it is put on record")
        after = trust.load(new)
        _check_fingerprint(after, expected)
        after.check_current(now)
        if after.version <= self.current.version:
            raise NotTrusted(
                f"{new} is version {after.version}, and version {self.current.version} is in use",
                hint=f"dray trust init --version {self.current.version + 1}, on the low side",
            )
        self._check_epochs(new, after)
        data, old = new.read_bytes(), self.current
        if trust.read(data).digest != after.digest:
            raise NotTrusted(f"{new} changed while it was read")
        self._keep(Version(old.version, self.path.read_bytes(), {}))
        self._use(data, after)
        self._record("replaced", old, reason=reason.strip())
        return after

    def _check_epochs(self, new: Path, after: Trust) -> None:
        """Refuse a file under which every bundle of a stream would be a replay."""
        known = self.ledger.standings()
        for name, stream in sorted(after.streams.items()):
            state, before = known.of(name).state, self.current.streams.get(name)
            seen = max(state.epoch if state else 0, before.epoch if before else 0)
            if stream.epoch < seen:
                version = max(after.version, self.current.version + 1)
                raise NotTrusted(
                    f"{new} gives {name} epoch {stream.epoch}, and epoch {seen} is in use here",
                    hint=f"dray trust init --version {version} --epoch {seen + 1}, on the low side",
                )

    def _use(self, data: bytes, after: Trust) -> None:
        try:
            replace_file(self.path, data)
        except OSError as error:
            raise _cannot(self.path, error) from None
        self.current = after

    def _keep(self, version: Version) -> None:
        path = self.path.with_name(file_name(version.number))
        files = {path: version.data}
        for name, data in version.signatures.items():
            files[path.with_name(file_names(path.name, name)[0])] = data
        for file, content in files.items():
            if file.is_file() and file.read_bytes() == content:
                continue
            try:
                replace_file(file, content)
            except OSError as error:
                raise _cannot(file, error) from None

    def _record(self, change: str, before: Trust, **more: Any) -> None:
        after = self.current
        body = {"change": change, "version": after.version, "trust": str(after.digest)}
        body |= {"before": before.version, "streams": sorted({*before.streams, *after.streams})}
        self.ledger.append(kinds.TRUST, **body, **more)


def history(path: Path, current: Trust) -> list[dict[str, Any]]:
    """Return the versions that lie beside a trust file and were before it, the newest first."""
    found = []
    for other in path.resolve().parent.iterdir():
        match = FILE.fullmatch(other.name)
        if not match or int(match[1]) >= current.version or not other.is_file():
            continue
        try:
            old = trust.load(other)
        except UsageError:
            continue
        if old.digest and old.expires and old.version == int(match[1]):
            row = {"version": old.version, "fingerprint": grouped(old.digest)}
            found.append({**row, "expires": instant.spell(old.expires)})
    return sorted(found, key=lambda row: -row["version"])


def _check_fingerprint(after: Trust, expected: str) -> None:
    digits = re.sub(r"[\s:.-]", "", expected.lower().removeprefix("sha256:"))
    if not re.fullmatch(r"[0-9a-f]{1,64}", digits) or len(digits) < LEAST:
        raise UsageError(
            f"--expect-fingerprint has to be {LEAST} hex digits at least",
            hint="what dray trust show prints on the low side, read out by telephone",
        )
    assert after.digest is not None  # noqa: S101  (it was read from a file)
    if not after.digest.hex.startswith(digits):
        raise NotTrusted(
            f"the file's fingerprint is {grouped(after.digest)}, which is not what you expect",
            hint="it is another file than the low side speaks of: do not use it",
        )


def _cannot(path: Path, error: OSError) -> UsageError:
    reason = (error.strerror or "unknown reason").lower()
    return UsageError(f"cannot write {path}: {reason}", hint="the trust file's folder is needed")
