"""The file that says a folder of model files is complete: written last, removed first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundle.artifact import path_fault
from bundle.decode import Fields, dump_json, parse_json, spell
from bundle.errors import DrayError, TargetError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bundle.artifact import Artifact
    from bundle.decode import Path
    from bundle.digest import Digest

NAME = ".dray-complete.json"
"""Readers of a store without renames take a folder without this file as absent."""
LIMIT = 64 << 20
"""Bytes of a marker: about 300,000 files."""


def compose(artifact: Artifact) -> bytes:
    """Return the marker of an artifact: the same bytes every time."""
    files = [
        {"path": file.path, "size": file.size, "digest": str(file.digest)}
        for file in sorted(artifact.files, key=lambda file: file.path)
    ]
    body = {"apiVersion": "dray/v1", "kind": "Complete", "artifact": artifact.name}
    body["root"] = str(artifact.root)
    if signature := artifact.signature:
        body["signature"] = str(signature.digest)
    return dump_json({**body, "files": files})


def sums(artifact: Artifact, name: Callable[[str], str]) -> bytes:
    """Return the digests of an artifact's files as ``sha256sum -c`` reads them.

    ``name`` tells how the file of a path is called there. No path has a backslash or a line break,
    which ``sha256sum`` would want escaped.
    """
    lines = sorted((name(file.path), file.digest.hex) for file in artifact.files)
    return "".join(f"{digest}  {path}\n" for path, digest in lines).encode()


@dataclass(frozen=True, slots=True)
class Marker:
    """What a marker says: the artifact's root, its files by path, and the signature beside them.

    ``name`` is the artifact's, or nothing.
    """

    root: Digest
    files: dict[str, Digest]
    signature: Digest | None = None
    name: str = ""


def read(data: bytes, where: str) -> Marker:
    """Return what the marker found at ``where`` says.

    Raises :class:`TargetError` when it is none: nobody but dray writes a file of that name.
    """

    def fault(path: Path, message: str, hint: str) -> DrayError:
        return TargetError(
            f"{where} is no marker of dray: {spell(path)} {message}",
            hint=hint or "remove it if nothing uses that folder, and run again",
        )

    try:
        fields = Fields(parse_json(data, limit=LIMIT), (), fault)
    except ValueError as error:
        raise fault((), str(error), "") from None
    root = fields.digest("root")
    files: dict[str, Digest] = {}
    for item in fields.objects("files", required=True):
        path = item.text("path")
        if path_fault(path) or path == NAME:
            raise item.wrong("path", "is not a safe path")
        files[path] = item.digest("digest")
    signature = fields.digest("signature") if "signature" in fields else None
    return Marker(root, files, signature, fields.text("artifact", ""))


def stale(before: dict[str, Digest], artifact: Artifact) -> dict[str, Digest]:
    """Return the files that an earlier artifact had at the same place and this one has not."""
    now = {file.path for file in artifact.files}
    return {path: digest for path, digest in before.items() if path not in now}
