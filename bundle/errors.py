"""Every failure that dray names, and the exit code of each.

    DrayError                 1  unexpected
    ├── UsageError            2  the command, the spec, the lock or a configuration file is wrong
    ├── VerificationError     3  bytes differ from what was signed
    ├── MediaIncomplete       4  files of the bundle are not here
    ├── NotTrusted            5  signature, expiry, replay, unknown key
    ├── TransferError         6  a source or a target failed
    │   ├── SourceError          ... on the low side
    │   │   └── NotFound            ... it says that the thing does not exist
    │   ├── TargetError          ... on the high side
    │   └── ScannerError         a scanner of malware or vulnerabilities failed
    ├── GateRefused           7  policy says no
    └── PartlyDone            8  some of it is done; the same command goes on from there

A message says what happened to which thing, in lower case and with no full stop; the hint says what
to do next. Both are shown to people as they are: nobody puts a secret or a signed URL in them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable

EXIT_CODES = """\
Exit codes: 0 ok · 1 unexpected · 2 usage or bad spec · 3 verification failed ·
4 media incomplete · 5 not trusted (signature, expiry, replay) · 6 source or target
failed · 7 gate refused · 8 partly done, run again."""


def listed(message: str, rows: Iterable[str]) -> str:
    """Return a message with rows below it, each one line whatever foreign text is in it."""
    return "\n".join([message, *(row.replace("\n", "\\n") for row in rows)])


class DrayError(Exception):
    """A failure with a message for people, a hint, and an exit code.

    ``case`` names the cause for machines where it is known closer than by the class; ``usual_hint``
    is what a class says where nothing closer is known.
    """

    exit_code: ClassVar[int] = 1
    kind: ClassVar[str] = "error"
    side: ClassVar[str] = ""
    usual_hint: ClassVar[str] = ""

    def __init__(self, message: str, *, hint: str = "", case: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint or self.usual_hint
        self.case = case

    def to_dict(self) -> dict[str, object]:
        """Return the failure as ``--json`` prints it."""
        body: dict[str, object] = {"kind": self.kind, "exitCode": self.exit_code}
        body["message"] = self.message
        if self.hint:
            body["hint"] = self.hint
        if self.case:
            body["case"] = self.case
        return body


class UsageError(DrayError):
    """The user's input is wrong: arguments, spec, lock, trust file, target file."""

    exit_code = 2
    kind = "usage"


class VerificationError(DrayError):
    """Bytes are not what a verified signature, or a pinned digest, says they are."""

    exit_code = 3
    kind = "verification"


class MediaIncomplete(DrayError):
    """Files that the manifest names are not in the folders given."""

    exit_code = 4
    kind = "media-incomplete"


class NotTrusted(DrayError):
    """No trusted signature, too few of them, expired, replayed or forked."""

    exit_code = 5
    kind = "not-trusted"


class TransferError(DrayError):
    """A server on either side failed, refused or lied."""

    exit_code = 6
    kind = "transfer"
    usual_hint = (
        "run the same command again; if it stays so, a proxy in between changes answers, or whoever"
        " runs that host has to look"
    )


class SourceError(TransferError):
    """An upstream on the low side failed."""

    kind = "source"
    side = "low side"


class NotFound(SourceError):
    """The upstream answered, and says that the thing does not exist."""

    kind = "not-found"
    usual_hint = (
        "it was never there, is gone, or is not shown to this login: mind the spelling, and look at"
        " what there is"
    )


class TargetError(TransferError):
    """A target on the high side failed."""

    kind = "target"
    side = "high side"


class ScannerError(TransferError):
    """A scanner failed, cannot be reached, or said what cannot be read: there is no verdict."""

    kind = "scanner"


class GateRefused(DrayError):
    """A policy refuses what is otherwise in order."""

    exit_code = 7
    kind = "gate"


class PartlyDone(DrayError):
    """Some of the work is done and kept; running the same command again does the rest."""

    exit_code = 8
    kind = "partly-done"
