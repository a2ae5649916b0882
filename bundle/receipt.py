"""The import receipt: what a high side verified and loaded, where, by whom, under which rules.

An in-toto Statement v1 in a DSSE envelope; format in ``schemas/README.md``, "The import receipt".
Both sides read it: it is the evidence for auditors, and what the next export leaves out by.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bundle import dsse, instant
from bundle.account import Account
from bundle.artifact import Artifact, Content
from bundle.decode import Fields, dump_json, parse_json
from bundle.digest import Digest
from bundle.errors import DrayError, NotTrusted, VerificationError
from bundle.manifest import STREAM, TIME
from bundle.promotion import Promotion
from bundle.rulings import Ending, Publishers
from bundle.scanned import Scanned

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from bundle.decode import Path
    from bundle.dsse import Envelope
    from bundle.signature import PublicKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://dray.example/import-receipt/v1"
MAX_BYTES = 512 << 20
"""The largest receipt that is read: base64 of twice as many artifacts as a manifest holds."""
LOADED, PRESENT, SKIPPED, WITHHELD, REFUSED, FAILED = RESULTS = (
    "loaded",
    "present",
    "skipped",
    "withheld",
    "refused",
    "failed",
)
HELD = frozenset({LOADED, PRESENT})
"""The results of what is at the target, whole and verified."""
_TEXT = 4096
QUARANTINE = r"[a-z0-9]+(?:[._-][a-z0-9]+)*"
"""What a quarantine may be called: as a project of a Harbor."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """Which bundle: its place in the stream, and the digests of what was signed and locked."""

    name: str
    stream: str
    epoch: int
    sequence: int
    manifest: Digest
    created: str
    expires: str
    lock: Digest
    spec: Digest
    generator: str = ""
    """What made it, and its version: ``dray 1.0``."""
    account: Account | None = None
    """As whom the low side asked NGC, as the signed manifest says."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What was verified before anything became visible; ``chunks`` counts, ``size`` is in bytes.

    ``signers`` maps the names of keys to their fingerprints. ``trust`` is the digest of the trust
    file, None when one key was named instead; its version is 0 then.
    """

    signers: Mapping[str, Digest]
    threshold: int
    trust_version: int
    trust: Digest | None
    chunks: int
    size: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One artifact of the bundle, and what became of it.

    ``target`` is its label and ``place`` where users find it; both are empty for what no target was
    asked to take. ``quarantine`` is what stands before the names until it is promoted. ``replaced``
    are names that pointed elsewhere before: the place, and to what. ``pinned`` is the store's own
    version of the marker at that place, where it keeps versions.
    """

    artifact: Artifact
    result: str
    target: str = ""
    place: str = ""
    replaced: tuple[tuple[str, str], ...] = ()
    error: str = ""
    pinned: str = ""
    quarantine: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the object of the receipt: that of the manifest, and what became of it."""
        body: dict[str, Any] = {"result": self.result}
        if self.target:
            body |= {"target": self.target, "place": self.place}
        if self.pinned:
            body["objectVersion"] = self.pinned
        if self.quarantine:
            body["quarantine"] = self.quarantine
        if self.replaced:
            body["replaced"] = [{"place": p, "before": b} for p, b in self.replaced]
        if self.error:
            body["error"] = self.error
        return {**body, **self.artifact.to_dict()}


@dataclass(frozen=True)
class Receipt:
    """One import. ``sizes`` are bytes: uploaded, shared between artifacts, present before.

    ``by`` says on whose behalf: user, host, version of dray. ``only`` are the kinds that were asked
    for, all when empty; ``overrides`` maps rules that were let be to the reasons; ``unread`` are
    copies of other hosts' ledgers that could not be read. ``publishers`` is what a policy file
    said, None without one; ``ending`` why the import was refused or did not come to its end;
    ``scan`` is the malware scan, None without one. ``promotion`` is there where this is no import
    from a medium, but out of a quarantine.
    """

    bundle: Bundle
    verified: Verified
    began: datetime
    ended: datetime
    by: Mapping[str, str]
    targets: tuple[str, ...]
    entries: tuple[Entry, ...]
    sizes: Mapping[str, int]
    overrides: Mapping[str, str] = field(default_factory=dict)
    only: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    publishers: Publishers | None = None
    ending: Ending | None = None
    scan: Scanned | None = None
    promotion: Promotion | None = None

    @property
    def complete(self) -> bool:
        """Whether everything that was asked for is at its target."""
        done = all(entry.result in {*HELD, SKIPPED} for entry in self.entries)
        return done and self.ending is None

    @property
    def outcome(self) -> str:
        """One word: complete, partly (something failed), refused, failed or interrupted."""
        if self.ending and not self.held:
            return self.ending.outcome
        return "complete" if self.complete else "partly"

    @property
    def held(self) -> tuple[Entry, ...]:
        """What is at a target, whole."""
        return tuple(entry for entry in self.entries if entry.result in HELD)

    def to_dict(self) -> dict[str, Any]:
        """Return the in-toto statement."""
        return {
            "_type": STATEMENT,
            "subject": self.subjects(),
            "predicateType": PREDICATE,
            "predicate": self._predicate(),
        }

    def subjects(self) -> list[dict[str, Any]]:
        """Return what the statement is about: the manifest, and what is at a target."""
        one = self.bundle
        subjects = [(f"{one.name}.manifest.json", one.manifest)]
        subjects += [(entry.artifact.name, entry.artifact.root) for entry in self.held]
        return [{"name": n, "digest": {"sha256": d.hex}} for n, d in subjects]

    def _predicate(self) -> dict[str, Any]:
        one, seen = self.bundle, self.verified
        body: dict[str, Any] = {"bundle": {"name": one.name, "stream": one.stream}}
        body["bundle"] |= {"epoch": one.epoch, "sequence": one.sequence}
        body["bundle"] |= {"manifest": str(one.manifest), "created": one.created}
        body["bundle"] |= {"expires": one.expires, "lock": str(one.lock), "spec": str(one.spec)}
        if one.generator:
            body["bundle"]["generator"] = one.generator
        if one.account:
            body["bundle"]["account"] = one.account.to_dict()
        signers = [{"name": n, "key": str(key)} for n, key in seen.signers.items()]
        body["verified"] = {"signers": signers, "threshold": seen.threshold}
        if seen.trust:
            trust = {"version": seen.trust_version, "digest": str(seen.trust)}
            body["verified"]["trust"] = trust
        body["verified"] |= {"chunks": seen.chunks, "bytes": seen.size}
        body |= {"began": instant.spell(self.began), "ended": instant.spell(self.ended)}
        body |= {"by": dict(self.by), "complete": self.complete}
        overrides = [{"rule": rule, "reason": text} for rule, text in self.overrides.items()]
        body["policy"] = {"overrides": overrides, "unread": list(self.unread)}
        if self.only:
            body["policy"]["only"] = list(self.only)
        if self.publishers:
            body["policy"]["publishers"] = self.publishers.to_dict()
        if self.ending:
            body["ending"] = self.ending.to_dict()
        if self.scan:
            body["scan"] = self.scan.to_dict()
        if self.promotion:
            body["promotion"] = self.promotion.to_dict()
        body |= {"targets": list(self.targets), "bytes": dict(self.sizes)}
        return {**body, "artifacts": [entry.to_dict() for entry in self.entries]}

    def to_bytes(self) -> bytes:
        """Return the bytes that are signed."""
        return dump_json(self.to_dict())


@dataclass(frozen=True)
class Signed:
    """A receipt as it was found; ``key`` is who signed it, None when nobody was proved to have.

    ``digest`` is that of the file, which the ledger of the high side names.
    """

    receipt: Receipt
    digest: Digest
    key: PublicKey | None
    is_signed: bool


def unseal(data: bytes, keys: Mapping[str, PublicKey], *, what: str) -> Signed:
    """Return a receipt that one of ``keys`` signed; ``what`` names the file.

    The signature is verified before the statement is parsed. Raises :class:`NotTrusted`.
    """
    envelope = _envelope(data, what)
    if not envelope.signatures:
        raise NotTrusted(
            f"{what} is not signed: anybody could have written it",
            hint="dray receipt keygen on the high side makes the key that signs the next ones",
            case="unsigned",
        )
    key = envelope.signer(keys.values())
    if key is None:
        raise NotTrusted(
            f"{what} was changed, or signed by another key than {', '.join(keys)}",
            hint="the high side's public key is receipt.pub; take it from there, not from the "
            "medium that brought the receipt",
            case="receipt",
        )
    return Signed(parse(envelope.payload, what), Digest.of(data), key, is_signed=True)


def unproved(data: bytes, *, what: str) -> Signed:
    """Return a receipt whoever signed it: what it says is a claim. Raises as :func:`unseal`."""
    envelope = _envelope(data, what)
    receipt = parse(envelope.payload, what)
    return Signed(receipt, Digest.of(data), None, is_signed=bool(envelope.signatures))


def _envelope(data: bytes, what: str) -> Envelope:
    def fault(path: Path, message: str, hint: str) -> DrayError:
        text = dsse.describe(path, message)
        return NotTrusted(f"{what} is no receipt: {text}", hint=hint or _WHERE, case="receipt")

    return dsse.read(data, PAYLOAD_TYPE, limit=MAX_BYTES, fault=fault)


_WHERE = "dray import writes it to --receipt FILE, and to receipts/ in its state folder"


def parse(payload: bytes, what: str = "the receipt") -> Receipt:
    """Read a statement; fields that are not known are passed over.

    Raises :class:`VerificationError`.
    """

    def fault(path: Path, message: str, hint: str) -> DrayError:
        return VerificationError(f"{what}: {dsse.describe(path, message)}", hint=hint)

    try:
        fields = Fields(parse_json(payload, limit=MAX_BYTES), (), fault)
    except ValueError as error:
        raise fault((), f"is not strict JSON: {error}", "") from None
    fields.text("_type", choices=[STATEMENT])
    fields.text("predicateType", choices=[PREDICATE])
    found = _read(Fields(fields.raw("predicate"), ("predicate",), fault))
    if found.subjects() != fields.raw("subject"):
        raise fault(("subject",), "is not what the artifacts say", "")
    return found


def _read(fields: Fields) -> Receipt:
    policy = fields.child("policy")
    overrides = list(policy.objects("overrides"))
    sizes = fields.child("bytes")
    found = Receipt(
        bundle=_bundle(fields.child("bundle")),
        verified=_verified(fields.child("verified")),
        began=_moment(fields, "began"),
        ended=_moment(fields, "ended"),
        by=fields.mapping("by"),
        targets=fields.texts("targets"),
        entries=tuple(_entries(fields)),
        sizes={name: sizes.integer(name) for name in list(sizes.names())},
        overrides={o.text("rule", limit=60): o.text("reason", limit=_TEXT) for o in overrides},
        only=policy.texts("only"),
        unread=policy.texts("unread"),
        publishers=Publishers.read(policy.child("publishers")) if "publishers" in policy else None,
        ending=Ending.read(fields.child("ending")) if "ending" in fields else None,
        scan=Scanned.read(fields.child("scan")) if "scan" in fields else None,
        promotion=Promotion.read(fields.child("promotion")) if "promotion" in fields else None,
    )
    if found.ending and found.ending.outcome == REFUSED and found.held:
        raise fields.wrong("ending", "is a refusal, and something is loaded")
    if fields.flag("complete") != found.complete:
        raise fields.wrong("complete", "is not what the artifacts say")
    return found


def _bundle(fields: Fields) -> Bundle:
    return Bundle(
        name=fields.text("name", pattern=r"[a-z0-9][a-z0-9-]{0,60}"),
        stream=fields.text("stream", pattern=STREAM),
        epoch=fields.integer("epoch"),
        sequence=fields.integer("sequence", low=1),
        manifest=fields.digest("manifest"),
        created=fields.text("created", pattern=TIME),
        expires=fields.text("expires", pattern=TIME),
        lock=fields.digest("lock"),
        spec=fields.digest("spec"),
        generator=fields.text("generator", "", limit=_TEXT),
        account=Account.read(fields.child("account")) if "account" in fields else None,
    )


def _verified(fields: Fields) -> Verified:
    signers = list(fields.objects("signers", required=True))
    trust = fields.child("trust") if "trust" in fields else None
    return Verified(
        signers={one.text("name", limit=100): one.digest("key") for one in signers},
        threshold=fields.integer("threshold", low=1),
        trust_version=trust.integer("version") if trust else 0,
        trust=trust.digest("digest") if trust else None,
        chunks=fields.integer("chunks"),
        size=fields.integer("bytes"),
    )


def _entries(fields: Fields) -> Iterator[Entry]:
    names: set[str] = set()
    for item in fields.objects("artifacts", required=True):
        entry = _entry(item)
        if entry.artifact.name in names:  # at once: a million rows of one name cost nothing
            raise fields.wrong("artifacts", "names one twice")
        names.add(entry.artifact.name)
        yield entry


def _entry(fields: Fields) -> Entry:
    replaced = [
        (item.text("place", limit=_TEXT), item.text("before", limit=_TEXT))
        for item in fields.objects("replaced")
    ]
    result = fields.text("result", choices=RESULTS)
    target, place = (fields.text(key, "", limit=_TEXT) for key in ("target", "place"))
    if result in HELD and not (target and place):
        raise fields.wrong("place", "is missing for what is at a target")
    error = fields.text("error", "", limit=_TEXT)
    pinned = fields.text("objectVersion", "", limit=_TEXT)
    quarantine = fields.text("quarantine", "", pattern=QUARANTINE, limit=255)
    contents = tuple(Content.read(item) for item in fields.objects("contents", required=True))
    artifact = Artifact.read(fields, contents)
    return Entry(artifact, result, target, place, tuple(replaced), error, pinned, quarantine)


def _moment(fields: Fields, key: str) -> datetime:
    try:
        return instant.parse(fields.text(key))
    except ValueError as error:
        raise fields.wrong(key, f"is {error}") from None
