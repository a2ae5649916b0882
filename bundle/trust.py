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

from bundle import instant, signature
from bundle.decode import Fields, dump_json, parse_json, spell
from bundle.errors import DrayError, NotTrusted, UsageError
from bundle.signature import SIGNER, PublicKey

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterable, Mapping
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
class Role:
    """Names of keys, and how many of them must have signed.

    ``epoch`` counts the restarts of a stream's sequence; it is 0 for the root role.
    """

    keys: tuple[str, ...]
    threshold: int
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class Verified:
    """Who signed some bytes, and which signature files counted for nothing, with the reason."""

    names: frozenset[str]
    ignored: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Signers:
    """Who signed for a stream, of those who may: the evidence that goes into the receipt."""

    names: tuple[str, ...]
    threshold: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Trust:
    """A trust file; see ``schemas/README.md``, "Trust file".

    ``anywhere`` is the role for streams that ``streams`` does not name. No file can say so: it is
    there for a single key that somebody names on the command line. ``expires`` is None only then.
    """

    version: int
    expires: datetime | None
    keys: Mapping[str, PublicKey]
    root: Role
    streams: Mapping[str, Role]
    anywhere: Role | None = None

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

    def _signer(self, data: bytes, sha256: bytes, content: bytes) -> str:
        try:
            parsed = signature.parse_sigstore(content, what="it")
        except NotTrusted as error:
            return _Reason(error.message)
        if parsed.message_digest.hex != sha256.hex():
            return _OTHER_BYTES
        # The hint only says whom to try first: it is not signed.
        for name in sorted(self.keys, key=lambda name: self.keys[name].hint != parsed.hint):
            if signature.verify_hashed(self.keys[name], parsed.signature, data, sha256):
                return name
        if any(key.hint == parsed.hint for key in self.keys.values()):
            return _Reason("it names a trusted key, whose signature it is not")
        return _Reason("no trusted key made it")

    def _unsigned(self, ignored: Mapping[str, str]) -> NotTrusted:
        if not ignored:
            message = "no signature file is here"
            return NotTrusted(message, hint="copy the *.sigstore.json files beside the manifest")
        reasons = "; ".join(f"{name}: {reason}" for name, reason in list(ignored.items())[:4])
        more = f"; and {len(ignored) - 4} more" if len(ignored) > 4 else ""
        if _OTHER_BYTES in ignored.values():
            hint = "one of them was damaged or changed: copy it and its signature files again"
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
        role = self.streams.get(stream, self.anywhere)
        if role is None:
            known = ", ".join(sorted(self.streams)) or "none"
            raise NotTrusted(
                f"nobody is trusted to sign for the stream {stream!r}",
                hint=f"streams in the trust file: {known}; a new one takes a new trust file",
            )
        counted = self._count(role, signers.names)
        if len(counted) < role.threshold:
            raise _too_few(f"the stream {stream!r}", role, counted, signers)
        return Signers(counted, role.threshold, role.epoch)

    def check_current(self, now: datetime) -> None:
        """Raise :class:`NotTrusted` when the trust file has expired at ``now``."""
        if self.expires is not None and now >= self.expires:
            raise NotTrusted(
                f"the trust file (version {self.version}) expired on {instant.spell(self.expires)}",
                hint=f"bring version {self.version + 1}, signed by its root keys",
            )

    def _count(self, role: Role, names: Iterable[str]) -> tuple[str, ...]:
        # By key and not by name: whoever built this object may have given one key two names.
        seen = {self.keys[name].fingerprint: name for name in sorted(names) if name in role.keys}
        return tuple(sorted(seen.values()))

    def to_dict(self) -> dict[str, Any]:
        """Return the document; a single key given by hand has none and raises ``ValueError``."""
        if self.expires is None or self.anywhere is not None:
            msg = "a single key is no trust file"
            raise ValueError(msg)
        streams = {
            name: {"keys": list(role.keys), "threshold": role.threshold, "epoch": role.epoch}
            for name, role in self.streams.items()
        }
        return {
            "mediaType": MEDIA_TYPE,
            "version": self.version,
            "expires": instant.spell(self.expires),
            "keys": [{"name": name, "pem": key.pem} for name, key in self.keys.items()],
            "root": {"keys": list(self.root.keys), "threshold": self.root.threshold},
            "streams": streams,
        }

    def to_bytes(self) -> bytes:
        """Return the bytes of the file, which its root keys sign."""
        return dump_json(self.to_dict())


class _Reason(str):
    """Why a signature file counts for nothing."""

    __slots__ = ()


_OTHER_BYTES = _Reason("it was made for other bytes")
_SKIPPED = _Reason(f"it is beyond the {MAX_SIGNATURES} files that are looked at")


def _too_few(what: str, role: Role, counted: tuple[str, ...], signers: Verified) -> NotTrusted:
    missing = role.threshold - len(counted)
    message = f"{what} needs {role.threshold} signature{'s' if role.threshold > 1 else ''}"
    message += f" of {', '.join(role.keys)}; {missing} missing"
    message += f", signed by {', '.join(counted)}" if counted else ""
    if others := sorted(signers.names - set(counted)):
        message += f"; {', '.join(others)} signed but may not"
    for name, reason in list(signers.ignored.items())[:4]:
        message += f"; {name}: {reason}"
    waiting = [name for name in role.keys if name not in counted]
    who = waiting[0] if len(waiting) == 1 else f"one of {', '.join(waiting)}"
    return NotTrusted(message, hint=f"let {who} add a signature: dray sign DIR")


def single_key(pem: str | bytes, name: str = "key") -> Trust:
    """Trust one key for every stream, with no end: what ``--key PUB`` means."""
    key = PublicKey.from_pem(pem, what=f"the key {name!r}")
    role = Role((name,), 1)
    return Trust(0, None, {name: key}, role, {}, anywhere=role)


def load(path: pathlib.Path) -> Trust:
    """Read a trust file of this host; :class:`UsageError` names the file, the place, the fault."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        hint = "make one with dray init or dray trust"
        raise UsageError(f"cannot read the trust file {path}: {reason}", hint=hint) from None
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
    counted = trust._count(trust.root, signers.names)
    if len(counted) < trust.root.threshold:
        raise _too_few(what, trust.root, counted, signers)


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
    keys = _keys(fields)
    trust = Trust(
        version=version,
        expires=expires,
        keys=keys,
        root=_role(_object(fields, "root"), keys, epoch=False),
        streams=_streams(_object(fields, "streams"), keys),
    )
    fields.done(("mediaType", "version", "expires", "keys", "root", "streams"))
    return trust


def _object(fields: Fields, key: str) -> Fields:
    # Fields.child reads a missing object as empty; here each must be written down.
    return Fields(fields.raw(key), (*fields.path, key), fields.fault)


def _moment(fields: Fields, key: str) -> datetime:
    try:
        return instant.parse(fields.text(key))
    except ValueError as error:
        raise fields.wrong(key, f"is {error}") from None


def _keys(fields: Fields) -> dict[str, PublicKey]:
    keys: dict[str, PublicKey] = {}
    for item in fields.objects("keys", required=True):
        name = item.text("name", pattern=SIGNER)
        if name in keys:
            raise item.wrong("name", f"{name!r} is there twice")
        key = _key(item)
        for other, known in keys.items():
            if known == key:
                hint = "a key counts once, so it has one name: remove one of the two"
                raise item.wrong("pem", f"is the key of {other!r} again", hint)
        item.done(("name", "pem"))
        keys[name] = key
    if not 1 <= len(keys) <= MAX_KEYS:
        raise fields.wrong("keys", f"has {len(keys)} keys, not from 1 to {MAX_KEYS}")
    return keys


def _key(item: Fields) -> PublicKey:
    pem = item.text("pem", limit=signature.MAX_PEM)
    try:
        return PublicKey.from_pem(pem, what="the key")
    except UsageError as error:
        raise item.wrong("pem", f"{error.message}", error.hint) from None


def _streams(fields: Fields, keys: Mapping[str, PublicKey]) -> dict[str, Role]:
    streams: dict[str, Role] = {}
    for name in fields.names():
        # Read through a mapping of one, so that a bad name is reported like any other text.
        Fields({"stream": name}, fields.path, fields.fault).text("stream", pattern=STREAM)
        streams[name] = _role(_object(fields, name), keys, epoch=True)
    return streams


def _role(fields: Fields, keys: Mapping[str, PublicKey], *, epoch: bool) -> Role:
    names = fields.texts("keys", pattern=SIGNER)
    for number, name in enumerate(names):
        path = (*fields.path, "keys", number)
        if name not in keys:
            hint = "keys in this file: " + ", ".join(keys)
            raise fields.fault(path, f"{name!r} is not among the keys", hint)
        if name in names[:number]:
            raise fields.fault(path, f"{name!r} is there twice", "")
    if not names:
        raise fields.wrong("keys", "names no key")
    threshold = fields.integer("threshold", low=1)
    if threshold > len(names):
        raise fields.wrong("threshold", f"is {threshold}, but there are {len(names)} keys")
    role = Role(names, threshold, fields.integer("epoch", 0) if epoch else 0)
    fields.done(("keys", "threshold", "epoch") if epoch else ("keys", "threshold"))
    return role
