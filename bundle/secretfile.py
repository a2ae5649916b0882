"""Files that hold secrets, and where the passphrase for one comes from."""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bundle.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_BYTES = 64 << 10
SIGNING = "DRAY_KEY_PASSPHRASE"
"""The variable with a signing key's passphrase; with ``_FILE`` behind it, that of a file's name."""
DECRYPTION = "DRAY_DECRYPT_PASSPHRASE"
"""The same for a key that opens encrypted chunks."""
RECEIPT = "DRAY_RECEIPT_PASSPHRASE"
"""The same for the high side's key that signs receipts."""


@dataclass(frozen=True, slots=True)
class Passphrase:
    """Where a passphrase comes from; it is looked for only when one is needed.

    In this order: the environment's ``variable``, the file that ``<variable>_FILE`` names, and
    ``ask(what, confirm)`` when standard input is a terminal.
    """

    ask: Callable[[str, bool], str] | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    variable: str = SIGNING

    def find(self, what: str, *, confirm: bool = False) -> bytes:
        """Return the passphrase, never empty; raise :class:`UsageError` when there is none.

        ``what`` names the key. ``confirm`` tells whoever asks people to ask twice, for a new key.
        """
        text = self._text(what, confirm)
        if not text:
            way = f"set {self.variable} or {self.variable}_FILE, or run it on a terminal"
            free = "; --no-passphrase makes a key without one" if confirm else ""
            raise UsageError(f"there is no passphrase for {what}", hint=way + free)
        return text.encode()

    def wrong(self, what: str) -> UsageError:
        """Return the failure of what :meth:`find` returned, which says where that came from."""
        hint = "it was typed: try again"
        if self.environ.get(self.variable):
            hint = f"it is what {self.variable} holds"
        elif named := self.environ.get(f"{self.variable}_FILE"):
            hint = f"it is the first line of {named}, which {self.variable}_FILE names"
        return UsageError(f"wrong passphrase for {what}", hint=hint)

    def _text(self, what: str, confirm: bool) -> str:
        if self.environ.get(self.variable):
            return self.environ[self.variable]
        if named := self.environ.get(f"{self.variable}_FILE"):
            return _first_line(Path(named))
        return self.ask(what, confirm) if self.ask is not None and sys.stdin.isatty() else ""


def _first_line(path: Path) -> str:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES).decode("utf-8")
    except OSError as error:
        raise cannot("read the passphrase file", path, error) from None
    except UnicodeDecodeError:
        raise UsageError(f"the passphrase file {path} is not UTF-8 text") from None
    line = text.split("\n", 1)[0].removesuffix("\r")
    if not line:
        hint = "the passphrase is its first line"
        raise UsageError(f"the first line of the passphrase file {path} is empty", hint=hint)
    return line


def read_key(path: Path, *, hint: str) -> tuple[bytes, str]:
    """Return a key file's bytes, and a warning for people (empty when all is well).

    Raises :class:`UsageError` when it cannot be read, or is no key by its size; ``hint`` says what
    one is.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise cannot("read the key file", path, error) from None
    if len(data) > MAX_BYTES:
        raise UsageError(f"{path} is larger than any private key", hint=hint)
    open_to_others = f"others may read the key file {path} (mode {mode:04o}): chmod 600 {path}"
    return data, open_to_others if mode & 0o077 else ""


def cannot(verb: str, path: Path, error: OSError) -> UsageError:
    """Return the failure to do something with a file."""
    return UsageError(f"cannot {verb} {path}: {(error.strerror or 'unknown reason').lower()}")


def create(path: Path, data: bytes, mode: int, *, hint: str) -> None:
    """Write a key file that is not there yet, durably; ``hint`` is for when it is.

    Raises :class:`UsageError`, and leaves no half of a file behind.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, flags, mode)
    except FileExistsError:
        raise UsageError(f"{path} exists already", hint=hint) from None
    except OSError as error:
        raise cannot("write the key file", path, error) from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        path.unlink(missing_ok=True)
        raise cannot("write the key file", path, error) from None
