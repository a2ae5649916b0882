"""Chunks: complete tars with a partial OCI image layout, whose every byte the manifest implies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bundle import segments, ustar
from bundle.artifact import MANIFEST_ROLES
from bundle.decode import compact_json
from bundle.required import REQUIRED, Base

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bundle.artifact import Artifact
    from bundle.decode import Fields, Path
    from bundle.digest import Digest
    from bundle.errors import DrayError

LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
REF_NAME = "org.opencontainers.image.ref.name"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
ENCODINGS = ("identity", "zstd", REQUIRED)


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of a stored blob in a chunk: ``size`` bytes at ``offset``, and their SHA-256."""

    chunk: int
    offset: int
    size: int
    digest: Digest


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """A blob, how it is stored, and where.

    ``digest`` and ``size`` are always those of the blob itself; ``encoding`` says what the parts,
    joined, are: the blob (``identity``) or a Zstandard stream of it (``zstd``). A blob that is left
    out (``required``) has no parts, and ``bases`` that say where the high side has it.
    """

    digest: Digest
    size: int
    encoding: str
    parts: tuple[Part, ...]
    bases: tuple[Base, ...] = ()

    @property
    def stored_size(self) -> int:
        """Bytes of all parts."""
        return sum(part.size for part in self.parts)

    def member(self, number: int) -> str:
        """Return the tar name of part ``number``."""
        return member_name(self.digest, self.encoding, number if len(self.parts) > 1 else None)

    def to_dict(self) -> dict[str, Any]:
        """Return the object of the manifest."""
        parts = [
            {"chunk": p.chunk, "offset": p.offset, "size": p.size, "digest": str(p.digest)}
            for p in self.parts
        ]
        body: dict[str, Any] = {"digest": str(self.digest), "size": self.size}
        body |= {"encoding": self.encoding, "parts": parts}
        if self.bases:
            body["bases"] = [base.to_dict() for base in self.bases]
        return body

    @classmethod
    def read(cls, fields: Fields) -> StoredBlob:
        """Read what :meth:`to_dict` wrote."""
        parts = tuple(
            Part(
                p.integer("chunk", low=1),
                p.integer("offset"),
                p.integer("size"),
                p.digest("digest"),
            )
            for p in fields.objects("parts", required=True)
        )
        encoding = fields.text("encoding", choices=ENCODINGS)
        bases = tuple(Base.read(item) for item in fields.objects("bases"))
        return cls(fields.digest("digest"), fields.integer("size"), encoding, parts, bases)


@dataclass(frozen=True, slots=True)
class Inner:
    """The chunk in an encrypted file: its own size in bytes and SHA-256; that of the header."""

    size: int
    digest: Digest
    header: Digest

    def to_dict(self) -> dict[str, Any]:
        """Return the object of the manifest."""
        return {"size": self.size, "digest": str(self.digest), "header": str(self.header)}

    @classmethod
    def read(cls, fields: Fields) -> Inner:
        """Read what :meth:`to_dict` wrote."""
        return cls(fields.integer("size"), fields.digest("digest"), fields.digest("header"))


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk file: its number from 1, name, size in bytes, and SHA-256; encrypted with ``inner``.

    ``size`` and ``digest`` are always those of the file.
    """

    number: int
    name: str
    size: int
    digest: Digest
    inner: Inner | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the object of the manifest."""
        body: dict[str, Any] = {"number": self.number, "name": self.name, "size": self.size}
        body["digest"] = str(self.digest)
        return {**body, "encryption": self.inner.to_dict()} if self.inner else body

    @classmethod
    def read(cls, fields: Fields) -> Chunk:
        """Read what :meth:`to_dict` wrote."""
        return cls(
            fields.integer("number", low=1),
            fields.text("name", pattern=r"[a-z0-9][a-z0-9._-]{0,99}"),
            fields.integer("size"),
            fields.digest("digest"),
            Inner.read(fields.child("encryption")) if "encryption" in fields else None,
        )


def chunk_name(bundle: str, number: int, *, encrypted: bool = False) -> str:
    """Return a chunk's file name."""
    return f"{bundle}.chunk-{number:05d}.tar" + (".enc" if encrypted else "")


def member_name(digest: Digest, encoding: str, part: int | None) -> str:
    """Return the tar name of a blob, or of one part of a blob that is cut (parts count from 0).

    A blob as it is and whole stands where OCI image-layout puts it; anything else stands beside.
    """
    where = f"sha256/{digest.hex}" if encoding == "identity" else f"{encoding}/{digest.hex}"
    return f"blobs/{where}" if part is None and encoding == "identity" else _other(where, part)


def _other(where: str, part: int | None) -> str:
    return f"encoded/{where}" if part is None else f"parts/{where}/{part:05d}"


def index_json(artifacts: Iterable[Artifact]) -> bytes:
    """Return ``index.json``: every manifest that has a tag, is a root, or refers to another one.

    The same bytes stand in every chunk, so that extracting chunks over each other, in any order,
    leaves one index of all artifacts (OCI image-spec, image-layout.md).
    """
    entries: dict[tuple[str, str], dict[str, Any]] = {}
    for artifact in artifacts:
        for content in artifact.manifests:
            if not (content.tags or content.subject or content.digest == artifact.root):
                continue
            body: dict[str, Any] = {"mediaType": content.media_type, "digest": str(content.digest)}
            body["size"] = content.size
            for tag in content.tags or ("",):
                named = {REF_NAME: f"{artifact.repository}:{tag}"} if tag else {}
                entry = {**body, "annotations": named} if named else body
                entries[content.digest, named.get(REF_NAME, "")] = entry
    ordered = [entries[key] for key in sorted(entries)]
    return compact_json({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": ordered})


def prefix(index: bytes) -> bytes:
    """Return the bytes with which every chunk begins: ``oci-layout`` and ``index.json``."""
    return ustar.member("oci-layout", LAYOUT) + ustar.member("index.json", index)


def check_geometry(
    artifacts: Sequence[Artifact],
    blobs: Sequence[StoredBlob],
    chunks: Sequence[Chunk],
    fault: Callable[[Path, str, str], DrayError],
) -> None:
    """Refuse a manifest whose chunks are not exactly filled, or whose contents have no blob."""
    if [chunk.number for chunk in chunks] != list(range(1, len(chunks) + 1)):
        raise fault(("chunks",), "is not numbered from 1", "")
    sizes = {blob.digest: blob.size for blob in blobs}
    if len(sizes) != len(blobs):
        raise fault(("blobs",), "names a blob twice", "")
    needed = {content.digest for artifact in artifacts for content in artifact.contents}
    for artifact in artifacts:
        for content in artifact.contents:
            if sizes.get(content.digest) != content.size:
                raise fault(("blobs",), f"lacks {content.digest} of {artifact.name}", "")
    if len(needed) != len(blobs):
        raise fault(("blobs",), "holds a blob that no artifact needs", "")
    _check_blobs(blobs, fault)
    _check_required(artifacts, blobs, fault)
    _check_chunks(blobs, chunks, len(prefix(index_json(artifacts))), fault)


def _check_blobs(blobs: Sequence[StoredBlob], fault: Callable[[Path, str, str], DrayError]) -> None:
    for number, blob in enumerate(blobs):
        path: Path = ("blobs", number)
        if (blob.encoding == REQUIRED) != bool(blob.bases):
            raise fault(path, "is left out, and has no bases; or the other way", "")
        if blob.encoding == REQUIRED:
            if blob.parts:
                raise fault(path, "is left out, and has parts", "")
            continue
        if not blob.parts or len(blob.parts) > 99_999:
            raise fault(path, "has no parts, or too many", "")
        if blob.encoding == "identity" and blob.stored_size != blob.size:
            raise fault(path, "has parts that do not add up to its size", "")
        whole = blob.encoding == "identity" and len(blob.parts) == 1
        if whole and blob.parts[0].digest != blob.digest:
            raise fault(path, "has one part with another digest", "")


def _check_required(
    artifacts: Sequence[Artifact],
    blobs: Sequence[StoredBlob],
    fault: Callable[[Path, str, str], DrayError],
) -> None:
    """Refuse what is left out and cannot be had where it is needed: each kind has its target."""
    left = {blob.digest: {base.kind for base in blob.bases} for blob in blobs if blob.bases}
    for artifact in artifacts if left else ():
        for content in artifact.contents:
            kinds = left.get(content.digest)
            if kinds is not None and content.role in MANIFEST_ROLES:
                raise fault(("blobs",), f"leaves out a manifest of {artifact.name}", "")
            if kinds is not None and artifact.kind not in kinds:
                message = f"leaves {content.digest} out, which no base of {artifact.name} has"
                raise fault(("blobs",), message, "")


def _check_chunks(
    blobs: Sequence[StoredBlob],
    chunks: Sequence[Chunk],
    start: int,
    fault: Callable[[Path, str, str], DrayError],
) -> None:
    spans: dict[int, list[tuple[int, int]]] = {chunk.number: [] for chunk in chunks}
    for number, blob in enumerate(blobs):
        for part in blob.parts:
            if part.chunk not in spans:
                raise fault(
                    ("blobs", number), f"lies in chunk {part.chunk}, which is not listed", ""
                )
            spans[part.chunk].append((part.offset, part.size))
    for chunk in chunks:
        position, file_size = start, segments.ends_cost(start)
        for offset, size in sorted(spans[chunk.number]):
            if offset != position + ustar.RECORD:
                raise fault(("chunks", chunk.number - 1), f"has a gap or overlap at {position}", "")
            position += ustar.span(size)
            file_size += segments.member_cost(size)
        position += len(ustar.TRAILER)
        sizes = (chunk.inner.size, chunk.size) if chunk.inner else (chunk.size, file_size)
        if sizes != (position, file_size):
            raise fault(("chunks", chunk.number - 1), "is not as long as its contents", "")
