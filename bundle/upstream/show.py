"""What became of upstream signatures, in words for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundle.upstream.record import VERIFIED

if TYPE_CHECKING:
    from bundle.artifact import Artifact
    from bundle.upstream.record import Proof, Record

_SAID = {
    "unsigned": "unsigned upstream",
    "unchecked": "signed upstream; no policy asks by whom",
}


def spelt(artifact: Artifact, record: Record | None) -> list[str]:
    """Return the lines about an artifact's record; none where no policy was in force."""
    if record is None:
        return []
    if record.result != VERIFIED:
        return [_SAID[record.result]]
    return [_proof(proof, artifact) for proof in record.proofs]


def _proof(proof: Proof, artifact: Artifact) -> str:
    covers = ""
    if proof.method == "cosign" and proof.over != artifact.root:
        covers = f", by its index {proof.over[:19]}"
    return f"signed by {proof.key} ({proof.fingerprint[:23]}, {proof.method}{covers})"
