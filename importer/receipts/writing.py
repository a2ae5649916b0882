"""An import's outcome as a receipt: what was verified and done, and nothing that is secret."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

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
from importer.receipts import ending
from importer.receipts.ending import TEXT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from bundle.artifact import Artifact
    from bundle.errors import DrayError
    from importer.admission import Admission
    from importer.ledger.book import Ledger
    from importer.load import Outcome
    from importer.plan import Plan
    from importer.receipts.signing import ReceiptKey


@dataclass
class Scribe:
    """Writes the receipt of one import. ``key`` None leaves it unsigned; ``path`` is a copy.

    ``only`` are the kinds that were asked for. ``written`` is where it lies afterwards in the
    folder of receipts: one import has one receipt.
    """

    key: ReceiptKey | None = None
    path: Path | None = None
    only: str = ""
    began: datetime = field(default_factory=instant.now)
    written: Path | None = None

    def write(
        self,
        admission: Admission,
        plan: Plan,
        outcome: Outcome,
        error: DrayError | None,
    ) -> bytes:
        """Write what an import did, and put it on record; ``error`` is what it ended with.

        Returns its bytes; raises :class:`bundle.errors.UsageError`.
        """
        made = self._blank(admission, error)
        labels = dict.fromkeys(target.label for target in plan.routes.values())
        sizes = {"uploaded": outcome.uploaded, "shared": outcome.shared}
        sizes["present"] = outcome.present
        entries = tuple(_entry(artifact, plan, outcome) for artifact in plan.manifest.artifacts)
        made = replace(made, entries=entries, targets=tuple(plain(list(labels))), sizes=sizes)
        if made.held and made.ending:  # what is loaded was not refused
            made = replace(made, ending=replace(made.ending, outcome=FAILED))
        return self._keep(admission, made)

    def refuse(self, admission: Admission, error: DrayError, targets: Sequence[str]) -> bytes:
        """Write that nothing was loaded, and why, and put it on record; as :meth:`write`."""
        text = plain(error.message[:TEXT]) if ending.result(error) == FAILED else ""
        entries = tuple(
            Entry(artifact, ending.result(error), error=text)
            for artifact in admission.sealed.manifest.artifacts
        )
        made = self._blank(admission, error)
        return self._keep(
            admission, replace(made, entries=entries, targets=tuple(plain(list(targets))))
        )

    def _blank(self, admission: Admission, error: DrayError | None) -> Receipt:
        kinds = {part.strip() for part in self.only.split(",") if part.strip()}
        return Receipt(
            bundle=_bundle(admission),
            verified=_verified(admission),
            began=self.began,
            ended=instant.now(),
            by=plain(who()),
            targets=(),
            entries=(),
            sizes={},
            overrides=plain(dict(admission.used)),
            only=tuple(sorted(plain(list(kinds)))),
            unread=tuple(plain(list(admission.mirrors.unread))),
            publishers=admission.publishers,
            scan=admission.scan,
            ending=ending.of(error) if error else None,
        )

    def _keep(self, admission: Admission, receipt: Receipt) -> bytes:
        def note(data: bytes) -> None:
            admission.note_receipt(data, is_signed=self.key is not None)

        return self.keep(admission.ledger, receipt, note)

    def keep(self, ledger: Ledger, receipt: Receipt, note: Callable[[bytes], object]) -> bytes:
        """Write a receipt and have it put on record by ``note``; return its bytes.

        Raises :class:`bundle.errors.UsageError`.
        """
        from bundle import dsse  # noqa: PLC0415  (not for --help)
        from bundle.receipt import PAYLOAD_TYPE  # noqa: PLC0415
        from importer.receipts import shelf  # noqa: PLC0415

        made = receipt.to_bytes()
        data = self.key.seal(made) if self.key else dsse.Envelope(PAYLOAD_TYPE, made).to_bytes()
        with shelf.alone():
            ledger.refresh()
            opened = ledger.chain.entries[0].when if ledger.chain.entries else None
            self.written = shelf.write(receipt.bundle.name, data, ledger.receipts(), opened)
            note(data)
        return data

    def told(self) -> dict[str, Any]:
        """Return what ``--json`` prints of it."""
        return {"file": str(self.written), "signed": self.key is not None}

    def line(self) -> str:
        """Return where it lies, for people."""
        return f"receipt {self.path or self.written}" + ", not signed" * (self.key is None)

    def deliver(self, data: bytes) -> None:
        """Write the copy that was asked for; raise :class:`bundle.errors.UsageError`."""
        from importer.receipts import shelf  # noqa: PLC0415  (not for --help)

        if self.path:
            shelf.copy(data, self.path)


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
        generator=" ".join(manifest.generator),
        account=manifest.account,
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
    text = plain(error.message[:TEXT]) if error else ""
    pinned = plain(target.pinned(artifact))
    result, held_in = _result(artifact, outcome), target.quarantine
    return Entry(artifact, result, label, place, replaced, text, pinned, held_in)


def _result(artifact: Artifact, outcome: Outcome) -> str:
    if artifact.name in outcome.failures:
        return FAILED
    if artifact.name in outcome.published:
        return LOADED
    return WITHHELD if artifact.name in outcome.withheld else PRESENT
