"""Bundles with parity on drives, things that happen to drives, and the command that mends them."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bundle.digest import Digest
from bundle.parity import BLOCK
from tests import factory
from tests.refusals.table import Answer, dray

if TYPE_CHECKING:
    from pathlib import Path

    from bundler.lock import LockedArtifact
    from tests.factory import Bundle, Contents

MIB = 1 << 20
ROOMY = 64 * MIB


def large(kept: Contents) -> tuple[LockedArtifact, ...]:
    """Return content of a few mebibytes, with a file that no chunk holds whole."""
    return (
        factory.image(kept, "nvcr.io/nvidia/cuda:12.6", [factory.noise("one", 900_000)]),
        factory.model(kept, "nvidia/riva", "1.0", {"model.bin": factory.noise("m", 3_300_000)}),
    )


@dataclass(frozen=True)
class Drives:
    """A copy of a bundle that may be damaged; ``good`` is every file of it as it was."""

    bundle: Bundle
    good: dict[Path, bytes]

    @property
    def root(self) -> Path:
        return self.bundle.trust.parent

    @property
    def folders(self) -> tuple[Path, ...]:
        return self.bundle.folders

    def path(self, ending: str) -> Path:
        """Return the one file ``<name>.<ending>``, on whichever drive it lies."""
        return next(path for path in self.good if path.name == f"{self.bundle.name}.{ending}")

    def chunk(self, number: int) -> Path:
        name = self.bundle.manifest.chunks[number - 1].name
        return next(path for path in self.good if path.name == name)

    def parity(self, number: int) -> Path:
        return self.path(f"parity-{number:05d}")

    def flip(self, path: Path, *blocks: int) -> None:
        """Change a byte in each of the blocks, the first without any named."""
        data = bytearray(path.read_bytes())
        for block in blocks or (0,):
            data[min(block * BLOCK + 100, len(data) - 1)] ^= 1
        path.write_bytes(data)

    def repair(self, *options: object, folders: tuple[Path, ...] = (), code: int = 0) -> Answer:
        arguments = ("repair", *(folders or self.folders), "--trust", self.bundle.trust, *options)
        answer = dray(*arguments, folder=self.root)
        assert answer.code == code, answer
        assert "Traceback" not in answer.text
        return answer

    def told(self, *options: object, folders: tuple[Path, ...] = (), code: int = 0) -> Any:
        return json.loads(self.repair(*options, "--json", folders=folders, code=code).out)

    def is_good(self) -> bool:
        """Whether every file is as it was, and nothing else lies there."""
        return now(self.root) == self.good

    def changed(self) -> list[str]:
        found = now(self.root)
        return sorted(
            path.name
            for path in found.keys() | self.good.keys()
            if found.get(path) != self.good.get(path)
        )


def now(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def copied(bundle: Bundle, to: Path) -> Drives:
    """Return a copy of a bundle, to be damaged."""
    root = bundle.trust.parent
    shutil.copytree(root, to)
    folders = tuple(to / folder.relative_to(root) for folder in bundle.folders)
    made = replace(bundle, folders=folders, trust=to / "trust.json")
    return Drives(made, now(to))


def digests(folder: Path) -> dict[str, Digest]:
    return {path.name: Digest.of(path.read_bytes()) for path in folder.rglob("*") if path.is_file()}
