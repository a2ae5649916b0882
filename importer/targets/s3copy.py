"""An S3 bucket that is filled out of its own quarantine: objects are copied by the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from importer.targets.bucket import Store
from importer.targets.objectcopy import prove
from importer.targets.s3 import S3

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bundle.artifact import Artifact, Content
    from importer.destinations import Destination
    from importer.targets.base import Blob


class CopyingS3(S3):
    """Satisfies :class:`importer.targets.base.Target`; ``origin`` is the quarantine."""

    def __init__(self, origin: S3, store: Store, state: Path, **settings: Any) -> None:
        super().__init__(store, state, **settings)
        self._origin = origin

    def put(
        self, artifact: Artifact, content: Content, blob: Blob, on_bytes: Callable[[int], object]
    ) -> str:
        """Prove what lies in the quarantine; nothing is copied before the artifact is published."""
        key = self._key(artifact, content)
        if not key or not content.size:
            return super().put(artifact, content, blob, on_bytes)
        source = self._origin._key(artifact, content)
        self._found[key, content.digest] = prove(self._bucket, source, content, on_bytes)
        return "mounted"


def connect(destination: Destination, origin: S3, state: Path | None = None) -> CopyingS3:
    """Return the target that is filled out of ``origin``; no connection is made yet."""
    from bundle.state import default_folder  # noqa: PLC0415

    host = destination.host
    store = Store(
        destination.name, host.endpoint, destination.region, host.ca_file, destination.lock
    )
    return CopyingS3(
        origin,
        store,
        (state or default_folder()) / "s3",
        naming=destination.naming,
        kinds=destination.kinds,
        read_back=destination.read_back,
    )
