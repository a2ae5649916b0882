"""What every medium carries, damaged or missing on one: copied from a medium that has it whole."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bundle.digest import BLOCK, Digest
from bundle.errors import DrayError
from bundle.signature import parse_sigstore
from importer.repair import beside

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bundle.manifest import File
    from bundle.media import Media
    from bundle.unseal import Opened


@dataclass(frozen=True)
class Paper:
    """A small file as it must be: its bytes, or where a good copy of it lies."""

    name: str
    size: int
    digest: Digest
    source: Path | bytes

    def write(self, path: Path) -> None:
        """Write it to ``path``."""
        if isinstance(self.source, bytes):
            beside.put(path, self.source, self.digest)
            return
        with beside.Beside(path, self.size, self.digest) as file, self.source.open("rb") as source:
            while block := source.read(BLOCK):
                file.write(block)
            file.finish()


class Papers:
    """The manifest, its signatures and the files that it pins; ``signatures`` are those here."""

    def __init__(self, opened: Opened, media: Media, signatures: Mapping[str, bytes]) -> None:
        self.opened, self.media = opened, media
        made = (*self._pinned(), *self._signed(signatures), self._manifest())
        self.known = {paper.name: paper for paper in made}

    def _pinned(self) -> Iterator[Paper]:
        for file in self.opened.manifest.files:
            if path := self._good(file):
                yield Paper(file.name, file.size, file.digest, path)

    def _signed(self, signatures: Mapping[str, bytes]) -> Iterator[Paper]:
        """Yield the signatures that count, and the raw form of each."""
        for key, data in signatures.items():
            if key not in self.opened.verified.ignored:
                name = Path(key).name
                yield _paper(name, data)
                raw = parse_sigstore(data).signature
                yield _paper(name.removesuffix(".sigstore.json") + ".sig", raw)

    def _manifest(self) -> Paper:
        return _paper(f"{self.media.name}.manifest.json", self.opened.data)

    def _good(self, file: File) -> Path | None:
        places = self.media.places(file.name)
        return next((path for path in places if self._is(path, file.size, file.digest)), None)

    def _is(self, path: Path, size: int, digest: Digest) -> bool:
        try:
            with self.media.open(path) as handle:
                if os.fstat(handle).st_size != size:
                    return False
                sha, done = hashlib.sha256(), 0
                while block := os.pread(handle, BLOCK, done):
                    sha.update(block)
                    done += len(block)
                return sha.hexdigest() == digest.hex
        except (DrayError, OSError):
            return False

    def lost(self) -> list[str]:
        """Return the names of pinned files of which no medium has a good copy."""
        return [file.name for file in self.opened.manifest.files if file.name not in self.known]

    def damaged(self, folder: Path) -> list[Paper]:
        """Return what is missing in a medium's folder, or other than signed; the manifest last."""
        return [
            paper
            for paper in self.known.values()
            if not self._is(folder / paper.name, paper.size, paper.digest)
        ]


def _paper(name: str, data: bytes) -> Paper:
    return Paper(name, len(data), Digest.of(data), data)
