"""What every target is: a place that takes verified blobs, then makes whole artifacts visible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import hashlib
    from collections.abc import Callable, Iterator, Sequence

    from bundle.artifact import Artifact, Content
    from bundle.digest import Digest
    from bundle.manifest import Manifest
    from importer.ledger.shelf import Shelf
    from importer.targets.held import Held
    from importer.targets.naming import Naming


WORKERS = 3
"""Two saturate two cores, the third hides latency; each costs a part of an object in memory."""


class Blob(Protocol):
    """A blob on the medium: read through the verifier, as often as a retry needs."""

    @property
    def digest(self) -> Digest:
        """The blob's digest, which a verified signature vouches for."""
        ...

    @property
    def size(self) -> int:
        """The blob's size in bytes."""
        ...

    def blocks(self, *, offset: int = 0, sha: hashlib._Hash | None = None) -> Iterator[bytes]:
        """Yield the bytes from ``offset`` on, the last block only after the digest has matched.

        With an offset, ``sha`` is the SHA-256 state over the bytes before it. Raises
        :class:`bundle.errors.VerificationError` instead of yielding the last block.
        """
        ...

    def read(self) -> bytes:
        """Return all bytes, verified: for manifests, which are small."""
        ...


@dataclass(frozen=True, slots=True)
class Claim:
    """A name at a target that an artifact wants for itself.

    A ``place`` that ends in ``/`` is a folder with everything in it; any other is a tag.
    """

    place: str
    digest: Digest


def file_claims(artifact: Artifact, folder: str, beside: str) -> tuple[Claim, ...]:
    """Return the claims on the folder of an artifact's files, and on the signature beside it."""
    whole = Claim(folder, artifact.root)
    if not (signature := artifact.signature):
        return (whole,)
    # As if it were a folder: another version may be called like the signature of this one.
    return (whole, Claim(f"{beside}/", signature.digest))


@dataclass(frozen=True, slots=True)
class Replaced:
    """A name that pointed at other content before this run, for the receipt and for people."""

    place: str
    before: str
    after: Digest


@dataclass(frozen=True, slots=True)
class Want:
    """An artifact that goes to a target, and which of its contents, but for manifests, it lacks."""

    artifact: Artifact
    missing: tuple[Content, ...]


class Unprepared:
    """What a target is that needs no preparation, and has nothing to say beforehand."""

    workers = WORKERS
    proves = True
    _naming: Naming

    @property
    def quarantine(self) -> str:
        """What stands before all names until they are promoted; empty without a quarantine."""
        return self._naming.quarantine

    @property
    def notes(self) -> Sequence[str]:
        """Nothing."""
        return ()

    def preflight(self, _wants: Sequence[Want]) -> tuple[str, ...]:
        """Say nothing."""
        return ()

    def prepare(self, _bundle: Manifest) -> None:
        """Do nothing."""

    def take(self, _artifact: Artifact, _content: Content, _source: Artifact, _of: Content) -> bool:
        """Say that bytes which are here already have to be put like any others."""
        return False

    def pinned(self, _artifact: Artifact) -> str:
        """Say that nothing here has versions."""
        return ""


class Target(Protocol):
    """A place on the high side. All methods may be called from several threads.

    ``put`` leaves nothing that a reader of the target would take for an artifact; ``publish`` is
    called for an artifact only after every blob of it was verified and put.
    """

    label: str
    kinds: frozenset[str]
    replaced: list[Replaced]
    workers: int
    """How many threads may send to it at once."""
    proves: bool
    """Whether what :meth:`has` finds was hashed, by the target or here; a store's note is none."""

    @property
    def quarantine(self) -> str:
        """What stands before all names until they are promoted; empty without a quarantine."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What did not go as wished, and harmed nothing: for people, after the import."""
        ...

    def check(self) -> None:
        """Reach the target and authenticate; raise :class:`bundle.errors.TargetError`."""
        ...

    def preflight(self, wants: Sequence[Want]) -> tuple[str, ...]:
        """Say what would fail, all of it at once, before a byte is sent; nothing is written.

        Returns notes for people. Raises :class:`bundle.errors.TargetError` for what would fail.
        """
        ...

    def prepare(self, bundle: Manifest) -> None:
        """Make what :meth:`preflight` has found to be missing; called before anything is put."""
        ...

    def place(self, artifact: Artifact) -> str:
        """Return where the artifact will be found, as its users write it.

        Raises :class:`bundle.errors.UsageError` when the target cannot hold such a name.
        """
        ...

    def claims(self, artifact: Artifact) -> tuple[Claim, ...]:
        """Return the names that the artifact takes: two artifacts cannot share one."""
        ...

    def has(self, artifact: Artifact, content: Content) -> bool:
        """Whether the target holds this content already, where this artifact needs it."""
        ...

    def held(self, artifact: Artifact, content: Content) -> Held:
        """Return a content that :meth:`has` has found, to be read back; nothing is read yet."""
        ...

    def put(
        self, artifact: Artifact, content: Content, blob: Blob, on_bytes: Callable[[int], object]
    ) -> str:
        """Take one content (no manifest); return ``uploaded`` or ``mounted``.

        ``on_bytes`` is called with the bytes sent, and with negative numbers when they must be sent
        again.
        """
        ...

    def take(self, artifact: Artifact, content: Content, source: Artifact, of: Content) -> bool:
        """Take one content from where another artifact has it here, without sending it again.

        It is proved by its bytes: raises :class:`bundle.errors.TargetError` when these are others.
        Returns whether that was possible; when not, :meth:`put` is called.
        """
        ...

    def publish(self, artifact: Artifact, blob: Callable[[Digest], Blob]) -> bool:
        """Make the artifact visible: manifests children first, tags last; or files, marker last.

        Returns whether anything changed: publishing what is there already is no error. A name that
        pointed elsewhere is taken over, and recorded in ``replaced``.
        """
        ...

    def pinned(self, artifact: Artifact) -> str:
        """Return the store's own version of what completes a published artifact, or nothing."""
        ...

    def shelf(self) -> Shelf:
        """Return where this target keeps copies of ledgers, beside what it publishes."""
        ...

    def close(self) -> None:
        """Let connections go."""
        ...
