"""All gates over all artifacts of a promotion: signatures, scanners, licences."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from bundle.artifact import SIGNATURE, Content
from bundle.gate.assess import Assessment, Assessor, signature
from bundle.gate.judge import FAIL, SEVERITY
from bundle.upstream.check import Checker, load_keys
from importer.promote.scanning import Scanned
from importer.targets.harbor import HarborTarget

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from bundle.artifact import Artifact
    from bundle.gate.judge import Check
    from bundle.upstream.policy import Policy
    from importer.promote.places import Places
    from importer.promote.scanning import Scanning

_STAND_IN = "model.sig"


@dataclass
class Gatekeeper:
    """Applies a policy to what lies in a quarantine. ``scanning`` None asks no scanner."""

    policy: Policy
    places: Places
    now: datetime
    scanning: Scanning | None = None
    _whole: dict[str, Artifact] = field(default_factory=dict)

    def run(self, artifacts: Sequence[Artifact]) -> list[Assessment]:
        """Return what the gates say of each artifact; raises what reading raises."""
        read = self.places.read
        checker = Checker(self.policy, load_keys(self.policy), self._read)
        self.assessor = assessor = Assessor(self.policy.gates, read, self.now)
        assessor.believe(artifacts)
        scanned = self._scanned(artifacts)
        found = []
        for artifact in artifacts:
            said = scanned.get(artifact.name, Scanned())
            signed = signature(checker.check(self._signed(artifact)))
            severity, *others = assessor.assess(artifact, said.reports, said.faults)
            found.append(Assessment(artifact, (signed, _told(severity, said.lack), *others)))
        return found

    def idle(self, artifacts: Sequence[Artifact]) -> list[str]:
        """Return what the policy says and nothing needed."""
        allowed = [f"allow: {one}" for one in self.assessor.judge.idle()]
        patterns = [f"require-signature: {one}" for one in self.policy.idle(list(artifacts))]
        return [*patterns, *allowed]

    @property
    def notes(self) -> list[str]:
        """VEX that was to be believed, and cannot be read."""
        return self.assessor.faults

    def _scanned(self, artifacts: Iterable[Artifact]) -> dict[str, Scanned]:
        found: dict[str, Scanned] = {}
        if self.scanning is None or not self.policy.gates.limits:
            return found
        by_target: dict[int, tuple[HarborTarget, list[Artifact]]] = {}
        for artifact in artifacts:
            target = self.places.origins[artifact.name]
            asked = artifact.kind == "image" and self.policy.gates.limit(artifact) is not None
            if asked and isinstance(target, HarborTarget):
                by_target.setdefault(id(target), (target, []))[1].append(artifact)
        for target, wanted in by_target.values():
            found |= self.scanning.run(target, wanted)
        return found

    def _signed(self, artifact: Artifact) -> Artifact:
        """Return an artifact as its place keeps it: a tree has the signature as a file beside it.

        It is given to whoever looks for signatures as one of the files, as publishers have it.
        """
        beside = artifact.signature
        if beside is None or self.places.stores(artifact, next(iter(artifact.manifests))):
            return artifact
        file = Content("file", SIGNATURE, beside.digest, beside.size, path=_STAND_IN)
        self._whole[artifact.name] = artifact
        root = [content for content in artifact.contents if content.digest == artifact.root]
        return replace(artifact, contents=(*root, *artifact.files, file))

    def _read(self, artifact: Artifact, content: Content) -> bytes:
        """Read a content; the stand-in for a signature lies where the signature does."""
        whole = self._whole.get(artifact.name, artifact)
        beside = whole.signature
        if beside and (content.path, content.digest) == (_STAND_IN, beside.digest):
            return self.places.read(whole, beside)
        return self.places.read(artifact, content)


def _told(check: Check, lack: str) -> Check:
    """Return a check that says why there is no report."""
    if check.gate == SEVERITY and check.result == FAIL and lack:
        return replace(check, faults=(*check.faults, lack))
    return check
