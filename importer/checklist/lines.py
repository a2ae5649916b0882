"""The questions before production, answered by what is signed and on record, and by nothing else.

No server is asked: what is not in a record is ``unknown``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundle import instant
from bundle.account import GUEST, SERVICE, is_of_ngc
from bundle.gate.judge import PASS, SEVERITY
from bundle.progress import counted
from bundle.receipt import HELD

if TYPE_CHECKING:
    from bundle.promotion import Promotion
    from bundle.receipt import Receipt
    from bundle.signature import PublicKey
    from importer.promote.source import Imported

YES, NO, UNKNOWN = "yes", "no", "unknown"


@dataclass(frozen=True, slots=True)
class Line:
    """One question's answer: ``says`` why, ``record`` where that stands."""

    name: str
    answer: str
    says: str
    record: str

    def to_dict(self) -> dict[str, str]:
        """Return the row of ``--json``."""
        return {
            "check": self.name,
            "answer": self.answer,
            "says": self.says,
            "record": self.record,
        }


def of(found: Imported, imported: Imported | None, key: PublicKey | None) -> list[Line]:
    """Return all lines about a receipt; ``imported`` is that of the import, where it is here.

    ``key`` is who was proved to have signed the receipt.
    """
    return [
        _record(found, key),
        _key(found.receipt),
        _pinned(found.receipt),
        _entitlement(found.receipt),
        _import(found, imported),
        _gate(found),
    ]


def _manifest(receipt: Receipt) -> str:
    return f"manifest {receipt.bundle.manifest.short}"


def _receipt(found: Imported) -> str:
    return f"receipt {found.digest.short}"


def _record(found: Imported, key: PublicKey | None) -> Line:
    if key:
        says = f"the receipt is signed by {key.fingerprint.short}"
        return Line("record", YES, says, _receipt(found))
    if found.is_signed:
        says = "signed, by a key that is not here: --receipt-pub"
        return Line("record", UNKNOWN, says, _receipt(found))
    return Line("record", NO, "nobody has signed the receipt", _receipt(found))


def _of_ngc(receipt: Receipt) -> int:
    return sum(is_of_ngc(one.artifact) for one in receipt.entries)


def _key(receipt: Receipt) -> Line:
    """Whether an org's key was used, and no person's."""
    where, account = _manifest(receipt), receipt.bundle.account
    if account is None:
        if not _of_ngc(receipt):
            return Line("org-key", YES, "nothing in it is of NGC", where)
        return Line("org-key", UNKNOWN, "the bundle does not say whose key it was", where)
    if account.kind == SERVICE:
        return Line("org-key", YES, f"a service key of org {account.org or 'unnamed'}", where)
    whose = "no key at all" if account.kind == GUEST else f"a {account.kind} key"
    return Line("org-key", NO, f"{whose}, not that of an org", where)


def _pinned(receipt: Receipt) -> Line:
    count = len(receipt.entries)
    says = f"{counted(count, 'artifact')} by digest, lock {receipt.bundle.lock.short}"
    return Line("pinned", YES, says, _manifest(receipt))


def _entitlement(receipt: Receipt) -> Line:
    """Whether NGC let the org's account have it all; guests get what is public at that moment."""
    where, account, count = _manifest(receipt), receipt.bundle.account, _of_ngc(receipt)
    if not count:
        return Line("entitlement", YES, "nothing in it is of NGC", where)
    if account is None or account.kind == GUEST or not account.org:
        says = "pulled by nobody's account" if account and account.kind == GUEST else "not recorded"
        return Line("entitlement", UNKNOWN, says, where)
    says = f"org {account.org} was given {counted(count, 'artifact')} of NGC, {account.checked}"
    return Line("entitlement", YES, says, where)


def _import(found: Imported, imported: Imported | None) -> Line:
    if imported is None:
        says = "the receipt of the import is not on this host"
        return Line("import", UNKNOWN, says, _receipt(found))
    receipt = imported.receipt
    whole = receipt.complete and not receipt.only
    skipped = sum(one.result not in HELD for one in receipt.entries)
    if whole and not skipped:
        return Line("import", YES, f"complete, {instant.spell(receipt.ended)}", _receipt(imported))
    says = f"{counted(skipped, 'artifact')} not loaded" if skipped else receipt.outcome
    return Line("import", NO, says, _receipt(imported))


def _gate(found: Imported) -> Line:
    """Whether scanners' reports about every image passed, and nobody has overridden them."""
    where, images, said = _receipt(found), _images(found), found.receipt.promotion
    if said is None:
        if any(one.quarantine for one in found.receipt.entries):
            return Line("cve-gate", NO, "it is in the quarantine still: dray promote", where)
        says = "it was imported past every gate: import with --quarantine, then dray promote"
        return Line("cve-gate", UNKNOWN, says, where)
    passed = _results(said, SEVERITY)
    lacking = [name for name in images if passed.get(name) != PASS]
    if said.overridden and said.refused:
        return Line("cve-gate", NO, f"overridden: {said.overridden}", where)
    if lacking:
        return Line("cve-gate", NO, f"{lacking[0]} was not judged by any report", where)
    if found.receipt.outcome != "complete":
        return Line("cve-gate", NO, f"the promotion is {found.receipt.outcome}", where)
    says = f"{counted(len(images), 'image')} passed policy {said.policy.short}"
    return Line("cve-gate", YES, says, where)


def _images(found: Imported) -> list[str]:
    return [
        one.artifact.name
        for one in found.receipt.entries
        if one.artifact.kind == "image" and one.result in HELD
    ]


def _results(said: Promotion, gate: str) -> dict[str, str]:
    return {
        ruling.artifact: check.result
        for ruling in said.rulings
        for check in ruling.checks
        if check.gate == gate
    }
