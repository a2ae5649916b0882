"""The ledger's file on this host: read whole and checked, appended to under a lock, never edited.

    ledger.jsonl   the entries, one line each
    ledger.head    the last entry's number and digest, and the streams: what finds a file cut back

An append that a crash has cut leaves a last line without its end. The next append takes it away and
says so in an entry. Everything else that is not as written is a fault, and never taken for nothing.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import bundle
from bundle import instant
from bundle.digest import Digest
from bundle.durable import replace_file, sync_folder
from bundle.errors import NotTrusted, UsageError
from bundle.lockfile import held
from bundle.state import StateFolder, default_folder
from importer.ledger import entry as entries
from importer.ledger.chain import BrokenChain, Chain
from importer.ledger.entry import BrokenEntry, Entry
from importer.ledger.head import Head
from importer.ledger.streams import Standings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FILE = "ledger.jsonl"
HEAD = "ledger.head"
LOCK = ".ledger.lock"
MAX_BYTES = 256 << 20
"""The largest ledger that is read: about half a million entries."""


@dataclass
class Ledger:
    """The ledger of this host. ``chain`` is what was read last."""

    folder: Path
    chain: Chain = field(default_factory=Chain)
    _known: Standings = field(default_factory=Standings)

    @classmethod
    def open(cls, folder: Path | None = None) -> Ledger:
        """Read the ledger and compare it with its head; nothing is written.

        Raises :class:`NotTrusted` when it is not as it was written.
        """
        ledger = cls(folder or default_folder())
        ledger.refresh()
        return ledger

    @property
    def path(self) -> Path:
        """The file of entries."""
        return self.folder / FILE

    def refresh(self) -> None:
        """Read what was appended since; see :meth:`open`."""
        head = self._head()  # before the entries: another run may append between the two
        data = self._read(self.chain.size)
        try:
            self._extend(Chain(self.chain.entries).extend(data))
        except (BrokenChain, BrokenEntry) as error:
            raise _broken(self.path, str(error)) from None
        self._compare(head)

    def _extend(self, chain: Chain) -> None:
        for entry in chain.entries[len(self.chain.entries) :]:
            self._known.learn(entry)
        self.chain = chain

    def standings(self) -> Standings:
        """Return where the streams stand; without a ledger, by the state files of an older dray."""
        if self.chain.entries:
            return self._known
        found = Standings()
        memory = StateFolder(self.folder, "import")
        for name in memory.streams():
            state = memory.last(name)
            if state is not None:
                found.remember(state)
        return found

    def receipts(self) -> set[str]:
        """Return the digests of the receipts that are on record."""
        found = (entry for entry in self.chain.entries if entry.kind == entries.RECEIPT)
        return {entry.text("receipt") for entry in found}

    def append(self, kind: str, **body: Any) -> Entry:
        """Write one entry, durably; the first of all opens the ledger.

        Raises :class:`UsageError` when the folder cannot be written to, and then nothing was added.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with held(self.folder, name=LOCK, wait=True):
                self.refresh()
                added = self._prepared()
                added.append(self._next([*self.chain.entries, *added], kind, body))
                self._write(added)
        except OSError as error:
            raise _cannot("write", self.path, error) from None
        return added[-1]

    def _prepared(self) -> list[Entry]:
        """Return what has to be written first: the opening, or that a torn line was taken away."""
        if not self.chain.entries:
            body = {"nonce": secrets.token_hex(16), **self.standings().opening()}
            if self.chain.torn:
                body["torn"] = len(self.chain.torn)
            return [self._next([], entries.OPENED, body)]
        if torn := self.chain.torn:
            cut = {"bytes": len(torn), "digest": str(Digest.of(torn))}
            return [self._next(self.chain.entries, entries.RECOVERED, cut)]
        return []

    def _next(self, before: Any, kind: str, body: Mapping[str, Any]) -> Entry:
        chain = Chain(tuple(before))
        number, fields = len(chain.entries) + 1, plain({**body, **who()})
        try:
            made = entries.compose(number, chain.tip, instant.now(), kind, fields)
            Standings().learn(made)  # never write what the next run would call damaged
        except BrokenEntry as error:
            raise UsageError(f"the ledger cannot hold this: {error}") from None
        return made

    def _write(self, added: list[Entry]) -> None:
        size, fresh = self.chain.size, not self.path.exists()
        data = b"".join(entry.line + b"\n" for entry in added)
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(self.path, flags, 0o644)
        try:
            os.ftruncate(handle, size)
            try:
                _write_all(handle, data, size)
                os.fsync(handle)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(handle, size)
                raise
        finally:
            os.close(handle)
        if fresh:
            sync_folder(self.folder)
        self._extend(Chain((*self.chain.entries, *added)))
        replace_file(self.folder / HEAD, self.head().to_bytes())

    def head(self) -> Head:
        """Return the head: what is compared here, and copied to the targets."""
        chain = self.chain
        host, states = os.uname().nodename, self._known.states()
        return Head(chain.name, host, len(chain.entries), chain.tip, states)

    def data(self) -> bytes:
        """Return the bytes of the file: all whole lines."""
        return b"".join(entry.line + b"\n" for entry in self.chain.entries)

    def restart(self, reason: str) -> Path | None:
        """Set a damaged ledger aside and open a new one; return where the old one lies now.

        What the whole entries before the damage say of the streams, and what the head says, is
        taken over: a stream never goes back.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with held(self.folder, name=LOCK, wait=True):
                return self._restart(reason)
        except OSError as error:
            raise _cannot("write", self.path, error) from None

    def _restart(self, reason: str) -> Path | None:
        data = self._read(0)
        known = self._salvaged(data)
        body = {"nonce": secrets.token_hex(16), **known.opening()}
        body |= {"reason": reason, "after": str(Digest.of(data))}
        opening, aside = self._next([], entries.OPENED, body), None
        if data:
            aside = self.folder / f"ledger.{Digest.of(data).hex[:12]}.jsonl"
            self.path.rename(aside)
        (self.folder / HEAD).unlink(missing_ok=True)
        self.chain, self._known = Chain(), Standings()
        self._write([opening])
        return aside

    def _salvaged(self, data: bytes) -> Standings:
        try:
            good = Chain().extend(data).entries
        except BrokenChain as error:
            good = error.good
        found = Standings()
        for entry in good:
            with suppress(BrokenEntry):
                found.learn(entry)
        with suppress(NotTrusted, UsageError):
            head = self._head()
            for state in head.streams.values() if head else ():
                found.remember(state)
        return found

    # -- reading ----------------------------------------------------------------------------------

    def _read(self, offset: int) -> bytes:
        try:
            with self.path.open("rb") as file:
                if os.fstat(file.fileno()).st_size < offset:
                    raise _broken(self.path, "was cut back while it was in use")
                file.seek(offset)
                data = file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            if self.chain.entries:
                raise _broken(self.path, "is gone") from None
            return b""
        except OSError as error:
            raise _cannot("read", self.path, error) from None
        if len(data) > MAX_BYTES:
            raise _broken(self.path, f"is larger than {MAX_BYTES} bytes")
        return data

    def _head(self) -> Head | None:
        path = self.folder / HEAD
        try:
            with path.open("rb") as file:
                data = file.read(Head.limit + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _cannot("read", path, error) from None
        return Head.read(data, lambda message: _broken(path, message))

    def _compare(self, head: Head | None) -> None:
        """Refuse a ledger that was longer once, or another one, by what its head says."""
        if head is None or self.chain.holds(head.number, head.digest):
            return
        if not self.chain.entries:
            raise _broken(self.path, f"is gone: {head.number} entries were written")
        what = f"has {len(self.chain.entries)} entries, and not the {head.number} that were written"
        if len(self.chain.entries) >= head.number:
            what = f"has another entry {head.number} than was written"
        raise _broken(self.path, what)


def who() -> dict[str, str]:
    """Return on whose behalf this process runs, as far as the system says."""
    import getpass  # noqa: PLC0415

    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    body = {"user": user, "host": os.uname().nodename, "dray": bundle.__version__}
    return body | ({"sudo": sudo} if (sudo := os.environ.get("SUDO_USER")) else {})


def plain(value: Any) -> Any:
    """Return a value whose texts are UTF-8: names of files and arguments need not be."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, list):
        return [plain(item) for item in value]
    return {key: plain(item) for key, item in value.items()} if isinstance(value, dict) else value


def _write_all(handle: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        count = os.pwrite(handle, view, offset)
        view, offset = view[count:], offset + count


def _broken(path: Path, what: str) -> NotTrusted:
    return NotTrusted(
        f"the ledger {path} {what}",
        hint="somebody changed it, or the disk lost it: restore it from a backup; or set it aside "
        "on purpose, which is put on record: dray ledger restart --reason REASON",
        case="ledger",
    )


def _cannot(verb: str, path: Path, error: OSError) -> UsageError:
    reason = (error.strerror or "unknown reason").lower()
    return UsageError(
        f"cannot {verb} the ledger {path}: {reason}",
        hint="DRAY_STATE_DIR names its folder: it must be writable and outlive this run",
    )
