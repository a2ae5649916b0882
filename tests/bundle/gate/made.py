"""Artifacts that carry documents, and judges with a policy of a few lines."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bundle import strictyaml
from bundle.artifact import Artifact, Content
from bundle.decode import Fields
from bundle.digest import Digest
from bundle.gate import rules
from bundle.gate.carried import Evidence
from bundle.gate.documents import report
from bundle.gate.judge import Judge
from fixtures import reports

NOW = datetime(2026, 11, 22, tzinfo=UTC)
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"


def gates(text: str, folder: Path = Path()) -> rules.Gates:
    """Read the gates of a policy from YAML."""
    document = strictyaml.parse(text.encode(), name="policy.yaml")
    fields = Fields(document.value, (), document.fault)
    made = rules.read(fields, folder)
    fields.done(rules.KEYS)
    return made


def judge(text: str, *, vex: Any = (), now: datetime = NOW) -> Judge:
    """Return the judge of a policy."""
    return Judge(gates(text), now, vex)


class Store(dict[Digest, bytes]):
    """Bytes by digest, and an image that carries documents."""

    def keep(self, data: bytes) -> Digest:
        digest = Digest.of(data)
        self[digest] = data
        return digest

    def read(self, content: Content) -> bytes:
        return self[content.digest]

    def image(self, name: str = "nvcr.io/nvidia/cuda:12.6.0", *platforms: str) -> Artifact:
        """Return an image: of one manifest, or an index of some platforms."""
        repository, _, version = name.partition(":")
        one = [
            self._content("manifest", {"schemaVersion": 2, "for": platform}, platform=platform)
            for platform in platforms or ("linux/amd64",)
        ]
        if platforms:
            rows = [{"digest": str(c.digest), "size": c.size} for c in one]
            one.append(self._content("index", {"manifests": rows}, _INDEX))
        root = one[-1].digest
        return Artifact("image", name, repository, version, root, tuple(one))

    def carrying(
        self, artifact: Artifact, *documents: Any, subject: Digest | None = None
    ) -> Artifact:
        """Return the artifact with referrers, of one document each."""
        contents = list(artifact.contents)
        for document in documents:
            data = document if isinstance(document, bytes) else json.dumps(document).encode()
            layer = Content("layer", "application/json", self.keep(data), len(data))
            rows = [
                {"mediaType": "application/json", "digest": str(layer.digest), "size": layer.size}
            ]
            contents += [
                layer,
                self._content("manifest", {"layers": rows}, of=subject or artifact.root),
            ]
        made = artifact
        return Artifact(
            made.kind, made.name, made.repository, made.version, made.root, tuple(contents)
        )

    def _content(
        self,
        role: str,
        document: Any,
        media_type: str = _MANIFEST,
        *,
        platform: str = "",
        of: Digest | None = None,
    ) -> Content:
        data = json.dumps(document).encode()
        digest = self.keep(data)
        return Content(role, media_type, digest, len(data), platform=platform, subject=of)


def evidence(
    artifact: Artifact, *flaws: reports.Flaw, form: str = "trivy", made: str = reports.MADE
) -> Evidence:
    """Return a report about the root of an artifact."""
    about = str(artifact.root)
    document = reports.FORMS[form](*flaws, made=made, about=about)
    return Evidence(report(json.dumps(document).encode(), "it"), frozenset({about}), "it")
