"""An import's outcome as a receipt: what was verified and done, and nothing that is secret."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bundle import instant
from bundle.receipt import (
    FAILED,
    LOADED,
    PRESENT,
    SKIPPED,
    WITHHELD,
    Bundle,
    Entry,
    Receipt,
    Verified,
)
from importer.ledger.book import plain, who

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from bundle.artifact import Artifact
    from importer.admission import Admission
    from importer.load import Outcome
    from importer.plan import Plan
    from importer.receipts.signing import ReceiptKey

LONGEST = 500
"""Letters of an error that are kept."""


@dataclass
class Scribe:
    """Writes the receipt of one import. ``key`` None leaves it unsigned; ``path`` is a copy.

    ``written`` is where it lies afterwards in the folder of receipts.
    """

    key: ReceiptKey | None = None
    path: Path | None = None
    began: datetime = field(default_factory=instant.now)
    written: Path | None = None

    def write(self, admission: Admission, plan: Plan, outcome: Outcome, only: str) -> bytes:
        """Write it, and return its bytes; raise :class:`bundle.errors.UsageError`."""
        from bundle import dsse  # noqa: PLC0415  (not for --help)
        from bundle.receipt import PAYLOAD_TYPE  # noqa: PLC0415
        from importer.receipts import shelf  # noqa: PLC0415

        made = compose(admission, plan, outcome, began=self.began, only=only).to_bytes()
        data = self.key.seal(made) if self.key else dsse.Envelope(PAYLOAD_TYPE, made).to_bytes()
        known = admission.ledger.receipts()
        self.written = shelf.write(admission.sealed.manifest.name, data, known)
        return data

    def deliver(self, data: bytes) -> None:
        """Write the copy that was asked for; raise :class:`bundle.errors.UsageError`."""
        from importer.receipts import shelf  # noqa: PLC0415  (not for --help)

        if self.path:
            shelf.copy(data, self.path)


def compose(
    admission: Admission, plan: Plan, outcome: Outcome, *, began: datetime, only: str = ""
) -> Receipt:
    """Return the receipt of what an import did."""
    manifest = admission.sealed.manifest
    labels = dict.fromkeys(target.label for target in plan.routes.values())
    return Receipt(
        bundle=_bundle(admission),
        verified=_verified(admission),
        began=began,
        ended=instant.now(),
        by=plain(who()),
        targets=tuple(plain(list(labels))),
        entries=tuple(_entry(artifact, plan, outcome) for artifact in manifest.artifacts),
        sizes={
            "uploaded": outcome.uploaded,
            "shared": outcome.shared,
            "present": outcome.present,
        },
        overrides=plain(dict(admission.used)),
        only=tuple(sorted({part.strip() for part in only.split(",") if part.strip()})),
        unread=tuple(plain(list(admission.mirrors.unread))),
    )


def _bundle(admission: Admission) -> Bundle:
    sealed = admission.sealed
    manifest = sealed.manifest
    return Bundle(
        name=manifest.name,
        stream=manifest.stream,
        epoch=sealed.signers.epoch,
        sequence=manifest.sequence,
        manifest=sealed.digest,
        created=manifest.created,
        expires=manifest.expires,
        lock=manifest.lock,
        spec=manifest.spec,
    )


def _verified(admission: Admission) -> Verified:
    sealed, trust = admission.sealed, admission.sealed.trust
    return Verified(
        signers={name: trust.keys[name].fingerprint for name in sealed.signers.names},
        threshold=sealed.signers.threshold,
        trust_version=trust.version if trust.digest else 0,
        trust=trust.digest,
        chunks=len(sealed.manifest.chunks),
        size=sum(chunk.size for chunk in sealed.manifest.chunks),
    )


def _entry(artifact: Artifact, plan: Plan, outcome: Outcome) -> Entry:
    target = plan.routes.get(artifact.name)
    if target is None:
        return Entry(artifact, SKIPPED)
    mine = {content.digest for content in artifact.contents}
    replaced = tuple(
        (plain(item.place), plain(item.before)) for item in target.replaced if item.after in mine
    )
    label, place = plain(target.label), plain(target.place(artifact))
    error = outcome.failures.get(artifact.name)
    text = plain(error.message[:LONGEST]) if error else ""
    return Entry(artifact, _result(artifact, outcome), label, place, replaced, text)


def _result(artifact: Artifact, outcome: Outcome) -> str:
    if artifact.name in outcome.failures:
        return FAILED
    if artifact.name in outcome.published:
        return LOADED
    return WITHHELD if artifact.name in outcome.withheld else PRESENT
