"""Two bundles of one stream, the second with most of the first in it, and the receipt between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bundle.digest import Digest
from bundle.receipt import unproved
from bundler import delta
from bundler.lock import Lock
from tests import factory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bundler.lock import LockedArtifact
    from tests.factory import Bundle, Contents

CHUNK = 200_000


def first(kept: Contents) -> tuple[LockedArtifact, ...]:
    """Return what the first bundle brings: two images that share a base, and a model."""
    base = factory.noise("base", 400_000)
    return (
        factory.image(kept, "nvcr.io/nvidia/cuda:12.6", [base, factory.noise("cuda 1", 70_000)]),
        factory.image(kept, "nvcr.io/nvidia/torch:1", [base, factory.noise("torch 1", 90_000)]),
        factory.model(
            kept,
            "nvidia/riva",
            "1.0",
            {"model.bin": factory.noise("weights", 300_000), "config.json": b"{}"},
        ),
    )


def second(kept: Contents) -> tuple[LockedArtifact, ...]:
    """Return the next: rebuilt images, one of them with a new name, and a model's new version."""
    base = factory.noise("base", 400_000)
    return (
        factory.image(kept, "nvcr.io/nvidia/cuda:12.7", [base, factory.noise("cuda 2", 3_000)]),
        factory.image(kept, "nvcr.io/nvidia/other:1", [base, factory.noise("other", 2_000)]),
        factory.model(
            kept,
            "nvidia/riva",
            "1.1",
            {"sub/model.bin": factory.noise("weights", 300_000), "config.json": b"{ }"},
        ),
    )


def third(kept: Contents) -> tuple[LockedArtifact, ...]:
    """Return one more: the base and the weights are in it still, each with a third name."""
    base = factory.noise("base", 400_000)
    return (
        factory.image(kept, "nvcr.io/nvidia/cuda:12.8", [base, factory.noise("cuda 3", 4_000)]),
        factory.model(kept, "nvidia/riva", "1.2", {"a/b.bin": factory.noise("weights", 300_000)}),
    )


def whole(folder: Path, **options: Any) -> Bundle:
    """Export the first bundle."""
    return factory.build(folder, first, chunk_size=CHUNK, **options)


def since(
    folder: Path,
    *receipts: Path,
    sequence: int = 2,
    artifacts: Callable[[Contents], tuple[LockedArtifact, ...]] = second,
    **options: Any,
) -> Bundle:
    """Export the second bundle, or ``artifacts``, as a delta against receipts."""
    found = [unproved(path.read_bytes(), what=path.name) for path in receipts]
    lock = Lock(factory.STREAM, Digest.of(b"spec"), artifacts(factory.Contents()))
    made = delta.make(lock, found)
    options = {"chunk_size": CHUNK, "sequence": sequence, **options}
    return factory.build(folder, artifacts, delta=made, **options)
