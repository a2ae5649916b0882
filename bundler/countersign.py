"""Adds a signature to a finished bundle and touches nothing else: the second person of two."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bundle import instant
from bundle.digest import Digest
from bundle.durable import make_folder
from bundle.errors import GateRefused, NotTrusted, UsageError, VerificationError
from bundle.manifest import Manifest
from bundle.media import Media
from bundle.options import find_trust
from bundle.signature import parse_sigstore
from bundle.trust import Verified
from bundler import lock as locks
from bundler import lockdiff
from bundler.chunkfile import MediumError
from bundler.finish import put

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bundle.trust import Trust
    from bundler.lock import Lock
    from bundler.signing import Signer

MIN_EXPECTED = 20
"""The fewest hex digits of a digest that say which bundle is meant."""


@dataclass(frozen=True)
class Draft:
    """A bundle to be signed by one more person: what it says, and who vouches for it so far."""

    media: Media
    data: bytes
    manifest: Manifest
    trusted: Trust
    signers: tuple[str, ...]

    @property
    def digest(self) -> Digest:
        """The digest of what is signed."""
        return Digest.of(self.data)

    @property
    def places(self) -> list[Path]:
        """The copies of the manifest that are here, one on each medium."""
        return list(self.media.places(f"{self.media.name}.manifest.json"))

    def lock(self) -> Lock:
        """Return the bundle's lock; raise when it is not the one that the manifest names."""
        name = f"{self.media.name}.lock.yaml"
        (path, *_) = self.media.places(name) or (self.places[0].with_name(name),)
        data = self.media.read(path, locks.MAX_BYTES)
        if Digest.of(data) != self.manifest.lock:
            raise VerificationError(f"{path} is not the lock that the manifest names")
        return locks.parse(data, path)


def read(folder: Path, trust: Path | None, pub: Path | None) -> Draft:
    """Find the bundle in ``folder``; a medium of several is enough.

    The manifest's signature is verified first: nobody puts a name to bytes that nobody vouches for.
    """
    media = Media.find([folder])
    trusted = find_trust(trust, pub, media.folders)
    trusted.check_current(instant.now())
    signatures = media.signatures()
    copies = media.manifests()
    names = [trusted.verified_by(data, signatures).names for _path, data in copies]
    if len({data for _path, data in copies}) > 1:
        message = f"{folder} holds different manifests of {media.name}"
        raise VerificationError(message, hint="sign one medium at a time, after dray verify")
    data = copies[0][1]
    manifest = Manifest.from_bytes(data)
    if manifest.name != media.name:
        message = f"the files are named {media.name}, but what was signed is {manifest.name}"
        raise VerificationError(message, hint="a bundle cannot be renamed: copy it again")
    draft = Draft(media, data, manifest, trusted, tuple(sorted(names[0])))
    _check_stream(draft)
    return draft


def _check_stream(draft: Draft) -> None:
    """Refuse what is vouched for only by keys of other streams: one more might make it enough."""
    name = draft.manifest.stream
    wanted = draft.trusted.streams.get(name, draft.trusted.anywhere)
    if wanted is None or not set(draft.signers) & set(wanted.keys):
        may = ", ".join(wanted.keys) if wanted else "nobody"
        message = f"{', '.join(draft.signers)} may not sign for the stream {name!r}: {may} may"
        raise NotTrusted(message, hint="one whom the stream names has to sign first")


def standing(draft: Draft, signers: Iterable[Signer]) -> str:
    """Return whether the signatures are enough now, and else who is missing.

    It is empty when the trust file cannot tell, being a single key.
    """
    trusted = draft.trusted
    if trusted.anywhere:
        return ""
    mine = {signer.public_key for signer in signers}
    named = {name for name, key in trusted.keys.items() if key in mine}
    if len(named) < len(mine):
        return "the trust file does not know this key: it counts for nothing there"
    try:
        found = Verified(frozenset(draft.signers) | named)
        enough = trusted.require(found, draft.manifest.stream, instant.now())
    except NotTrusted as error:
        return f"not enough yet: {error.message}"
    return f"enough: signed by {enough}"


def check_expected(draft: Draft, expected: str) -> None:
    """Raise :class:`GateRefused` when ``expected`` is not how the manifest's digest begins."""
    wanted = "".join(expected.lower().removeprefix("sha256:").replace("-", " ").split())
    if len(wanted) < MIN_EXPECTED or set(wanted) - set("0123456789abcdef"):
        hint = f"the first {MIN_EXPECTED} digits or more of the manifest's digest"
        raise UsageError(f"not a digest to expect: {expected[:80]!r}", hint=hint)
    if not draft.digest.hex.startswith(wanted):
        message = f"the manifest of {draft.media.name} is {draft.digest}, not what is expected"
        raise GateRefused(message, hint="do not sign it; ask who exported it")


def check_lock(draft: Draft, path: Path) -> None:
    """Raise :class:`GateRefused` when the bundle is not of the lock in ``path``, and say why."""
    reviewed = locks.load(path)
    if reviewed.digest == draft.manifest.lock:
        return
    rows = lockdiff.changes(reviewed, draft.lock())
    moved = "; ".join(f"{row['change']}: {row['artifact']}" for row in rows[:8])
    more = f"; and {len(rows) - 8} more" if len(rows) > 8 else ""
    message = f"{draft.media.name} is not of the lock {path} ({moved or 'same artifacts'}{more})"
    raise GateRefused(message, hint="do not sign it, or review the bundle's own lock first")


def add(draft: Draft, signer: Signer, out: Path | None = None) -> list[Path]:
    """Sign the manifest; return the files written: beside each copy of it, or into ``out``."""
    # Signed once: the copies on the media are the same file, as everything but the chunks is.
    files = signer.files(draft.places[0].name, draft.data)
    for name, content in draft.media.signatures().items():
        _refuse_another(Path(name).name, content, files, signer)
    folders = [out] if out else [path.parent for path in draft.places]
    if out:
        make_folder(out)
    written = []
    for name, content in files.items():
        for folder in folders:
            _put(folder / name, content, elsewhere=out is not None)
            written.append(folder / name)
    return written


def _put(path: Path, data: bytes, *, elsewhere: bool) -> None:
    try:
        put(path, data)
    except MediumError as error:
        hint = error.hint if elsewhere else "--out DIR writes the signature's files elsewhere"
        raise MediumError(error.message, hint=hint) from None


def _refuse_another(name: str, content: bytes, files: Mapping[str, bytes], signer: Signer) -> None:
    """Never replace somebody else's signature: a signer's name is only that of a key file."""
    if name not in files:
        return
    try:
        theirs = parse_sigstore(content)
    except NotTrusted:
        return  # a broken one: nobody's
    if theirs.hint != parse_sigstore(files[name]).hint:
        raise UsageError(
            f"another key's signature has the name {signer.name} already",
            hint="rename your key file, for its name is the signer's name; or give another "
            "--signer-name",
        )
