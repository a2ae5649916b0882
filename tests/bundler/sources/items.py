"""Items of the emulated NGC, and how a test fetches what was locked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bundle.digest import verified
from bundle.transfer import resume
from bundler.entries import NgcEntry

if TYPE_CHECKING:
    import pytest

    from bundler.lock import LockedArtifact, LockedContent
    from bundler.sources.base import Source
    from fixtures.ngc import Catalogue

CITRINET = NgcEntry(
    "model",
    "nvidia",
    "riva",
    "speechtotext_en_us_citrinet_1024_gamma_0_25",
    "deployable_v2.0.0",
    where="dray.yaml:5:5",
)
QUICKSTART = NgcEntry("resource", "nvidia", "", "riva_quickstart", "2.18.0")
DETECTOR = NgcEntry("model", "abc123xyz", "vision", "detector_weights", "1.0")
LLAMA = NgcEntry("model", "nim", "meta", "llama3-8b-instruct", "hf")
MODEL = "citrinet-1024/model.riva"


def use_key(monkeypatch: pytest.MonkeyPatch, catalogue: Catalogue, name: str) -> str:
    """Set the key of that name in the environment, none for no name, and return it."""
    if not name:
        return ""
    secret = catalogue.keys[name].secret
    monkeypatch.setenv("NGC_API_KEY", secret)
    return secret


def fetch(source: Source, artifact: LockedArtifact, content: LockedContent) -> bytes:
    size, digest = content.content.size, content.content.digest
    blocks = resume(
        source.opener(artifact, content), size=size, what="a file", sleep=lambda _: None
    )
    return b"".join(verified(blocks, digest=digest, size=size, what="a file"))


def file_of(artifact: LockedArtifact, path: str) -> LockedContent:
    return next(item for item in artifact.contents if item.content.path == path)
