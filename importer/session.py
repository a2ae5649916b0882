"""One import from media to targets: check what is here, plan, load, and put it on record."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from bundle.artifact import KINDS
from bundle.durable import make_folder
from bundle.errors import NotTrusted, PartlyDone, TargetError, UsageError
from bundle.lockfile import held
from bundle.options import warn
from bundle.progress import bar
from bundle.reader import Reader
from bundle.signaturefiles import check_signatures
from bundle.state import default_folder
from bundle.verify import verify
from bundle.view import Views
from importer import destinations, signedby
from importer import plan as planning
from importer.ledger.mirror import shelves
from importer.load import Load, Outcome
from importer.receipts.writing import Scribe
from importer.status import seen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bundle.artifact import Artifact
    from bundle.envelope import Recipient
    from bundle.errors import DrayError
    from bundle.media import Media
    from bundle.unseal import Sealed
    from importer.admission import Admission
    from importer.plan import Plan
    from importer.scan.scanner import Scanner
    from importer.targets.base import Target


@dataclass
class Session:
    """The parts of one import."""

    admission: Admission
    media: Media
    to: Sequence[str]
    only: str = ""
    quarantine: str = ""
    stop: threading.Event = field(default_factory=threading.Event)
    quiet: bool = False
    targets: list[Target] = field(default_factory=list)
    recipient: Recipient | None = None
    scribe: Scribe = field(default_factory=Scribe)
    scanner: Scanner | None = None

    @property
    def sealed(self) -> Sealed:
        """The manifest, and who signed it."""
        return self.admission.sealed

    def plan(self, *, verify_first: bool, policy: Path | None = None) -> Plan:
        """Check the media, the policy and the targets, and ask these what they have.

        Nothing is written. Raises :class:`bundle.errors.GateRefused` for what ``policy`` refuses.
        """
        manifest = self.sealed.manifest
        if manifest.recipients:
            Views(manifest, self.media, self.recipient).require()
        total = sum(chunk.size for chunk in manifest.chunks) if verify_first else 0
        with bar(total, "verifying", quiet=self.quiet or not verify_first) as on_bytes:
            report = verify(
                manifest,
                self.media,
                deep=verify_first,
                parity=False,
                on_bytes=on_bytes,
                recipient=self.recipient,
            )
        check_signatures(self.sealed, self.media, report)
        report.raise_for_findings()
        artifacts = [a for a in manifest.artifacts if a.kind in _kinds(self.only)]
        self.targets = destinations.parse(self.to, quarantine=self.quarantine)
        if policy:
            self._check(policy, artifacts)
        routes = destinations.route(artifacts, self.targets)
        for target in self.targets:
            target.check()
        self.admission.judge_by_mirrors(shelves(self.targets))
        made = planning.make(manifest, routes)
        notes = [note for target in self.targets for note in target.preflight(made.wants(target))]
        return replace(made, notes=tuple(notes))

    def _check(self, policy: Path, artifacts: Sequence[Artifact]) -> None:
        reader = Reader(self.sealed.manifest, self.media, self.recipient)
        later = all(target.quarantine for target in self.targets)
        judged = signedby.judge(policy, reader, artifacts, gates=not later)
        for pattern in judged.idle:
            warn(f"{policy}: require-signature: nothing here is called {pattern}")
        self.admission.publishers = judged.for_the_record()
        if judged.refused:
            raise judged.refused

    def load(self, plan: Plan) -> Outcome:
        """Load what the plan names; the ledger says so before it begins, and how it ended."""
        folder = default_folder()
        make_folder(folder)
        with (
            held(folder, name=f".{self.sealed.manifest.stream}.import"),
            bar(plan.to_read, "importing", quiet=self.quiet) as on_bytes,
        ):
            self.admission.confirm()
            for target in self.targets:
                target.prepare(self.sealed.manifest)
            self.admission.begin([target.label for target in self.targets])
            reader = Reader(self.sealed.manifest, self.media, self.recipient)
            workers = max(target.workers for target in self.targets)
            run = Load(
                plan,
                reader,
                stop=self.stop,
                on_bytes=on_bytes,
                workers=workers,
                scanner=self.scanner,
                confirm=self.admission.confirm_by_mirrors,
            )
            try:
                outcome = run.run()
            except (PartlyDone, NotTrusted, TargetError) as error:
                self._note_scan()
                if not isinstance(error, PartlyDone):
                    self.admission.refuse(error)
                receipt = self.scribe.write(self.admission, plan, run.outcome, error)
                self.scribe.deliver(receipt)
                raise
            self._note_scan()
            receipt = self.scribe.write(self.admission, plan, outcome, outcome.failure())
            self.admission.end(outcome)
        if not outcome.failures:
            manifest = self.sealed.manifest
            seen.forget(manifest.stream, (self.sealed.signers.epoch, manifest.sequence))
        self.scribe.deliver(receipt)
        return outcome

    def turn_away(self, error: DrayError) -> None:
        """Put on record why nothing was loaded, when the import has not come to its own record.

        Raises what writing it raises.
        """
        if self.scribe.written is None:
            self.admission.refuse(error)
            labels = [target.label for target in self.targets]
            self.scribe.deliver(self.scribe.refuse(self.admission, error, labels))

    def _note_scan(self) -> None:
        """Have the receipt say what a scan has found; that somebody let the rule be as well."""
        self.admission.scan = scan = self.scanner.record() if self.scanner else None
        if scan and scan.allowed:
            self.admission.override("unscanned", scan.allowed)

    def close(self) -> None:
        """Let the targets go."""
        for target in self.targets:
            target.close()


def _kinds(only: str) -> set[str]:
    wanted = {part.strip() for part in only.split(",") if part.strip()} or set(KINDS)
    if unknown := wanted - set(KINDS):
        message = f"--only does not know {', '.join(sorted(unknown))}"
        raise UsageError(message, hint="kinds: " + ", ".join(KINDS))
    return wanted
