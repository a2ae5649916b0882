"""The record of a promotion: a receipt with what each gate said, and entries in the ledger."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from bundle import instant
from bundle.digest import Digest
from bundle.promotion import Promotion, Ruling
from bundle.receipt import FAILED, LOADED, PRESENT, SKIPPED, WITHHELD, Entry
from importer.ledger import entry as kinds
from importer.ledger.book import plain, who
from importer.receipts import ending
from importer.receipts.ending import TEXT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bundle.artifact import Artifact
    from bundle.errors import DrayError
    from bundle.gate.assess import Assessment
    from importer.ledger.book import Ledger
    from importer.load import Outcome
    from importer.promote.places import Places
    from importer.promote.source import Imported
    from importer.receipts.writing import Scribe

GATE = "gate"
"""What the ledger calls the rule that refuses, and that an override lets be."""
NAMES = 20
"""Names of artifacts that an entry of the ledger has room for."""


@dataclass
class Record:
    """Writes what became of one promotion. ``overridden`` is the reason for promoting in spite."""

    imported: Imported
    ledger: Ledger
    scribe: Scribe
    file: str
    policy: Digest
    assessments: Sequence[Assessment] = ()
    idle: Sequence[str] = ()
    overridden: str = ""
    targets: Sequence[str] = field(default_factory=tuple)

    def refuse(self, error: DrayError) -> None:
        """Put on record that nothing was promoted, and why."""
        why = ending.of(error)
        about = {"rule": GATE if why.rule == "policy" else why.rule, "error": why.error}
        refused = [plain(one.artifact.name[:TEXT]) for one in self.assessments if one.is_refused]
        self.ledger.append(kinds.REFUSED, **self._identity(), **about, refused=refused[:NAMES])
        entries = [self._entry(one.artifact, ending.result(error)) for one in self.assessments]
        self._write(entries, error=error)

    def begin(self) -> None:
        """Put on record that a promotion begins: first what it overrides."""
        if self.overridden:
            body = {"rule": GATE, "reason": self.overridden[:TEXT]}
            self.ledger.append(kinds.OVERRIDE, **self._identity(), **body)
        body = {"import": str(self.imported.digest), "gates": str(self.policy)}
        targets = {"targets": plain(list(self.targets))}
        self.ledger.append(kinds.PROMOTION_BEGUN, **self._identity(), **body, **targets)

    def stopped(self, error: DrayError) -> None:
        """Write that somebody stopped it before anything was published."""
        self._write([self._entry(one.artifact, WITHHELD) for one in self.assessments], error=error)

    def end(self, places: Places, outcome: Outcome) -> None:
        """Write what was promoted, and put on record how it ended."""
        entries = [self._ended(one.artifact, places, outcome) for one in self.assessments]
        sizes = {"uploaded": outcome.uploaded, "shared": outcome.shared}
        sizes["present"] = outcome.present
        self._write(entries, error=outcome.failure(), sizes=sizes)
        body: dict[str, Any] = {"artifacts": len(outcome.published) + len(outcome.unchanged)}
        kind = kinds.PROMOTION_DONE
        if outcome.failures:
            name, error = next(iter(outcome.failures.items()))
            body |= {"failed": len(outcome.failures), "error": f"{name}: {error.message}"[:TEXT]}
            kind = kinds.PROMOTION_FAILED
        self.ledger.append(kind, **self._identity(), **plain(body))

    # -- the receipt ------------------------------------------------------------------------------

    def _write(
        self,
        entries: Sequence[Entry],
        *,
        error: DrayError | None,
        sizes: dict[str, int] | None = None,
    ) -> None:
        before = self.imported.receipt
        mine = {one.artifact.name: one for one in entries}
        rows = [
            mine.get(one.artifact.name) or Entry(one.artifact, SKIPPED) for one in before.entries
        ]
        made = replace(
            before,
            began=self.scribe.began,
            ended=instant.now(),
            by=plain(who()),
            targets=tuple(plain(list(self.targets))),
            entries=tuple(rows),
            sizes=sizes or {},
            overrides={GATE: plain(self.overridden)} if self.overridden else {},
            only=(),
            unread=(),
            publishers=None,
            ending=ending.of(error) if error else None,
            promotion=self._promotion(),
        )
        if made.held and made.ending:
            made = replace(made, ending=replace(made.ending, outcome=FAILED))
        data = self.scribe.keep(self.ledger, made, self._note)
        self.scribe.deliver(data)

    def _note(self, data: bytes) -> None:
        body = {"receipt": str(Digest.of(data)), "signed": self.scribe.key is not None}
        self.ledger.append(kinds.RECEIPT, **self._identity(), **body)

    def _promotion(self) -> Promotion:
        rulings = tuple(Ruling(one.artifact.name, one.checks) for one in self.assessments)
        idle, reason = tuple(plain(list(self.idle))), plain(self.overridden)
        digest, file = self.imported.digest, plain(self.file)
        return Promotion(digest, file, self.policy, rulings, idle, reason)

    def _entry(self, artifact: Artifact, result: str) -> Entry:
        return Entry(artifact, result)

    def _ended(self, artifact: Artifact, places: Places, outcome: Outcome) -> Entry:
        final = places.finals[artifact.name]
        mine = {content.digest for content in artifact.contents}
        replaced = tuple(
            (plain(item.place), plain(item.before)) for item in final.replaced if item.after in mine
        )
        error = outcome.failures.get(artifact.name)
        result = LOADED if artifact.name in outcome.published else PRESENT
        return Entry(
            artifact,
            FAILED if error else result,
            plain(final.label),
            plain(final.place(artifact)),
            replaced,
            plain(error.message[:TEXT]) if error else "",
            plain(final.pinned(artifact)),
        )

    def _identity(self) -> dict[str, Any]:
        one = self.imported.receipt.bundle
        body: dict[str, Any] = {"bundle": one.name, "stream": one.stream, "epoch": one.epoch}
        body |= {"sequence": one.sequence, "manifest": str(one.manifest)}
        return body | {"expires": one.expires}
