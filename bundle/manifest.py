"""The bundle's manifest: what one signature covers.

The reading side never calls :meth:`Manifest.from_bytes` itself: :func:`bundle.unseal.unseal` does,
after a trusted key's signature over exactly these bytes has been verified.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bundle import parity
from bundle.account import Account
from bundle.artifact import Artifact, Content
from bundle.chunks import Chunk, Part, StoredBlob, check_geometry, chunk_name, index_json
from bundle.decode import Fields, Path, dump_json, parse_json, spell
from bundle.digest import Digest, is_digest
from bundle.errors import DrayError, VerificationError
from bundle.parity import Group
from bundle.required import REQUIRED, BaseBundle
from bundle.segments import FEATURE as ENCRYPTION
from bundle.segments import MAX_RECIPIENTS

if TYPE_CHECKING:
    from collections.abc import Iterator

MEDIA_TYPE = "application/vnd.dray.manifest.v1+json"
FORMAT = "1.0"
FEATURES = frozenset({"zstd", ENCRYPTION, REQUIRED})
"""Features that this version reads; a manifest that needs another one is refused."""
MAX_BYTES = 256 << 20
STREAM = r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?"
FILE_NAME = r"[a-z0-9][a-z0-9._-]{0,99}|README\.txt"
TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"


@dataclass(frozen=True, slots=True)
class File:
    """A file of the bundle that is no chunk: its name, size in bytes, and digest."""

    name: str
    size: int
    digest: Digest


@dataclass(frozen=True, slots=True)
class Medium:
    """A drive: its number from 1, capacity in bytes (0: not said), and the chunks on it."""

    number: int
    capacity: int
    chunks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Previous:
    """The bundle of this stream before this one, as the low side remembers it."""

    sequence: int
    manifest: Digest


@dataclass(frozen=True)
class Manifest:
    """Everything that a bundle holds and where; see ``schemas/README.md`` for each field."""

    stream: str
    sequence: int
    created: str
    expires: str
    generator: tuple[str, str]
    spec: Digest
    lock: Digest
    chunk_size: int
    artifacts: tuple[Artifact, ...]
    blobs: tuple[StoredBlob, ...]
    chunks: tuple[Chunk, ...]
    media: tuple[Medium, ...]
    files: tuple[File, ...]
    previous: Previous | None = None
    parity: tuple[Group, ...] = ()
    recipients: tuple[Digest, ...] = ()
    """The keys that open the chunks; none when these are not encrypted."""
    bases: tuple[BaseBundle, ...] = ()
    """The imports that a bundle builds on which leaves blobs out; none when it is whole."""
    account: Account | None = None
    """As whom NGC was asked; None where nothing is of NGC, or where that is not known."""

    @property
    def name(self) -> str:
        """The bundle's name, with which each of its files begins."""
        return bundle_name(self.stream, self.sequence)

    @cached_property
    def blob(self) -> dict[Digest, StoredBlob]:
        """The stored blobs by digest."""
        return {blob.digest: blob for blob in self.blobs}

    @cached_property
    def index(self) -> bytes:
        """The bytes of ``index.json`` in every chunk."""
        return index_json(self.artifacts)

    @cached_property
    def users(self) -> dict[Digest, tuple[str, ...]]:
        """The names of the artifacts that need each blob."""
        found: dict[Digest, dict[str, None]] = {}
        for artifact in self.artifacts:
            for content in artifact.contents:
                found.setdefault(content.digest, {})[artifact.name] = None
        return {digest: tuple(names) for digest, names in found.items()}

    def parts_of(self, chunk: int) -> Iterator[tuple[StoredBlob, int, Part]]:
        """Yield the parts in a chunk by offset, with their blob and their number in it."""
        return iter(self._by_chunk.get(chunk, ()))

    @cached_property
    def _by_chunk(self) -> dict[int, list[tuple[StoredBlob, int, Part]]]:
        found: dict[int, list[tuple[StoredBlob, int, Part]]] = {}
        for blob in self.blobs:
            for number, part in enumerate(blob.parts):
                found.setdefault(part.chunk, []).append((blob, number, part))
        for parts in found.values():
            parts.sort(key=lambda item: item[2].offset)
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return the document that is signed."""
        features = sorted(
            {blob.encoding for blob in self.blobs} - {"identity"}
            | ({ENCRYPTION} if self.recipients else set())
        )
        body: dict[str, Any] = {"mediaType": MEDIA_TYPE, "formatVersion": FORMAT}
        body |= {"features": features, "stream": self.stream, "sequence": self.sequence}
        if self.previous:
            previous = {"sequence": self.previous.sequence, "manifest": str(self.previous.manifest)}
            body["previous"] = previous
        body |= {"created": self.created, "expires": self.expires}
        body["generator"] = {"name": self.generator[0], "version": self.generator[1]}
        if self.account:
            body["account"] = self.account.to_dict()
        body |= {"spec": str(self.spec), "lock": str(self.lock), "chunkSize": self.chunk_size}
        if self.recipients:
            body["encryption"] = {"recipients": [str(digest) for digest in self.recipients]}
        body["artifacts"] = [artifact.to_dict() for artifact in self.artifacts]
        body["blobs"] = [blob.to_dict() for blob in self.blobs]
        body["chunks"] = [chunk.to_dict() for chunk in self.chunks]
        body["media"] = [
            {"number": item.number, "capacity": item.capacity, "chunks": list(item.chunks)}
            for item in self.media
        ]
        body["files"] = [
            {"name": item.name, "size": item.size, "digest": str(item.digest)}
            for item in self.files
        ]
        if self.bases:
            body["bases"] = [base.to_dict() for base in self.bases]
        if self.parity:
            body["parity"] = [group.to_dict() for group in self.parity]
        return body

    def to_bytes(self) -> bytes:
        """Return the exact bytes that are signed."""
        return dump_json(self.to_dict())

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Read a manifest whose signature was verified; raise :class:`VerificationError`.

        Unknown fields are ignored, unknown features and major versions refused. What is returned is
        consistent: every part lies in a chunk, every chunk is exactly filled by its parts, every
        content has a blob.
        """
        try:
            document = parse_json(data, limit=MAX_BYTES)
        except ValueError as error:
            raise _fault((), f"is not strict JSON: {error}", "") from None
        manifest = _read(Fields(document, (), _fault))
        _check_encryption(manifest)
        _check_bases(manifest)
        check_geometry(manifest.artifacts, manifest.blobs, manifest.chunks, _fault)
        _check_media(manifest)
        _check_names(manifest)
        sizes = {file.name: file.size for file in manifest.files}
        media = len(manifest.media)
        parity.check(manifest.name, manifest.parity, manifest.chunks, sizes, media, _fault)
        return manifest


def bundle_name(stream: str, sequence: int) -> str:
    """Return ``<stream>-<sequence>``, the sequence in six digits at least."""
    return f"{stream}-{sequence:06d}"


def _fault(path: Path, message: str, hint: str) -> DrayError:
    where = f": {spell(path)}" if path else ""
    return VerificationError(f"manifest{where} {message}", hint=hint)


def _read(fields: Fields) -> Manifest:
    fields.text("mediaType", choices=[MEDIA_TYPE])
    version = fields.text("formatVersion", pattern=r"[0-9]+\.[0-9]+", limit=12)
    features = set(fields.texts("features", pattern=r"[a-z0-9-]+"))
    needed = features - FEATURES
    if version.split(".")[0] != FORMAT.split(".", maxsplit=1)[0] or needed:
        what = f"format {version}" if not needed else "features " + ", ".join(sorted(needed))
        raise _fault((), f"needs {what}, which this dray cannot read", "install a newer dray")
    generator = fields.child("generator")
    return Manifest(
        stream=fields.text("stream", pattern=STREAM),
        sequence=fields.integer("sequence", low=1, high=10**12 - 1),
        created=fields.text("created", pattern=TIME),
        expires=fields.text("expires", pattern=TIME),
        generator=(generator.text("name", limit=60), generator.text("version", limit=60)),
        spec=fields.digest("spec"),
        lock=fields.digest("lock"),
        chunk_size=fields.integer("chunkSize", low=1),
        artifacts=tuple(_artifact(item) for item in fields.objects("artifacts", required=True)),
        blobs=tuple(StoredBlob.read(item) for item in fields.objects("blobs", required=True)),
        chunks=tuple(Chunk.read(item) for item in fields.objects("chunks", required=True)),
        media=tuple(_medium(item) for item in fields.objects("media", required=True)),
        files=tuple(_file(item) for item in fields.objects("files", required=True)),
        previous=_previous(fields),
        parity=tuple(Group.read(item) for item in fields.objects("parity")),
        recipients=_recipients(fields, encrypted=ENCRYPTION in features),
        bases=tuple(BaseBundle.read(item) for item in fields.objects("bases")),
        account=Account.read(fields.child("account")) if "account" in fields else None,
    )


def _previous(fields: Fields) -> Previous | None:
    if "previous" not in fields:
        return None
    previous = fields.child("previous")
    return Previous(previous.integer("sequence", low=1), previous.digest("manifest"))


def _recipients(fields: Fields, *, encrypted: bool) -> tuple[Digest, ...]:
    if encrypted != ("encryption" in fields):
        raise _fault(("features",), "and encryption do not say the same", "")
    if not encrypted:
        return ()
    inner = fields.child("encryption")
    found: list[Digest] = []
    for path, item in inner.items("recipients", required=True):
        if not isinstance(item, str) or not is_digest(item):
            raise _fault(path, "must be a key's digest", "")
        found.append(Digest(item))
    if not found or len(found) > MAX_RECIPIENTS or len(set(found)) != len(found):
        raise _fault(inner.path, "names no recipients, too many, or one twice", "")
    return tuple(found)


def _artifact(fields: Fields) -> Artifact:
    contents = tuple(Content.read(item) for item in fields.objects("contents", required=True))
    return Artifact.read(fields, contents)


def _medium(fields: Fields) -> Medium:
    numbers: list[int] = []
    for path, item in fields.items("chunks", required=True):
        if not isinstance(item, int) or isinstance(item, bool):
            raise _fault(path, "must be a chunk's number", "")
        numbers.append(item)
    return Medium(fields.integer("number", low=1), fields.integer("capacity"), tuple(numbers))


def _file(fields: Fields) -> File:
    return File(
        fields.text("name", pattern=FILE_NAME), fields.integer("size"), fields.digest("digest")
    )


def _check_media(manifest: Manifest) -> None:
    placed = sorted(number for medium in manifest.media for number in medium.chunks)
    if placed != [chunk.number for chunk in manifest.chunks]:
        raise _fault(("media",), "does not place every chunk on exactly one medium", "")
    if [medium.number for medium in manifest.media] != list(range(1, len(manifest.media) + 1)):
        raise _fault(("media",), "is not numbered from 1", "")


def _check_encryption(manifest: Manifest) -> None:
    for number, chunk in enumerate(manifest.chunks):
        if (chunk.inner is not None) != bool(manifest.recipients):
            raise _fault(("chunks", number), "is encrypted, or not, unlike the bundle", "")


def _check_bases(manifest: Manifest) -> None:
    """A bundle that leaves something out says so in three places; they have to say the same."""
    if any(blob.encoding == REQUIRED for blob in manifest.blobs) != bool(manifest.bases):
        raise _fault(("bases",), "and the blobs that are left out do not say the same", "")
    names = {base.name for base in manifest.bases} | {""}
    for number, blob in enumerate(manifest.blobs):
        if strange := {base.bundle for base in blob.bases} - names:
            message = f"names the bundle {min(strange)}, which is none of the bases"
            raise _fault(("blobs", number), message, "")


def _check_names(manifest: Manifest) -> None:
    artifacts: set[str] = set()
    for artifact in manifest.artifacts:
        if artifact.name in artifacts:
            raise _fault(("artifacts",), f"names {artifact.name} twice", "")
        artifacts.add(artifact.name)
    names = [chunk.name for chunk in manifest.chunks] + [file.name for file in manifest.files]
    names += [file.name for group in manifest.parity for file in group.files]
    if len({name.casefold() for name in names}) != len(names):
        raise _fault(("files",), "names a file twice", "")
    start = manifest.name + "."
    for name in names:
        if not name.startswith(start) and name != "README.txt":
            raise _fault(("files",), f"names {name!r}, which is not of {manifest.name}", "")
        if name.startswith(start + "manifest.json"):
            raise _fault(("files",), f"names {name!r}, which cannot pin itself", "")
    for chunk in manifest.chunks:
        name = chunk_name(manifest.name, chunk.number, encrypted=bool(manifest.recipients))
        if chunk.name != name:
            raise _fault(("chunks", chunk.number - 1), f"is {chunk.name!r}, not {name!r}", "")
