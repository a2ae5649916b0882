"""The file keys of an export that is under way: kept on this host, never on the medium.

Each chunk has a random key of its own, which its header carries wrapped to every recipient. A run
that goes on needs it again, so it lies in the state folder, readable by the user alone, until the
bundle is sealed. Whoever has that folder and the medium can read what was written so far.
"""

from __future__ import annotations

import os
import secrets
import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDH,
    SECP256R1,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from bundle import envelope, fips, hpke, trust
from bundle.durable import sync_folder
from bundle.errors import UsageError
from bundle.segments import HEADER, MAX_RECIPIENTS
from bundle.signature import P256, PublicKey
from bundle.state import default_folder
from bundler.chunkfile import medium_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bundler.journal import Journal
    from bundler.signing import Signer

FOLDER = "export-keys"


@dataclass(frozen=True, slots=True)
class ChunkKey:
    """A chunk's file key, and the header that carries it."""

    secret: bytes = field(repr=False)
    header: bytes


def read_recipients(paths: Iterable[Path]) -> tuple[PublicKey, ...]:
    """Read public keys to encrypt to, in the order of their digests.

    Raises :class:`UsageError` for what is no P-256 key, for a key given twice and for too many.
    """
    found: dict[PublicKey, Path] = {}
    for path in paths:
        try:
            key = PublicKey.from_pem(path.read_bytes(), what=str(path))
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}") from None
        if key.algorithm != P256:
            message = f"{path} is an Ed25519 key, which only signs"
            raise UsageError(message, hint="make a pair with: dray keygen --for encryption")
        if key in found:
            raise UsageError(f"{path} is the same key as {found[key]}", hint="name each key once")
        found[key] = path
    if len(found) > MAX_RECIPIENTS:
        raise UsageError(f"{len(found)} keys to encrypt to, {MAX_RECIPIENTS} are the most")
    return tuple(sorted(found, key=lambda key: key.fingerprint))


def wrap(secret: bytes, name: str, recipients: Sequence[PublicKey]) -> bytes:
    """Return the header that carries ``secret`` for the chunk of this name."""
    return envelope.encode([_wrapped(secret, name, recipient) for recipient in recipients])


def _wrapped(secret: bytes, name: str, recipient: PublicKey) -> envelope.Wrapped:
    public = load_der_public_key(recipient.der)
    assert isinstance(public, EllipticCurvePublicKey)  # noqa: S101  (read_recipients saw to it)
    ephemeral = generate_private_key(SECP256R1())
    sender = ephemeral.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    sealed = hpke.seal(
        secret,
        agreed=ephemeral.exchange(ECDH(), public),
        sender=sender,
        recipient=public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
        info=envelope.info(name),
        aad=b"",
    )
    return envelope.Wrapped(recipient.fingerprint, sender, sealed)


class ChunkKeys:
    """The keys of one export's chunks, in a folder that ``name`` names in the journal."""

    def __init__(self, name: str, recipients: Sequence[PublicKey]) -> None:
        self.folder = default_folder() / FOLDER / name
        self._recipients = recipients
        self._known: dict[str, ChunkKey] = {}
        self._lock = threading.Lock()

    def of(self, chunk: str) -> ChunkKey:
        """Return the key of the chunk of this name; made, and kept, when there is none."""
        with self._lock:
            if chunk not in self._known:
                self._known[chunk] = self._load(chunk) or self._make(chunk)
            return self._known[chunk]

    def _load(self, chunk: str) -> ChunkKey | None:
        path = self.folder / chunk
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}") from None
        if len(data) != envelope.KEY + HEADER:
            return None  # the host died while it was written: nothing was encrypted with it
        return ChunkKey(data[: envelope.KEY], data[envelope.KEY :])

    def _make(self, chunk: str) -> ChunkKey:
        secret = fips.random_bytes(envelope.KEY)
        key = ChunkKey(secret, wrap(secret, chunk, self._recipients))
        path = self.folder / chunk
        partial = path.with_name(f"{chunk}.partial")
        with medium_errors(path):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(partial, flags, 0o600), "wb") as file:
                file.write(secret + key.header)
                file.flush()
                os.fsync(file.fileno())
            partial.rename(path)
            sync_folder(self.folder)
        return key


def keys_of(recipients: Sequence[PublicKey], journal: Journal) -> ChunkKeys | None:
    """Return the file keys of an encrypted export, which its journal names from now on."""
    if not recipients:
        return None
    if not journal.keys:
        journal.write(keys=secrets.token_hex(8))
    return ChunkKeys(journal.keys, recipients)


def discard(name: str) -> None:
    """Delete the keys of an export that is complete, or given up; no name has none."""
    if name:
        shutil.rmtree(default_folder() / FOLDER / name, ignore_errors=True)


def check_apart(
    folders: Iterable[Path],
    recipients: Iterable[PublicKey],
    signers: Iterable[Signer],
    spec: Path,
) -> None:
    """Refuse keys that sign as keys to encrypt to, and a state folder that lies on the medium."""
    known = {signer.public_key: f"the key of {signer.name}" for signer in signers}
    for place in (spec.resolve().parent / "trust.json", Path("trust.json")):
        if place.is_file():
            known |= {key: f"{name} in {place}" for name, key in trust.load(place).keys.items()}
    for recipient in recipients:
        if recipient in known:
            message = f"{known[recipient]} signs, and must not open chunks as well"
            raise UsageError(message, hint="make a pair with: dray keygen --for encryption")
    state = default_folder().resolve()
    for folder in folders:
        if state.is_relative_to(folder.resolve()):
            message = f"{state} lies in {folder}: the chunks' keys would lie on the medium"
            raise UsageError(message, hint="set DRAY_STATE_DIR to a folder of this host")
