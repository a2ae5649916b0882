"""Whom the high side believes: the trust file, and the count of its keys over a signed document.

Two steps, in this order. :meth:`Trust.verified_by` finds whose signatures verify over the exact
bytes and looks at nothing in them; only then may the caller parse the bytes. :meth:`Trust.require`
then decides whether those signers are enough for the stream that the document names. The shape and
the rule for a new version are those of TUF's root role (TUF specification, sections 4.3 and 5.3).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bundle import fips, instant, receiptkeys, signature
from bundle.decode import Fields, dump_json, parse_json, spell
from bundle.digest import Digest
from bundle.errors import DrayError, NotTrusted, UsageError
from bundle.quorum import MAX_ROLES, Ballot, Role, Signers, Stream, fill
from bundle.receiptkeys import ReceiptKeys
from bundle.signature import SIGNER, PublicKey

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from bundle.decode import Fault, Path

MEDIA_TYPE = "application/vnd.dray.trust.v1+json"
MAX_BYTES = 1 << 20
"""The largest trust file that is read, in bytes."""
MAX_KEYS = 64
MAX_SIGNATURES = 64
"""The most signature files that are tried for one document."""
STREAM = r"[a-z0-9][a-z0-9-]{0,39}"


@dataclass(frozen=True, slots=True)
class Verified:
    """Who signed some bytes, and which signature files counted for nothing, with the reason."""

    names: frozenset[str]
    ignored: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trust:
    """A trust file; see ``schemas/README.md``, "Trust file".

    ``people`` says whose a key is, by the key's name; a key that it lacks is of a person of its own
    name. ``anywhere`` is for streams that ``streams`` does not name. No file can say so: it is
    there for a single key that somebody names on the command line. ``expires`` is None only then.
    ``digest`` is that of the file's bytes, for the record; None when this was no file.
    """

    version: int
    expires: datetime | None
    keys: Mapping[str, PublicKey]
    root: Role
    streams: Mapping[str, Stream]
    anywhere: Stream | None = None
    people: Mapping[str, str] = field(default_factory=dict)
    digest: Digest | None = field(default=None, compare=False)
    receipts: ReceiptKeys = field(default_factory=ReceiptKeys)
    """Keys of high sides that sign receipts of imports, and nothing else."""

    def verified_by(self, data: bytes, signature_files: Mapping[str, bytes]) -> Verified:
        """Find whose signatures verify over ``data``, of which not a byte is parsed.

        ``signature_files`` maps file names to Sigstore bundles; a file that is broken or by an
        unknown key counts for nothing and hinders nothing. Raises :class:`NotTrusted` when nobody
        is left.
        """
        sha256 = hashlib.sha256(data).digest()
        names: set[str] = set()
        ignored: dict[str, str] = {}
        for number, (name, content) in enumerate(sorted(signature_files.items())):
            found = self._signer(data, sha256, content) if number < MAX_SIGNATURES else _SKIPPED
            if isinstance(found, _Reason):
                ignored[name] = found
            else:
                names.add(found)
        if not names:
            raise self._unsigned(ignored)
        return Verified(frozenset(names), ignored)

    def root_signers(self, data: bytes, signature_files: Mapping[str, bytes]) -> frozenset[str]:
        """Return the root keys among those whose signatures verify; see :meth:`verified_by`."""
        return self.verified_by(data, signature_files).names & {*self.root.keys}

    def _signer(self, data: bytes, sha256: bytes, content: bytes) -> str:
        try:
            parsed = signature.parse_sigstore(content, what="it")
        except NotTrusted as error:
            return _Reason(error.message)
        if parsed.message_digest.hex != sha256.hex():
            return _OTHER_BYTES
        # The hint only says whom to try first: it is not signed.
        names = [name for name, key in self.keys.items() if fips.takes(key.algorithm)]
        for name in sorted(names, key=lambda name: self.keys[name].hint != parsed.hint):
            if signature.verify_hashed(self.keys[name], parsed.signature, data, sha256):
                return name
        named = [key for key in self.keys.values() if key.hint == parsed.hint]
        if any(not fips.takes(key.algorithm) for key in named):
            return _UNAPPROVED
        if named:
            return _Reason("it names a trusted key, whose signature it is not")
        return _STRANGE

    def _unsigned(self, ignored: Mapping[str, str]) -> NotTrusted:
        if not ignored:
            message = "no signature file is here"
            return NotTrusted(message, hint="copy the *.sigstore.json files beside the manifest")
        reasons = "; ".join(f"{name}: {reason}" for name, reason in list(ignored.items())[:4])
        more = f"; and {len(ignored) - 4} more" if len(ignored) > 4 else ""
        if _OTHER_BYTES in ignored.values():
            hint = "one of them was damaged or changed: copy it and its signature files again"
            return NotTrusted(f"no trusted key signed this ({reasons}{more})", hint=hint)
        if _SKIPPED in ignored.values():
            hint = f"remove signature files that nobody of yours made: {MAX_SIGNATURES} are tried"
            return NotTrusted(f"no trusted key signed this ({reasons}{more})", hint=hint)
        known = ", ".join(f"{name} {key.fingerprint.short}" for name, key in self.keys.items())
        hint = f"trusted keys: {known}; compare their fingerprints with the signer's"
        return NotTrusted(f"no trusted key signed this ({reasons}{more})", hint=hint)

    def require(self, signers: Verified, stream: str, now: datetime) -> Signers:
        """Return who signed for ``stream`` when they are enough at the moment ``now``.

        Raises :class:`NotTrusted`: the trust file has expired, the stream is unknown to it, or too
        few of the stream's keys signed.
        """
        self.check_current(now)
        wanted = self.streams.get(stream, self.anywhere)
        if wanted is None:
            known = ", ".join(sorted(self.streams)) or "none"
            raise NotTrusted(
                f"nobody is trusted to sign for the stream {stream!r}",
                hint=f"streams in the trust file: {known}; a new one takes a new trust file",
            )
        ballot = self.ballot(wanted.roles, signers)
        if not ballot.is_enough():
            raise ballot.too_few(f"the stream {stream!r}", signers.ignored)
        return ballot.signers(wanted.epoch)

    def ballot(self, roles: tuple[Role, ...], signers: Verified) -> Ballot:
        """Return the count of ``signers`` for ``roles``."""
        # By key and not by name: whoever built this object may have given one key two names.
        whose: dict[Digest, str] = {}
        for name, key in self.keys.items():
            whose.setdefault(key.fingerprint, self.people.get(name, name))
        people = {name: whose[key.fingerprint] for name, key in self.keys.items()}
        return Ballot(roles, people, {name: people[name] for name in signers.names})

    def check_current(self, now: datetime) -> None:
        """Raise :class:`NotTrusted` when the trust file has expired at ``now``."""
        if self.expires is not None and now >= self.expires:
            raise NotTrusted(
                f"the trust file (version {self.version}) expired on {instant.spell(self.expires)}",
                hint=f"bring version {self.version + 1}, signed by its root keys",
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the document; a single key given by hand has none and raises ``ValueError``."""
        if self.expires is None or self.anywhere is not None:
            msg = "a single key is no trust file"
            raise ValueError(msg)
        return {
            "mediaType": MEDIA_TYPE,
            "version": self.version,
            "expires": instant.spell(self.expires),
            "keys": [
                {"name": name, "pem": key.pem, **_if("person", self.people.get(name, ""))}
                for name, key in self.keys.items()
            ],
            "root": _spelled(self.root),
            "streams": {name: _stream_spelled(stream) for name, stream in self.streams.items()},
            **({"receipts": self.receipts.to_list()} if self.receipts.keys else {}),
        }

    def to_bytes(self) -> bytes:
        """Return the bytes of the file, which its root keys sign."""
        return dump_json(self.to_dict())


class _Reason(str):
    """Why a signature file counts for nothing."""

    __slots__ = ()


_OTHER_BYTES = _Reason("it was made for other bytes")
_SKIPPED = _Reason(f"it is beyond the {MAX_SIGNATURES} files that are looked at")
_STRANGE = _Reason("no trusted key made it")
_UNAPPROVED = _Reason("it names an Ed25519 key, and --fips takes none")
HARMLESS = frozenset({_STRANGE, _UNAPPROVED})
"""Reasons that are no fault of the medium: somebody signed who does not count here."""
SKIPPED: str = _SKIPPED
"""The reason for all files that are too many."""


def _if(key: str, text: str) -> dict[str, str]:
    return {key: text} if text else {}


def _spelled(role: Role) -> dict[str, object]:
    return {**_if("name", role.name), "keys": list(role.keys), "threshold": role.threshold}


def _stream_spelled(stream: Stream) -> dict[str, object]:
    named = any(role.name for role in stream.roles)
    roles = [_spelled(role) for role in stream.roles]
    return {**({"roles": roles} if named else roles[0]), "epoch": stream.epoch}


def single_key(pem: str | bytes, name: str = "key", what: str = "the key") -> Trust:
    """Trust one key for every stream, with no end: what ``--pub FILE`` means."""
    key = PublicKey.from_pem(pem, what=what)
    role = Role((name,), 1)
    return Trust(0, None, {name: key}, role, {}, anywhere=Stream((role,)))


def load(path: pathlib.Path) -> Trust:
    """Read a trust file of this host; :class:`UsageError` names the file, the place, the fault."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        hint = "make one with dray init or dray trust"
        raise UsageError(f"cannot read the trust file {path}: {reason}", hint=hint) from None
    if data.lstrip().startswith(b"-----BEGIN"):
        hint = "a public key: name it with --pub, or bring the trust file of the low side"
        raise UsageError(f"{path} is no trust file", hint=hint)
    return read(data, what=str(path))


def read(data: bytes, *, what: str = "trust file") -> Trust:
    """Read a trust file; raise :class:`UsageError` with the place and the fault.

    An expired file is read: expiry is for the moment of use.
    """

    def fault(path: Path, message: str, hint: str) -> DrayError:
        where = f"{spell(path)}: " if path else ""
        return UsageError(f"{what}: {where}{message}", hint=hint)

    return _read(data, fault)


def accept_next(current: Trust, data: bytes, signature_files: Mapping[str, bytes]) -> Trust:
    """Return the trust file that follows ``current``: TUF's rule, both versions' roots must sign.

    Nothing of ``data`` is parsed before the old root's threshold is met over its bytes. The expiry
    of either is not looked at here, so that a site that slept for years can walk the whole chain;
    the last one is checked when it is used. Raises :class:`NotTrusted`.
    """
    _require_root(current, data, signature_files, f"trust file version {current.version + 1}")

    def fault(path: Path, message: str, hint: str) -> DrayError:
        where = f"{spell(path)}: " if path else ""
        return NotTrusted(f"the new trust file: {where}{message}", hint=hint)

    new = _read(data, fault)
    if new.version != current.version + 1:
        raise NotTrusted(
            f"the new trust file has version {new.version}, and {current.version} is in use",
            hint=f"versions go one by one: apply version {current.version + 1}",
        )
    _require_root(new, data, signature_files, f"trust file version {new.version}, by its own rule,")
    return new


def _require_root(trust: Trust, data: bytes, files: Mapping[str, bytes], what: str) -> None:
    signers = trust.verified_by(data, files)
    ballot = trust.ballot((trust.root,), signers)
    if not ballot.is_enough():
        raise ballot.too_few(what, signers.ignored)


def _read(data: bytes, fault: Fault) -> Trust:
    try:
        document = parse_json(data, limit=MAX_BYTES)
    except ValueError as error:
        raise fault((), f"is not strict JSON: {error}", "") from None
    fields = Fields(document, (), fault)
    media_type = fields.text("mediaType")
    if media_type != MEDIA_TYPE:
        hint = f"this dray reads {MEDIA_TYPE}; a newer file takes a newer dray"
        raise fields.wrong("mediaType", f"is {media_type[:80]!r}", hint)
    version = fields.integer("version", low=1)
    expires = _moment(fields, "expires")
    keys, people = _keys(fields)
    trust = Trust(
        version=version,
        expires=expires,
        keys=keys,
        root=_role(_object(fields, "root"), keys, people, ("keys", "threshold")),
        streams=_streams(_object(fields, "streams"), keys, people),
        people=people,
        digest=Digest.of(data),
        receipts=receiptkeys.read(fields, keys),
    )
    fields.done(("mediaType", "version", "expires", "keys", "root", "streams", "receipts"))
    return trust


def _object(fields: Fields, key: str) -> Fields:
    # Fields.child reads a missing object as empty; here each must be written down.
    return Fields(fields.raw(key), (*fields.path, key), fields.fault)


def _moment(fields: Fields, key: str) -> datetime:
    try:
        return instant.parse(fields.text(key))
    except ValueError as error:
        raise fields.wrong(key, f"is {error}") from None


def _keys(fields: Fields) -> tuple[dict[str, PublicKey], dict[str, str]]:
    keys: dict[str, PublicKey] = {}
    people: dict[str, str] = {}
    for item in fields.objects("keys", required=True):
        name = item.text("name", pattern=SIGNER)
        if name in keys:
            raise item.wrong("name", f"{name!r} is there twice")
        key = receiptkeys.read_key(item)
        for other, known in keys.items():
            if known == key:
                hint = "a key counts once, so it has one name: remove one of the two"
                raise item.wrong("pem", f"is the key of {other!r} again", hint)
        if "person" in item:
            people[name] = item.text("person", pattern=SIGNER)
        item.done(("name", "pem", "person"))
        keys[name] = key
    if not 1 <= len(keys) <= MAX_KEYS:
        raise fields.wrong("keys", f"has {len(keys)} keys, not from 1 to {MAX_KEYS}")
    return keys, people


def _streams(
    fields: Fields, keys: Mapping[str, PublicKey], people: Mapping[str, str]
) -> dict[str, Stream]:
    streams: dict[str, Stream] = {}
    for name in fields.names():
        # Read through a mapping of one, so that a bad name is reported like any other text.
        Fields({"stream": name}, fields.path, fields.fault).text("stream", pattern=STREAM)
        streams[name] = _stream(_object(fields, name), keys, people)
    return streams


def _stream(fields: Fields, keys: Mapping[str, PublicKey], people: Mapping[str, str]) -> Stream:
    epoch = fields.integer("epoch", 0)
    if "roles" not in fields:
        return Stream((_role(fields, keys, people, ("keys", "threshold", "epoch")),), epoch)
    roles: list[Role] = []
    for item in fields.objects("roles"):
        name = item.text("name", pattern=SIGNER)
        if any(name == role.name for role in roles):
            raise item.wrong("name", f"{name!r} is there twice")
        roles.append(_role(item, keys, people, ("name", "keys", "threshold"), name))
    if not 1 <= len(roles) <= MAX_ROLES:
        raise fields.wrong("roles", f"has {len(roles)} roles, not from 1 to {MAX_ROLES}")
    stream = Stream(tuple(roles), epoch)
    everybody = {key: people.get(key, key) for key in stream.keys}
    if sum(map(len, fill(roles, everybody))) < stream.threshold:
        message = f"need {stream.threshold} different people, and there are not so many for them"
        raise fields.wrong("roles", message, "nobody can fill two roles, nor with two keys")
    fields.done(("roles", "epoch"))
    return stream


def _role(
    fields: Fields,
    keys: Mapping[str, PublicKey],
    people: Mapping[str, str],
    known: Sequence[str],
    name: str = "",
) -> Role:
    names = fields.texts("keys", pattern=SIGNER)
    for number, key in enumerate(names):
        path = (*fields.path, "keys", number)
        if key not in keys:
            hint = "keys in this file: " + ", ".join(keys)
            raise fields.fault(path, f"{key!r} is not among the keys", hint)
        if key in names[:number]:
            raise fields.fault(path, f"{key!r} is there twice", "")
    if not names:
        raise fields.wrong("keys", "names no key")
    threshold = fields.integer("threshold", low=1)
    if threshold > len(names):
        raise fields.wrong("threshold", f"is {threshold}, but there are {len(names)} keys")
    if threshold > (several := len({people.get(key, key) for key in names})):
        hint = "a person counts once, whichever of their keys signed"
        raise fields.wrong("threshold", f"is {threshold}, but the keys are of {several}", hint)
    fields.done(known)
    return Role(names, threshold, name)
