"""One promotion: from the receipt of an import to names that are used, or to the refusal."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from bundle import instant
from bundle.durable import make_folder
from bundle.errors import PartlyDone
from bundle.gate.assess import refusal
from bundle.lockfile import held
from bundle.options import warn
from bundle.progress import bar
from bundle.state import default_folder
from importer import clock
from importer.ledger import mirror
from importer.promote import places as placing
from importer.promote.copying import Copying
from importer.promote.gates import Gatekeeper

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bundle.errors import GateRefused
    from bundle.gate.assess import Assessment
    from bundle.manifest import Manifest
    from bundle.upstream.policy import Policy
    from importer.load import Outcome
    from importer.promote.places import Places
    from importer.promote.record import Record
    from importer.promote.scanning import Scanning


@dataclass
class Run:
    """The parts of one promotion. ``where`` names the policy file."""

    record: Record
    policy: Policy
    where: str
    to: Sequence[str]
    match: Sequence[str] = ()
    scanning: Scanning | None = None
    quiet: bool = False
    stop: threading.Event = field(default_factory=threading.Event)
    notes: tuple[str, ...] = ()
    refused: GateRefused | None = None

    def look(self) -> Copying:
        """Find what waits, reach its places, and apply the gates; nothing is written.

        What the gates refuse is in ``refused``. Raises :class:`bundle.errors.UsageError`, and
        :class:`bundle.errors.TargetError` for what would fail.
        """
        entries = self.record.imported.waiting(self.match)
        self.places: Places = placing.connect(self.to, entries)
        self.places.check()
        artifacts = [one.artifact for one in entries]
        copying = Copying(self.places, artifacts)
        self.notes = copying.look()
        now = instant.now()
        clock.check(self.record.ledger, now)
        keeper = Gatekeeper(self.policy, self.places, now, self.scanning)
        self.record.assessments = keeper.run(artifacts)
        self.record.idle = keeper.idle(artifacts)
        self.notes = (*self.notes, *keeper.notes)
        self.record.targets = list(
            dict.fromkeys(self.places.finals[artifact.name].label for artifact in artifacts)
        )
        self.refused = refusal(self.record.assessments, self.where)
        return copying

    @property
    def assessments(self) -> Sequence[Assessment]:
        """What the gates say of each artifact."""
        return self.record.assessments

    def promote(self, copying: Copying) -> Outcome:
        """Copy and publish, on record; raise :class:`GateRefused` where nothing may be promoted."""
        folder, record = default_folder(), self.record
        make_folder(folder)
        stream = record.imported.receipt.bundle.stream
        with held(folder, name=f".{stream}.import"):
            if self.refused and not record.overridden:
                record.refuse(self.refused)
                raise self.refused
            if not self.refused:
                record.overridden = ""  # nothing had to be overridden
            finals = list({id(one): one for one in self.places.finals.values()}.values())
            record.begin()
            for final in finals:
                # What targets want to know of a bundle is its name.
                final.prepare(cast("Manifest", record.imported.receipt.bundle))
            with bar(copying.size, "promoting", quiet=self.quiet) as on_bytes:
                try:
                    outcome = copying.run(stop=self.stop, on_bytes=on_bytes)
                except PartlyDone as error:
                    record.stopped(error)
                    raise
            record.end(self.places, outcome)
            copies = mirror.shelves(finals)
            for place, reason in mirror.write(copies, record.ledger).items():
                warn(f"the ledger was not copied: {place}: {reason}")
        return outcome

    def close(self) -> None:
        """Let connections go."""
        if hasattr(self, "places"):
            self.places.close()
