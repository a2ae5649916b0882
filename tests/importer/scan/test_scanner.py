"""A verdict is on the bytes that were verified in one reading, whatever a target does with them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from bundle.digest import Digest, verified
from bundle.errors import GateRefused, MediaIncomplete, VerificationError
from importer.scan.engine import Engine
from importer.scan.reply import Version
from importer.scan.scanner import Scanner
from tests import factory
from tests.importer.scan.test_inside import Sees

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.factory import Bundle

EVIL = b"an evil layer, " * 30_000


@dataclass
class Lies:
    """A blob on a medium that may answer otherwise each time; ``readings`` are what it answers."""

    readings: list[bytes]
    digest: Digest
    size: int = len(EVIL)
    offsets: list[int] = field(default_factory=list)

    def blocks(self, *, offset: int = 0, sha: Any = None) -> Iterator[bytes]:
        data = self.readings.pop(0)
        self.offsets.append(offset)
        rest = data[offset:]
        blocks = [rest[at : at + 100_000] for at in range(0, len(rest), 100_000)]
        return verified(
            blocks, digest=self.digest, size=self.size, what="it", start=offset, sha=sha
        )

    def read(self) -> bytes:
        return b"".join(self.blocks())


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return factory.build(tmp_path, lambda kept: (factory.image(kept, "host/a:1", [EVIL]),))


@pytest.fixture
def scanner(bundle: Bundle) -> Scanner:
    engine = Engine(Version("ClamAV 1"), limits=True, encrypted=True)
    return Scanner(Sees(), engine, bundle.manifest)  # type: ignore[arg-type]


def test_the_last_block_waits_for_the_verdict(scanner: Scanner) -> None:
    sent = b""
    with pytest.raises(GateRefused, match="Evil in the layer"):
        for block in scanner.tee(Lies([EVIL], Digest.of(EVIL))).blocks():
            sent += block
    assert 0 < len(sent) < len(EVIL)


def test_a_blob_that_is_gone_on_with_is_read_from_its_beginning_for_the_scan(
    scanner: Scanner,
) -> None:
    blob = Lies([EVIL, EVIL], Digest.of(EVIL))
    with pytest.raises(GateRefused, match="Evil in the layer"):
        list(scanner.tee(blob).blocks(offset=200_000, sha=hashlib.sha256(EVIL[:200_000])))
    assert blob.offsets == [200_000, 0]


def test_other_bytes_for_the_scan_than_for_the_target_are_refused(scanner: Scanner) -> None:
    good = EVIL.replace(b"evil", b"good")
    blob = Lies([EVIL, good], Digest.of(EVIL))
    with pytest.raises(VerificationError):
        list(scanner.tee(blob).blocks(offset=200_000, sha=hashlib.sha256(EVIL[:200_000])))
    assert not scanner.known(blob.digest)


def test_what_broke_off_has_no_verdict(scanner: Scanner) -> None:
    good = EVIL.replace(b"evil", b"good")
    blob = Lies([good, EVIL], Digest.of(EVIL))
    with pytest.raises(VerificationError):
        list(scanner.tee(blob).blocks())
    assert not scanner.known(blob.digest)
    with pytest.raises(GateRefused):
        list(scanner.tee(blob).blocks())


def test_what_the_bundle_leaves_out_is_unscanned(bundle: Bundle, scanner: Scanner) -> None:
    def open_blob(_digest: Digest) -> Any:
        raise MediaIncomplete("left out")

    refused = scanner.settle(bundle.manifest.artifacts, open_blob)
    assert isinstance(refused["host/a:1"], GateRefused)
    assert "not in this bundle" in refused["host/a:1"].message
    scanner.allow = "it is there since 2020"
    assert not scanner.settle(bundle.manifest.artifacts, open_blob)
    assert scanner.record().allowed == "it is there since 2020"
    assert not scanner.record().clean
