"""Bundles whose images carry reports, policies of a few lines, and the commands over them."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bundle import instant
from bundle.artifact import Content
from bundle.decode import compact_json
from bundler.lock import LockedContent
from fixtures import reports
from fixtures.reports import Flaw
from importer.ledger.book import Ledger
from tests import factory
from tests.refusals.table import dray

if TYPE_CHECKING:
    from pathlib import Path

    from bundler.lock import LockedArtifact
    from tests.factory import Bundle, Contents
    from tests.refusals.table import Answer

CUDA = "nvcr.io/nvidia/cuda:12.6"
TORCH = "nvcr.io/nvidia/pytorch:24.12"
MODEL = "nvidia/riva:1.0"
CRITICAL = Flaw("CVE-2026-10001", "critical", fixed="3.0.2")
LOW = Flaw("CVE-2026-10002", "low")
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def carrying(
    kept: Contents, locked: LockedArtifact, *documents: Any, form: str = "application/json"
) -> LockedArtifact:
    """Return the artifact with a referrer for each document, of media type ``form``."""
    contents = list(locked.contents)
    for document in documents:
        data = json.dumps(document).encode()
        layer = Content("layer", form, kept.add(data), len(data))
        row = {"mediaType": layer.media_type, "digest": str(layer.digest), "size": layer.size}
        config = Content("config", "application/vnd.oci.empty.v1+json", kept.add(b"{}"), 2)
        body = {"schemaVersion": 2, "mediaType": _MANIFEST, "artifactType": form}
        body["config"] = {"mediaType": config.media_type, "digest": str(config.digest), "size": 2}
        root = next(c.content for c in contents if c.content.digest == locked.artifact.root)
        subject = {"mediaType": root.media_type, "digest": str(root.digest), "size": root.size}
        manifest = compact_json({**body, "layers": [row], "subject": subject})
        made = Content(
            "manifest", _MANIFEST, kept.add(manifest), len(manifest), subject=root.digest
        )
        there = {content.content.digest for content in contents}
        new = [one for one in (config, layer, made) if one.digest not in there]
        contents += [LockedContent(one) for one in new]
    plain = tuple(item.content for item in contents)
    return replace(
        locked, artifact=replace(locked.artifact, contents=plain), contents=tuple(contents)
    )


def report(locked: LockedArtifact, *flaws: Flaw) -> dict[str, Any]:
    """Return a fresh report about an image."""
    about, made = str(locked.artifact.root), instant.spell(instant.now())
    return reports.trivy(*flaws, made=made, about=about)


@dataclass
class Site:
    """A bundle on its way into a quarantine, and out of it. ``to`` is the target.

    ``quarantine`` empty leaves it to the target file.
    """

    folder: Path
    bundle: Bundle
    to: str = "warehouse"
    quarantine: str = "hold"

    def policy(self, text: str = "max-severity: high") -> str:
        """Write a policy file; return its name."""
        (self.folder / "policy.yaml").write_text(f"apiVersion: dray/v1\nkind: Policy\n{text}\n")
        return "policy.yaml"

    def load(self, *more: str, code: int = 0) -> Answer:
        """Import the bundle."""
        way = ("--quarantine", self.quarantine) if self.quarantine else ()
        asked = ("import", self.bundle.folder, "--trust", self.bundle.trust, "--to", self.to)
        return self._dray(code, *asked, *way, *more)

    def promote(self, *more: str, code: int = 0, policy: str = "policy.yaml") -> Answer:
        """Promote what was imported."""
        return self._dray(code, "promote", "--to", self.to, "--policy", policy, *more)

    def kinds(self) -> list[str]:
        """Return the kinds of the ledger's entries."""
        return [entry.kind for entry in Ledger.open().chain.entries]

    def _dray(self, code: int, *words: object) -> Answer:
        answer = dray(*words, folder=self.folder)
        assert answer.code == code, answer
        return answer


def build(folder: Path, *flaws: Flaw) -> Bundle:
    """Build a bundle of two images and a model; the first image carries a report of ``flaws``."""

    def artifacts(kept: Contents) -> tuple[LockedArtifact, ...]:
        cuda, torch, model = factory.sample(kept)
        return (
            carrying(kept, cuda, report(cuda, *flaws)),
            carrying(kept, torch, report(torch, LOW)),
            model,
        )

    return factory.build(folder / "media", artifacts)
