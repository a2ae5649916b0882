"""Applies a policy to artifacts: what each rule wants, who signed, and every reason why not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundle import strictyaml
from bundle.errors import GateRefused, NotTrusted, UsageError, listed
from bundle.progress import counted
from bundle.signature import MAX_PEM
from bundle.upstream.find import Signing, signings
from bundle.upstream.keys import Keys, RawKey
from bundle.upstream.openpgp import MAX_KEYRING, Keyring
from bundle.upstream.policy import KeyEntry, Policy, Rule
from bundle.upstream.record import UNCHECKED, UNSIGNED, VERIFIED, Proof, Record

if TYPE_CHECKING:
    from bundle.artifact import Artifact, Content

Fetch = Callable[[KeyEntry], bytes]
Open = Callable[["Artifact", "Content"], bytes]
"""Returns the bytes of an artifact's content, checked against its digest."""


def no_ngc(entry: KeyEntry) -> bytes:
    """Refuse a key that only NGC has: a high side cannot ask it."""
    raise UsageError(
        f"{entry.where}: the key {entry.name} is to be fetched from NGC, which is not asked here",
        hint="carry it by another way than the medium, and write file: in the place of ngc:",
    )


def load_keys(policy: Policy, fetch: Fetch = no_ngc) -> dict[str, RawKey | Keyring]:
    """Return the policy's keys by name; ``fetch`` gets those that NGC publishes.

    Raises :class:`UsageError` for a key of another fingerprint than is written beside it: it is
    never used, wherever it came from.
    """
    return {entry.name: _load(entry, fetch) for entry in policy.keys}


def _load(entry: KeyEntry, fetch: Fetch) -> RawKey | Keyring:
    what = f"the key {entry.name}"
    if entry.pgp:
        data = strictyaml.read(entry.pgp, limit=MAX_KEYRING)
        return Keyring.read(entry.name, data, what=f"{entry.pgp}", only=entry.fingerprint)
    pem = strictyaml.read(entry.file, limit=MAX_PEM) if entry.file else fetch(entry)
    key = RawKey.from_pem(entry.name, pem, what=f"{entry.file}" if entry.file else what)
    if entry.fingerprint == key.fingerprint:
        return key
    if entry.fingerprint:
        message = f"{what} has the fingerprint {key.fingerprint}, not {entry.fingerprint}"
        hint = "it was replaced: ask its owner by another way before you write the new one down"
        raise UsageError(f"{entry.where}: {message}", hint=hint)
    if entry.ngc:
        message = f"{what} is not pinned: NGC gives {key.fingerprint} today"
        hint = f"compare it by another way, then write fingerprint: {key.fingerprint}"
        raise UsageError(f"{entry.where}: {message}", hint=hint)
    return key


@dataclass(frozen=True, slots=True)
class Verdict:
    """An artifact's record, and what the policy misses; ``required`` when a rule is about it."""

    artifact: Artifact
    record: Record
    required: bool
    faults: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Return the row that ``--json`` prints."""
        body: dict[str, object] = {"artifact": self.artifact.name, "required": self.required}
        return {**body, **self.record.to_dict(), "faults": list(self.faults)}


@dataclass
class Checker:
    """Judges artifacts by a policy. ``read`` returns the bytes of a content."""

    policy: Policy
    keys: Mapping[str, RawKey | Keyring]
    read: Open

    def check(self, artifact: Artifact) -> Verdict:
        """Return the verdict; raises what reading raises."""
        found = signings(artifact, lambda content: self.read(artifact, content))
        rules = self.policy.rules_for(artifact)
        if not rules:
            return Verdict(artifact, Record(UNCHECKED if found else UNSIGNED), False)
        proofs: dict[Proof, None] = {}
        faults: list[str] = []
        for rule in rules:
            proof, reasons = self._prove(rule, found)
            if proof:
                proofs[proof] = None
            faults += reasons
        unproved = Record(UNCHECKED if found else UNSIGNED)
        record = Record(VERIFIED, tuple(proofs)) if proofs else unproved
        return Verdict(artifact, record, True, tuple(dict.fromkeys(faults)))

    def _prove(self, rule: Rule, found: Sequence[Signing]) -> tuple[Proof | None, list[str]]:
        if not found:
            return None, ["unsigned: its publisher has no signature of it"]
        keys = self._keys(rule)
        reasons: list[str] = []
        for signing in found:
            try:
                return signing.prove(keys), []
            except NotTrusted as error:
                hint = f": {error.hint}" if error.hint else ""
                reasons.append(f"{error.message}{hint}")
        return None, reasons

    def _keys(self, rule: Rule) -> Keys:
        chosen = [self.keys[name] for name in rule.keys or self.keys]
        return Keys(
            raw=tuple(key for key in chosen if isinstance(key, RawKey)),
            rings=tuple(key for key in chosen if isinstance(key, Keyring)),
        )


def refusal(verdicts: Sequence[Verdict], where: str) -> GateRefused | None:
    """Return the refusal that names every artifact that lacks what the policy asks, if any does."""
    failed = [verdict for verdict in verdicts if verdict.faults]
    if not failed:
        return None
    asked = sum(verdict.required for verdict in verdicts)
    rows = []
    for verdict in failed:
        rows.append(f"  {verdict.artifact.name}")
        rows += [f"    {fault}" for fault in verdict.faults]
    are = "is" if len(failed) == 1 else "are"
    message = f"{len(failed)} of {counted(asked, 'artifact')} {are} not signed as {where} requires:"
    return GateRefused(
        listed(message, rows),
        hint="take what is not signed out, or out of require-signature; "
        "for another key ask the publisher, by another way, which one is theirs",
    )
