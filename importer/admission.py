"""Whether a bundle may be imported here and now: expiry, replay, fork, trust; and the record of it.

The rules are those of ``schemas/README.md``, sections 11 and 12. What this host knows is its
ledger; what other hosts know is read from the copies of their ledgers at the targets.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bundle import instant, state
from bundle.digest import Digest
from bundle.errors import DrayError, NotTrusted
from importer import clock
from importer.ledger import entry as kinds
from importer.ledger import mirror
from importer.ledger.mirror import Mirrors
from importer.receipts import ending
from importer.receipts.ending import TEXT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bundle.errors import TargetError
    from bundle.rulings import Publishers
    from bundle.scanned import Scanned
    from bundle.unseal import Sealed
    from importer.ledger.book import Ledger
    from importer.ledger.shelf import Shelf
    from importer.load import Outcome

NAMES = 20
"""Names of artifacts that an entry of the ledger has room for."""


@dataclass(frozen=True, slots=True)
class Overrides:
    """The reasons that somebody gave for letting a rule be; empty where none was given."""

    rollback: str = ""
    expired: str = ""
    mirror: str = ""


@dataclass
class Admission:
    """One bundle at the door. ``used`` maps the rules that were overridden to the reasons."""

    sealed: Sealed
    ledger: Ledger
    overrides: Overrides = field(default_factory=Overrides)
    warn: Callable[[str], object] = lambda _text: None
    used: dict[str, str] = field(default_factory=dict)
    mirrors: Mirrors = field(default_factory=lambda: Mirrors((), {}))
    shelves: list[Shelf] = field(default_factory=list)
    publishers: Publishers | None = None
    """What a policy file said of the publishers' signatures, once it was asked."""
    scan: Scanned | None = None
    """What a malware scan has found, once it has ended."""

    def judge(self) -> str:
        """Apply the rules by what this host knows; return :func:`bundle.state.judge`'s verdict.

        Raises :class:`NotTrusted` with the rule in ``case``.
        """
        manifest, over, now = self.sealed.manifest, self.overrides, instant.now()
        if clock.check(self.ledger, now, allow=over.expired, way="--allow-expired REASON"):
            self.used[clock.BEHIND] = over.expired
        if state.check_expiry(manifest.expires, now, allow=over.expired):
            self.used[state.EXPIRED] = over.expired
        known = self.ledger.standings().of(manifest.stream)
        self._check_trust()
        verdict = self._compare(known.state)
        if verdict == "gap" and known.state:
            self.warn(
                f"{manifest.name} follows {known.state.sequence}: what was between was not "
                "imported here, and is not needed"
            )
        return verdict

    def judge_by_mirrors(self, places: Sequence[Shelf]) -> None:
        """Apply the rules by what the copies of other hosts' ledgers say.

        Raises :class:`bundle.errors.TargetError` when a place does not answer.
        """
        self.shelves = list(places)
        self._judge_by_mirrors()
        for error in self.mirrors.silent.values():
            raise error

    def _judge_by_mirrors(self) -> None:
        told, self.mirrors = self.mirrors.unread, mirror.read(self.shelves)
        for place, reason in self.mirrors.unread.items():
            if place not in told:
                self.warn(f"what other hosts have imported is not known: {place}: {reason}")
        try:
            self.mirrors.check(self.ledger)
            for claim, known in self.mirrors.of(self.sealed.manifest.stream):
                self._compare(known, claim)
        except NotTrusted:
            if not self.overrides.mirror:
                raise
            self.used["mirror"] = self.overrides.mirror

    def confirm(self) -> None:
        """Judge again if another run has written to the ledger meanwhile."""
        before = len(self.ledger.chain.entries)
        self.ledger.refresh()
        if len(self.ledger.chain.entries) > before:
            self._check_trust()
            self._compare(self.ledger.standings().of(self.sealed.manifest.stream).state)

    def confirm_by_mirrors(self) -> Mapping[str, TargetError]:
        """Judge by the copies once more, right before names change hands, after hours of sending.

        Another host may have imported a newer bundle meanwhile. Returns the places that do not
        answer any more, where nothing may become visible.
        """
        before = set(self.used)
        self._judge_by_mirrors()
        for rule in self.used.keys() - before:
            self.override(rule, self.used[rule])
        return self.mirrors.silent

    def _compare(self, known: state.State | None, claim: mirror.Claim | None = None) -> str:
        manifest = self.sealed.manifest
        try:
            verdict = state.judge(
                known,
                self.sealed.signers.epoch,
                manifest.sequence,
                self.sealed.digest,
                allow_rollback=self.overrides.rollback,
            )
        except NotTrusted as error:
            raise _by_mirror(error, claim) if claim else error from None
        if verdict == "rollback":
            self.used[state.REPLAY] = self.overrides.rollback
        return verdict

    def _check_trust(self) -> None:
        """Refuse another trust file than this host has used, unless it was applied or replaced.

        An older one may hold keys revoked since; any other one may be anybody's.
        """
        trust, stream = self.sealed.trust, self.sealed.manifest.stream
        seen = self.ledger.standings().of(stream).trust
        if trust.digest is None or seen is None or trust.digest == seen.digest:
            return
        is_old = trust.version < seen.version
        rule = "old-trust" if is_old else "other-trust"
        if self.overrides.rollback:
            self.used[rule] = self.overrides.rollback
            return
        if is_old:
            raise NotTrusted(
                f"the trust file has version {trust.version}, and version {seen.version} was "
                f"used here for {stream}",
                hint="use the newest trust file; or: --allow-rollback REASON",
                case=rule,
            )
        raise NotTrusted(
            f"the trust file (version {trust.version}) is another one than was used here for "
            f"{stream} (version {seen.version}), and nobody has applied it",
            hint="put the one before it back, then: dray trust apply PLACE, or dray trust replace; "
            "or, if it is right as it is: --allow-rollback REASON",
            case=rule,
        )

    # -- the record -------------------------------------------------------------------------------

    def refuse(self, error: DrayError) -> None:
        """Put on record that the bundle was turned away before anything was visible, and why."""
        self._note_policy()
        why = ending.of(error)
        about = {"rule": why.rule, "error": why.error}
        self.ledger.append(kinds.REFUSED, **self._identity(), **about)

    def begin(self, targets: Sequence[str]) -> None:
        """Put on record that an import begins: first what was overridden, and a new trust file."""
        for rule, reason in self.used.items():
            body = {"rule": rule, "reason": reason[:TEXT]}
            self.ledger.append(kinds.OVERRIDE, **self._identity(), **body)
        self._note_trust()
        self._note_policy()
        signers = list(self.sealed.signers.names)
        rest: dict[str, Any] = {"signers": signers}
        rest |= {"targets": list(targets), "unread": list(self.mirrors.unread)}
        self.ledger.append(kinds.BEGUN, **self._identity(), **rest)

    def override(self, rule: str, reason: str) -> None:
        """Put on record that a rule was let be, which shows only while it runs."""
        self.used[rule] = reason
        self.ledger.append(kinds.OVERRIDE, **self._identity(), rule=rule, reason=reason[:TEXT])

    def note_receipt(self, data: bytes, *, is_signed: bool) -> None:
        """Put on record which receipt was written: from then on nobody can write another one."""
        body = {"receipt": str(Digest.of(data)), "signed": is_signed}
        self.ledger.append(kinds.RECEIPT, **self._identity(), **body)

    def end(self, outcome: Outcome) -> None:
        """Put on record how it ended; then copy the ledger to the targets."""
        sizes = {"uploaded": outcome.uploaded, "shared": outcome.shared, "present": outcome.present}
        artifacts = len(outcome.published) + len(outcome.unchanged)
        body: dict[str, Any] = {"artifacts": artifacts, **sizes}
        if outcome.failures:
            name, error = next(iter(outcome.failures.items()))
            body |= {"failed": len(outcome.failures), "error": f"{name}: {error.message}"[:TEXT]}
        kind = kinds.FAILED if outcome.failures else kinds.DONE
        self.ledger.append(kind, **self._identity(), **body)
        for place, reason in mirror.write(self.shelves, self.ledger).items():
            self.warn(f"the ledger was not copied: {place}: {reason}")

    def _identity(self) -> dict[str, Any]:
        manifest = self.sealed.manifest
        body: dict[str, Any] = {"bundle": manifest.name, "stream": manifest.stream}
        body |= {"epoch": self.sealed.signers.epoch, "sequence": manifest.sequence}
        return body | {"manifest": str(self.sealed.digest), "expires": manifest.expires}

    def _note_policy(self) -> None:
        """Put on record which policy file judged the publishers' signatures, and what it said."""
        if (said := self.publishers) is None:
            return
        failed = [one.artifact[:TEXT] for one in said.failed]
        body: dict[str, Any] = {"file": said.file[:TEXT], "policy": str(said.digest)}
        body |= {"required": said.required, "failed": len(failed), "unsigned": failed[:NAMES]}
        self.ledger.append(kinds.POLICY, **self._identity(), **body)

    def _note_trust(self) -> None:
        trust, stream = self.sealed.trust, self.sealed.manifest.stream
        seen = self.ledger.standings().of(stream).trust
        if trust.digest is None or (seen and seen.digest == trust.digest):
            return
        body = {"change": "used", "version": trust.version, "trust": str(trust.digest)}
        self.ledger.append(kinds.TRUST, stream=stream, **body)


def _by_mirror(error: NotTrusted, claim: mirror.Claim) -> DrayError:
    what = f"{error.message}; so says the ledger of {claim.head.host[:80]!r} at {claim.place}"
    hint = f"{error.hint}. If that copy lies: remove it, or --ignore-mirror REASON"
    return NotTrusted(what, hint=hint, case=error.case)
