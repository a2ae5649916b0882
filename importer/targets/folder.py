"""A folder as target: an OCI image layout for images and charts, plain trees for files.

    oci/                       one OCI image layout; index.json names repository:tag
    models/ resources/ files/  <name>/<version>/<path>, and .dray-complete.json when complete
    .dray/                     what is not complete yet; blobs are moved out when they are verified

Paths are used as they were signed. Characters that FAT and NTFS refuse (``: * ? " < > |``) are fine
on POSIX file systems; on others the system's refusal is reported and nothing becomes visible.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import contextmanager
from stat import S_ISREG
from typing import TYPE_CHECKING

from bundle import lockfile
from bundle.artifact import KINDS
from bundle.digest import BLOCK, Digest
from bundle.errors import GateRefused, TargetError, VerificationError
from importer.ledger.shelf import FolderShelf
from importer.targets import layout, marker
from importer.targets.base import Claim, Replaced, Unprepared, file_claims
from importer.targets.held import Held
from importer.targets.naming import Naming
from importer.targets.tree import Tree, write_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bundle.artifact import Artifact, Content
    from importer.targets.base import Blob

OCI = "oci"
_LAYOUT_KINDS = frozenset({"image", "chart"})
_WORK = ".dray"


class Folder(Unprepared):
    """A local folder (``./warehouse``); satisfies :class:`importer.targets.base.Target`.

    What lies there is taken as present only after it was hashed, once per run: importing again
    repairs a warehouse that has rotted.
    """

    def __init__(
        self, root: Path, *, naming: Naming | None = None, kinds: frozenset[str] = frozenset(KINDS)
    ) -> None:
        self.label = str(root)
        self.kinds = kinds
        self.replaced: list[Replaced] = []
        self._root = root
        self._tree = Tree(root)
        self._naming = naming or Naming()
        self._hashed: dict[tuple[int, int, int, int], str] = {}

    def check(self) -> None:
        """Raise :class:`TargetError` when nothing can be written there; nothing is created yet."""
        there = self._root.absolute()
        while not there.exists() and there != there.parent:
            there = there.parent
        if not there.is_dir():
            raise TargetError(f"{there} is no folder", hint="name another folder")
        if not os.access(there, os.W_OK | os.X_OK):
            raise TargetError(
                f"cannot write in {there}", hint="make it writable for this user, or name another"
            )

    def place(self, artifact: Artifact) -> str:
        """Return ``oci:FOLDER/oci:repository:tag``, or the folder of the files."""
        if artifact.kind not in _LAYOUT_KINDS:
            return str(self._root / self._naming.folder(artifact))
        names = layout.entries(artifact, self._naming.repository(artifact, self.label))
        return f"oci:{self._root / OCI}:{layout.name_of(names[0])}"

    def claims(self, artifact: Artifact) -> tuple[Claim, ...]:
        """Return the version folder, or the tags in the layout."""
        if artifact.kind not in _LAYOUT_KINDS:
            beside = str(self._root / self._naming.signature(artifact))
            claims = file_claims(artifact, f"{self.place(artifact)}/", beside)
            pointer = self._naming.pointer(artifact)
            own = (Claim(f"{self._root / pointer}/", artifact.root),) if pointer else ()
            return (*claims, *own)
        names = layout.entries(artifact, self._naming.repository(artifact, self.label))
        return tuple(
            Claim(f"oci:{self._root / OCI}:{name}", Digest(entry["digest"]))
            for entry in names
            if (name := layout.name_of(entry))
        )

    def has(self, artifact: Artifact, content: Content) -> bool:
        """Whether the content lies verified where it will be published, or is ready to go there."""
        places = self._places(artifact, content)
        return not places or any(self._holds(path, content.digest, content.size) for path in places)

    def held(self, artifact: Artifact, content: Content) -> Held:
        """Return a file or a blob of the layout, to be read back."""
        path = self._places(artifact, content)[0]
        return Held(
            content.digest,
            content.size,
            str(self._root / path),
            lambda offset: self._tree.blocks(path, offset),
        )

    def put(
        self, artifact: Artifact, content: Content, blob: Blob, on_bytes: Callable[[int], object]
    ) -> str:
        """Write one content outside of what readers look at, or where no index names it yet.

        A part that an earlier run has written is hashed and gone on from.
        """
        if places := self._places(artifact, content):
            self._fill(places[-1], blob, on_bytes)
        return "uploaded"

    def take(self, artifact: Artifact, content: Content, source: Artifact, of: Content) -> bool:
        """Give a file that another artifact has a second name: no bytes are read or stored twice.

        Never by way of the partial file, which a next run would write into.
        """
        places = self._places(artifact, content)
        for path in self._places(source, of) if places else ():
            if self._holds(path, content.digest, content.size):
                return self._tree.link(path, places[-1])
        return False

    def publish(self, artifact: Artifact, blob: Callable[[Digest], Blob]) -> bool:
        """Name the artifact in the layout's index, or move its files to their folder."""
        changed = False
        for content in artifact.contents:
            if not self.has(artifact, content):
                self.put(artifact, content, blob(content.digest), lambda _count: None)
                changed = True
        with self._locked():
            if artifact.kind in _LAYOUT_KINDS:
                return self._publish_layout(artifact) or changed
            return self._publish_tree(artifact) or changed

    def shelf(self) -> FolderShelf:
        """Return where copies of ledgers lie."""
        return FolderShelf(self._tree)

    def close(self) -> None:
        """Nothing is held open."""

    # -- where things are -------------------------------------------------------------------------

    def _places(self, artifact: Artifact, content: Content) -> tuple[str, ...]:
        """Return where the content may lie; it is put to the last of them."""
        if artifact.kind in _LAYOUT_KINDS:
            return (f"{OCI}/blobs/sha256/{content.digest.hex}",)
        if artifact.is_signature(content):
            return (self._naming.signature(artifact), f"{self._staged(artifact)}.sigstore")
        if not content.path:
            return ()
        final = f"{self._naming.folder(artifact)}/{content.path}"
        return (final, f"{self._staged(artifact)}/{content.path}")

    def _staged(self, artifact: Artifact) -> str:
        key = f"{self._naming.folder(artifact)}\n{artifact.root}"
        return f"{_WORK}/staged/{_key(key)}"

    def _holds(self, path: str, digest: Digest, size: int | None) -> bool:
        there = self._tree.status(path)
        if there is None or not S_ISREG(there.st_mode):
            return False
        if size is not None and there.st_size != size:
            return False
        mark = (there.st_dev, there.st_ino, there.st_size, there.st_mtime_ns)
        if mark not in self._hashed:
            self._hashed[mark] = self._tree.sha256(path)
        return self._hashed[mark] == digest.hex

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._tree.folder(_WORK, create=True):
            pass
        with lockfile.held(self._root / _WORK, name="publishing", wait=True):
            yield

    # -- writing ----------------------------------------------------------------------------------

    def _fill(self, path: str, blob: Blob, on_bytes: Callable[[int], object]) -> None:
        partial = f"{_WORK}/partial/{_key(path)}"
        with self._tree.exclusive(partial) as handle, self._tree.faults(partial):
            if self._holds(path, blob.digest, blob.size):  # another thread was faster
                on_bytes(blob.size)
                self._tree.remove(partial)
                return
            try:
                _write(handle, blob, on_bytes)
            except (VerificationError, GateRefused):
                self._tree.remove(partial)
                raise
            os.fsync(handle)
            self._tree.move(partial, path)
            now = os.fstat(handle)
            mark = (now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns)
            self._hashed[mark] = blob.digest.hex

    # -- publishing -------------------------------------------------------------------------------

    def _publish_layout(self, artifact: Artifact) -> bool:
        repository = self._naming.repository(artifact, self.label)
        changed, replaced = layout.publish(
            self._tree,
            OCI,
            layout.entries(artifact, repository),
            through=f"{_WORK}/partial/index",
        )
        self.replaced += replaced
        return changed

    def _publish_tree(self, artifact: Artifact) -> bool:
        folder, staged = self._naming.folder(artifact), self._staged(artifact)
        complete = marker.compose(artifact)
        through = f"{_WORK}/partial/{_key(folder)}"
        if self._tree.status(folder) is None:
            self._place_beside(artifact)
            self._tree.write(f"{staged}/{marker.NAME}", complete, through=through)
            self._tree.move(staged, folder)
            return True
        waiting = [
            file
            for file in artifact.files
            if not self._holds(f"{folder}/{file.path}", file.digest, file.size)
        ]
        mark = f"{folder}/{marker.NAME}"
        before = self._tree.read(mark, marker.LIMIT)
        changed = bool(waiting) or before != complete or not self._is_beside(artifact)
        if changed:
            self._withdraw(artifact, mark, before)
            self._place_beside(artifact)
            for file in waiting:
                self._tree.move(f"{staged}/{file.path}", f"{folder}/{file.path}")
            self._tree.write(mark, complete, through=through)
        self._tree.clear(staged)
        return changed

    def _withdraw(self, artifact: Artifact, mark: str, before: bytes | None) -> None:
        """Remove the marker before what it vouches for, and the files that only it has named."""
        if before is None:
            return
        old = marker.read(before, str(self._root / mark))
        self._tree.remove(mark)
        beside = self._naming.signature(artifact)
        if old.signature and not artifact.signature and self._holds(beside, old.signature, None):
            self._tree.remove(beside)
        if old.root == artifact.root:
            return
        folder = self._naming.folder(artifact)
        self.replaced.append(Replaced(str(self._root / folder), old.root, artifact.root))
        for path, digest in marker.stale(old.files, artifact).items():
            if self._holds(f"{folder}/{path}", digest, None):
                self._tree.remove(f"{folder}/{path}")

    # -- beside the files -------------------------------------------------------------------------

    def _is_beside(self, artifact: Artifact) -> bool:
        signature, pointer = artifact.signature, self._naming.pointer(artifact)
        if signature and not self._holds_signature(signature, artifact):
            return False
        return not pointer or self._holds(pointer, Digest.of(artifact.version.encode()), None)

    def _holds_signature(self, signature: Content, artifact: Artifact) -> bool:
        return self._holds(self._naming.signature(artifact), signature.digest, signature.size)

    def _place_beside(self, artifact: Artifact) -> None:
        """Put the signature and a cache's pointer there, before the marker says that all is."""
        signature = artifact.signature
        if signature and not self._holds_signature(signature, artifact):
            final, staged = self._places(artifact, signature)
            self._tree.move(staged, final)
        if pointer := self._naming.pointer(artifact):
            through = f"{_WORK}/partial/{_key(pointer)}"
            self._tree.write(pointer, artifact.version.encode(), through=through)


def _key(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:40]


def _write(handle: int, blob: Blob, on_bytes: Callable[[int], object]) -> None:
    """Write the blob behind what is there of it already, which is hashed first."""
    sha, start = hashlib.sha256(), 0
    if os.fstat(handle).st_size > blob.size:
        os.ftruncate(handle, 0)
    while block := os.read(handle, BLOCK):
        sha.update(block)
        start += len(block)
    if start and start == blob.size:
        if sha.hexdigest() == blob.digest.hex:
            on_bytes(start)
            return
        _restart(handle)
        sha, start = hashlib.sha256(), 0
    on_bytes(start)
    try:
        _append(handle, blob.blocks(offset=start, sha=sha), on_bytes)
    except VerificationError:
        if not start:
            raise
        # What an earlier run left here may be what is wrong, and not the medium.
        on_bytes(-os.fstat(handle).st_size)
        _restart(handle)
        _append(handle, blob.blocks(), on_bytes)


def _append(handle: int, blocks: Iterator[bytes], on_bytes: Callable[[int], object]) -> None:
    for block in blocks:
        write_all(handle, block)
        on_bytes(len(block))


def _restart(handle: int) -> None:
    os.ftruncate(handle, 0)
    os.lseek(handle, 0, os.SEEK_SET)
