"""Mix and match: files of two bundles of one stream, each signed by the right people, in one."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from bundle import trustchain
from bundle.trustchain import ENDING, Version
from tests import factory, keys
from tests.refusals.table import Lie, check, rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.factory import Bundle

    Tell = Callable[[Bundle], object]

OTHER = "other bytes than were signed"


def sibling(bundle: Bundle, sequence: int = 6) -> Bundle:
    """Another bundle of the stream, by the same signer."""
    return factory.build(
        bundle.trust.parent / "sibling",
        lambda kept: factory.sample(kept, seed="sibling"),
        sequence=sequence,
    )


def take(*endings: str, sequence: int = 6) -> Tell:
    """Put files of the sibling in the place of the bundle's."""

    def tell(bundle: Bundle) -> None:
        other = sibling(bundle, sequence)
        for ending in endings:
            shutil.copy(other.path(ending), bundle.path(ending))
        shutil.rmtree(other.trust.parent)

    return tell


SIGNED = (
    "manifest.json",
    f"manifest.json.{factory.SIGNER}.sigstore.json",
    f"manifest.json.{factory.SIGNER}.sig",
)


def with_chain(bundle: Bundle) -> None:
    """Carry a trust chain that is good by itself, and that this bundle does not pin."""
    trusted = keys.trust(keys.signer(factory.SIGNER), version=2)
    data = trusted.to_bytes()
    signed = keys.signed(data, keys.signer(factory.SIGNER), document="trust-000002.json")
    (content,) = signed.values()
    chain = trustchain.to_bytes([Version(2, data, {factory.SIGNER: content})])
    bundle.path(ENDING).write_bytes(chain)


def younger_chunks(bundle: Bundle) -> None:
    """Keep the manifest and its signatures, and take every chunk of the next bundle."""
    take(*(f"chunk-{number:05d}.tar" for number in range(1, 5)), sequence=8)(bundle)


MIXES = (
    Lie(
        "signatures of one on the manifest of another", take(*SIGNED[1:]), 5, "made for other bytes"
    ),
    Lie(
        "the manifest of one under signatures of another",
        take(SIGNED[0]),
        5,
        "made for other bytes",
    ),
    Lie(
        "manifest and signatures of an older one, renamed",
        take(*SIGNED),
        3,
        "the files are named prod-000007, but what was signed is prod-000006",
        "a bundle cannot be renamed",
    ),
    Lie("chunks of the next one", younger_chunks, 3, "bytes", inside=True),
    Lie("the lock of another", take("lock.yaml"), 3, "prod-000007.lock.yaml"),
    Lie("the digests of another", take("sha256sums"), 3, "prod-000007.sha256sums"),
    Lie("a trust chain that was not signed with it", with_chain, 3, "is no part of the bundle"),
)


@rows(MIXES)
def test_files_of_two_bundles_make_none(
    lie: Lie, way: str, bundle: Bundle, target: Path, isolated: Path
) -> None:
    check(lie, way, bundle, target, isolated)
