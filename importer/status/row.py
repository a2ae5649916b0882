"""One stream as ``dray status`` shows it, and what of it is not right."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bundle import instant
from bundle.manifest import bundle_name
from bundle.progress import counted
from importer.status.arrived import Arrived
from importer.status.history import History, strings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime, timedelta

    from bundle.state import State
    from bundle.trust import Trust
    from importer.ledger.entry import Entry
    from importer.ledger.streams import Standing
    from importer.status.seen import Note

SHOWN = 3
"""Refusals that are shown to people, the newest; ``--json`` has all."""


@dataclass
class Row:
    """One stream: where it stands by the ledger, what happened since, what arrived, what waits.

    ``seen`` are bundles that were verified here and are newer than the last import.
    """

    stream: str
    standing: Standing
    now: datetime
    history: History = field(default_factory=History)
    arrived: Arrived = field(default_factory=Arrived)
    seen: list[Note] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def state(self) -> State | None:
        """The last bundle."""
        return self.standing.state

    def check(self, most: timedelta | None, trust: Trust | None) -> None:
        """Note what is not right."""
        state = self.state
        if state is None:
            self.warnings.append("nothing was imported in full yet")
        elif most is not None and (age := self.now - state.when) > most:
            self.warnings.append(f"the last bundle came {instant.ago(age)} ago")
        if self.standing.unfinished:
            self.warnings.append(f"the import of {self.standing.unfinished} has not ended")
        if self.history.failed:
            last = self.history.failed[-1]
            self.warnings.append(f"the import of {last.text('bundle')} failed")
        if self.standing.expires and self.now >= instant.parse(self.standing.expires):
            self.warnings.append(f"the last bundle expired on {self.standing.expires}")
        if self.arrived.lost:
            what = counted(self.arrived.lost, "receipt")
            self.warnings.append(f"{what} that the ledger names cannot be found on this host")
        if trust is not None and self.stream not in trust.streams and trust.anywhere is None:
            self.warnings.append("the trust file does not name this stream")

    # -- for machines -----------------------------------------------------------------------------

    def to_dict(self, *, everything: bool) -> dict[str, Any]:
        """Return the object that ``--json`` prints; the age is in seconds."""
        body: dict[str, Any] = {"stream": self.stream, "warnings": self.warnings}
        if self.state:
            body |= {"bundle": bundle_name(self.stream, self.state.sequence)}
            body |= {"epoch": self.state.epoch, "sequence": self.state.sequence}
            body |= {"manifest": str(self.state.manifest), "when": instant.spell(self.state.when)}
            body |= {"age": int((self.now - self.state.when).total_seconds())}
            body |= {"expires": self.standing.expires or None}
        if self.standing.trust:
            body["trustVersion"] = self.standing.trust.version
        if self.arrived.last:
            body["from"] = self._origin()
        body["here"] = self.arrived.counts()
        if everything:
            body["artifacts"] = [one.to_dict() for one in self.arrived.placed]
        body["pending"] = [*self._open(), *(self._waiting(note) for note in self.seen)]
        body["unpromoted"] = [one.to_dict() for one in self.arrived.waiting()]
        ended = (*self.history.failed, *self.history.refused)
        body["unsuccessful"] = [_attempt(e) for e in sorted(ended, key=lambda e: e.number)]
        return body

    def _origin(self) -> dict[str, Any]:
        assert self.arrived.last  # noqa: S101  (the caller looked)
        one, seen = self.arrived.last.bundle, self.arrived.last.verified
        body: dict[str, Any] = {"bundle": one.name, "created": one.created, "lock": str(one.lock)}
        body |= {"spec": str(one.spec), "manifest": str(one.manifest)}
        body |= {"signers": {name: str(key) for name, key in seen.signers.items()}}
        return body | ({"generator": one.generator} if one.generator else {})

    def _open(self) -> list[dict[str, Any]]:
        if (begun := self.history.begun) is None:
            return []
        body = {"bundle": begun.text("bundle"), "state": "not-ended"}
        return [{**body, "when": instant.spell(begun.when), "targets": strings(begun, "targets")}]

    def _waiting(self, note: Note) -> dict[str, Any]:
        body: dict[str, Any] = {"bundle": note.bundle, "when": instant.spell(note.when)}
        body["state"] = "verified" if note.whole else "partly-verified"
        return body | {"media": list(note.media), "mediaInAll": note.total}

    # -- for people -------------------------------------------------------------------------------

    def lines(self, *, everything: bool) -> Iterator[str]:
        """Yield what is printed for people."""
        if self.state:
            name = bundle_name(self.stream, self.state.sequence)
            age = instant.ago(self.now - self.state.when)
            end = f", expires {self.standing.expires}" if self.standing.expires else ""
            epoch = f", epoch {self.state.epoch}" if self.state.epoch else ""
            yield f"{name}  imported {age} ago{epoch}{end}"
        if last := self.arrived.last:
            signers = ", ".join(last.verified.signers)
            by = f" by {last.bundle.generator}" if last.bundle.generator else ""
            what = f"lock {last.bundle.lock.short}, made {last.bundle.created}{by}"
            yield f"  from     {what}, signed by {signers}"
        yield from self._here(everything=everything)
        if begun := self.history.begun:
            to = f" into {', '.join(strings(begun, 'targets'))}"
            what = f"import begun {self._ago(begun.when)} ago{to}, and not ended: run it again"
            yield f"  pending  {begun.text('bundle')}  {what}"
        for note in self.seen:
            yield f"  pending  {note.bundle}  {self._verified(note)}, not imported"
        if held := self.arrived.waiting():
            bundles = ", ".join(dict.fromkeys(one.bundle for one in held))
            where = ", ".join(dict.fromkeys(one.entry.quarantine for one in held))
            what = f"{counted(len(held), 'artifact')} in the quarantine {where}, not promoted"
            yield f"  pending  {bundles}  {what}"
        for entry in self.history.failed[-1:]:
            yield f"  failed   {self._attempted(entry)}"
        for entry in self.history.refused[-SHOWN:]:
            yield f"  refused  {self._attempted(entry)}"
        for text in self.warnings:
            yield f"WARNING {self.stream}: {text}"

    def _here(self, *, everything: bool) -> Iterator[str]:
        for target, kinds in self.arrived.counts().items():
            what = ", ".join(counted(count, kind) for kind, count in sorted(kinds.items()))
            yield f"  here     {what} at {target}"
        for one in self.arrived.placed if everything else ():
            artifact = one.entry.artifact
            named = f"{artifact.name} -> {one.entry.place}"
            yield f"    {artifact.kind:9}{named}  {artifact.root.short}  {one.bundle}"

    def _verified(self, note: Note) -> str:
        ago = self._ago(note.when)
        if note.whole:
            return f"verified {ago} ago"
        which = ", ".join(map(str, note.media)) or "none whole"
        return f"verified in part {ago} ago, medium {which} of {note.total}"

    def _attempted(self, entry: Entry) -> str:
        error = (entry.text("error").splitlines() or [""])[0]
        rule = f"{entry.text('rule')}: " if entry.text("rule") else ""
        return f"{entry.text('bundle')}  {self._ago(entry.when)} ago  {rule}{error}"

    def _ago(self, when: datetime) -> str:
        return instant.ago(self.now - when)


def _attempt(entry: Entry) -> dict[str, Any]:
    body = {"bundle": entry.text("bundle"), "kind": entry.kind, "when": instant.spell(entry.when)}
    return {**body, "rule": entry.text("rule"), "error": entry.text("error")}
