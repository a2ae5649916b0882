"""Provenance files of Helm charts: the digest of an archive, signed in clear with OpenPGP.

Source: Helm, "Helm Provenance and Integrity", and ``pkg/provenance/sign.go``: the chart's metadata,
a line of three dots, and the digests of files, each part in YAML.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bundle import strictyaml
from bundle.decode import Fields
from bundle.errors import DrayError, NotTrusted, UsageError
from bundle.upstream import openpgp
from bundle.upstream.record import PROV, Proof

if TYPE_CHECKING:
    from bundle.decode import Path
    from bundle.digest import Digest
    from bundle.upstream.keys import Keys

MEDIA_TYPE = "application/vnd.cncf.helm.chart.provenance.v1.prov"
CHART = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
CONFIG = "application/vnd.cncf.helm.config.v1+json"
MAX_BYTES = openpgp.MAX_BYTES
_SPLIT = "\n...\n"


@dataclass(frozen=True, slots=True)
class ChartSigning:
    """A chart's provenance. ``archive`` is that of the chart, which is ``name`` in ``version``."""

    where: str
    archive: Digest
    data: bytes
    name: str
    version: str

    def prove(self, keys: Keys) -> Proof:
        """Return who signed the archive; raise :class:`NotTrusted` with the reason why nobody."""
        signed = openpgp.verified(self.data, keys.rings, self.where)
        name, version, files = read(signed.text, self.where)
        if (name, version) != (self.name, self.version):
            said = f"{name[:80]} {version[:80]}"
            raise NotTrusted(f"{self.where} is of {said}, not of {self.name} {self.version}")
        file = f"{name}-{version}.tgz"
        if files != {file: str(self.archive)}:
            found = files.get(file, "no such file")
            raise NotTrusted(f"{self.where} signs {file} as {found[:80]}, not as {self.archive}")
        return Proof(PROV, signed.key, signed.fingerprint, self.archive)


def read(text: str, where: str) -> tuple[str, str, dict[str, str]]:
    """Return the chart's name and version, and the digests of files, of a text that was verified.

    Raises :class:`NotTrusted` for what is no provenance of a chart.
    """
    parts = text.split(_SPLIT)
    if len(parts) != 2:
        raise NotTrusted(f"{where} is no provenance of a chart: it has {len(parts)} parts, not 2")
    facts, sums = (_yaml(part, where) for part in parts)
    return facts.text("name"), facts.text("version"), dict(sums.mapping("files"))


def _yaml(text: str, where: str) -> Fields:
    def fault(_path: Path, message: str, hint: str) -> DrayError:
        return NotTrusted(f"{where} {message}", hint=hint)

    try:
        document = strictyaml.parse(text.encode(), name=where)
    except UsageError as error:
        raise NotTrusted(error.message, hint=error.hint) from None
    return Fields(document.value, (), fault)
