"""OMS signatures of models: a signed list of files, compared with the digests that are pinned.

Nothing is hashed here: the lock and the manifest pin the SHA-256 of each file, and every byte that
is carried or loaded is checked against those. So a list by shards counts where each file is one
shard, and is refused where one is more (docs/adr/0026-shards-of-models.md). Source: OpenSSF Model
Signing 1.0, and what the ``model-signing`` library writes and accepts.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from bundle.artifact import path_fault
from bundle.errors import NotTrusted
from bundle.upstream import shards, statement
from bundle.upstream.cosign import stranger
from bundle.upstream.envelope import IN_TOTO, Envelope, parse
from bundle.upstream.record import OMS, Proof
from bundle.upstream.shards import Row

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bundle.decode import Fields
    from bundle.digest import Digest
    from bundle.upstream.keys import Keys, RawKey

PREDICATE = "https://model_signing/signature/v1.0"
EARLY = "https://model_signing/Digests/v0.1"
"""What the library wrote before 1.0, when models were signed with it already."""
GIT = (".git", ".gitattributes", ".github", ".gitignore")
"""What the library never looks at in a model's folder."""
MAX_FILES = 100_000
BY_HAND = (
    "only the SHA-256 of whole files is compared, and no file is read again: verify the model with"
    " model_signing yourself and leave it out of require-signature, or ask its publisher for a"
    " signature by whole files with SHA-256; docs/signatures.md"
)


class Described(Protocol):
    """A file that is carried."""

    @property
    def digest(self) -> Digest: ...  # noqa: D102

    @property
    def size(self) -> int: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Listing:
    """What was signed: rows by path, and the paths that the signer left out on purpose.

    ``shard`` is the size of shards in bytes, 0 where files are listed whole.
    """

    files: Mapping[str, Row]
    ignored: tuple[str, ...] = GIT
    shard: int = 0


@dataclass(frozen=True, slots=True)
class ModelSigning:
    """A model's signature. ``files`` are those carried, ``own`` the path of the signature itself.

    ``root`` is the manifest that lists them. With ``partial`` some of the model's files are left
    behind, as a NIM's profile needs: each carried one must be as signed, and those are no fault.
    """

    where: str
    root: Digest
    data: bytes
    files: Mapping[str, Described]
    own: str = ""
    partial: bool = False

    def prove(self, keys: Keys) -> Proof:
        """Return who signed these files; raise :class:`NotTrusted` with the reason why nobody."""
        made = parse(self.data, self.where)
        if not isinstance(made, Envelope):
            raise NotTrusted(f"{self.where} signs one file, and lists none")
        if len(made.signatures) != 1:
            raise NotTrusted(f"{self.where} has {len(made.signatures)} signatures, not one")
        key = made.maker(keys) or _early_maker(made, keys)
        if key is None:
            raise stranger(self.where, keys)
        self._compare(listing(made, self.where))
        return Proof(OMS, key.name, key.fingerprint, self.root)

    def _compare(self, signed: Listing) -> None:
        carried = {path: found for path, found in self.files.items() if path != self.own}
        for path, file in carried.items():
            if path in signed.files:
                self._compare_one(path, file, signed.files[path])
            elif not any(path == out or path.startswith(f"{out}/") for out in signed.ignored):
                no_row = " (it is empty: lists by shards leave such files out)"
                why = no_row if signed.shard and not file.size else ""
                raise NotTrusted(f"{self.where} does not cover the file {path}{why}")
        missing = [path for path in signed.files if path not in carried and path != self.own]
        if missing and not self.partial:
            raise NotTrusted(f"{self.where} covers {missing[0]}, which is not among the files")
        if not any(path in signed.files for path in carried):
            raise NotTrusted(f"{self.where} covers none of the files")
        for path in carried:
            row = signed.files.get(path)
            if row and row.shards > 1:
                message = f"{self.where} signs {path} in {row.shards} shards of {signed.shard}"
                raise NotTrusted(f"{message} bytes, not as a whole", hint=BY_HAND)

    def _compare_one(self, path: str, file: Described, row: Row) -> None:
        if row.size not in {None, file.size} or (row.shards == 1 and row.digest != file.digest.hex):
            raise NotTrusted(f"{self.where} signs other bytes as {path}")


def _early_maker(made: Envelope, keys: Keys) -> RawKey | None:
    # Releases before 1.0 signed Python's spelling of the payload's bytes, by mistake. It is one
    # spelling for each payload, so what it signs is no less certain; the library takes it too.
    kind, payload = made.payload_type, made.payload
    if kind != IN_TOTO:
        return None
    text = f"DSSEV1 {len(kind)} {kind} {len(payload)} {payload!r}"
    return keys.maker(made.signatures[0], text.encode())


def listing(made: Envelope, where: str) -> Listing:
    """Read the payload of an envelope whose signature was verified."""
    said = statement.read(made, where)
    if said.predicate_type == EARLY:
        pairs = [(subject.name, subject.digests.get("sha256", "")) for subject in said.subjects]
        return Listing(_files(pairs, where))
    if said.predicate_type != PREDICATE:
        raise NotTrusted(f"{where} says {said.predicate_type[:80]!r}, and lists no model's files")
    predicate = said.predicate
    ignored, shard = _serialization(predicate.child("serialization"))
    algorithm = f"sha256-sharded-{shard}" if shard else "sha256"
    pairs = [_resource(item, algorithm) for item in predicate.objects("resources", required=True)]
    files = _files(pairs, where, shard)
    whole = hashlib.sha256(b"".join(bytes.fromhex(digest) for _path, digest in pairs)).hexdigest()
    if len(said.subjects) != 1 or said.subjects[0].digests.get("sha256") != whole:
        raise NotTrusted(f"{where} contradicts itself: its subject is not the list of its files")
    return Listing(files, (*GIT, *ignored), shard)


def _serialization(fields: Fields) -> tuple[tuple[str, ...], int]:
    """Return the paths that are left out, and the size of shards, 0 for whole files."""
    method = fields.text("method", limit=60)
    if method not in {"files", "shards"}:
        raise fields.wrong("method", f"is {method!r}, not files or shards", BY_HAND)
    algorithm = fields.text("hash_type", "sha256", limit=60)
    if algorithm != "sha256":
        raise fields.wrong("hash_type", f"is {algorithm!r}, not 'sha256'", BY_HAND)
    shard = fields.integer("shard_size", low=1) if method == "shards" else 0
    return fields.texts("ignore_paths"), shard


def _resource(fields: Fields, algorithm: str) -> tuple[str, str]:
    fields.text("algorithm", choices=[algorithm])
    return fields.text("name"), fields.text("digest", pattern=r"[0-9a-f]{64}")


def _files(pairs: list[tuple[str, str]], where: str, shard: int = 0) -> dict[str, Row]:
    if not 0 < len(pairs) <= MAX_FILES:
        raise NotTrusted(f"{where} lists {len(pairs)} files, not 1 to {MAX_FILES}")
    found: dict[str, Row] = {}
    whole = [(path, Row(digest)) for path, digest in pairs]
    for path, row in shards.join(pairs, shard, where) if shard else whole:
        if fault := path_fault(path):
            raise NotTrusted(f"{where} lists {path[:200]!r}, which {fault}")
        if path in found:
            raise NotTrusted(f"{where} lists {path!r} twice")
        if len(row.digest) != 64 and row.shards == 1:
            raise NotTrusted(f"{where} gives no SHA-256 of {path!r}")
        found[path] = row
    return found
